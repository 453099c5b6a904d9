"""Where an engine is and how long it is waited for; the addresses as people type them, read and refused.

Nothing is asked of an engine here. Read `loading.py` for how a model comes of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

EngineInput = Literal["auto", "audio", "text"]
INPUTS: tuple[EngineInput, ...] = ("auto", "audio", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """An engine of one replica or several, all of which serve the same model.

    Attributes:
        urls: of the replicas, as `engine_urls` gives them.
        model: the model's name there; None for the only one that the engine lists.
        input: what its messages may hold: "audio" or "text"; "auto" finds that out with a short clip.
        key: that the engine asks for; None for an engine without.
        connect_limit_s: until a connection stands.
        first_token_limit_s: from the request to the first text of an answer.
        next_token_limit_s: between two pieces of text.
        retries: how often a request that failed before its first text is made again.
        backoff_s: before the first of these where no other replica can take it; doubled each time.
        failures_to_rest: a replica that has failed so often in a row is not asked for a while.
        rest_s: that while; one request is then tried.
    """

    urls: tuple[str, ...]
    model: str | None = None
    input: EngineInput = "auto"
    key: str | None = field(default=None, repr=False)
    connect_limit_s: float = 3.0
    first_token_limit_s: float = 25.0  # with one more try elsewhere still within the minute that `watched.py` gives
    next_token_limit_s: float = 15.0
    retries: int = 2
    backoff_s: float = 0.25
    failures_to_rest: int = 3
    rest_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError("an engine needs at least one address")
        if self.input not in INPUTS:
            raise ValueError(f"{self.input!r} is no input of an engine; choose {', '.join(INPUTS)}")


def engine_urls(values: Iterable[str]) -> tuple[str, ...]:
    """Reads addresses of replicas, each value one or several with commas between; `/v1` is added where no path is.

    Raises:
        ValueError: one of them is no address, or holds a password.
    """
    given = [url.strip() for value in values for url in value.split(",") if url.strip()]
    return tuple(dict.fromkeys(_read(url) for url in given))


def _read(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{_shown(url)} is no address ({error}); give one like http://127.0.0.1:8000") from None
    if "@" in parts.netloc:
        raise ValueError(f"{_shown(url)} holds a password; leave it out, and set EARPIECE_ENGINE_KEY to the key")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{_shown(url)} is no address of an engine; give one like http://127.0.0.1:8000")
    if parts.query or parts.fragment:
        raise ValueError(f"{_shown(url)} goes on behind its path; give an address like http://127.0.0.1:8000/v1")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def _shown(url: str) -> str:
    """An address without what may be secret."""
    scheme, found, rest = url.partition("://")
    shown = scheme + found + rest.rpartition("@")[2] if found else url.rpartition("@")[2]
    return shown.partition("?")[0]
