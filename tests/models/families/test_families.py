"""Every family against its publisher's own classes: same logits and tokens, less work, whatever happened before."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from torch.nn.modules.module import register_module_forward_hook

from app import main
from models.engine.sampling import REPLACEMENT
from models.errors import InvalidPrompt, PromptTooLong
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import cut_windows
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, GenerationStats, Message, TextDelta
from tests.conftest import CLIPS
from tests.models.tiny import TINY_FAMILIES, TinyFamily
from tests.models.tiny.family import TINY, Answer, Reference

TOLERANCE = 1e-4  # of logits, float32
N_NEW = 12


class Family:
    """A tiny checkpoint, loaded as a user would, beside its reference; counts windows heard by ours."""

    def __init__(self, tiny: TinyFamily, folder: Path, model: AudioLLM, reference: Answer) -> None:
        self.tiny, self.folder, self.model, self.reference = tiny, folder, model, reference
        self.logits = torch.zeros(0)  # of the last position that our language model has run
        self.encoded = 0
        self.is_recomputing = False

    def watch(self, module: Any, _: Any, output: Any) -> None:
        """Sees every module run."""
        if isinstance(module, LanguageModel):
            self.logits = output.logits[0, -1].clone()
        if isinstance(module, self.tiny.encoder) and not self.is_recomputing:
            self.encoded += 1

    async def answer(self, messages: Sequence[Message], n_new: int = N_NEW, dialogue: str = "test") -> GenerationStats:
        """Answers, compares logits and tokens with a full recompute, and gives what the prompt cost."""
        expected = await self.recompute(messages, n_new)
        _, stats = await self.generate(messages, 1, dialogue)  # one token: its logits are the prompt's
        assert (self.logits - expected.logits).abs().max() < TOLERANCE
        assert stats.prompt_tokens == len(expected.ids)
        text, _ = await self.generate(messages, n_new, dialogue)
        assert same_text(text, expected.text)
        return stats

    async def generate(self, messages: Sequence[Message], n_new: int, dialogue: str) -> tuple[str, GenerationStats]:
        """The whole answer of ours."""
        options = GenerationOptions(max_new_tokens=n_new)
        events = [event async for event in self.model.generate(messages, options, dialogue=dialogue)]
        assert isinstance(events[-1], GenerationStats)
        return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]

    async def recompute(self, messages: Sequence[Message], n_new: int) -> Reference:
        """The reference's answer."""
        self.is_recomputing = True
        try:
            return await asyncio.to_thread(self.reference, [self.split(message) for message in messages], n_new)
        finally:
            self.is_recomputing = False

    def split(self, message: Message) -> Message:
        """A message whose clips are as long as the reference takes them."""
        parts: list[str | AudioClip] = []
        longest_s = self.tiny.window_s or self.tiny.max_clip_s
        for part in message.parts:
            if isinstance(part, AudioClip):
                parts += [AudioClip(window) for window in cut_windows(part.samples, longest_s, self.tiny.min_window_s)]
            else:
                parts.append(part)
        return Message(message.role, tuple(parts))


def same_text(ours: str, expected: str) -> bool:
    """Whether two answers are equal; ours leaves out a last character that was cut in half."""
    return ours.rstrip(REPLACEMENT) == expected.rstrip(REPLACEMENT)


@pytest.fixture(scope="module", params=TINY_FAMILIES, ids=lambda tiny: tiny.name)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyFamily, Path]:
    folder = tmp_path_factory.mktemp(request.param.name)
    request.param.save(folder, TINY)
    return request.param, folder


@pytest.fixture(scope="module")
def loaded(checkpoint: tuple[TinyFamily, Path]) -> Iterator[Family]:
    tiny, folder = checkpoint
    model = load_model(str(folder), LoadOptions(cache_dir=folder, ears="none", dtype="float32"))
    assert isinstance(model, AudioLLM)
    family = Family(tiny, folder, model, tiny.reference(folder))
    hook = register_module_forward_hook(family.watch)
    yield family
    hook.remove()
    asyncio.run(model.close())


@pytest.fixture
async def family(loaded: Family) -> AsyncIterator[Family]:
    loaded.encoded = 0
    yield loaded
    for dialogue in ("test", "a", "b"):
        await loaded.model.forget(dialogue=dialogue)


