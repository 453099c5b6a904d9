"""The log: one line a record, whatever is in it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from realtime.logs import OneLineFormatter, formatter_of, name_session
from tests.conftest import CLIPS

FORGED = "x\nrealtime.server: all is well\r\x1b[2K\x85\u2028\udc80"
ESCAPED = r"x\nrealtime.server: all is well\r\x1b[2K\x85\u2028\udc80"

TALK = f"""
import sys
import app
import commands.loading
from models.errors import GenerationFailed
from models.scripted import ScriptedModel
commands.loading.load_model = lambda *_: ScriptedModel([[GenerationFailed({FORGED!r})]])
sys.exit(app.main(["talk", {str(CLIPS / "question_capital.ogg")!r}, "--endpointing", "silence"]))
"""  # as `python app.py` has it, but for the model


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLineFormatter("%(name)s: %(message)s"))
    logger = logging.Logger("door")
    logger.addHandler(handler)
    return logger, stream


def test_what_cannot_be_printed_is_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("%s: not done", FORGED)
    logger.warning("später, 後で 🙂")
    assert stream.getvalue() == f"door: {ESCAPED}: not done\ndoor: später, 後で 🙂\n"


def test_no_line_of_a_traceback_looks_like_a_record(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("failed", stack_info=True)
    first, *others = stream.getvalue().splitlines()
    assert first == "door: failed"
    assert all(line.startswith("    ") for line in others)
    assert sum("realtime.server: all is well" in line for line in others) == 1
    assert not any(char in stream.getvalue() for char in "\r\x1b\x85\u2028\udc80")


def test_the_command_line_logs_so() -> None:
    ended = subprocess.run([sys.executable, "-c", TALK], capture_output=True, timeout=120, check=True)
    log = ended.stderr.decode()
    assert f"realtime.answers: session sess_1, resp_1_4: {ESCAPED}\n" in log
    assert "\nrealtime.server:" not in log


async def test_an_object_on_each_line_for_programs(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.handlers[0].setFormatter(formatter_of("json"))

    async def work() -> None:
        name_session("sess_7")
        await asyncio.create_task(warn())

    async def warn() -> None:
        logger.warning("%s: not done", FORGED)

    await asyncio.create_task(work())
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("failed", stack_info=True)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert stream.getvalue().isascii()
    assert datetime.fromisoformat(first.pop("time")).tzinfo is UTC
    assert first == {"level": "WARNING", "logger": "door", "message": f"{FORGED}: not done", "session": "sess_7"}
    assert second.keys() == {"time", "level", "logger", "message", "traceback", "stack"}
    assert (second["level"], second["message"]) == ("ERROR", "failed")
    assert "Traceback" in second["traceback"] and "ValueError: x" in second["traceback"]
