"""Keys and values that grow in place, are cut by a number, and of several dialogues are decoded together.

transformers' own caches copy everything they hold at each token and cannot hold rows of different lengths. Here a row
is the beginning of a dialogue, and cutting it is setting its length. Read `dialogue.py` for who decides what is kept.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

CAPACITY_STEP_TOKENS = 64  # caches grow by a quarter, rounded up to this, so that a token is rarely a reallocation
STATIC_TOKENS = 4096  # room in each row of a static batch: 0.5 GB a row for 8B models, and few graphs are made twice


class _Extent:
    """How far the rows of a cache are filled; its layers share one. Grows only after a whole model step succeeded."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.rows: torch.Tensor | None = None  # of a batched step: 0, 1, 2, ...
        self.ends: torch.Tensor | None = None  # of a batched step: where each row's new token goes
        self.is_static = False  # a batched step sees the whole capacity, so that its shapes stay the same


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, capacity, head size), with room to grow.

    transformers' own layer copies everything it holds at each token. Here a token is written in place, and rows of
    different lengths can be decoded together: each row writes at its own end, and the mask hides what lies beyond.
    """

    is_sliding = False  # windows are the mask's business: everything is kept, so that everything can be cut
    is_croppable = True
    keys: torch.Tensor | None
    values: torch.Tensor | None

    def __init__(self, extent: _Extent) -> None:
        super().__init__()
        self._extent = extent

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.reserve(1, 1, key_states, value_states)

    def reserve(self, n_rows: int, n_tokens: int, like_keys: torch.Tensor, like_values: torch.Tensor) -> None:
        """Makes room for `n_rows` of `n_tokens` in the format of `like_...`, keeping what is there."""
        old = (0, 0) if self.keys is None else (self.keys.shape[0], self.keys.shape[2])
        if n_rows <= old[0] and n_tokens <= old[1]:
            return
        if n_rows > old[0]:
            n_rows = 1 << (n_rows - 1).bit_length()
        if n_tokens > old[1]:
            n_tokens = -(-(n_tokens + n_tokens // 4) // CAPACITY_STEP_TOKENS) * CAPACITY_STEP_TOKENS
        shape = (max(n_rows, old[0]), max(n_tokens, old[1]))
        keys, values = self._moved(self.keys, like_keys, *shape), self._moved(self.values, like_values, *shape)
        self.keys, self.values = keys, values  # both or none: there may be no room for the second
        self.is_initialized = True

    @staticmethod
    def _moved(old: torch.Tensor | None, like: torch.Tensor, n_rows: int, n_tokens: int) -> torch.Tensor:
        # Zeros, since masked positions are still multiplied by 0, and 0 times what `empty` holds may be NaN.
        new = like.new_zeros((n_rows, like.shape[1], n_tokens, like.shape[3]))
        if old is not None:
            new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes (rows, heads, new tokens, head size) behind what the rows hold, and returns all of it."""
        extent, n_rows = self._extent, key_states.shape[0]
        if extent.is_static:
            return self._update_static(key_states, value_states)
        end = max(extent.lengths) + key_states.shape[2]
        self.reserve(n_rows, end, key_states, value_states)
        keys, values = self.keys, self.values
        assert keys is not None and values is not None
        if n_rows == 1:
            start = end - key_states.shape[2]
            keys[:1, :, start:end] = key_states
            values[:1, :, start:end] = value_states
        else:
            keys[extent.rows, :, extent.ends] = key_states[:, :, 0]
            values[extent.rows, :, extent.ends] = value_states[:, :, 0]
        return keys[:n_rows, :, :end], values[:n_rows, :, :end]

    def _update_static(self, key_states: torch.Tensor, value_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for a step that a graph replays: `StaticDecoder` has made room, and its mask hides the rest."""
        extent, n_rows = self._extent, key_states.shape[0]
        assert self.keys is not None and self.values is not None
        self.keys[extent.rows, :, extent.ends] = key_states[:, :, 0]
        self.values[extent.rows, :, extent.ends] = value_states[:, :, 0]
        return self.keys[:n_rows], self.values[:n_rows]

    def get_seq_length(self) -> int:
        return max(self._extent.lengths)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return max(self._extent.lengths) + query_length, 0

    def get_max_length(self) -> int:
        return -1  # none


class KeyValues(Cache):  # type: ignore[misc]
    """A cache of one or more rows; a row is the beginning of a dialogue.

    Cutting a row is setting `lengths[row]`: what lies beyond is hidden, then overwritten.
    """

    def __init__(self, n_rows: int) -> None:
        self._extent = _Extent()
        self.lengths = self._extent.lengths
        self.lengths.extend([0] * n_rows)
        super().__init__(layer_class_to_replicate=partial(_Layer, self._extent))

    def forward(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Runs new positions of each row through the model; logits (rows, vocabulary) of the last one.

        Until `extend`, the rows are as long as before: a failed step changes nothing.

        Args:
            model: the language model.
            inputs: input_ids (rows, positions) or inputs_embeds (rows, positions, hidden); more than one position only
                with a single row.
        """
        tensor = next(iter(inputs.values()))
        n_new, device = tensor.shape[1], tensor.device
        mask: torch.Tensor | None = None  # a single row needs none: causal attention over all of it is the default
        if len(self.lengths) == 1:
            positions = torch.arange(self.lengths[0], self.lengths[0] + n_new, device=device)[None]
        else:
            self.place(torch.arange(len(self.lengths), device=device), torch.tensor(self.lengths, device=device))
            positions = torch.tensor(self.lengths, device=device)[:, None]
            mask = (torch.arange(max(self.lengths) + 1, device=device)[None] <= positions).to(torch.long)
        output = model(
            **inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def make_static(self, n_rows: int) -> None:
        """Makes room for a step of `n_rows` and one more token, and lets it see the whole capacity."""
        n_tokens = max(STATIC_TOKENS, max(self.lengths) + 1)
        for layer in self.layers:
            if layer.keys is not None:
                layer.reserve(n_rows, n_tokens, layer.keys, layer.values)
        self._extent.is_static = True

    def make_dynamic(self) -> None:
        """Ends `make_static`."""
        self._extent.is_static = False

    def place(self, rows: torch.Tensor, ends: torch.Tensor) -> None:
        """Says where the next step's tokens go: (rows,) each."""
        self._extent.rows, self._extent.ends = rows, ends

    @property
    def room(self) -> tuple[int, int]:
        """For how many rows, and tokens in each, there is memory; it moves only when this changes."""
        layer = next(layer for layer in self.layers if layer.keys is not None)
        return layer.keys.shape[0], layer.keys.shape[2]

    def extend(self, n_new: int) -> None:
        """Keeps what `forward` wrote."""
        self.lengths[:] = [length + n_new for length in self.lengths]

    def copy_row(self, row: int, source: "KeyValues", source_row: int, start: int, end: int) -> None:
        """Copies positions `start:end` of a row of another cache to the same positions of a row of this one."""
        while len(self.layers) < len(source.layers):
            self.layers.append(_Layer(self._extent))
        for layer, other in zip(self.layers, source.layers, strict=True):
            if other.keys is not None:  # layers that share another's keys and values have none
                layer.reserve(row + 1, end, other.keys, other.values)
                layer.keys[row, :, start:end] = other.keys[source_row, :, start:end]
                layer.values[row, :, start:end] = other.values[source_row, :, start:end]
        self.lengths[row] = end

    def clear_row(self, row: int) -> None:
        """Overwrites a row that is no longer used, lest a broken number in it harm the next one there."""
        for layer in self.layers:
            if layer.keys is not None:
                layer.keys[row] = 0
                layer.values[row] = 0

    @property
    def n_bytes(self) -> int:
        """What the tensors take."""
        kept = [layer for layer in self.layers if layer.keys is not None]
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in kept)


class StaticDecoder:
    """Decode steps of a batch whose shapes do not change, which a GPU therefore replays as one graph.

    A step of an 8B model is about a thousand kernels of a few microseconds each, and launching them one by one takes
    longer than running them. Rows are filled up to a power of two and attention spans the whole capacity under a mask,
    so there is one graph for each number of rows, until the cache has to grow. On a CPU the same step runs without a
    graph, which is how it is tested.

    Args:
        model: the language model, with full attention in every layer.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}  # by rows; with their logits
        self._captured: tuple[KeyValues, tuple[int, int]] | None = None  # what they read and write
        self._ids = torch.zeros(0)
        self._ends = torch.zeros(0)

    def forward(self, cache: KeyValues, tokens: Sequence[int]) -> torch.Tensor:
        """Runs one token of each row: logits (rows, vocabulary), valid until the next call.

        Until `extend`, the rows are as long as before: a failed step changes nothing.
        """
        n_rows = 1 << (len(tokens) - 1).bit_length()
        device = self._model.get_input_embeddings().weight.device
        cache.make_static(n_rows)
        if len(self._ids) < n_rows:
            self._ids, self._ends = torch.zeros((2, n_rows), dtype=torch.long, device=device)
            self._graphs.clear()  # they read the old ones
        unused = [0] * (n_rows - len(tokens))
        self._ids[:n_rows] = torch.tensor([*tokens, *unused], device=device)
        self._ends[:n_rows] = torch.tensor([*cache.lengths, *unused], device=device)
        try:
            step = self._step if device.type != "cuda" else self._replay
            return step(cache, n_rows)[: len(tokens)]
        finally:
            cache.make_dynamic()

    def _step(self, cache: KeyValues, n_rows: int) -> torch.Tensor:
        ends = self._ends[:n_rows]
        cache.place(torch.arange(n_rows, device=ends.device), ends)
        mask = torch.arange(cache.room[1], device=ends.device) <= ends[:, None, None, None]
        output = self._model(
            input_ids=self._ids[:n_rows, None],
            attention_mask=mask,
            position_ids=ends[:, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def _replay(self, cache: KeyValues, n_rows: int) -> torch.Tensor:
        if self._captured is None or self._captured[0] is not cache or self._captured[1] != cache.room:
            self._graphs.clear()
            self._captured = (cache, cache.room)
        if n_rows not in self._graphs:
            self._graphs[n_rows] = self._capture(cache, n_rows)
        graph, logits = self._graphs[n_rows]
        graph.replay()
        return logits

    def _capture(self, cache: KeyValues, n_rows: int) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):  # libraries choose their kernels and allocate their workspaces outside the graph
                self._step(cache, n_rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._step(cache, n_rows)
        return graph, logits
