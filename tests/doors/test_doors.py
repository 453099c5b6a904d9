"""A new wire is one new file in the folder of the doors."""

import sys
from pathlib import Path

import httpx
import pytest

from models.scripted import ScriptedModel
from realtime import doors
from realtime.server import create_app
from realtime.session import SessionOptions

PIGEON = """
from realtime.doors.entrance import Way


def mount(app, lobby, options):
    @app.get("/pigeon")
    async def pigeon():
        return {"carries": options.model.name, "in": lobby.health()["sessions"]}

    return [Way(path="/pigeon")]
"""


async def ask(path: str) -> httpx.Response:
    app = create_app(ScriptedModel([["Yes."]]), SessionOptions())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as http:
        return await http.get(path)


async def test_a_new_door_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask("/pigeon")).status_code == 404
    (tmp_path / "pigeon.py").write_text(PIGEON)
    (tmp_path / "no_door.py").write_text("")
    monkeypatch.setattr(doors, "__path__", [*doors.__path__, str(tmp_path)])
    try:
        assert (await ask("/pigeon")).json() == {"carries": "scripted", "in": 0}
    finally:
        for name in ("pigeon", "no_door"):
            sys.modules.pop(f"realtime.doors.{name}", None)


async def test_the_page_is_a_door_like_any_other() -> None:
    settings = (await ask("/page/settings.json")).json()
    assert settings == {
        "model": "scripted",
        "description": ScriptedModel.info.description,
        "languages": {"de": "Deutsch", "en": "English"},
        "voices": [],
        "login": None,
    }
    page = await ask("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "main.js" in page.text and "<style" not in page.text and "style=" not in page.text
    assert (await ask("/page/main.js")).headers["content-type"].startswith("text/javascript")
