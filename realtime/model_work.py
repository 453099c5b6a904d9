"""What a session has its model do beside its loop: answer, write down and judge what is said, summarise, prefill.

Each is a task; what comes of it returns through the session's inbox, numbered, so that what arrives after a
cancellation is known to be late. Every answer counts in the process's load. How long a model may be silent is none of
its business: `models/watched.py` stands between them. Read `answer.py` for who asks.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace

from models.base import AudioLanguageModel, Transcriber
from models.errors import GenerationFailed, ModelError
from models.transcripts import write_down
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, TextDelta, Transcript
from realtime.hearing.scoring import score_sound
from realtime.inbox import Captioned, Generated, Summarised, WordsDrafted
from realtime.load import LoadShare
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import SoundJudged

logger = logging.getLogger(__name__)

JUDGEMENT_LIMIT_S = 10.0  # for a sound to be judged, while the answer that it interrupted stands still
CAPTION_LIMIT_S = 10.0  # for a message to be written down: its answer has been read by then
MAX_SUMMARY_TOKENS = 120  # three sentences of 25 words, at 1.5 tokens a word

Put = Callable[[Generated | SoundJudged | Summarised | Captioned | WordsDrafted], None]


class ModelWork:
    """The tasks of one session.

    Args:
        model: does the work.
        dialogue: names the session's prefix cache.
        options: of its answers.
        load: the session's share of the process's.
        put: takes the results.
        sound_scorer: judges sounds over an answer; without it their words alone do.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        dialogue: str,
        options: GenerationOptions,
        load: LoadShare,
        put: Put,
        *,
        sound_scorer: BackchannelScorer | None = None,
    ) -> None:
        self._model = model
        self._dialogue = dialogue
        self._options = options
        self._load = load
        self._put = put
        self._sound_scorer = sound_scorer
        self._generation = 0
        self._summary_attempt = 0
        self._answering: asyncio.Task[None] | None = None
        self._judging: asyncio.Task[None] | None = None
        self._drafting: asyncio.Task[None] | None = None
        self._draft_s = 0.0
        self._summarising: asyncio.Task[None] | None = None
        self._prefilling: asyncio.Task[None] | None = None
        self._prefilling_ahead: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def set_options(self, *, temperature: float | None = None, max_new_tokens: int | None = None) -> None:
        """Changes how the next answers are sampled; None leaves it as it is."""
        if temperature is not None:
            self._options = replace(self._options, temperature=temperature)
        if max_new_tokens is not None:
            self._options = replace(self._options, max_new_tokens=max_new_tokens)

    # Answers.

    def start_answer(self, prompt: Sequence[Message], *, n_delivered: int = 0) -> None:
        """Begins to generate; the events come as `Generated`.

        Args:
            prompt: what to answer; a last assistant message is gone on with.
            n_delivered: deltas of that message, each a token at least, which the longest answer includes.
        """
        self._stop_prefilling_ahead()  # what it has computed stays, and the answer computes the rest in one go
        self._generation += 1
        options = replace(self._options, max_new_tokens=max(1, self._options.max_new_tokens - n_delivered))
        self._answering = self._spawn(self._answer(self._generation, prompt, options))

    def stop_answer(self) -> None:
        """Cancels; what is still on its way belongs to an old generation."""
        self._generation += 1
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None

    def is_current(self, generated: Generated) -> bool:
        """Whether this was said by the answer under way."""
        return generated.generation == self._generation

    async def _answer(self, generation: int, prompt: Sequence[Message], options: GenerationOptions) -> None:
        stream = self._model.generate(prompt, options, dialogue=self._dialogue)
        try:
            with self._load.answering():
                async with aclosing(stream):
                    async for event in stream:
                        self._put(Generated(generation, event))
        except ModelError as error:
            self._put(Generated(generation, error))
        except Exception as error:
            logger.exception("session %s: the model raised what it should have translated", self._dialogue)
            self._put(Generated(generation, GenerationFailed(f"the model failed: {error}")))

    # Sounds over an answer.

    def judge_sound(self, clip: AudioClip, number: int) -> None:
        """Has a clip written down and scored, as far as anybody can; that comes as the `SoundJudged` of this number."""
        self._judging = self._spawn(self._judge(clip, number))

    def stop_judging(self) -> None:
        """Gives it up."""
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None

    async def _judge(self, clip: AudioClip, number: int) -> None:
        transcript, probability = await asyncio.gather(self._transcribe_sound(clip), self._score_sound(clip))
        if transcript is None:
            self._put(SoundJudged(number, None, backchannel_probability=probability))
        elif transcript.is_foreign:
            self._put(SoundJudged(number, None))  # whoever speaks takes the turn: the scorer knows English alone
        else:
            least = min((word.probability for word in transcript.words), default=1.0)
            self._put(SoundJudged(number, transcript.text, least, probability))

    async def _transcribe_sound(self, clip: AudioClip) -> Transcript | None:
        if self._model.transcriber is None:
            return None
        try:
            async with asyncio.timeout(JUDGEMENT_LIMIT_S):
                return await self._model.transcriber.transcribe(clip, dialogue=self._dialogue)
        except Exception as error:
            self._log("what was said over the answer", error)
            return None

    async def _score_sound(self, clip: AudioClip) -> float | None:
        return None if self._sound_scorer is None else await score_sound(self._sound_scorer, clip.samples)

    @property
    def _transcriber(self) -> Transcriber:
        assert self._model.transcriber is not None, "asked for only where there is one"
        return self._model.transcriber

    # Captions.

    def write_down(self, message: Message) -> None:
        """Has a message written down; its words come as `Captioned`."""
        self._spawn(self._write_down(message))

    async def _write_down(self, message: Message) -> None:
        transcript, failure = None, ""
        try:
            async with asyncio.timeout(CAPTION_LIMIT_S):
                transcript = await write_down(self._transcriber, message, dialogue=self._dialogue)
        except TimeoutError as error:
            failure = f"the ears have given nothing in {CAPTION_LIMIT_S:g} s"
            self._log(f"the words of {message.id}", error)
        except Exception as error:
            failure = str(error) if isinstance(error, ModelError) else "the ears failed"
            self._log(f"the words of {message.id}", error)
        self._put(Captioned(message.id, transcript, failure))

    @property
    def may_draft(self) -> bool:
        """Whether there is room to write down what is still being said."""
        is_drafting = self._drafting is not None and not self._drafting.done()
        return self._model.has_ears and not is_drafting and self._load.allows_speculation

    @property
    def draft_s(self) -> float:
        """How long the last draft took, wall time."""
        return self._draft_s

    def draft_words(self, item_id: str, clip: AudioClip) -> None:
        """Has what was said so far written down; the words come as `WordsDrafted`, unless the ears fail."""
        self._drafting = self._spawn(self._draft(item_id, clip))

    async def _draft(self, item_id: str, clip: AudioClip) -> None:
        began_s = time.perf_counter()
        try:
            async with asyncio.timeout(CAPTION_LIMIT_S):
                transcript = await self._transcriber.transcribe(clip, dialogue=self._dialogue)
        except Exception as error:
            self._log(f"the words of {item_id} so far", error)
            self._draft_s = CAPTION_LIMIT_S  # the next one comes late, if at all
            return
        self._draft_s = time.perf_counter() - began_s
        self._put(WordsDrafted(item_id, transcript))

    # Summaries, in a dialogue of their own, so that the session's prefix cache stays.

    @property
    def is_summarising(self) -> bool:
        """Whether a summary is under way."""
        return self._summarising is not None

    def start_summary(self, prompt: Sequence[Message]) -> None:
        """Has the model answer a request for a summary; it comes as `Summarised`."""
        self._summary_attempt += 1
        self._summarising = self._spawn(self._summarise(self._summary_attempt, prompt))

    def stop_summary(self) -> None:
        """Cancels it."""
        self._summary_attempt += 1
        if self._summarising is not None:
            self._summarising.cancel()
            self._summarising = None

    def finish_summary(self, summarised: Summarised) -> bool:
        """Ends the attempt that made it; False if that one had been cancelled."""
        if summarised.attempt != self._summary_attempt:
            return False
        self._summarising = None
        return True

    async def _summarise(self, attempt: int, prompt: Sequence[Message]) -> None:
        dialogue, text, complete = f"{self._dialogue}/summary", "", False
        options = replace(self._options, max_new_tokens=MAX_SUMMARY_TOKENS)
        try:
            async with aclosing(self._model.generate(prompt, options, dialogue=dialogue)) as stream:
                async for event in stream:
                    text += event.text if isinstance(event, TextDelta) else ""
                    complete = complete or isinstance(event, GenerationStats)
        except Exception as error:
            self._log("summary", error)
        finally:
            await self._model.forget(dialogue=dialogue)
        self._put(Summarised(attempt, text.strip() if complete else None))

    # Prefill.

    @property
    def is_prefilling(self) -> bool:
        """Whether a prompt is being computed while nobody waits."""
        return self._prefilling is not None and not self._prefilling.done()

    def prefill(self, messages: Sequence[Message]) -> None:
        """Computes a prompt before it is needed."""
        if messages:
            self._prefilling = self._spawn(self._prefill(messages))

    def prefill_ahead(self, messages: Sequence[Message]) -> None:
        """Computes the prompt of a turn that may just be ending; the last call counts."""
        self._stop_prefilling_ahead()
        self._prefilling_ahead = self._spawn(self._prefill_ahead(messages))

    def _stop_prefilling_ahead(self) -> None:
        if self._prefilling_ahead is not None:
            self._prefilling_ahead.cancel()
            self._prefilling_ahead = None

    async def _prefill_ahead(self, messages: Sequence[Message]) -> None:
        with self._load.answering():
            await self._prefill(messages)

    async def _prefill(self, messages: Sequence[Message]) -> None:
        try:
            await self._model.prefill(messages, dialogue=self._dialogue)
        except Exception as error:  # the answer that needs it will say so
            self._log("prefill", error)

    def _log(self, what: str, error: Exception) -> None:
        is_foreign = not isinstance(error, ModelError)
        reason = error.detail if isinstance(error, ModelError) else str(error) or type(error).__name__
        logger.warning("session %s: %s: %s", self._dialogue, what, reason, exc_info=is_foreign)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Cancels everything and frees the session's cache."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._load.close()
        await self._model.forget(dialogue=self._dialogue)
