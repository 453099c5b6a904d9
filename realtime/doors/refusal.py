"""A request that goes no further, and what its sender is told. Read `entrance.py` for who refuses."""

import json
from collections.abc import Sequence

GOING_DOWN = "the server is going down; reconnect in a minute to begin a new conversation"
RETRY_AFTER_S = 60  # for a server that goes down to be back, or another place to be free


class Refusal(Exception):
    """A request goes no further; the message is for whoever sent it.

    Args:
        status: of HTTP.
        error: a word for programs.
        message: a sentence for people.
        headers: of the answer.
    """

    def __init__(self, status: int, error: str, message: str, *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status, self.error, self.headers = status, error, tuple(headers)

    def body(self) -> bytes:
        """Gives it as JSON, in the form that FastRTC's refusals have."""
        meta = {"error": self.error, "message": str(self)}
        return json.dumps({"status": "failed", "meta": meta, "message": str(self)}).encode()
