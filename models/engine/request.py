"""One call of the engine, from its caller to its end, and the answer it is given.

The caller's side makes a `Request` and reads its `events`; all else belongs to the worker's thread. An `Answer` turns
chosen tokens into text and says when it has ended. Read `worker.py` for who runs them.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from models.engine.prompt import AudioSpan, PositionKey
from models.engine.sampling import Detokenizer, Sampler, StopStrings, Tokenizer
from models.engine.schema import SchemaState
from models.errors import ModelError
from models.types import FinishReason, GenerationOptions, GenerationStats, TextDelta

Event = TextDelta | GenerationStats


class Answer:
    """The text of one answer, made of its tokens.

    Args:
        options: how to sample, and what ends it.
        prompt_ids: the prompt's text tokens.
        max_tokens: it ends after so many, with finish reason "length".
        tokenizer: turns tokens into text.
        stop_token_ids: end it; they are not part of it.
        schema: where it begins in its JSON schema, whose end is its end; None if it is held to none.

    Attributes:
        sampler: chooses its tokens.
        n_tokens: its length so far.
    """

    def __init__(
        self,
        options: GenerationOptions,
        prompt_ids: Iterable[int],
        max_tokens: int,
        tokenizer: Tokenizer,
        stop_token_ids: frozenset[int],
        *,
        schema: SchemaState | None = None,
    ) -> None:
        self.sampler = Sampler(options, prompt_ids, max_tokens, schema)
        self.n_tokens = 0
        self._schema = schema
        self._max_tokens = max_tokens
        self._detokenizer = Detokenizer(tokenizer)
        self._stops = StopStrings(options.stop)
        self._stop_token_ids = stop_token_ids

    def push(self, token: int) -> tuple[str, FinishReason | None]:
        """Takes the next token: the text that became certain with it, and why the answer ends if it does.

        Raises:
            InvalidPrompt: the JSON schema is too complex to go on with.
        """
        is_whole = self._schema is not None and self._schema.accept(token)
        if token in self._stop_token_ids:
            return self._stops.flush(), "stop"
        self.n_tokens += 1
        self.sampler.count_seen(token)
        text, is_stopped = self._stops.push(self._detokenizer.push(token))
        if is_stopped:
            return text, "stop"
        if is_whole:
            return text + self._stops.flush(), "stop"
        if self.n_tokens >= self._max_tokens:
            return text + self._stops.flush(), "length"
        return text, None


@dataclass(slots=True, eq=False)
class Request:
    """One call of `generate`, or of `prefill` (no options)."""

    dialogue: str
    keys: list[PositionKey]
    clips: dict[str, AudioSpan]
    options: GenerationOptions | None
    loop: asyncio.AbstractEventLoop
    called_s: float
    schema: SchemaState | None = None
    events: asyncio.Queue[Event | ModelError] = field(default_factory=asyncio.Queue)  # bounded by the answer's length
    stopped: bool = False  # set by the caller, read by the worker before every step
    # The rest belongs to the worker.
    cached_tokens: int = 0
    answer: Answer | None = None  # once the whole prompt has been run
    next_token: int | None = None  # chosen, not yet run through the model
    prefilled_s: float | None = None
    first_delta_s: float | None = None
    decodes_alone: bool = False

    def deliver(self, event: Event | ModelError) -> None:
        """Hands an event to the caller, from the worker's thread."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the caller's loop is closed: nobody listens any more
            self.stopped = True

    def begin_answer(self, answer: Answer) -> None:
        """Notes that the whole prompt has been run."""
        self.answer = answer
        self.prefilled_s = time.perf_counter() - self.called_s

    def deliver_text(self, text: str) -> None:
        """Hands text to the caller, if there is any."""
        if text:
            if self.first_delta_s is None:
                self.first_delta_s = time.perf_counter() - self.called_s
            self.deliver(TextDelta(text))

    def stats(self, reason: FinishReason) -> GenerationStats:
        """What it cost, if it ends now."""
        return GenerationStats(
            prompt_tokens=len(self.keys),
            cached_tokens=self.cached_tokens,
            completion_tokens=0 if self.answer is None else self.answer.n_tokens,
            ttft_s=self.first_delta_s,
            total_s=time.perf_counter() - self.called_s,
            finish_reason=reason,
            prefill_s=self.prefilled_s,
        )
