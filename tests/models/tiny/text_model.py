"""A tiny text model that chats, as the hub holds them: a causal language model, its tokenizer and chat template."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from models.types import Message
from tests.models.tiny.family import TINY, Reference, byte_tokenizer, greedy
from tests.models.tiny.ultravox import LLAMA_MARKS, LLAMA_TEMPLATE


def save(folder: Path, *, template: str | None = LLAMA_TEMPLATE, marks: Sequence[str] = LLAMA_MARKS) -> Path:
    """Writes one into a folder; its last mark ends a turn."""
    torch.manual_seed(5)
    tokenizer = byte_tokenizer(marks, bos_token=marks[0], eos_token=marks[-1])
    tokenizer.chat_template = template
    model = LlamaForCausalLM(LlamaConfig(**TINY.text, eos_token_id=len(marks) - 1))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def reference(folder: Path, messages: Sequence[Message], n_new: int) -> Reference:
    """What transformers answers to a conversation of text."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [{"role": message.role, "content": message.text} for message in messages]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return greedy(model, tokenizer, dict(inputs), n_new, [tokenizer.eos_token_id])
