"""One answer, from its first provisional word to what is stored of it.

It holds the prompt, what has been generated, sent and delivered, and how it ended, and tells the client of each. A
provisional answer is committed or retracted; one over which a sound is made pauses and goes on; one whose prompt proves
too long is tried again with a shorter one, as soon as its turn counts. Which of these happens is decided elsewhere.
Read `answers.py` for who calls it, `model_work.py` for the task in which the model works.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.errors import ModelError, PromptTooLong
from models.types import FinishReason, GenerationStats, Message, TextDelta
from realtime.answer_times import AnswerTimes
from realtime.events import (
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseResumed,
    ResponseRetracted,
    ResponseStatus,
    SessionEvent,
)
from realtime.inbox import Played, Spoken
from realtime.model_work import ModelWork
from realtime.speaking import SpokenAnswer

STATUS: dict[FinishReason, ResponseStatus] = {"stop": "completed", "length": "incomplete", "cancelled": "cancelled"}

Shorten = Callable[[], tuple[Message, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the answers of a session share.

    Attributes:
        work: the session's model.
        read_aloud: begins to read an answer of that id aloud; gives None where answers are read by the eye.
        send: tells the client.
        shorten: makes the conversation shorter and gives it; None if that cannot be.
    """

    work: ModelWork
    read_aloud: Callable[[str], SpokenAnswer | None]
    send: Callable[[SessionEvent], None]
    shorten: Shorten


