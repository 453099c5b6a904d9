"""Tiny GGUF files with random weights, converted, against transformers' own reading of them."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from models.cascade.language import CODES_FILE, convert_gguf, load_language, read_q4_k
from models.engine.weight_only import Bits, WeightOnlyLinear
from tests.models.tiny.family import byte_tokenizer

WIDTH, INNER, HEADS, KEY_HEADS = 256, 512, 4, 2  # blocks of 256 weights
KEY_WIDTH = WIDTH // HEADS * KEY_HEADS
VOCABULARY = 320


def random_blocks(rng: np.random.Generator, kind: Kind, n_out: int, n_in: int) -> np.ndarray[Any, Any]:
    """Weights of about 0.1 in blocks of a kind: random bytes, with scales that are numbers."""
    if kind == Kind.F32:
        return rng.normal(0, 0.05, (n_out, n_in)).astype(np.float32)
    block, n_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n_out * n_in // block, n_bytes), dtype=np.uint8)
    scale = np.array([0.0005], np.float16).view(np.uint8)
    if kind == Kind.Q4_K:
        blocks[:, :2], blocks[:, 2:4] = scale, np.array([0.002], np.float16).view(np.uint8)
    else:  # Q6_K
        blocks[:, -2:] = np.array([0.00005], np.float16).view(np.uint8)
    return blocks.reshape(n_out, -1)


def write_gguf(path: Path, architecture: str, *, is_tied: bool = False) -> Path:
    """A model of one layer whose weights are of the kinds that Q4_K_M mixes."""
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    _write_tokenizer(writer)
    matrices = {
        "token_embd": (Kind.Q4_K, VOCABULARY, WIDTH),
        "blk.0.attn_q": (Kind.Q4_K, WIDTH, WIDTH),
        "blk.0.attn_k": (Kind.Q4_K, KEY_WIDTH, WIDTH),
        "blk.0.attn_v": (Kind.Q6_K, KEY_WIDTH, WIDTH),
        "blk.0.attn_output": (Kind.F32, WIDTH, WIDTH),
        "blk.0.ffn_gate": (Kind.Q4_K, INNER, WIDTH),
        "blk.0.ffn_up": (Kind.Q4_K, INNER, WIDTH),
        "blk.0.ffn_down": (Kind.Q6_K, WIDTH, INNER),
    }
    if not is_tied:
        matrices["output"] = (Kind.Q6_K, VOCABULARY, WIDTH)
    for name, (kind, n_out, n_in) in matrices.items():
        raw = None if kind == Kind.F32 else kind
        writer.add_tensor(f"{name}.weight", random_blocks(rng, kind, n_out, n_in), raw_dtype=raw)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", rng.uniform(0.5, 1.5, WIDTH).astype(np.float32))
    if architecture == "qwen2":
        for name, width in (("q", WIDTH), ("k", KEY_WIDTH), ("v", KEY_WIDTH)):
            writer.add_tensor(f"blk.0.attn_{name}.bias", rng.normal(0, 0.1, width).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens = byte_tokenizer(["<|im_start|>", "<|im_end|>"]).get_vocab()
    names = sorted(tokens, key=tokens.__getitem__)[:VOCABULARY]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*names, *(f"<unused {n}>" for n in range(VOCABULARY - len(names)))])
    writer.add_token_types([3, 3, *[1] * (VOCABULARY - 2)])
    writer.add_token_merges([" ".join(next(name for name in names if len(name) == 2))])  # there must be one
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)


def reference(path: Path) -> Any:
    """What transformers reads, rounded to bfloat16."""
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()
    return model


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("bits", [None, 4, 8])
def test_a_converted_file_gives_the_logits_of_the_file(
    architecture: str, is_tied: bool, bits: Bits | None, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", architecture, is_tied=is_tied)
    convert_gguf(path, tmp_path / "made", bits=bits)
    model, tokenizer = load_language(tmp_path / "made", torch.float32)
    official = reference(path)
    assert model.dtype == torch.float32 and model.config.tie_word_embeddings == is_tied
    looked_up, head = (module.weight for module in (model.get_input_embeddings(), model.get_output_embeddings()))
    assert looked_up.equal(head) == is_tied
    ids = torch.tensor([tokenizer("<|im_start|>what is the answer?<|im_end|>")["input_ids"]])
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, official(ids).logits)
        for token in ids[0, :3]:  # a single row is multiplied with the numbers
            expected, ours = official(token.reshape(1, 1)).logits, model(token.reshape(1, 1)).logits
            assert (ours - expected).abs().max() < (0.1 if bits else 1e-4) * expected.std()
    packed = {name for name, module in model.named_modules() if isinstance(module, WeightOnlyLinear)}
    assert len(packed) == (0 if bits is None else 8)
    assert (tmp_path / "made" / CODES_FILE).exists() == (bits is not None)


def test_numbers_of_four_bits_are_those_of_the_file(tmp_path: Path) -> None:
    rows = random_blocks(np.random.default_rng(1), Kind.Q4_K, 48, 512)
    numbers, scale, middle = read_q4_k(rows)
    weights = (numbers.reshape(48, -1, 32).astype(np.float32) - 8) * scale[..., None] + middle[..., None]
    np.testing.assert_allclose(weights.reshape(48, -1), gguf.dequantize(rows, Kind.Q4_K), atol=1e-6)
    path = write_gguf(tmp_path / "tiny.gguf", "qwen2")
    convert_gguf(path, tmp_path / "made", bits=4)
    with safe_open(tmp_path / "made" / CODES_FILE, "pt") as file:
        bits = {name.split(".")[-2]: file.get_tensor(name).dtype for name in file.keys() if "numbers" in name}  # noqa: SIM118
    fine = {name for name, dtype in bits.items() if dtype == torch.int8}
    assert fine == {"v_proj", "o_proj", "down_proj", "lm_head"}  # what the file holds in 6 bits or more


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", "qwen2")
    told: list[tuple[int, int]] = []
    convert_gguf(path, tmp_path / "made", bits=None, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (told[0][1], told[0][1])
