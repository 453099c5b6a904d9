"""What only Phi-4-multimodal has: an adapter for speech in a folder of its own, and a short context."""

import logging
from pathlib import Path

import pytest

from models.engine.sampling import REPLACEMENT
from models.errors import PromptTooLong
from models.loading import LoadOptions
from models.registry import load_model
from models.types import GenerationOptions, Message
from tests.models.tiny.family import TINY
from tests.models.tiny.phi4_multimodal import PHI4_MULTIMODAL


def options(folder: Path) -> LoadOptions:
    return LoadOptions(cache_dir=folder, ears="none", dtype="float32")


async def test_phi4_says_when_its_adapter_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PHI4_MULTIMODAL.save(tmp_path, TINY)
    (tmp_path / "speech-lora").rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING, "models.families.phi4_multimodal"):
        await load_model(str(tmp_path), options(tmp_path)).close()
    assert "has no speech-lora" in caplog.text


async def test_phi4_equals_a_full_recompute_up_to_the_end_of_its_short_context(tmp_path: Path) -> None:
    PHI4_MULTIMODAL.save(tmp_path, TINY)
    model, reference = load_model(str(tmp_path), options(tmp_path)), PHI4_MULTIMODAL.reference(tmp_path)
    almost = [Message("user", ("fox " * 4060,))]
    expected = reference(almost, 50)
    room = model.info.context_tokens - len(expected.ids)
    assert 0 < room < 50
    events = [event async for event in model.generate(almost, GenerationOptions(), dialogue="test")]
    assert events[-1].prompt_tokens + events[-1].completion_tokens == model.info.context_tokens
    said = "".join(event.text for event in events[:-1])
    assert said.rstrip(REPLACEMENT) == reference(almost, room).text.rstrip(REPLACEMENT)
    with pytest.raises(PromptTooLong):
        _ = [event async for event in model.generate([*almost, *almost], GenerationOptions(), dialogue="test")]
    await model.close()
