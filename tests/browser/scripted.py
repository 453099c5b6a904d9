"""A page whose server says what a test tells it to, so that every view can be had at once, and always the same.

The connection is taken out of the browser, nothing of the page: a WebSocket that a test speaks through. Read
`screenshots.py` for the views.
"""

import json
import math
from dataclasses import fields
from typing import Any

from playwright.sync_api import Page

from realtime.events import SessionMetricsReported

SCRIPTED_SERVER = """
  window.RTCPeerConnection = undefined;
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() { window.server = this; this.sent = []; setTimeout(() => this.onopen()); }
    send(text) {
      const message = JSON.parse(text);
      this.sent.push(message);
      if (message.event === "start") this.say(window.greeting);
      if (message.event === "ping") this.say({event: "pong"});
    }
    say(event) { this.onmessage({data: JSON.stringify(event)}); }
    close() { this.readyState = 3; }
  };
"""
PLAIN = {"type": "session.created", "session_id": "sess_1", "model": "m", "description": "d"}
MODERN = PLAIN | {
    "resume_token": "secret",
    "resumed": False,
    "resume_within_s": 60,
    "models": ["pocket"],
    "voices": [],
    "caption_languages": ["en"],
}
TIMING = {
    "pause_noticed_s": 0.19,
    "prefill_s": 0.31,
    "first_provisional_s": 0.36,
    "committed_s": 0.52,
    "first_token_s": 0.36,
    "first_audio_s": None,
    "done_s": 1.24,
}


def greeting(created: dict[str, Any]) -> str:
    """JavaScript that makes the connection, and says what the server says first."""
    return f"{SCRIPTED_SERVER}\nwindow.greeting = {json.dumps(created)};"


class ScriptedSession:
    """Speaks as the server to one page that was opened with `greeting`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def say(self, wire_type: str, **fields: object) -> None:
        """Sends one event."""
        self._page.evaluate("event => server.say(event)", {"type": wire_type} | fields)

    def sent(self, wire_type: str) -> list[dict[str, Any]]:
        """Gives what the page has sent of one type."""
        sent: list[dict[str, Any]] = self._page.evaluate("server.sent")
        return [message for message in sent if message.get("type") == wire_type]

    def open(self) -> None:
        """Has the page connect, by typing something."""
        self._page.fill("#ep-text", "hello")
        self._page.click("#ep-send")
        self._page.wait_for_function("() => window.server?.sent.some(({type}) => type === 'response.create')")

    def floor(self, state: str) -> None:
        """Gives the floor to somebody."""
        self.say("floor.changed", state=state)

    def user_says(self, item_id: str, text: str, audio_s: float = 2.4) -> None:
        """A spoken turn and its words."""
        self.say("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=0)
        self.say("conversation.item.created", item_id=item_id, role="user", text="", audio_s=audio_s)
        words = text.split(" ")
        logprobs = [
            {"token": word if place == 0 else f" {word}", "logprob": math.log(0.9), "bytes": []}
            for place, word in enumerate(words)
        ]
        prefix = "conversation.item.input_audio_transcription"
        self.say(f"{prefix}.completed", item_id=item_id, transcript=text, logprobs=logprobs, is_foreign=False)

    def user_types(self, item_id: str, text: str) -> None:
        """A typed message."""
        self.say("conversation.item.created", item_id=item_id, role="user", text=text, audio_s=0)

    def answer(
        self,
        number: int,
        text: str,
        *,
        asked: str = "",
        status: str = "completed",
        stop_reason: str | None = "stop",
        timing: dict[str, float | None] | None = None,
    ) -> None:
        """A whole answer."""
        name = f"resp_{number}"
        self.say("response.created", response_id=name, item_id=asked, provisional=False)
        self.say("response.output_text.delta", response_id=name, delta=text, provisional=False)
        self.finish(number, text, status=status, stop_reason=stop_reason, timing=timing)

    def begin_answer(self, number: int, text: str, *, asked: str, provisional: bool) -> None:
        """An answer that comes word by word, and has not ended."""
        name = f"resp_{number}"
        self.say("response.created", response_id=name, item_id=asked, provisional=provisional)
        for word in text.split(" "):
            self.say("response.output_text.delta", response_id=name, delta=f"{word} ", provisional=provisional)

    def resume(self, **changes: object) -> None:
        """The connection is back, and so is the session."""
        self.say(**{**MODERN, "wire_type": MODERN["type"], "resumed": True} | changes)

    def finish(self, number: int, text: str, *, status: str = "completed", **fields: object) -> None:
        """The end of an answer that has begun."""
        self.say(
            "conversation.item.created",
            item_id=f"answer_{number}",
            role="assistant",
            text=text,
            audio_s=0,
            interrupted=status == "cancelled",
        )
        self.say("response.done", response_id=f"resp_{number}", status=status, text=text, **fields)

    def window(self) -> None:
        """What the model remembers: some of all kinds."""
        parts = [
            ("system", "text", 60, 0.0),
            ("system", "summary", 90, 0.0),
            ("user", "text", 34, 0.0),
            ("assistant", "text", 48, 0.0),
            ("user", "audio", 21, 2.6),
            ("assistant", "text", 150, 0.0),
            ("user", "audio", 33, 4.4),
            ("assistant", "text", 210, 0.0),
        ]
        messages = [
            {"item_id": f"m{place}", "role": role, "tier": tier, "tokens": tokens, "audio_s": audio_s}
            for place, (role, tier, tokens, audio_s) in enumerate(parts)
        ]
        self.say(
            "conversation.window",
            messages=messages,
            tokens=sum(part[2] for part in parts),
            max_tokens=1500,
            audio_s=sum(part[3] for part in parts),
            max_audio_s=300.0,
        )

    def metrics(self, **changes: object) -> None:
        """The session's counts."""
        counts: dict[str, object] = {field.name: 0 for field in fields(SessionMetricsReported)}
        counts |= {
            "turns": 12,
            "cut_ins": 0,
            "provisional": 15,
            "retracted": 3,
            "interrupted": 1,
            "false_interruptions": 1,
            "captions": 10,
            "mean_caption_wait_s": 0.11,
            "mean_wait_s": 0.55,
            "recent_waits_s": [0.44, 0.52, 0.61],
        }
        self.say("session.metrics", **counts | changes)
