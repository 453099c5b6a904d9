"""The per-token steps: the next token of every answer under way, in one batch where there is room, else one by one.

A batch copies the caches of its dialogues into the rows of one. A failed step has left every cache as it was. Read
`worker.py` for what becomes of a token, `kv_cache.py` for rows and for steps that a GPU replays.
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from models.engine.dialogue import Dialogue, Dialogues
from models.engine.kv_cache import KeyValues, StaticDecoder
from models.engine.request import Request
from models.engine.sampling import choose_tokens

logger = logging.getLogger(__name__)


class Batch:
    """Dialogues that decode together: their caches are copied into the rows of one.

    Rows have different lengths and nothing is moved when another comes or goes. What was in a dialogue's own cache
    stays there; on leaving only the tokens decoded here are copied back.

    Args:
        keeps_cache: when it is empty; a graph is bound to its place in memory.

    Attributes:
        requests: one for each row.
        cache: the rows.
    """

    def __init__(self, *, keeps_cache: bool) -> None:
        self.requests: list[Request] = []
        self.cache = KeyValues(0)
        self._keeps_cache = keeps_cache

    def join(self, request: Request, dialogue: Dialogue) -> None:
        """Copies the dialogue's cache into a new row."""
        self.cache.lengths.append(0)
        try:
            self.cache.copy_row(len(self.requests), dialogue.cache, 0, 0, dialogue.cache.lengths[0])
        except BaseException:
            self.cache.lengths.pop()
            raise
        self.requests.append(request)

    def leave(self, request: Request, dialogue: Dialogue) -> None:
        """Copies what was decoded here back to the dialogue, and fills the hole with the last row."""
        row, last = self.requests.index(request), len(self.requests) - 1
        try:
            dialogue.cache.copy_row(0, self.cache, row, dialogue.cache.lengths[0], self.cache.lengths[row])
        finally:
            if row != last:
                self.cache.clear_row(row)  # beyond the other's end, too: what a broken answer left there is no number
                self.cache.copy_row(row, self.cache, last, 0, self.cache.lengths[last])
                self.requests[row] = self.requests[last]
            self.requests.pop()
            self.cache.lengths.pop()
            if self.requests or self._keeps_cache:
                self.cache.clear_row(last)
            else:
                self.cache = KeyValues(0)


class Decoder:
    """Runs tokens.

    Args:
        model: the language model.
        dialogues: whose caches are read and extended.
        max_batch: how many decode together.
        static: decode in steps of constant shape.
    """

    def __init__(self, model: Any, dialogues: Dialogues, *, max_batch: int, static: bool) -> None:
        self._model = model
        self._device = model.get_input_embeddings().weight.device
        self._dialogues = dialogues
        self._max_batch = max_batch
        self._static = StaticDecoder(model) if static else None
        self._batch = Batch(keeps_cache=static)

    @property
    def in_batch(self) -> tuple[Request, ...]:
        """The requests that decode together."""
        return tuple(self._batch.requests)

    @property
    def n_bytes(self) -> int:
        """What the batch takes of the budget for dialogues.

        One that keeps its memory for a graph is no part of it: it would leave the dialogues less and less.
        """
        return 0 if self._static is not None else self._batch.cache.n_bytes

    def start_afresh(self) -> None:
        """Forgets the batch."""
        self._batch = Batch(keeps_cache=self._static is not None)

    def fill_batch(self, ready: Sequence[Request]) -> None:
        """Takes answers into the batch, if there are several or steps are static."""
        if len(ready) > 1 or self._static is not None:
            for request in ready:
                self._join(request)

    def _join(self, request: Request) -> None:
        is_full = len(self._batch.requests) >= self._max_batch
        if self._max_batch == 1 or is_full or request.decodes_alone or request in self._batch.requests:
            return
        try:
            self._batch.join(request, self._dialogues[request.dialogue])
        except Exception:
            logger.warning("no room for dialogue %s in the batch; it goes on alone", request.dialogue, exc_info=True)
            request.decodes_alone = True

    def take_out(self, request: Request) -> bool:
        """Takes an answer out of the batch; gives whether the dialogue's cache holds what was decoded there."""
        if request not in self._batch.requests:
            return True
        try:
            self._batch.leave(request, self._dialogues[request.dialogue])
        except Exception:
            logger.warning("dialogue %s could not take back its cache", request.dialogue, exc_info=True)
            return False
        return True

    def advance_batch(self) -> list[int]:
        """Runs the next token of each answer in the batch, and chooses those after."""
        return self._advance(self._batch.requests, self._batch.cache)

    def advance_alone(self, request: Request) -> int:
        """Runs the next token of one answer, and chooses the one after."""
        return self._advance([request], self._dialogues[request.dialogue].cache)[0]

    def _advance(self, requests: Sequence[Request], cache: KeyValues) -> list[int]:
        """Runs the next token of each request, which fill the rows of `cache`, and chooses those after."""
        fed = [request.next_token for request in requests if request.next_token is not None]
        samplers = [request.answer.sampler for request in requests if request.answer is not None]
        if self._static is not None and cache is self._batch.cache:
            logits = self._static.forward(cache, fed)
        else:
            input_ids = torch.tensor(fed, device=self._device)[:, None]
            logits = cache.forward(self._model, {"input_ids": input_ids})
        tokens = choose_tokens(logits, samplers)
        cache.extend(1)
        for request, token in zip(requests, fed, strict=True):
            self._dialogues[request.dialogue].keys.append(token)
        return tokens
