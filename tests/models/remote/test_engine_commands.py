"""`--engine` through the command line: `ask`, `talk`, what contradicts it, and a whole session."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response

from app import main
from models.cascade.cascade import Cascade
from models.ears.beside import ModelWithEars
from models.loading import LoadOptions
from models.remote.loading import load_remote
from models.remote.settings import EngineSettings
from models.scripted import ScriptedModel
from models.watched import WatchedModel
from tests.conftest import CLIPS
from tests.models.remote.asking import remote
from tests.models.remote.engine_server import ScriptedEngine, clips_in, free_url, refuse, say, serving_engine
from tests.models.scripted_ears import ScriptedEars

QUESTION = str(CLIPS / "question_capital.ogg")


def test_ask_gives_the_recording_to_an_engine_that_takes_audio(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(say("Paris", "."))
    with serving_engine(engine) as url:
        assert main(["ask", "--engine", url.removesuffix("/v1"), "--ears", "none", QUESTION, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["text"], report["model"], report["prompt_tokens"]) == ("Paris.", "tiny", 40)
    assert len(clips_in(engine.requests[-1])) == 1


def test_ask_gives_the_words_to_an_engine_for_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ScriptedEngine(say("Paris", "."), takes_audio=False)
    monkeypatch.setenv("EARPIECE_ENGINE_KEY", "a-secret")
    with serving_engine(engine) as url:
        monkeypatch.setenv("EARPIECE_ENGINE", url)
        assert main(["ask", QUESTION]) == 0
    assert capsys.readouterr().out == "Paris.\n"
    assert "capital of France" in engine.requests[-1]["messages"][-1]["content"]
    assert engine.headers[-1]["authorization"] == "Bearer a-secret"


def test_a_session_lives_on_when_the_engine_fails(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_once(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        plan = refuse(401, "expired") if len(clips_in(body)) == 2 else say("Well", " again.")
        return await plan(engine, body)

    engine = ScriptedEngine(fail_once)
    with serving_engine(engine) as url:
        arguments = ["talk", "--engine", url, "--ears", "none", "--endpointing", "silence"]
        assert main([*arguments, QUESTION, QUESTION, QUESTION]) == 0
    out = capsys.readouterr().out
    assert "the engine lets this server in no more; tell whoever runs this server" in out
    assert url not in out, "who talks need not know where it is"
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    told = [record.message for record in warned if record.name.startswith(("realtime.", "models."))]
    assert len(told) == 1, "whoever runs the server is told once"
    assert f"the engine at {url} refuses the key (HTTP 401); set EARPIECE_ENGINE_KEY" in told[0]
    roles = [[message["role"] for message in body["messages"]] for body in engine.requests]
    assert ["system", "user", "assistant", "user"] in roles
    assert out.rindex("Well again.") > out.index("lets this server in no more")


def test_ask_says_where_the_engine_is_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        plan = refuse(401, "expired") if body["max_tokens"] > 1 else say("Yes")
        return await plan(engine, body)

    with serving_engine(ScriptedEngine(fail)) as url:
        assert main(["ask", "--engine", url, "--ears", "none", QUESTION]) == 2
    assert f"earpiece: the engine at {url} refuses the key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--engine", "URL", "--model", "pocket"], "--model: the engine has the model"),
        (["--engine", "URL", "--device", "cpu", "--quantization", "4bit"], "--device, --quantization: the engine has"),
        (["--engine", "URL", "--text-model", "x/y"], "--text-model: the engine has the model"),
        (["--engine-model", "x"], "give its --engine URL, too"),
        (["--engine-input", "text"], "give its --engine URL, too"),
        (["--engine", "localhost"], "--engine: localhost is no address of an engine"),
        (["--engine", "URL", "--engine-input", "text", "--ears", "none"], "without ears nobody writes them down"),
        (["--engine", free_url()], "cannot be reached"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving_engine(ScriptedEngine()) as url:
        given = [url if argument == "URL" else argument for argument in arguments]
        assert main(["ask", "--ears", "none", *given, QUESTION]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("earpiece: ")
    assert sentence in error


def test_no_weights_of_a_language_model_are_needed(tmp_path: Path) -> None:
    """An engine, no ears, and an empty folder of weights."""
    with serving_engine(ScriptedEngine()) as url:
        options = LoadOptions(cache_dir=tmp_path, ears="none")
        model = load_remote(EngineSettings(urls=(url,)), options)
    assert model.info.name == "tiny"
    assert model.transcriber is None
    assert not list(tmp_path.iterdir())


def test_the_state_of_the_engine_is_told_through_all_that_stands_before_it() -> None:
    model, ears = remote(free_url()), ScriptedEars(lambda _: "words")
    for whole in (ModelWithEars(model, ears), Cascade(model.info, ears, tuple, model)):
        state = WatchedModel(whole).engine_state
        assert state is not None
        assert state() == model.engine_state()
    assert WatchedModel(ScriptedModel([["Yes."]])).engine_state is None