class Answer:
    """One answer; it begins to be generated when it is made.

    Args:
        id: names it.
        prompt: what is answered.
        surroundings: of the session.
        provisional: whether it may be retracted.
        times: when what is answered was said.

    Attributes:
        id: names it.
        prompt: what is answered.
        times: when its steps were done.
        provisional: whether it may still be retracted.
        error: why it failed, if it did.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  # the wire's own word
        prompt: tuple[Message, ...],
        surroundings: Surroundings,
        *,
        provisional: bool,
        times: AnswerTimes,
    ) -> None:
        self.id = id
        self.prompt = prompt
        self.provisional = provisional
        self.error: ModelError | None = None
        self._work, self._send, self._shorten = surroundings.work, surroundings.send, surroundings.shorten
        self.times = times
        self._text = ""
        self._n_deltas = 0
        self._n_generations = 0
        self._stats: GenerationStats | None = None
        self._speech = surroundings.read_aloud(id)
        self._sent = prompt  # what the model was given last: the prompt, and what it had said before a sound
        self._send(ResponseCreated(response_id=id, item_id=prompt[-1].id, provisional=provisional))
        self._generate(prompt)
        if not provisional:
            self._speak()

    @property
    def delivered(self) -> str:
        """What has reached the user: what has been heard, or all that was sent where answers are read."""
        return self._text if self._speech is None else self._speech.heard

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be generated."""
        return self._stats is not None or self.error is not None

    @property
    def is_over(self) -> bool:
        """Whether it is finished, and has been heard to its end."""
        return self.is_finished and (self._speech is None or self._speech.is_over)

    @property
    def is_under_way(self) -> bool:
        """Whether more of it will be generated, or read aloud."""
        return not self.is_finished or (self._speech is not None and self._speech.is_reading)

    @property
    def has_begun(self) -> bool:
        """Whether its first words have come, or it has ended without any."""
        return self.times.first_delta_s is not None or self.is_finished

    @property
    def stats(self) -> GenerationStats | None:
        """What it cost; None while it goes on, or if it failed."""
        return self._stats

    @property
    def given(self) -> tuple[Message, ...]:
        """What the model was given last."""
        return self._sent

    def take(self, event: TextDelta | GenerationStats | ModelError, now_s: float) -> bool:
        """Takes what the model said.

        Args:
            event: the next one of this answer.
            now_s: wall time at which it came.

        Returns:
            Whether the answer is over. One that was too long for the model, and may be tried again with less once its
            turn counts, is not, nor is one of which there is more to be heard.
        """
        match event:
            case TextDelta(text):
                self.times.note_delta(now_s, provisional=self.provisional)
                self._text += text
                self._n_deltas += 1
                self._send(ResponseDelta(response_id=self.id, delta=text, provisional=self.provisional))
                if self._speech is not None:
                    self._speech.add(text)
            case GenerationStats():
                self._stats = event
                self._finish_speech()
            case ModelError():
                self.error = event
                if self._may_fit_shorter() if self.provisional else self._starts_again_shorter():
                    return False
                self._finish_speech()
        return self.is_over

    def take_sound(self, item: Spoken | Played, now_s: float) -> bool:
        """Takes what was read of it, or how far that has been played; whether it is over.

        Raises:
            GenerationFailed: the voice failed; the text goes on.
        """
        if isinstance(item, Played) and self.times.first_audio_s is None:
            self.times.first_audio_s = now_s
        if self._speech is not None:
            self._speech.take(item)
        return self.is_over

    def commit(self, now_s: float) -> bool:
        """Makes a provisional answer the answer; whether it is over, and nobody has been told."""
        self.provisional = False
        self.times.committed_s = now_s
        self._send(ResponseCommitted(response_id=self.id))
        self._speak()
        if self._may_fit_shorter() and not self._starts_again_shorter():
            self._finish_speech()
            return True
        return self._speech is not None and self.is_over

    def fall_silent(self) -> bool:
        """Leaves the rest of it to be read by the eye; whether it is over with that."""
        if self._speech is not None:
            self._speech.give_up()
        return self.is_over

    def retract(self) -> None:
        """Stops it, and withdraws its text."""
        self._work.stop_answer()
        self._stop_speech()
        self._send(ResponseRetracted(response_id=self.id))

    def pause(self) -> None:
        """Stops generating, and the sound; what was delivered stays."""
        self._work.stop_answer()
        if self._speech is not None:
            self._speech.pause()

    def resume(self) -> None:
        """Goes on where it stopped."""
        self._send(ResponseResumed(response_id=self.id))
        if not self.is_finished:
            said = (Message("assistant", (self._text,)),) if self._text else ()
            self._generate((*self.prompt, *said))
        if self._speech is not None:
            self._speech.resume()

    def interrupt(self, now_s: float) -> ResponseDone:
        """Stops it for good, and gives what the client is told of its end."""
        self._work.stop_answer()
        self._stop_speech()
        return self._done("cancelled", now_s)

    def finish(self, now_s: float) -> ResponseDone:
        """Gives what the client is told of its end, once it is over."""
        self._stop_speech()
        if self._stats is None:
            return self._done("failed", now_s)
        return self._done(STATUS[self._stats.finish_reason], now_s)

    def _generate(self, prompt: tuple[Message, ...]) -> None:
        self._sent = prompt
        self._n_generations += 1
        self._work.start_answer(prompt, n_delivered=self._n_deltas)

    def _speak(self) -> None:
        if self._speech is not None:
            self._speech.count()

    def _finish_speech(self) -> None:
        if self._speech is not None:
            self._speech.finish_text()

    def _stop_speech(self) -> None:
        if self._speech is not None:
            self._speech.stop()

    def _may_fit_shorter(self) -> bool:
        return isinstance(self.error, PromptTooLong) and not self._text

    def _starts_again_shorter(self) -> bool:
        """Tries once more with a shorter conversation, if that may help; whether it does."""
        shorter = self._shorten() if self._may_fit_shorter() else None
        if shorter is None:
            return False
        self.error, self.prompt = None, shorter
        self._generate(shorter)
        return True

    def _done(self, status: ResponseStatus, now_s: float) -> ResponseDone:
        stats = self._stats
        reason = None if stats is None or status == "cancelled" else stats.finish_reason
        return ResponseDone(
            response_id=self.id,
            status=status,
            text=self.delivered,
            response_latency_s=self.times.latency_s,
            ttft_s=stats.ttft_s if stats else None,
            prompt_tokens=stats.prompt_tokens if stats else 0,
            cached_tokens=stats.cached_tokens if stats else 0,
            completion_tokens=stats.completion_tokens if stats else 0,
            stop_reason=None if reason == "cancelled" else reason,
            timing=self.times.timing(now_s, stats if self._n_generations == 1 else None),
        )
