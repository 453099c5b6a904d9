"""A cascade with a text model from a folder: Moonshine's ears, the model's own chat template, and clear refusals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from transformers import AutoTokenizer

from app import default_cache_dir, main
from models.cascade.cascade import Cascade
from models.cascade.text_model import TemplateWriter
from models.engine.prompt import Prompt, TokenSpan
from models.engine.weight_only import WeightOnlyLinear
from models.errors import InvalidPrompt, ModelUnavailable
from models.loading import LoadOptions
from models.registry import fetch_model, load_model
from models.types import GenerationOptions, Message, TextDelta
from tests.conftest import CLIPS
from tests.models.prompts.test_chat_template import GEMMA_MARKS, GEMMA_TEMPLATE
from tests.models.tiny import text_model
from tests.models.tiny.ultravox import LLAMA_MARKS, LLAMA_TEMPLATE, QWEN_MARKS, QWEN_TEMPLATE

CAPITAL = str(CLIPS / "question_capital.ogg")
TEMPLATES = {
    "llama": (LLAMA_MARKS, LLAMA_TEMPLATE),
    "qwen": (QWEN_MARKS, QWEN_TEMPLATE),
    "gemma": (GEMMA_MARKS, GEMMA_TEMPLATE),
}
SYSTEM, HELLO = Message("system", ("Be a fox.",)), Message("assistant", ("jumps over.",))


@pytest.fixture(scope="module", params=TEMPLATES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    marks, template = TEMPLATES[request.param]
    return text_model.save(tmp_path_factory.mktemp(request.param), template=template, marks=marks)


def options(text_model: Path | None, **settings: Any) -> LoadOptions:
    named = None if text_model is None else str(text_model)
    return LoadOptions(cache_dir=default_cache_dir(), text_model=named, **settings)


def ids(prompt: Prompt) -> list[int]:
    return [token for span in prompt if isinstance(span, TokenSpan) for token in span.ids]


def user(text: str) -> Message:
    return Message("user", (text,))


async def said(model: Any, messages: Sequence[Message], n_new: int) -> str:
    stream = model.generate(messages, GenerationOptions(max_new_tokens=n_new), dialogue="test")
    return "".join([event.text async for event in stream if isinstance(event, TextDelta)])


def test_ask_by_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cascade = ["--model", "cascade", "--text-model", str(folder), "ask", CAPITAL]
    assert main([*cascade, "--json", "--max-new-tokens", "4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "cascade"
    assert report["prompt_tokens"] > 10
    assert main([*cascade, "--transcribe", "auto", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {
        "text",
        "words",
        "no_words",
        "model",
        "total_s",
        "audio_s",
        "speech_s",
        "lost_s",
        "track",
        "notes",
    }
    assert report["text"] == "What is the capital of France?"


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
async def test_it_is_put_where_and_how_it_is_told(tmp_path: Path, dtype: str) -> None:
    text_model.save(tmp_path)
    model = load_model("cascade", options(tmp_path, device="cpu", dtype=dtype))
    assert isinstance(model, Cascade)
    assert model.info.context_tokens == 32_768
    assert model.info.checkpoints[-1] == str(tmp_path)
    text = await said(model, [user("what does the fox do?")], 12)
    if dtype == "auto":
        assert text == text_model.reference(tmp_path, [user("what does the fox do?")], 12).text
    await model.close()


def test_conversations_are_written_as_the_template_writes_them(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    turns = [SYSTEM, user("why?"), HELLO, user("and the dog?")]
    chat = [{"role": turn.role, "content": turn.text} for turn in turns]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert ids(TemplateWriter(tokenizer).write(turns)) == tokenizer(text, add_special_tokens=False).input_ids


def test_a_longer_conversation_begins_with_the_shorter_one(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    writer, turns = TemplateWriter(tokenizer), [SYSTEM, user("why?"), HELLO, user("and?"), HELLO, user("so?")]
    for n in (2, 4):
        asked, followed = ids(writer.write(turns[:n])), ids(writer.write(turns[: n + 2]))
        end = len(asked) - asked[::-1].index(tokenizer.eos_token_id)  # of the question; an answer may open otherwise
        assert followed[:end] == asked[:end]


def test_what_the_template_refuses_is_an_invalid_prompt(tmp_path: Path) -> None:
    text_model.save(tmp_path, template=GEMMA_TEMPLATE, marks=GEMMA_MARKS)
    with pytest.raises(InvalidPrompt, match="roles must alternate"):
        TemplateWriter(AutoTokenizer.from_pretrained(tmp_path)).write([HELLO, user("why?")])


def test_a_text_model_has_to_be_named() -> None:
    for act in (load_model, fetch_model):
        with pytest.raises(ModelUnavailable, match="folder or hub id with --text-model"):
            act("cascade", options(None))


def test_a_text_model_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no checkpoint: it holds no config\.json"):
        load_model("cascade", options(tmp_path))
    with pytest.raises(ModelUnavailable, match="no such folder, and no hub id"):
        load_model("cascade", options(tmp_path / "nowhere"))
    text_model.save(tmp_path, template=None)
    with pytest.raises(ModelUnavailable, match="no chat template"):
        load_model("cascade", options(tmp_path))
    text_model.save(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        load_model("cascade", options(tmp_path))


def test_ears_that_are_missing_name_the_command_that_gets_them(tmp_path: Path) -> None:
    text_model.save(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"python app\.py fetch"):
        load_model("cascade", LoadOptions(cache_dir=tmp_path, text_model=str(tmp_path)))


def test_fetching_gives_the_folder_of_the_text_model(tmp_path: Path) -> None:
    text_model.save(tmp_path)
    assert fetch_model("cascade", options(tmp_path)) == tmp_path


async def test_its_quantization_is_the_text_models(tmp_path: Path) -> None:
    text_model.save(tmp_path)
    model = load_model("cascade", options(tmp_path, quantization="4bit"))
    seen: list[Any] = []
    hook = register_module_forward_hook(lambda module, *_: seen.append(module))
    async for _ in model.generate([Message("user", ("Why?",))], GenerationOptions(max_new_tokens=2), dialogue="test"):
        pass
    hook.remove()
    await model.close()
    assert {layer.bits for layer in seen if isinstance(layer, WeightOnlyLinear)} == {4, 8}  # the head has 8


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    text_model.save(tmp_path)
    with pytest.raises(ModelUnavailable, match="device 'cuda:7' cannot be used"):
        load_model("cascade", options(tmp_path, device="cuda:7"))
