"""The language model inside an audio model, cut out of it, so that the engine can run it alone.

Read `audio_llm.py` for who puts it on the engine.
"""

from types import SimpleNamespace
from typing import Any

import torch


class LanguageModel(torch.nn.Module):
    """The decoder and the head of a model that has an encoder too, as the engine runs a causal language model.

    Args:
        decoder: a transformers decoder without head; takes `inputs_embeds` beside `input_ids`.
        head: (rows, positions, hidden) to (rows, positions, vocabulary).
        scale: what the model does to its logits last: divides by this.
    """

    def __init__(self, decoder: Any, head: Any, *, scale: float = 1.0) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = head
        self.scale = scale
        self.config = decoder.config

    def get_input_embeddings(self) -> Any:
        """The embeddings of text tokens."""
        return self.decoder.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """The head."""
        return self.head

    def forward(self, *, logits_to_keep: int, **inputs: Any) -> Any:
        """Gives `.logits` (rows, logits_to_keep, vocabulary) of the last positions."""
        hidden = self.decoder(**inputs).last_hidden_state[:, -logits_to_keep:]
        return SimpleNamespace(logits=self.head(hidden) / self.scale)
