"""From logits to text, part by part."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from models.engine.sampling import MAX_WINDOW_TOKENS, Detokenizer, Sampler, StopStrings, choose_tokens
from models.errors import GenerationFailed
from models.types import GenerationOptions
from tests.models.engine.probing import reference, running, some_ids, tokens_of


def test_detokenizer_settles_broken_bytes_and_ignores_special_tokens(tokenizer: Any) -> None:
    detokenizer = Detokenizer(tokenizer)
    first_byte = tokenizer.encode("🐕")[0]
    dog = tokenizer.encode("dog")
    end = tokenizer.eos_token_id
    assert detokenizer.push(first_byte) == ""
    assert "".join(detokenizer.push(token) for token in dog) == "\ufffddog"
    assert "".join(detokenizer.push(end) for _ in range(100)) == ""
    broken = "".join(detokenizer.push(first_byte) for _ in range(200))
    assert broken.count("\ufffd") > 200 - MAX_WINDOW_TOKENS, "no more is held back than one window"
    rest = "".join(detokenizer.push(token) for token in tokenizer.encode("🐕 over"))
    assert rest.endswith("🐕 over")
    assert (broken + rest).count("\ufffd") == 200, "and nothing is lost"


@pytest.mark.parametrize("text", ["🫨xy", "ꦏx", "é", "🐕🐕"])
def test_detokenizer_waits_for_characters_that_come_byte_by_byte(text: str) -> None:
    vocabulary = {"<unk>": 0, "x": 1, "y": 2, **{f"<0x{byte:02X}>": 3 + byte for byte in range(256)}}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    bpe.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<unk>")
    detokenizer = Detokenizer(tokenizer)
    ids = [
        token
        for letter in text
        for token in ([vocabulary[letter]] if letter in vocabulary else [3 + byte for byte in letter.encode()])
    ]
    assert "".join(detokenizer.push(token) for token in ids) == text


def test_stop_strings_hold_back_as_little_as_possible() -> None:
    stops = StopStrings(("aab",))
    assert stops.push("xa") == ("x", False)
    assert stops.push("a") == ("", False)
    assert stops.push("a") == ("a", False)
    assert stops.push("c") == ("aac", False)
    assert stops.push("a") == ("", False)
    assert stops.flush() == "a"
    assert stops.push("aab and more") == ("", True)


def test_logits_that_are_no_numbers_are_a_failure() -> None:
    logits = torch.zeros(2, 8)
    logits[1, 3] = torch.nan
    samplers = [Sampler(GenerationOptions(), (), 4) for _ in range(2)]
    with pytest.raises(GenerationFailed, match="overflow"):
        choose_tokens(logits, samplers)


async def test_a_seed_makes_sampling_reproducible(model: Any) -> None:
    ids = some_ids(10)
    settings = {"temperature": 0.9, "top_p": 0.95, "top_k": 50}
    async with running(model) as engine:
        first = await tokens_of(engine, ids, 30, "a", seed=7, **settings)
        assert await tokens_of(engine, ids, 30, "a", seed=7, **settings) == first
        assert await tokens_of(engine, ids, 30, "a", seed=8, **settings) != first
        assert await tokens_of(engine, ids, 30, "a", **settings) != await tokens_of(engine, ids, 30, "a", **settings)
        assert await tokens_of(engine, ids, 30, "a", temperature=2.0, top_k=1) == reference(model, ids, 30)


def test_top_p_and_top_k_keep_what_transformers_keeps() -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    torch.manual_seed(0)
    logits = torch.randn(1, 40) * 2
    for options in (
        GenerationOptions(temperature=0.7, top_p=0.6, seed=1),
        GenerationOptions(temperature=1.5, top_k=5, seed=1),
        GenerationOptions(temperature=1.3, top_k=20, top_p=0.5, seed=1),
    ):
        scores = TemperatureLogitsWarper(options.temperature)(torch.zeros(1, 0), logits)
        if options.top_k:
            scores = TopKLogitsWarper(options.top_k)(torch.zeros(1, 0), scores)
        scores = TopPLogitsWarper(options.top_p)(torch.zeros(1, 0), scores)
        allowed = set(torch.nonzero(scores[0] > -torch.inf)[:, 0].tolist())
        sampler = Sampler(options, [], 2000)
        assert {choose_tokens(logits, [sampler])[0] for _ in range(2000)} == allowed
