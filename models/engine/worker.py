"""The engine's thread: the one that owns torch, and the life of each request on it.

In each round it prefills one chunk (or encodes one audio window) of one waiting request, in turn, and decodes one token
of every answer under way. A request that fails ends alone; only a defect of this file, or what is no `Exception`, ends
them all, and the loop goes on. If even that fails, the engine has ended.
Read `prefill.py` and `decode.py` for the steps.
"""

import logging
import queue
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from models.engine.decode import Decoder
from models.engine.dialogue import Dialogues
from models.engine.prefill import Prefill
from models.engine.request import Answer, Request
from models.engine.sampling import Tokenizer, choose_tokens
from models.errors import GenerationFailed, ModelError, ModelStopped, translate_errors
from models.types import FinishReason, GenerationOptions, GenerationStats
from models.watch import StepWatch

logger = logging.getLogger(__name__)


class Worker:
    """The thread's side of an engine, whose arguments it takes. All but `calls` is used on that thread alone.

    Args (beside the engine's):
        watch: is told when a round begins and ends.

    Attributes:
        calls: what the engine's callers want done between two steps.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        context_tokens: int,
        stop_token_ids: frozenset[int],
        prefill_chunk_tokens: int,
        cache_budget_bytes: int,
        max_batch: int,
        static: bool,
        watch: StepWatch,
    ) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._stop_token_ids = stop_token_ids
        self._cache_budget_bytes = cache_budget_bytes
        self._dialogues = Dialogues()
        self._running: list[Request] = []
        self._prefill = Prefill(model, prefill_chunk_tokens)
        self._decoder = Decoder(model, self._dialogues, max_batch=max_batch, static=static)
        self._watch = watch
        self._is_closed = False

    # What callers ask for, between steps.

    def admit(self, request: Request) -> None:
        """Takes a request; it runs once those before it in its dialogue have ended."""
        dialogue = self._dialogues.open(request.dialogue)
        dialogue.requests.append(request)
        if dialogue.requests[0] is request:
            self._begin(request)

    def forget(self, name: str) -> None:
        """Ends the dialogue's requests as cancelled, and frees its cache."""
        dialogue = self._dialogues.get(name)
        if dialogue is not None:
            for request in dialogue.requests:
                request.stopped = True  # lest one that waits begins
            while dialogue.requests:
                self._finish(dialogue.requests[0], "cancelled")
            self._dialogues.pop(name, None)

    def close(self) -> None:
        """Ends everything as cancelled."""
        self._is_closed = True
        for name in tuple(self._dialogues):
            self.forget(name)

    # The loop.

    def run(self) -> None:
        """Takes one step of each running request in turn, until closed."""
        try:
            with torch.inference_mode():
                while not self._is_closed:
                    self._attempt_round()
        except BaseException:
            logger.critical("the engine has ended and can answer nobody; restart the server", exc_info=True)
            self._watch.end()
            self._tell_all(ModelStopped("the engine has ended; restart the server"))
        finally:
            del self._prefill, self._decoder  # they hold the model

    def _attempt_round(self) -> None:
        try:
            if not self._running:
                self.calls.get()()
            with self._watch.step():
                self._round()
        except BaseException as error:  # a SystemExit, too: nobody may wait for ever
            logger.exception("the engine failed and starts afresh")
            self._start_afresh(GenerationFailed(f"the engine failed ({error!r}) and started afresh; try again"))

    def _round(self) -> None:
        self._take_calls()
        self._end_stopped()
        waiting = [request for request in self._running if request.next_token is None]
        if waiting:
            self._running.remove(waiting[0])
            self._running.append(waiting[0])  # the others' turn comes first next time
            self._attempt(self._prefill_step, waiting[0])
        self._end_stopped()
        self._decode_step()

    def _tell_all(self, error: GenerationFailed) -> None:
        for dialogue in self._dialogues.values():
            for request in dialogue.requests:
                request.deliver(error)

    def _start_afresh(self, error: GenerationFailed) -> None:
        self._tell_all(error)
        self._dialogues.clear()
        self._running.clear()
        self._decoder.start_afresh()

    def _take_calls(self) -> None:
        while not self._is_closed:
            try:
                call = self.calls.get_nowait()
            except queue.Empty:
                return
            call()

    def _end_stopped(self) -> None:
        for request in tuple(self._running):
            if request.stopped and request in self._running:
                self._finish(request, "cancelled")

    def _attempt(self, step: Callable[[Request], None], request: Request) -> None:
        """Runs a step of one request; its failure is that request's alone."""
        try:
            with translate_errors(f"dialogue {request.dialogue}"):
                step(request)
        except GenerationFailed as error:
            logger.warning("a step failed and the cache of dialogue %s is dropped", request.dialogue, exc_info=True)
            self._end(request, error, keep_cache=False)
        except ModelError as error:
            self._end(request, error)

    # The life of a request.

    def _begin(self, request: Request) -> None:
        self._dialogues.move_to_end(request.dialogue)
        self._running.append(request)
        if not request.stopped:  # else it ends in the next round
            self._dialogues[request.dialogue].begin(request)

    def _finish(self, request: Request, reason: FinishReason) -> None:
        self._end(request, request.stats(reason))

    def _end(self, request: Request, last: GenerationStats | ModelError, *, keep_cache: bool = True) -> None:
        request.deliver(last)
        if request in self._running:
            self._running.remove(request)
        keep_cache = self._decoder.take_out(request) and keep_cache
        dialogue = self._dialogues[request.dialogue]
        dialogue.requests.remove(request)
        self._dialogues.move_to_end(request.dialogue)
        if not keep_cache:
            dialogue.drop_cache()
        self._dialogues.evict(self._cache_budget_bytes - self._decoder.n_bytes)
        if dialogue.requests and dialogue.requests[0] not in self._running:
            self._begin(dialogue.requests[0])

    # The steps.

    def _prefill_step(self, request: Request) -> None:
        if request.options is None and request.cached_tokens == len(request.keys):
            self._finish(request, "stop")
            return
        logits = self._prefill.step(request, self._dialogues[request.dialogue])
        if logits is None:
            return
        if request.options is None:
            self._finish(request, "stop")
        else:
            self._begin_answer(request, request.options, logits)

    def _begin_answer(self, request: Request, options: GenerationOptions, logits: torch.Tensor) -> None:
        prompt_ids = (key for key in request.keys if isinstance(key, int))
        longest = min(options.max_new_tokens, self._context_tokens - len(request.keys))
        answer = Answer(options, prompt_ids, longest, self._tokenizer, self._stop_token_ids, schema=request.schema)
        request.begin_answer(answer)
        self._accept(request, choose_tokens(logits, [answer.sampler])[0])

    def _accept(self, request: Request, token: int) -> None:
        """Delivers a chosen token's text; ends the answer or makes the token the next to run."""
        assert request.answer is not None
        text, reason = request.answer.push(token)
        request.deliver_text(text)
        if reason is None:
            request.next_token = token
        else:
            self._finish(request, reason)

    def _decode_step(self) -> None:
        """One token of every answer under way."""
        ready = [request for request in self._running if request.next_token is not None]
        self._decoder.fill_batch(ready)
        in_batch = self._decoder.in_batch
        if in_batch:
            self._decode_batch(in_batch)
        for request in ready:
            if request not in in_batch and not request.stopped:
                self._attempt(self._decode_alone, request)

    def _decode_alone(self, request: Request) -> None:
        self._accept(request, self._decoder.advance_alone(request))

    def _decode_batch(self, requests: Sequence[Request]) -> None:
        try:
            tokens = self._decoder.advance_batch()
        except Exception:
            # Whose fault it is shows when each goes on alone.
            logger.warning("a batch of %d dialogues failed; they go on one by one", len(requests), exc_info=True)
            for request in requests:
                request.decodes_alone = True
                if not self._decoder.take_out(request):
                    error = GenerationFailed(f"dialogue {request.dialogue}: out of memory")
                    self._end(request, error, keep_cache=False)
            return
        for request, token in zip(requests, tokens, strict=True):
            self._attempt(partial(self._accept, token=token), request)
