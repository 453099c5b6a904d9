"""The prompt pass: a request's prompt runs through the model in chunks, after the clips in it have been embedded.

One step embeds one clip or runs one chunk, so that nobody else waits for more. Read `worker.py` for whose turn it is.
"""

from typing import Any

import torch

from models.engine.dialogue import Dialogue
from models.engine.prompt import AudioSpan, PositionKey, clip_spans
from models.engine.request import Request
from models.errors import GenerationFailed, InvalidPrompt


class Prefill:
    """Runs prompts.

    Args:
        model: the language model.
        chunk_tokens: longest stretch of a prompt that is run in one step.
    """

    def __init__(self, model: Any, chunk_tokens: int) -> None:
        self._model = model
        self._embed_tokens = model.get_input_embeddings()
        self._chunk_tokens = chunk_tokens

    def step(self, request: Request, dialogue: Dialogue) -> torch.Tensor | None:
        """Embeds one clip, or runs one chunk of the prompt.

        Returns:
            Logits (1, vocabulary) of the last position once all of the prompt has been run, else None.

        Raises:
            InvalidPrompt: a clip's embeddings are not as many as the prompt says.
            GenerationFailed: they are no numbers.
        """
        done = len(dialogue.keys)
        chunk = request.keys[done : done + self._chunk_tokens]
        for key in chunk:
            if isinstance(key, tuple) and key[0] not in dialogue.embeddings:
                dialogue.embeddings[key[0]] = self._embed_clip(request.clips[key[0]])
                return None
        logits = dialogue.cache.forward(self._model, self._inputs(chunk, dialogue.embeddings))
        dialogue.cache.extend(len(chunk))
        dialogue.keys.extend(chunk)
        return logits if len(dialogue.keys) == len(request.keys) else None

    def _embed_clip(self, clip: AudioSpan) -> torch.Tensor:
        weight = self._embed_tokens.weight
        rows = clip.embed()
        if rows.ndim != 2 or rows.shape[0] != clip.n_tokens:
            raise InvalidPrompt(
                f"clip {clip.key} takes {clip.n_tokens} positions of the prompt but its embeddings are of shape "
                f"{tuple(rows.shape)}; the encoder and the prompt must count alike"
            )
        rows = rows.to(device=weight.device, dtype=weight.dtype)
        if not bool(rows.isfinite().all()):  # what comes before it in the prompt would be computed wrong, too
            raise GenerationFailed(
                f"the encoder's numbers overflow on clip {clip.key}; use --dtype bfloat16 or float32"
            )
        return rows

    def _inputs(self, chunk: list[PositionKey], embeddings: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        ids = [key if isinstance(key, int) else 0 for key in chunk]
        input_ids = torch.tensor([ids], device=self._embed_tokens.weight.device)
        spans = clip_spans(chunk)
        if not spans:
            return {"input_ids": input_ids}
        embeds = self._embed_tokens(input_ids)
        for at, key, first, n_tokens in spans:
            embeds[0, at : at + n_tokens] = embeddings[key][first : first + n_tokens]
        return {"inputs_embeds": embeds}
