"""What every cascade does between its ears and its text model: ears that say what they are told, and a tiny model."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.base import Transcriber
from models.cascade.cascade import FOREIGN, NO_SPEECH, NO_WORDS, Cascade
from models.cascade.text_model import TemplateWriter
from models.catalogue import CASCADE
from models.ears.loading import guarded
from models.engine.prompt import TokenSpan
from models.errors import GenerationFailed, InvalidPrompt
from models.loading import load_engine
from models.scripted import ScriptedModel
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, TextDelta, Transcript, Transcription
from realtime.hearing.speech import measure_speech_s
from tests.benchmarks.voices import make_sound
from tests.models.tiny import text_model

N_NEW = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_model.save(tmp_path_factory.mktemp("text_model"))


@pytest.fixture
def ears() -> ScriptedModel:
    return ScriptedModel([], sounds=["the quick fox", "jumps over", ""])


@pytest.fixture
async def cascade(folder: Path, ears: ScriptedModel) -> AsyncIterator[Cascade]:
    cascade = make_cascade(folder, guarded(ears))
    yield cascade
    await cascade.close()


def make_cascade(folder: Path, ears: Transcriber) -> Cascade:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    engine = load_engine(model, tokenizer, model.generation_config)
    return Cascade(CASCADE, ears, TemplateWriter(tokenizer).write, engine)


@asynccontextmanager
async def cascade_with(folder: Path, sounds: Sequence[str | Transcript]) -> AsyncIterator[Cascade]:
    """One whose ears are told what they find, and know English."""
    cascade = make_cascade(folder, guarded(ScriptedModel([], sounds=sounds, languages=("en",))))
    yield cascade
    await cascade.close()


def clip() -> AudioClip:
    return AudioClip(np.zeros(16_000, np.float32))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


async def answer(
    cascade: Cascade, messages: Sequence[Message], options: GenerationOptions | None = None
) -> tuple[str, list[Transcription], GenerationStats]:
    options = options or GenerationOptions(max_new_tokens=N_NEW)
    events = [event async for event in cascade.generate(messages, options, dialogue="test")]
    assert isinstance(events[-1], GenerationStats)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return text, [event for event in events if isinstance(event, Transcription)], events[-1]


async def test_the_text_model_answers_what_the_ears_wrote(cascade: Cascade, folder: Path) -> None:
    spoken, asked = user(clip()), user(clip(), "what does it do?")
    text, said, first = await answer(cascade, [spoken])
    expected = text_model.reference(folder, [user("the quick fox")], N_NEW)
    assert (said[0].message_id, said[0].transcript.text) == (spoken.id, "the quick fox")
    assert (text, first.prompt_tokens) == (expected.text, len(expected.ids))
    history = [spoken, Message("assistant", ("the lazy dog",)), asked]
    text, said, second = await answer(cascade, history)
    written = 'In the recording somebody says: "jumps over"\n\nwhat does it do?'
    expected = text_model.reference(folder, [user("the quick fox"), history[1], user(written)], N_NEW)
    assert [event.transcript.text for event in said] == ["jumps over"]
    assert (text, second.prompt_tokens) == (expected.text, len(expected.ids))
    assert second.cached_tokens >= first.prompt_tokens


async def test_a_clip_is_written_down_once_whoever_asks(cascade: Cascade, ears: ScriptedModel) -> None:
    first, second = clip(), clip()
    await cascade.prefill([user(first)], dialogue="test")
    assert (await cascade.transcriber.transcribe(first, dialogue="test")).text == "the quick fox"
    assert (await cascade.transcriber.transcribe(second, dialogue="test")).text == "jumps over"
    await answer(cascade, [user(first), user(second)])
    assert ears.asked == [first, second]
    await cascade.forget(dialogue="test")
    await cascade.transcriber.transcribe(first, dialogue="test")
    assert ears.asked == [first, second, first]


async def test_what_was_prefilled_is_not_computed_again(cascade: Cascade, folder: Path) -> None:
    system, said = Message("system", ("You are a fox.",)), Message("assistant", ("jumps over.",))
    history = [system, user(clip()), said]
    await cascade.prefill(history, dialogue="test")
    _, _, stats = await answer(cascade, [*history, user("why?")])
    writer = TemplateWriter(AutoTokenizer.from_pretrained(folder))
    prefilled = writer.write([system, user("the quick fox"), said])
    assert stats.cached_tokens == sum(len(span.ids) for span in prefilled if isinstance(span, TokenSpan))


async def test_where_nobody_says_a_word_there_is_no_answer(cascade: Cascade) -> None:
    await cascade.transcriber.transcribe(clip(), dialogue="test")
    await cascade.transcriber.transcribe(clip(), dialogue="test")
    silent = user(clip())
    await cascade.prefill([silent], dialogue="test")
    text, said, stats = await answer(cascade, [silent])
    assert (text, said[0].transcript.text, stats.completion_tokens) == ("", "", 0)
    past = [user("what?"), Message("assistant", ("jumps over.",))]
    assert (await answer(cascade, [*past, silent]))[2].completion_tokens == 0
    assert (await answer(cascade, [*past, user("why?"), silent]))[2].completion_tokens > 0, "a turn comes in parts"


async def test_a_question_about_a_recording_without_speech_is_answered_with_that(
    cascade: Cascade, ears: ScriptedModel
) -> None:
    silent = AudioClip(np.zeros(16_000, np.float32), speech_s=0.0)
    text, said, stats = await answer(cascade, [user(silent, "what does it do?")])
    assert (text, said[0].transcript.text, stats.completion_tokens) == (NO_SPEECH, "", 0)
    assert (await answer(cascade, [user(silent)]))[0] == "", "nothing is asked"
    assert not ears.asked


async def test_a_question_about_a_recording_without_words_is_answered_with_that(folder: Path) -> None:
    async with cascade_with(folder, ["", "jumps over"]) as cascade:
        wordless, spoken = user(clip(), "what does it do?"), user(clip())
        text, said, stats = await answer(cascade, [wordless])
        assert (text, said[0].transcript.text, stats.completion_tokens) == (NO_WORDS, "", 0)
        history = [wordless, Message("assistant", (NO_WORDS,)), spoken]
        text, said, stats = await answer(cascade, history)
        written = [user(f"{NO_WORDS}\n\nwhat does it do?"), history[1], user("jumps over")]
        expected = text_model.reference(folder, written, N_NEW)
        assert (text, stats.prompt_tokens) == (expected.text, len(expected.ids)), "it is told, and answers what is new"


async def test_a_schema_holds_the_answer_and_no_fixed_sentence_breaks_it(folder: Path) -> None:
    options = GenerationOptions(
        json_schema={"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}
    )
    async with cascade_with(folder, ["jumps over", ""]) as cascade:
        spoken, wordless = user(clip()), user(clip(), "what does it do?")
        text, _, stats = await answer(cascade, [spoken], options)
        assert len(json.loads(text)) in (2, 3)
        assert stats.finish_reason == "stop"
        text, said, stats = await answer(cascade, [wordless], options)
        assert (text, said[0].transcript.text, stats.completion_tokens) == ("", "", 0)


async def test_what_is_typed_in_a_turn_is_answered_whether_or_not_its_sound_has_words(folder: Path) -> None:
    async with cascade_with(folder, ["", "jumps over"]) as cascade:
        for message, read in [
            (user("what does it do?", clip()), "what does it do?"),
            (user("the fox", clip()), "the fox\n\njumps over"),
        ]:
            _, _, stats = await answer(cascade, [message])
            assert stats.prompt_tokens == len(text_model.reference(folder, [user(read)], N_NEW).ids)


async def test_a_language_that_the_ears_do_not_know_is_answered_with_those_they_do(folder: Path) -> None:
    async with cascade_with(folder, [Transcript("", is_foreign=True), "jumps over", ""]) as cascade:
        foreign, spoken, silent = user(clip()), user(clip()), user(clip())
        text, said, stats = await answer(cascade, [foreign])
        assert (text, said[0].transcript.is_foreign, stats.completion_tokens) == ("I understand only English.", True, 0)
        assert (await answer(cascade, [user(foreign.clips[0], "why?")]))[0] == "I understand only English."
        history = [foreign, Message("assistant", (text,)), spoken]
        expected = text_model.reference(folder, [user(FOREIGN), history[1], user("jumps over")], N_NEW)
        assert (await answer(cascade, history))[2].prompt_tokens == len(expected.ids), "the next turn is answered"
        assert (await answer(cascade, [foreign, silent]))[0] == "I understand only English.", "a turn comes in parts"


@pytest.mark.parametrize("sound", ["silence", "noise", "melody"])
async def test_real_ears_find_no_words_where_there_are_none(folder: Path, real_ears: Transcriber, sound: str) -> None:
    cascade = make_cascade(folder, real_ears)
    samples = make_sound(sound)
    unmeasured, measured = AudioClip(samples), AudioClip(samples, measure_speech_s(samples))
    assert (await answer(cascade, [user(unmeasured, "What is said?")]))[0] == NO_WORDS
    assert (await answer(cascade, [user(measured, "What is said?")]))[0] in (NO_SPEECH, NO_WORDS)
    assert (await answer(cascade, [user(measured)]))[0] == "", "nothing is asked"
    await cascade.close()


async def test_what_goes_round_in_circles_reaches_neither_the_text_model_nor_the_memory(folder: Path) -> None:
    circling = ScriptedModel([], sounds=["fox " * 50, "fox"])
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    cascade, spoken = (
        Cascade(
            CASCADE,
            guarded(circling),
            TemplateWriter(tokenizer).write,
            load_engine(model, tokenizer, model.generation_config),
        ),
        clip(),
    )
    _, said, stats = await answer(cascade, [user(spoken)])
    assert said[0].transcript.text == "fox"
    assert stats.prompt_tokens == len(text_model.reference(folder, [user("fox")], N_NEW).ids)
    assert (await cascade.transcriber.transcribe(spoken, dialogue="test")).text == "fox"
    assert len(circling.asked) == 2
    await cascade.close()


async def test_ears_that_fail_fail_one_answer(folder: Path) -> None:
    failing = ScriptedModel([], sounds=[GenerationFailed("writing down: no room"), "the quick fox"])
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    engine = load_engine(model, tokenizer, model.generation_config)
    cascade = Cascade(CASCADE, guarded(failing), TemplateWriter(tokenizer).write, engine)
    spoken = user(clip())
    with pytest.raises(GenerationFailed, match="no room"):
        await answer(cascade, [spoken])
    assert (await answer(cascade, [spoken]))[1][0].transcript.text == "the quick fox"
    await cascade.close()


async def test_broken_clips_and_no_messages_are_refused(cascade: Cascade, ears: ScriptedModel) -> None:
    with pytest.raises(InvalidPrompt, match="at least"):
        await answer(cascade, [user(AudioClip(np.zeros(3, np.float32)))])
    with pytest.raises(InvalidPrompt, match="no messages"):
        await cascade.prefill([], dialogue="test")
    assert not ears.asked
