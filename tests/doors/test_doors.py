"""A new wire is one new file in the folder of the doors."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from models.scripted import ScriptedModel
from realtime import doors
from realtime.doors.callers import caller_of
from realtime.doors.declared import Undeclared
from realtime.server import create_app
from realtime.session import SessionOptions
from tests.doors.fakes import FakeTransport

PIGEON = """
from realtime.doors.entrance import Way


def mount(app, lobby, options):
    @app.get("/pigeon")
    async def pigeon():
        return {"carries": options.model.name, "in": lobby.health()["sessions"]}

    return [Way(path="/pigeon")]
"""

FORGETFUL = """
from fastapi import FastAPI
from realtime.doors.entrance import Way


async def fly(name: str = ""):
    return name


def mount(app, lobby, options):
    {opens}
    return [{declares}]
"""


async def ask(path: str) -> httpx.Response:
    app = create_app(ScriptedModel([["Yes."]]), SessionOptions())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as http:
        return await http.get(path)


@pytest.fixture
def add_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], object]]:
    """Adds a file to the folder of the doors: its name and what is in it."""
    monkeypatch.setattr(doors, "__path__", [*doors.__path__, str(tmp_path)])
    yield lambda name, content: (tmp_path / f"{name}.py").write_text(content)
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(f"realtime.doors.{file.stem}", None)


async def test_a_new_door_is_one_file(add_door: Callable[[str, str], object]) -> None:
    assert (await ask("/pigeon")).status_code == 404
    add_door("pigeon", PIGEON)
    add_door("no_door", "")
    assert (await ask("/pigeon")).json() == {"carries": "scripted", "in": 0}


@pytest.mark.parametrize(
    ("opens", "declares", "complaint"),
    [
        ('app.get("/pigeon")(fly)', "", "pigeon opens GET /pigeon and declares no Way for it"),
        ('app.post("/pigeon")(fly)', 'Way(path="/pigeon")', "pigeon opens POST /pigeon and declares"),
        ('app.websocket("/pigeon")(fly)', 'Way(path="/pigeon")', "pigeon opens websocket /pigeon and declares"),
        ('app.get("/pigeon/{name}")(fly)', 'Way(path="/pigeon")', "pigeon opens GET /pigeon/{name} and declares"),
        (
            'app.get("/{name}/pigeon")(fly)',
            'Way(path="/{pigeon}/name")',
            "pigeon opens GET /{name}/pigeon and declares",
        ),
        ('app.get("/pigeon/{name:path}")(fly)', "", "a name is one part of a path"),
        ('app.mount("/pigeon", FastAPI())', 'Way(path="/pigeon")', "add each route by itself"),
        ("", 'Way(path="/pigeon")', "pigeon declares GET /pigeon, where it opens nothing"),
    ],
)
async def test_a_door_that_does_not_say_what_it_opens_is_not_opened(
    opens: str, declares: str, complaint: str, add_door: Callable[[str, str], object]
) -> None:
    add_door("pigeon", FORGETFUL.format(opens=opens or "pass", declares=declares))
    with pytest.raises(Undeclared, match=re.escape(complaint)):
        create_app(ScriptedModel([["Yes."]]), SessionOptions())


def test_nobody_is_admitted_of_whom_the_door_says_nothing_or_who_was_not_let_in() -> None:
    lobby = create_app(ScriptedModel([["Yes."]]), SessionOptions()).state.lobby
    with pytest.raises(TypeError, match="caller"):
        lobby.admit(FakeTransport(), door="pigeon", begin_within_s=1)
    with pytest.raises(PermissionError, match="pigeon: nobody has a session who was not let in"):
        lobby.admit(FakeTransport(), caller_of({}), door="pigeon", begin_within_s=1)
    assert lobby.health()["sessions"] == 0


async def test_the_page_is_a_door_like_any_other() -> None:
    settings = (await ask("/page/settings.json")).json()
    assert settings == {
        "model": "scripted",
        "description": ScriptedModel.info.description,
        "languages": {"de": "Deutsch", "en": "English"},
        "voices": [],
        "login": None,
        "tells_visitors_apart": False,
    }
    page = await ask("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "main.js" in page.text and "<style" not in page.text and "style=" not in page.text
    assert (await ask("/page/main.js")).headers["content-type"].startswith("text/javascript")
