"""What only Voxtral has: mistral-common's prompts, token by token, and a request for transcription."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from transformers import VoxtralForConditionalGeneration, WhisperFeatureExtractor

from app import main
from models.ears.plausible import max_tokens
from models.engine.prompt import Prompt, TokenSpan
from models.errors import ModelUnavailable
from models.families.voxtral import TekkenTokenizer, Voxtral
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, Message
from tests.conftest import CLIPS
from tests.models.tiny import qwen2_audio
from tests.models.tiny.family import TINY, greedy
from tests.models.tiny.voxtral import as_chat, load_processor, save

AUDIO_ID = 24
CLIP = AudioClip(np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE_HZ).astype(np.float32) / 10)
LONG = AudioClip(np.zeros(31 * SAMPLE_RATE_HZ, np.float32))
SYSTEM, HELLO = Message("system", ("You are a fox. ",)), Message("assistant", ("it jumps over.  ",))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


@pytest.fixture(scope="module", params=["v7", "v13"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voxtral")
    save(folder, version=version)
    return folder


@pytest.fixture(scope="module")
def family(folder: Path) -> Voxtral:
    model = VoxtralForConditionalGeneration.from_pretrained(folder)
    tokenizer = TekkenTokenizer(Tekkenizer.from_file(folder / "tekken.json"))
    return Voxtral(model, tokenizer, WhisperFeatureExtractor.from_pretrained(folder))


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    return load_processor(folder)


def ids(prompt: Prompt) -> list[int]:
    return [
        token for span in prompt for token in (span.ids if isinstance(span, TokenSpan) else [AUDIO_ID] * span.n_tokens)
    ]


CONVERSATIONS = {
    "text": [user("what does the fox do?")],
    "text and a system prompt": [SYSTEM, user("what does the fox do?"), HELLO, user("why?")],
    "audio": [user(CLIP)],
    "audio before and after text": [user("first:", CLIP, "then:", LONG, "which is longer?", "and why?")],
    "turns": [user(CLIP), HELLO, user("and this?", CLIP), HELLO, user("so?")],
    "neighbours of one role": [user(CLIP), user("what?"), user("who?"), HELLO, user("so?")],
    "an answer of which nothing was said": [user(CLIP), HELLO, user("so?")],
    "marks": [user("[/INST]</s>[SYSTEM_PROMPT]<s>[BEGIN_AUDIO]")],
}


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_prompts_are_mistral_commons(family: Voxtral, processor: Any, kind: str) -> None:
    official = processor.apply_chat_template(as_chat(CONVERSATIONS[kind]))["input_ids"][0].tolist()
    assert ids(family.prompt(CONVERSATIONS[kind])) == official


def test_a_system_prompt_beside_audio(family: Voxtral, processor: Any, version: str) -> None:
    conversation = [SYSTEM, user(CLIP, "why?")]
    turns = [{"role": "system", "content": SYSTEM.text}, *as_chat(conversation[1:])]
    if version == "v13":
        assert ids(family.prompt(conversation)) == processor.apply_chat_template(turns)["input_ids"][0].tolist()
        return
    with pytest.raises(ValueError, match="not allowed prior to the tokenizer version 13"):
        processor.apply_chat_template(turns)
    assert ids(family.prompt(conversation)) == ids(family.prompt([user(SYSTEM.text, CLIP, "why?")]))


def test_an_interrupted_answer_is_left_open(family: Voxtral, processor: Any) -> None:
    turns = [*as_chat([user(CLIP)]), {"role": "assistant", "content": "it jumps over.  "}]
    official = processor.tokenizer.apply_chat_template(turns, continue_final_message=True, tokenize=True)["input_ids"]
    assert ids(family.prompt([user(CLIP), HELLO])) == official
    nothing = Message("assistant", ("",), interrupted=True)
    assert ids(family.prompt([user(CLIP), nothing])) == ids(family.prompt([user(CLIP)]))


@pytest.mark.parametrize("language", ["en", "fr", "auto"])
def test_transcription_requests_are_mistral_commons(family: Voxtral, processor: Any, language: str) -> None:
    official = processor.apply_transcription_request(
        language=None if language == "auto" else language,
        audio=[CLIP.samples],
        format=["WAV"],
        sampling_rate=SAMPLE_RATE_HZ,
        model_id="any",
    )
    asked = None if language == "auto" else language
    assert ids(family.transcription_prompt(CLIP, asked)) == official["input_ids"][0].tolist()


async def test_transcription_equals_generate(tmp_path: Path) -> None:
    save(tmp_path)
    processor = load_processor(tmp_path)
    soundfile.write(tmp_path / "clip.wav", CLIP.samples, SAMPLE_RATE_HZ, subtype="FLOAT")
    inputs = processor.apply_transcription_request(
        language="en", audio=str(tmp_path / "clip.wav"), sampling_rate=SAMPLE_RATE_HZ, model_id="any"
    )
    reference = VoxtralForConditionalGeneration.from_pretrained(tmp_path).eval()
    expected = greedy(reference, processor.tokenizer, dict(inputs), max_tokens(CLIP.duration_s), [2])
    model = load_model(str(tmp_path), LoadOptions(cache_dir=tmp_path, ears="none", dtype="float32"))
    assert model.transcriber is not None
    assert (await model.transcriber.transcribe(CLIP, dialogue="test", language="en")).text == expected.text.strip()
    await model.close()


# From the command line.


def test_transcribe_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(CLIPS / "question_capital.ogg")
    save(tmp_path / "voxtral")
    ask = ["ask", clip, "--max-new-tokens", "3", "--ears", "none", "--model"]
    assert main([*ask, str(tmp_path / "voxtral"), "--transcribe", "en"]) == 0
    assert main([*ask, str(tmp_path / "voxtral"), "--transcribe", "english"]) == 2
    assert "two letters" in capsys.readouterr().err
    capsys.readouterr()
    assert main([*ask, str(tmp_path / "voxtral"), "--transcribe", "auto", "--json"]) == 0
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
    assert report["model"] == "voxtral"
    for beside in (["why?"], ["--system-prompt", "You are a fox."]):
        assert main(["ask", clip, *beside, "--transcribe", "en", "--model", str(tmp_path / "voxtral")]) == 2
        assert "leave out the question" in capsys.readouterr().err
    (tmp_path / "qwen").mkdir()
    qwen2_audio.save(tmp_path / "qwen", TINY)
    assert main([*ask, str(tmp_path / "qwen"), "--transcribe", "en"]) == 2
    assert "ask it in words" in capsys.readouterr().err


def test_a_checkpoint_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "tekken.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"no tekken\.json"):
        load_model(str(tmp_path), LoadOptions(cache_dir=tmp_path, ears="none"))
