"""What is found out of an engine before anybody talks, and what is refused."""

from typing import Any

import pytest

from models.errors import ModelUnavailable
from models.remote.probing import DEFAULT_CONTEXT_TOKENS, probe
from models.remote.settings import EngineSettings, engine_urls
from tests.models.remote.engine_server import (
    ScriptedEngine,
    clips_in,
    free_url,
    raw_server,
    refuse,
    serving_engine,
)


async def probed(engine: ScriptedEngine, **settings: Any) -> Any:
    with serving_engine(engine) as url:
        return await probe(EngineSettings(urls=(url,), **settings))


async def test_an_engine_that_takes_audio() -> None:
    engine = ScriptedEngine()
    facts = await probed(engine)
    assert (facts.model, facts.context_tokens, facts.takes_audio, facts.is_vllm) == ("tiny", 4096, True, True)
    assert facts.window_s is None
    assert [len(clips_in(body)) for body in engine.requests] == [1, 0, 1, 1]
    assert {body["max_tokens"] for body in engine.requests} == {1}


@pytest.mark.parametrize("engine", [ScriptedEngine(takes_audio=False), ScriptedEngine(drops_audio=True)])
async def test_an_engine_for_text_refuses_a_clip_or_leaves_it_out(engine: ScriptedEngine) -> None:
    assert not (await probed(engine)).takes_audio


@pytest.mark.parametrize(("chosen", "takes_audio"), [("audio", True), ("text", False)])
async def test_what_it_takes_may_be_said(chosen: str, takes_audio: bool) -> None:
    engine = ScriptedEngine(refuse(400, "no clips so long"), owned_by="somebody")
    facts = await probed(engine, input=chosen)
    assert (facts.takes_audio, facts.is_vllm, facts.window_s) == (takes_audio, False, None)
    assert len(engine.requests) == takes_audio


async def test_an_engine_that_cuts_clips_is_found_out() -> None:
    assert (await probed(ScriptedEngine(window_s=30))).window_s == 30


@pytest.mark.parametrize(
    ("models", "name", "sentence"),
    [
        (("a", "b"), None, "serves a, b; choose one with --engine-model"),
        (("a", "b"), "c", "does not serve c, but a, b; correct --engine-model"),
        ((), None, "lists no model"),
    ],
)
async def test_which_model_it_is_must_be_clear(models: tuple[str, ...], name: str | None, sentence: str) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        await probed(ScriptedEngine(models=models), model=name)


async def test_one_of_several_models_is_chosen_by_its_name() -> None:
    assert (await probed(ScriptedEngine(models=("other", "tiny")), model="tiny")).model == "tiny"


async def test_replicas_serve_one_model_and_one_that_is_away_does_not_matter() -> None:
    with serving_engine(ScriptedEngine()) as one, serving_engine(ScriptedEngine(models=("other",))) as two:
        assert (await probe(EngineSettings(urls=(free_url(), one)))).model == "tiny"
        with pytest.raises(ModelUnavailable, match=f"different models: tiny at {one}, other at {two}"):
            await probe(EngineSettings(urls=(one, two)))


async def test_of_replicas_that_are_all_away_each_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    first, last = free_url(), free_url()
    with pytest.raises(ModelUnavailable, match=f"the engine at {last} cannot be reached"):
        await probe(EngineSettings(urls=(first, last)))
    assert [record.message.split(" cannot")[0] for record in caplog.records] == [f"the engine at {first}"]


async def test_what_is_no_engine_is_refused() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    wrong = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
    lost = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    sentences = {page: "answers text/html", wrong: "cannot be read", b"": "cannot be reached", lost: "HTTP 404; check"}
    for answer, sentence in sentences.items():
        async with raw_server(answer) as url:
            with pytest.raises(ModelUnavailable, match=sentence):
                await probe(EngineSettings(urls=(url,)))
    with pytest.raises(ModelUnavailable, match="HTTP 500: it melts"):
        await probed(ScriptedEngine(refuse(500, "it melts")), retries=0)
    assert DEFAULT_CONTEXT_TOKENS > 1000


def test_addresses_are_read_as_people_type_them() -> None:
    assert engine_urls(["http://a:8000, https://b/x/v1/", "http://a:8000/"]) == ("http://a:8000/v1", "https://b/x/v1")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("a:8000", "a:8000 is no address of an engine"),
        ("ftp://a", "no address of an engine"),
        ("http://", "no address of an engine"),
        ("http://a:port", "is no address"),
        ("http://me:secret@a", "^http://a holds a password; leave it out, and set EARPIECE_ENGINE_KEY"),
        ("http://a/v1?key=secret", "^http://a/v1 goes on behind its path"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secrets(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        engine_urls([url])
    assert "secret" not in str(caught.value)