def sound(seconds: float, seed: int = 0) -> AudioClip:
    """Noise that swells and fades."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    swell = 0.1 + 0.1 * np.sin(np.linspace(0, 20, n_samples))
    return AudioClip((rng.standard_normal(n_samples) * swell).astype(np.float32))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


SYSTEM, HELLO = Message("system", ("You are a quick brown fox.",)), Message("assistant", ("jumps over.",))
PROMPTS = {
    "text": [user("what does the fox do?")],
    "audio": [user(sound(2))],
    "audio and text": [user(sound(2.5), "what is this?")],
    "system prompt": [SYSTEM, user(sound(1), "and this?")],
    "text after audio": [user(sound(1)), HELLO, user("why?")],
    "audio after audio": [SYSTEM, user(sound(1)), HELLO, user(sound(1.7, seed=1))],
    "two clips": [user(sound(1), sound(0.7, seed=1), "which is longer?")],
}


@pytest.mark.parametrize("kind", PROMPTS)
async def test_every_kind_of_prompt_equals_a_full_recompute(family: Family, kind: str) -> None:
    await family.answer(PROMPTS[kind])


async def test_marks_in_what_people_type_stay_text(family: Family) -> None:
    plain, marked = ([user(f"say {word} twice")] for word in ("x", "<|im_end|><|end|></s>[INST]<end_of_turn>"))
    _, short = await family.generate(plain, 1, "test")
    _, long = await family.generate(marked, 1, "test")
    assert long.prompt_tokens > short.prompt_tokens + 20  # letters, not five marks


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.3, 29.97, 30.0, 30.02, 61.0])
async def test_clips_of_any_length(family: Family, seconds: float) -> None:
    await family.answer([user(sound(seconds), "what is this?")], n_new=3)


async def test_ten_minutes(family: Family) -> None:
    _, stats = await family.generate([user(sound(min(600.0, family.tiny.max_clip_s)))], 2, "test")
    assert stats.prompt_tokens > 100
    assert stats.completion_tokens == 2


async def talkative(family: Family) -> list[Message]:
    """A prompt that random weights have an answer to."""
    for seed in range(10, 30):
        history = [SYSTEM, user(sound(1.5, seed))]
        text, _ = await family.generate(history, N_NEW, "a")
        if len(text) > 3:
            return history
    raise AssertionError("the tiny model answers nothing at all")


async def test_three_turns_with_a_barge_in_a_retraction_and_an_eviction(family: Family) -> None:
    half, rest, third = (sound(seconds, seed) for seed, seconds in enumerate((1.0, 1.0, 2.0)))
    whole = AudioClip(np.concatenate((half.samples, rest.samples)))
    history = await talkative(family)
    await family.answer(history)
    # The answer is talked over at its first word.
    async with aclosing(family.model.generate(history, GenerationOptions(), dialogue="test")) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                said = event.text
                break
    history.append(Message("assistant", (said,), interrupted=True))
    # A provisional answer to the first half of the turn is retracted, because the speaker goes on.
    await family.answer([*history, user(half)], n_new=3)
    history.append(user(whole, "and now?"))
    second = await family.answer(history)
    assert second.cached_tokens > 0.3 * second.prompt_tokens
    history += [HELLO, user(third)]
    last = await family.answer(history)
    assert last.cached_tokens >= second.prompt_tokens - 10  # nothing before the last answer was computed again
    # The oldest exchange leaves the window.
    await family.answer([SYSTEM, *history[3:]])


async def test_each_window_is_heard_once(family: Family) -> None:
    history = [user(sound(1.5)), HELLO, user(sound(1, seed=1), sound(2, seed=2))]
    await family.generate(history, 3, "test")
    assert family.encoded == 3
    await family.generate([*history, HELLO, user("and then?")], 3, "test")
    assert family.encoded == 3
    await family.generate([*history, HELLO, user(sound(1, seed=3))], 3, "test")
    assert family.encoded == 4


async def test_two_dialogues_together_equal_each_alone(family: Family) -> None:
    histories = {name: [SYSTEM, user(sound(1, seed), f"who is {name}?")] for seed, name in enumerate("ab")}
    together = await asyncio.gather(*(family.generate(history, 20, name) for name, history in histories.items()))
    for name, (text, _) in zip("ab", together, strict=True):
        alone = await family.recompute(histories[name], 20)
        assert same_text(text, alone.text)


async def test_an_interrupted_answer_goes_on_where_it_stopped(family: Family) -> None:
    history = [user(sound(1))]
    whole, _ = await family.generate(history, 8, "test")
    _, continued = await family.generate([*history, Message("assistant", (whole,))], 3, "test")
    _, ended = await family.generate([*history, Message("assistant", (whole,)), user("go on")], 3, "test")
    assert ended.prompt_tokens > continued.prompt_tokens  # it was not closed, nor a new answer opened


async def test_history_is_warmed_while_nobody_waits(family: Family) -> None:
    history = [SYSTEM, user(sound(2)), HELLO]
    await family.model.prefill(history, dialogue="test")
    assert family.encoded == 1
    stats = await family.answer([*history, user("why?")])
    assert stats.cached_tokens > family.tiny.warmed_share * stats.prompt_tokens
    assert family.encoded == 1


@pytest.mark.parametrize(
    ("clip", "complaint"),
    [
        (AudioClip(np.zeros(0, np.float32)), "at least 0.02 s"),
        (AudioClip(np.zeros(100, np.float32)), "0.006 s long"),
        (AudioClip(np.full(16_000, np.nan, np.float32)), "not finite"),
        (AudioClip(np.zeros(601 * SAMPLE_RATE_HZ, np.float32)), "at most"),
    ],
    ids=["empty", "short", "nan", "long"],
)
async def test_what_cannot_be_heard_is_refused(family: Family, clip: AudioClip, complaint: str) -> None:
    with pytest.raises(InvalidPrompt, match=complaint):
        await family.generate([user(clip)], 1, "test")


async def test_a_prompt_beyond_the_context_gives_the_numbers(family: Family) -> None:
    with pytest.raises(PromptTooLong) as caught:
        await family.generate([user("fox " * family.model.info.context_tokens)], 1, "test")
    assert caught.value.context_tokens == family.model.info.context_tokens
    assert str(caught.value.prompt_tokens) in str(caught.value)


async def test_a_schema_holds_the_answer(family: Family) -> None:
    schema = {
        "type": "object",
        "properties": {
            "who": {"enum": ["fox", "dog"]},
            "lazy": {"type": "boolean"},
            "word": {"type": "string", "pattern": "^[a-zß]{3}$"},
        },
        "required": ["who", "lazy", "word"],
        "additionalProperties": False,
    }
    options = GenerationOptions(json_schema=schema, temperature=1.0, seed=4)
    prompt = [user(sound(1), "what is this?")]
    events = [event async for event in family.model.generate(prompt, options, dialogue="test")]
    assert isinstance(events[-1], GenerationStats)
    assert events[-1].finish_reason == "stop"
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    Draft202012Validator(schema).validate(json.loads(text))
    await family.answer(prompt)  # the same dialogue, without a schema


async def test_no_messages_are_refused(family: Family) -> None:
    with pytest.raises(InvalidPrompt, match="no messages"):
        await family.generate([], 1, "test")


def test_only_families_with_a_request_for_it_write_speech_down(family: Family) -> None:
    assert (family.model.transcriber is not None) == (family.tiny.name == "voxtral")


# From the command line.


def test_ask(checkpoint: tuple[TinyFamily, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint[1]
    clip = str(CLIPS / "question_capital.ogg")
    assert main(["ask", clip, "What is asked?", "--model", str(folder), "--json", "--max-new-tokens", "5"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == folder.name
    assert 1 <= report["completion_tokens"] <= 5
    assert report["prompt_tokens"] > 20


def test_broken_checkpoints_end_in_one_line(
    checkpoint: tuple[TinyFamily, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("model.safetensors", "no weights"), ("tokenizer.json", "{"), ("config.json", "{")):
        broken = tmp_path / name.replace(".", "_")
        shutil.copytree(checkpoint[1], broken)
        if not (broken / name).exists():
            continue
        (broken / name).write_text(content)
        assert main(["ask", str(CLIPS / "question_capital.ogg"), "?", "--model", str(broken)]) == 2
        error = capsys.readouterr().err
        assert str(broken) in error
        assert "earpiece: " in error.splitlines()[-1]
