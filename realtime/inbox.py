"""Everything that can reach a session, in one union: what a recording holds and a replay feeds again.

A session decides by nothing but the order of these items and the answers it gets to two questions (how complete a turn
sounds, whether the load allows speculation), which are recorded too. Read `session.py` for what handles them,
`recording.py` for how they are kept.
"""

from dataclasses import dataclass
from typing import Protocol

from models.errors import ModelError
from models.types import GenerationEvent, ModelInfo, Samples
from realtime.events import ErrorReported, SessionEvent
from realtime.hearing.audio import AudioChunk
from realtime.turns.machine import TurnEvent


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model said in the n-th generation of this session."""

    generation: int
    event: GenerationEvent | ModelError


@dataclass(frozen=True, slots=True)
class InterruptionHeard:
    """What the model understood of a short sound over an answer; None: it cannot tell."""

    item_id: str
    transcript: str | None


@dataclass(frozen=True, slots=True)
class Summarised:
    """What the model made of the oldest messages, in this session's n-th attempt; None: it failed."""

    attempt: int
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged:
    """The user changed how they are listened to; None leaves a setting as it is."""

    muted: bool | None = None
    protect_answer: bool | None = None
    turn_detection: bool | None = None


@dataclass(frozen=True, slots=True)
class MetricsRequested:
    """The client wants to know the session's metrics now."""


InboxItem = (
    AudioChunk
    | TurnEvent
    | Generated
    | InterruptionHeard
    | Summarised
    | SettingsChanged
    | MetricsRequested
    | ErrorReported
)


class Recorder(Protocol):
    """Is told all that a session's decisions depend on, and what came of them, in order."""

    def note_start(self, session_id: str, model: ModelInfo) -> None:
        """Notes who talks to what, before anything else."""
        ...

    def as_recorded(self, chunk: AudioChunk) -> AudioChunk:
        """Gives the chunk as the recording will hold it; the session hears that."""
        ...

    def note_item(self, item: InboxItem, now_s: float) -> None:
        """Notes what is about to be handled, and the wall time that counts for it."""
        ...

    def note_score(self, samples: Samples, probability: float | None) -> None:
        """Notes what was said of the turn (n_samples,) at 16 kHz; None: the scorer failed."""
        ...

    def note_speculation(self, allowed: bool) -> None:
        """Notes whether the load allowed a provisional answer."""
        ...

    def note_sent(self, event: SessionEvent) -> None:
        """Notes what the client is told."""
        ...

    def close(self) -> None:
        """Ends the recording."""
        ...
