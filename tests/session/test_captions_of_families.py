"""Ears beside every family: its words are shown, its audio becomes text, and an "mm-hm" lets its answer go on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from models.base import AudioLanguageModel, Transcriber
from models.ears.beside import ModelWithEars
from models.loading import LoadOptions
from models.registry import load_model
from models.types import GenerationOptions, Samples
from realtime.conversation import ConversationOptions
from realtime.events import ConversationWindow, MessageTranscribed
from realtime.session import SessionOptions
from tests.conftest import silence
from tests.models.tiny import TINY_FAMILIES, TinyFamily
from tests.models.tiny.family import TINY
from tests.models.tiny.gemma4 import GEMMA4
from tests.session.conversing import Conversation, conversing

SHORT = SessionOptions(generation=GenerationOptions(max_new_tokens=4))
LONG = SessionOptions(
    generation=GenerationOptions(max_new_tokens=5000)
)  # of Gemma 4, whose random weights end no answer
COMPLETED = "conversation.item.input_audio_transcription.completed"

Speech = Callable[[str], Samples]


@asynccontextmanager
async def tiny_model(tiny: TinyFamily, folder: Path, ears: Transcriber) -> AsyncIterator[AudioLanguageModel]:
    tiny.save(folder, TINY)
    model = load_model(str(folder), LoadOptions(cache_dir=folder, dtype="float32", ears="none"))
    assert not model.has_ears
    try:
        yield ModelWithEars(model, ears)
    finally:
        await model.close()


@pytest.mark.parametrize("tiny", TINY_FAMILIES, ids=lambda tiny: tiny.name)
async def test_what_is_said_to_a_model_is_shown_and_becomes_text(
    tiny: TinyFamily, tmp_path: Path, speech: Speech, real_ears: Transcriber
) -> None:
    budget = ConversationOptions(max_tokens=20_000, max_audio_s=4.5, keep=0.6, summarise=False)
    async with (
        tiny_model(tiny, tmp_path, real_ears) as model,
        conversing(model, replace(SHORT, conversation=budget), real_vad=True) as conversation,
    ):
        for clip in ("question_capital", "question_sky", "question_river"):
            await conversation.hear(speech(clip), silence(1.5))
        said = [event.transcript for event in conversation.events if isinstance(event, MessageTranscribed)]
        assert [words.rstrip("?.").split()[-1] for words in said] == ["France", "blue", "city"]
        windows = [event for event in conversation.events if isinstance(event, ConversationWindow)]
        tiers = [message.tier for message in windows[-1].messages if message.role == "user"]
        assert tiers[0] == "text" and tiers[-1] == "audio"


async def answering(conversation: Conversation, speech: Speech) -> None:
    """Asks, and waits until the long answer is under way."""
    await conversation.hear(speech("question_sky"), silence(1.0), wait=False)
    await conversation.until("response.committed")
    await conversation.until(COMPLETED)


async def test_an_mm_hm_lets_the_answer_of_any_model_go_on(
    tmp_path: Path, speech: Speech, real_ears: Transcriber
) -> None:
    async with (
        tiny_model(GEMMA4, tmp_path, real_ears) as model,
        conversing(model, LONG, real_vad=True) as conversation,
    ):
        await answering(conversation, speech)
        await conversation.hear(speech("backchannel"), silence(0.3), wait=False)
        await conversation.until("response.resumed")
        assert not conversation.of("response.done")


async def test_words_stop_the_answer_of_any_model(tmp_path: Path, speech: Speech, real_ears: Transcriber) -> None:
    async with (
        tiny_model(GEMMA4, tmp_path, real_ears) as model,
        conversing(model, LONG, real_vad=True) as conversation,
    ):
        await answering(conversation, speech)
        await conversation.hear(speech("interrupt_stop"), silence(1.0), wait=False)
        await conversation.until("response.done")
        await conversation.until(COMPLETED, 2)
        assert not conversation.of("response.resumed")
        second = conversation.of(COMPLETED)[1]
        assert isinstance(second, MessageTranscribed) and second.transcript.startswith("Stop")
