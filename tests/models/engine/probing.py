"""What the engine's tests share: tiny models, one that notes its calls, and transformers' own answers."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

from models.engine.engine import Engine
from models.engine.prompt import AudioSpan, TokenSpan
from models.types import GenerationOptions, GenerationStats, TextDelta

VOCABULARY = 400
HIDDEN = 64
CONTEXT_TOKENS = 1024
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,  # wide enough that greedy answers wander instead of repeating one token
    "bos_token_id": None,
    "eos_token_id": None,
}


def llama(**changes: Any) -> Any:
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **changes})).eval()


def qwen2() -> Any:
    torch.manual_seed(2)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()


def mistral() -> Any:
    torch.manual_seed(3)
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=16)).eval()


class Ids:
    """A tokenizer whose text shows the tokens."""

    def decode(self, token_ids: list[int], **_: Any) -> str:
        return "".join(f"{token} " for token in token_ids)


class Probe:
    """A model that notes each call, and may fail or change the logits on request."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config
        self.calls: list[tuple[int, int]] = []  # rows, new positions
        self.logits = torch.zeros(0)
        self.before: Callable[[dict[str, Any]], None] = lambda inputs: None
        self.after: Callable[[torch.Tensor, torch.Tensor], None] = lambda positions, logits: None

    def get_input_embeddings(self) -> Any:
        return self.model.get_input_embeddings()

    def __call__(self, **inputs: Any) -> Any:
        positions = inputs["position_ids"]
        tensor = inputs.get("input_ids", inputs.get("inputs_embeds"))
        self.calls.append((tensor.shape[0], tensor.shape[1]))
        self.before(inputs)
        output = self.model(**inputs)
        self.after(positions[:, -1], output.logits[:, -1])
        self.logits = output.logits[:, -1].clone()
        return output


def saying(model: Any, prompt_tokens: int, answer: Sequence[int]) -> Probe:
    """A model that answers a prompt of this length with these tokens."""

    def force(positions: torch.Tensor, logits: torch.Tensor) -> None:
        for row, position in enumerate(positions.tolist()):
            logits[row, answer[min(position - prompt_tokens + 1, len(answer) - 1)]] = 1e6

    probe = Probe(model)
    probe.after = force
    return probe


@asynccontextmanager
async def running(model: Any, tokenizer: Any = None, **settings: Any) -> AsyncIterator[Engine]:
    settings = {"context_tokens": CONTEXT_TOKENS, "stop_token_ids": frozenset(), "prefill_chunk_tokens": 32} | settings
    engine = Engine(model, tokenizer or Ids(), **settings)
    try:
        yield engine
    finally:
        await engine.close()


async def answer(engine: Engine, prompt: Any, options: GenerationOptions, dialogue: str) -> tuple[str, GenerationStats]:
    events = [event async for event in engine.generate(prompt, options, dialogue=dialogue)]
    assert all(isinstance(event, TextDelta) and event.text for event in events[:-1])
    assert isinstance(events[-1], GenerationStats)
    return "".join(event.text for event in events[:-1] if isinstance(event, TextDelta)), events[-1]


async def tokens_of(engine: Engine, ids: Sequence[int], n: int, dialogue: str, **options: Any) -> list[int]:
    text, _ = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=n, **options), dialogue)
    return [int(token) for token in text.split()]


def text_prompt(ids: Sequence[int]) -> list[TokenSpan]:
    return [TokenSpan(tuple(ids))]


def some_ids(n: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(1, VOCABULARY), k=n)


def reference(model: Any, ids: Sequence[int], n: int, **settings: Any) -> list[int]:
    """transformers' own answer."""
    inputs = torch.tensor([ids])
    output = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=n,
        do_sample=False,
        pad_token_id=0,
        **settings,
    )
    return output[0, len(ids) :].tolist()


def full_logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[:, -1]


class Encoder:
    """Embeds clips by their key, and counts."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def rows(self, key: str, n_tokens: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(key.encode()))
        return torch.randn(n_tokens, HIDDEN, generator=generator)

    def span(self, key: str, n_tokens: int, n_rows: int | None = None) -> AudioSpan:
        def embed() -> torch.Tensor:
            self.embedded.append(key)
            return self.rows(key, n_tokens if n_rows is None else n_rows)

        return AudioSpan(key, n_tokens, embed)
