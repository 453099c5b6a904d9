"""Requests for transcription run beside a conversation and leave it as it is."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from models.base import AudioLanguageModel
from models.errors import GenerationFailed, InvalidPrompt
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, GenerationStats, Message
from tests.models.tiny import voxtral


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voxtral")
    voxtral.save(folder)
    return folder


def load(folder: Path) -> AudioLanguageModel:
    return load_model(str(folder), LoadOptions(cache_dir=folder, ears="none", dtype="float32"))


def clip(seed: int) -> AudioClip:
    return AudioClip(np.random.default_rng(seed).standard_normal(SAMPLE_RATE_HZ).astype(np.float32) / 10)


async def cached_tokens(model: AudioLanguageModel, messages: list[Message]) -> int:
    stream = model.generate(messages, GenerationOptions(max_new_tokens=1), dialogue="talk")
    return sum([event.cached_tokens async for event in stream if isinstance(event, GenerationStats)])


async def test_the_conversation_stays_cached(folder: Path) -> None:
    model = load(folder)
    assert model.transcriber is not None
    spoken = Message("user", (clip(0),))
    await model.prefill([spoken], dialogue="talk")
    alone = await model.transcriber.transcribe(clip(0), dialogue="talk")
    assert await cached_tokens(model, [spoken]) > 300
    together = await asyncio.gather(
        *(model.transcriber.transcribe(clip(seed), dialogue="talk") for seed in (0, 1, 0)),
        cached_tokens(model, [spoken]),
    )
    assert together[0] == together[2] == alone
    assert together[3] > 300
    await model.close()


async def test_what_cannot_be_written_down_is_refused(folder: Path) -> None:
    model = load(folder)
    assert model.transcriber is not None
    for language in ("english", "EN", ""):
        with pytest.raises(InvalidPrompt, match="two letters"):
            await model.transcriber.transcribe(clip(0), dialogue="talk", language=language)
    with pytest.raises(InvalidPrompt, match="at least"):
        await model.transcriber.transcribe(AudioClip(np.zeros(3, np.float32)), dialogue="talk")
    await model.close()


async def test_a_model_that_is_closed_meanwhile_gives_no_half_of_the_words(folder: Path) -> None:
    model = load(folder)
    assert model.transcriber is not None
    writing = asyncio.create_task(model.transcriber.transcribe(clip(0), dialogue="talk"))
    await asyncio.sleep(0)  # it has asked by then
    await model.close()
    with pytest.raises(GenerationFailed, match="closed"):
        await writing
