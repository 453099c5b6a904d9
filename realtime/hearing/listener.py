"""Listens to one speaker: audio in, observations out, and the turn under way.

A session has one listener for each speaker. Each places its chunks on a sample clock of its own, finds speech, keeps
the audio that a turn may need, and has pauses scored. It decides nothing: the floor says when a turn begins and ends.
Read `turns/floor.py` for that.
"""

from collections.abc import Awaitable, Callable

from models.types import SAMPLE_RATE_HZ, AudioClip, Message, Transcript
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import Intake, IntakeCounters
from realtime.hearing.scoring import PauseScoring
from realtime.hearing.speech import SpeechLog
from realtime.hearing.user_turn import UserTurn
from realtime.hearing.vad import SpeechDetector
from realtime.turns.actions import Turn, TurnEnd
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.observations import DetectedFrame, PauseScored

LAST_PAUSE_S = 0.4  # between two sentences of one turn
BEFORE_S = 0.2  # of sound that is heard with what is said behind such a pause
LEAST_S = 0.6  # of speech, in which something can be asked


class Listener:
    """One speaker of a session.

    Args:
        name: of the speaker.
        detector: finds speech in this speaker's audio.
        scorer: judges at pauses how complete a turn sounds; None: silence alone decides.
        put: takes the scores, on the event loop.
        transcribe: writes down what was said so far, for the score; None: sound alone is judged.
        shown_name: as messages name the speaker; None where there is only one.
        hears_last_alone: what is said behind the last pause is written down by itself, too, where a turn seems to ask
            nothing: ears mishear a question that follows a telling.

    Attributes:
        counters: gaps, repeats and the drift of the clocks.
    """

    def __init__(
        self,
        name: str,
        detector: SpeechDetector,
        *,
        scorer: EndOfTurnScorer | None,
        put: Callable[[PauseScored], object],
        transcribe: Callable[[AudioClip], Awaitable[Transcript]] | None = None,
        shown_name: str | None = None,
        hears_last_alone: bool = False,
    ) -> None:
        self.name = name
        self.shown_name = shown_name
        self._hears_last_alone = hears_last_alone
        self.counters = IntakeCounters()
        self._detector = detector
        self._intake = Intake(self.counters)
        self._speech = SpeechLog()
        self._scoring = None if scorer is None else PauseScoring(scorer, name, put, transcribe=transcribe)
        self._kept_samples = round(detector.options.pre_roll_s * SAMPLE_RATE_HZ) + SAMPLE_RATE_HZ
        self._sample = 0  # end of the last frame
        self._turn: UserTurn | None = None

    @property
    def end_sample(self) -> int:
        """Position just after all audio that has come."""
        return self._intake.end_sample

    @property
    def turn(self) -> UserTurn | None:
        """The turn under way."""
        return self._turn

    @property
    def is_scoring(self) -> bool:
        """Whether a pause is being scored."""
        return self._scoring is not None and self._scoring.is_running

    def mute(self, *, muted: bool) -> None:
        """Takes silence for what comes from now on, or stops to do so; the clock goes on."""
        self._intake.muted = muted

    async def listen(self, chunk: AudioChunk, now_s: float) -> list[DetectedFrame]:
        """Takes a chunk.

        Args:
            chunk: as the transport placed it.
            now_s: wall time, for the drift of the clocks alone.

        Returns:
            The frames that are now whole.
        """
        frames = await self._detector.push_batched(self._intake.take(chunk, now_s))
        self._speech.add(frames)
        if frames:
            self._sample = frames[-1].end_sample
        return frames

    def forget_the_past(self, unopened_sample: int | None = None) -> None:
        """Drops audio that no turn will need.

        Args:
            unopened_sample: where speech begins that may still become a turn, if there is any.
        """
        if self._turn is None or self._turn.turn.start_sample is None:
            kept_sample = self._sample - self._kept_samples
            if unopened_sample is not None:
                kept_sample = min(kept_sample, unopened_sample)
            self._intake.drop_before(kept_sample)
            self._speech.drop_before(kept_sample)

    def open_turn(self, turn: Turn, item_id: str) -> UserTurn:
        """Begins to keep a turn; what was typed before it is part of it.

        Args:
            turn: where it begins.
            item_id: names its message, unless that has a name already.
        """
        if self._turn is None:
            self._turn = UserTurn(item_id, turn, self._intake, self._speech, speaker=self.shown_name)
        else:
            self._turn.add_audio(turn)
        return self._turn

    def close_turn(self) -> UserTurn:
        """Ends the turn under way, and gives it."""
        turn, self._turn = self._turn, None
        assert turn is not None
        return turn

    def message(self, end: TurnEnd) -> Message:
        """The turn under way as a message, up to a position."""
        assert self._turn is not None
        return self._turn.message(end.end_sample)

    def score(self, end: TurnEnd, number: int, *, asked: str = "") -> None:
        """Begins to score the turn up to a position; `asked` is what the assistant said last."""
        assert self._scoring is not None, "the floor asks for scores only where there is a scorer"
        clip = self.message(end).clips[-1]
        self._scoring.start(clip, number, asked=asked, last=self._last_of(clip, end.end_sample))

    def _last_of(self, clip: AudioClip, end_sample: int) -> AudioClip | None:
        """What is said behind the last pause of a turn; None if that is all of it, or too little."""
        if not self._hears_last_alone:
            return None
        start_sample = end_sample - len(clip.samples)
        begins = self._speech.last_stretch(start_sample, end_sample, round(LAST_PAUSE_S * SAMPLE_RATE_HZ))
        begins -= round(BEFORE_S * SAMPLE_RATE_HZ)
        is_part = begins > start_sample + LEAST_S * SAMPLE_RATE_HZ
        speech_s = self._speech.speech_s(begins, end_sample)
        return AudioClip(clip.samples[begins - start_sample :], speech_s) if is_part and speech_s > LEAST_S else None

    def close(self) -> None:
        """Gives up the score that is on its way."""
        if self._scoring is not None:
            self._scoring.stop()
