"""What the engine remembers of each dialogue: the keys and values of its prefix, and the embeddings of its clips.

A request of a dialogue keeps the beginning that its prompt shares with what is remembered; the rest is cut off. All
dialogues together stay within a budget of memory. Read `kv_cache.py` for how keys and values are kept.
"""

from collections import OrderedDict, deque

import torch

from models.engine.kv_cache import KeyValues
from models.engine.prompt import PositionKey, common_prefix
from models.engine.request import Request


class Dialogue:
    """One dialogue.

    Attributes:
        keys: of the positions computed, those in a batch row included.
        cache: their keys and values.
        embeddings: of the clips in them, and of clips that are waited for, by the clip's key.
        requests: in the order of their calls; the first one runs.
    """

    def __init__(self) -> None:
        self.keys: list[PositionKey] = []
        self.cache = KeyValues(1)
        self.embeddings: dict[str, torch.Tensor] = {}
        self.requests: deque[Request] = deque()

    @property
    def n_bytes(self) -> int:
        """What its tensors take."""
        return self.cache.n_bytes + sum(rows.nbytes for rows in self.embeddings.values())

    def begin(self, request: Request) -> None:
        """Cuts the cache down to what the request's prompt shares with it."""
        common = common_prefix(self.keys, request.keys)
        if request.options is not None:
            common = min(common, len(request.keys) - 1)  # the last position is run again, for its logits
        request.cached_tokens = common
        if common < len(request.keys):
            del self.keys[common:]
            self.cache.lengths[0] = common
        needed = {key[0] for key in self.keys if isinstance(key, tuple)}.union(*(r.clips for r in self.requests))
        self.embeddings = {key: rows for key, rows in self.embeddings.items() if key in needed}

    def drop_cache(self) -> None:
        """Forgets the prefix, after a failure that may have broken it."""
        self.cache, self.keys = KeyValues(1), []


class Dialogues(OrderedDict[str, Dialogue]):
    """All dialogues by name, least recently used first."""

    def open(self, name: str) -> Dialogue:
        """The dialogue of that name, a new one if there is none."""
        return self.setdefault(name, Dialogue())

    def evict(self, budget_bytes: int) -> None:
        """Drops idle dialogues, least recently used first, until the budget holds."""
        n_bytes = sum(dialogue.n_bytes for dialogue in self.values())
        for name, dialogue in tuple(self.items()):
            if n_bytes <= budget_bytes:
                return
            if not dialogue.requests:
                n_bytes -= dialogue.n_bytes
                del self[name]
