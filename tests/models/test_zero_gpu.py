"""Answers with a GPU that is lent for each: in this process, and in those that the real `spaces` forks."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from app import main
from models.errors import GenerationFailed, ModelUnavailable, PromptTooLong
from models.loading import LoadOptions
from models.registry import load_model
from models.scripted import ScriptedModel
from models.types import GenerationEvent, GenerationOptions, GenerationStats, Message, TextDelta
from models.zero_gpu import Answer, Answered, ZeroGpuModel
from tests.models.tiny import TINY_FAMILIES
from tests.models.tiny.family import TINY
from tests.models.tiny.qwen2_audio import QWEN2_AUDIO

QUESTION = [Message("user", ("Where is Paris?",))]


def lent_here(answer: Answer) -> Answer:
    return answer


async def events_of(stream: AsyncIterator[GenerationEvent]) -> list[GenerationEvent]:
    return [event async for event in stream]


async def test_an_answer_is_one_call_and_says_how_long_it_took_from_the_question_on() -> None:
    scripted = ScriptedModel([["In ", "France."]])
    model = ZeroGpuModel(scripted, lent_here)
    *deltas, stats = await events_of(model.generate(QUESTION, GenerationOptions(), dialogue="one"))
    assert deltas == [TextDelta("In "), TextDelta("France.")]
    assert isinstance(stats, GenerationStats)
    assert (stats.completion_tokens, stats.finish_reason) == (2, "stop")
    assert stats.ttft_s is not None and 0 < stats.ttft_s <= stats.total_s
    assert scripted.forgotten == ["lent"], "nothing is kept where the answer was given"
    await model.prefill(QUESTION, dialogue="one")
    assert scripted.prefilled == []


async def test_an_answer_that_is_given_up_ends_with_its_next_word() -> None:
    given_up, closed = threading.Event(), threading.Event()

    def lend(_: Answer) -> Answer:
        def answer(*_: Any) -> Answered:
            try:
                yield TextDelta("0 ")
                given_up.wait(10)
                for word in range(1, 1000):
                    yield TextDelta(f"{word} ")
                raise AssertionError("nobody has ended it")
            finally:
                closed.set()

        return answer

    stream = ZeroGpuModel(ScriptedModel([[]]), lend).generate(QUESTION, GenerationOptions(), dialogue="one")
    assert await anext(stream) == TextDelta("0 ")
    await stream.aclose()
    given_up.set()
    assert await asyncio.to_thread(closed.wait, 10)


@pytest.mark.parametrize("error", [PromptTooLong(9000, 8192), GenerationFailed("out of memory")])
async def test_errors_come_back_as_what_they_are(error: Exception) -> None:
    model = ZeroGpuModel(ScriptedModel([["In ", error]]), lent_here)
    with pytest.raises(type(error), match=str(error)):
        await events_of(model.generate(QUESTION, GenerationOptions(), dialogue="one"))


async def test_what_the_lender_refuses_is_said_in_its_words() -> None:
    def lend(_: Answer) -> Answer:
        def answer(*_: Any) -> Answered:
            raise RuntimeError("You have exceeded your GPU quota")
            yield

        return answer

    model = ZeroGpuModel(ScriptedModel([[]]), lend)
    with pytest.raises(GenerationFailed, match="the GPU that is lent: You have exceeded your GPU quota"):
        await events_of(model.generate(QUESTION, GenerationOptions(), dialogue="one"))


def test_a_cascade_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="choose a model that hears the voice itself with EARPIECE_MODEL"):
        load_model("pocket", LoadOptions(cache_dir=tmp_path, lend=lent_here))


@pytest.fixture
def run_in_space() -> Callable[[Sequence[Path]], dict[str, Any]]:
    """Runs `lent_gpu.py`, where `spaces` is installed; in CI it has to be."""
    if find_spec("spaces") is None:
        message = "the package spaces, which lends GPUs, is not installed: pip install -c constraints.txt spaces"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)

    def run(folders: Sequence[Path]) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.models.lent_gpu", *map(str, folders)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report

    return run


def test_spaces_forks_a_process_for_each_answer(
    run_in_space: Callable[[Sequence[Path]], dict[str, Any]], tmp_path: Path
) -> None:
    families = (QWEN2_AUDIO, *(family for family in TINY_FAMILIES if family is not QWEN2_AUDIO))
    folders = [tmp_path / family.name for family in families]
    for family, folder in zip(families, folders, strict=True):
        family.save(folder, TINY)
    report = run_in_space(folders)
    ours = report["ours"]
    assert ours["text"] and ours["cached_tokens"] == 0
    assert report["lent"] == [ours, ours], "the same words, and nothing was kept"
    assert ours["text"].startswith(report["given_up"])
    assert report["after"] == ours
    assert report["too_long"].startswith("PromptTooLong: the conversation is 200023 tokens long")
    assert "No GPU was available" in report["refused"]
    assert report["asked"][:4] == ["startup-report", "schedule", "allow", "release"]
    assert report["asked"].count("release") == 5, "each GPU was given back"
    for folder, put_aside in zip(folders, report["put_aside"], strict=True):
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert put_aside > 0.35 * weights, f"{folder.name}: all of them, in bfloat16, are to be on a GPU"


def test_without_the_package_that_lends_the_space_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "")  # which is set then, and is taken back after the test
    assert main(["--port", "0"]) == 2
    assert "pip install -r requirements.txt" in capsys.readouterr().err


def test_a_build_of_pytorch_without_gpus_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.version.cuda", None)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert main(["--port", "0"]) == 2
    assert "this PyTorch is built for CPUs alone" in capsys.readouterr().err
