"""Everything that can reach a session, in one union: what a recording holds and a replay feeds again.

A session decides by nothing but the order of these items. What comes from other threads, from the model and from the
other sessions of the process is among them. Read `session.py` for what handles them.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from models.errors import ModelError
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationEvent, Speech, Transcript
from realtime.events import ErrorReported, StoringStopped
from realtime.hearing.audio import AudioChunk
from realtime.notes.keeping import Kept
from realtime.turns.observations import (
    Address,
    CancelRequested,
    Closed,
    ConversationCleared,
    LoadChanged,
    Patience,
    PauseScored,
    SoundJudged,
    SpeechCleared,
    TextAdded,
    TextSubmitted,
)


@dataclass(frozen=True, slots=True)
class KeyMoved:
    """The push-to-talk key went down, or up."""

    is_down: bool


@dataclass(frozen=True, slots=True)
class AnswerWanted:
    """The user wants an answer now; with `ends_speech`, what is being said ends here."""

    ends_speech: bool


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model said in the n-th generation of this session."""

    generation: int
    event: GenerationEvent | ModelError


@dataclass(frozen=True, slots=True)
class Summarised:
    """What the model made of the oldest messages, in this session's n-th attempt; None: it failed."""

    attempt: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Captioned:
    """What ears wrote down of a message; None: they failed, and `failure` says why."""

    message_id: str
    transcript: Transcript | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class WordsDrafted:
    """What ears wrote down of a turn that goes on, up to where it had come."""

    item_id: str
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Noted:
    """What the model noted of the next line of a call, in this session's n-th attempt; None: it failed."""

    attempt: int
    kept: Kept | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEdited:
    """The user changed a note of a call, or removed it; None leaves a part of it as it is, "" takes it away."""

    note_id: str
    is_removed: bool = False
    text: str | None = None
    owner: str | None = None
    deadline: str | None = None
    is_done: bool | None = None

    def changes(self) -> dict[str, Any]:
        """What is to be changed of the note."""
        given = {"text": self.text, "owner": self.owner, "deadline": self.deadline, "is_done": self.is_done}
        changed = {name: value for name, value in given.items() if value is not None}
        return {name: value if name in ("text", "is_done") else value or None for name, value in changed.items()}


@dataclass(frozen=True, slots=True)
class SpeakerHeard:
    """Whose voice was heard in a message of a call's others, as "speaker 2"; None: nobody's."""

    item_id: str
    speaker: str | None


@dataclass(frozen=True, slots=True)
class SpeakerNamed:
    """The user named one of several speakers of a call."""

    speaker: str
    name: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the voice made of the next phrase of the n-th spoken answer; None: it failed, and `failure` says why."""

    number: int
    speech: Speech | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """The client has played so many samples of this session's n-th spoken answer, at `VOICE_RATE_HZ`."""

    number: int
    n_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanged:
    """The user changed a setting; None leaves it as it is. `SessionUpdated` says what each means."""

    muted: bool | None = None
    protect_answer: bool | None = None
    turn_detection: bool | None = None
    patience: Patience | None = None
    address: Address | None = None
    instructions: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    captions: bool | None = None
    model: str | None = None
    spoken: bool | None = None
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class MessagesRemoved:
    """The user takes back a message, and all that follow it."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """What was said in another conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class ConversationImported:
    """The user brings a conversation along, in the place of the present one."""

    messages: tuple[ImportedMessage, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RecordingSubmitted:
    """The user sent a file to be answered.

    Attributes:
        clip: its audio.
        file_name: as the user has it.
    """

    clip: AudioClip
    file_name: str


@dataclass(frozen=True, slots=True)
class MetricsRequested:
    """The client wants to know the session's metrics now."""


ForFloor = (  # what the floor takes as it is
    TextSubmitted
    | TextAdded
    | SpeechCleared
    | CancelRequested
    | ConversationCleared
    | Closed
    | PauseScored
    | SoundJudged
    | LoadChanged
)
Request = (
    KeyMoved
    | AnswerWanted
    | SettingsChanged
    | MessagesRemoved
    | ConversationImported
    | RecordingSubmitted
    | MetricsRequested
    | NoteEdited
    | SpeakerNamed
)
InboxItem = (
    AudioChunk
    | ForFloor
    | Request
    | Generated
    | Summarised
    | Captioned
    | WordsDrafted
    | Spoken
    | Played
    | Noted
    | SpeakerHeard
    | ErrorReported
    | StoringStopped
)


MAX_WAITING_SAMPLES = 20 * SAMPLE_RATE_HZ  # beyond it new audio is dropped and counted
MAX_WAITING_COMMANDS = 256  # beyond it new ones are dropped, and the client is told

_FROM_WITHIN = (
    Closed
    | PauseScored
    | SoundJudged
    | LoadChanged
    | Generated
    | Summarised
    | Captioned
    | WordsDrafted
    | Spoken
    | Played
    | Noted
    | StoringStopped
)
_TOO_MANY = ErrorReported(
    error_type="invalid_request_error",
    message=f"commands come faster than they are done: what came after {MAX_WAITING_COMMANDS} that wait was dropped; "
    "send fewer, and wait for what comes of them",
)


class Inbox:
    """What waits to be handled by one session."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[InboxItem] = asyncio.Queue()
        self._waiting_samples = self._lost_samples = 0
        self._waiting_commands = 0
        self._is_complaining = False  # that there are too many
        self._is_closing = False
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._items.empty()

    def take_loss(self) -> int:
        """Gives how many samples of audio were dropped since the last time, once there is room again; else 0."""
        if self._waiting_samples > MAX_WAITING_SAMPLES // 2:
            return 0
        lost, self._lost_samples = self._lost_samples, 0
        return lost

    def put(self, item: InboxItem) -> int:
        """Adds an item; gives the samples of audio that were dropped, because 20 s of it are waiting.

        The end goes before everything that waits, and nothing comes after it.
        """
        if self._is_closing:
            return 0
        if isinstance(item, Closed):
            self._is_closing = True
            while not self._items.empty():
                self._items.get_nowait()
        elif isinstance(item, AudioChunk):
            n_samples = len(item.samples)
            if self._waiting_samples and self._waiting_samples + n_samples > MAX_WAITING_SAMPLES:
                self._lost_samples += n_samples
                return n_samples
            self._waiting_samples += n_samples
        elif not isinstance(item, _FROM_WITHIN):
            if self._waiting_commands >= MAX_WAITING_COMMANDS:
                self._complain()
                return 0
            self._waiting_commands += 1
        self._items.put_nowait(item)
        self._settled.clear()
        return 0

    async def get(self) -> InboxItem:
        """Waits for the next item."""
        item = await self._items.get()
        if isinstance(item, AudioChunk):
            self._waiting_samples -= len(item.samples)
        elif item is _TOO_MANY:
            self._is_complaining = False
        elif not isinstance(item, _FROM_WITHIN):
            self._waiting_commands -= 1
        return item

    def settle(self) -> None:
        """Nothing more will come by itself."""
        self._settled.set()

    async def settled(self) -> None:
        """Waits until that is so."""
        await self._settled.wait()

    def _complain(self) -> None:
        """Has the client told, unless that waits already."""
        if not self._is_complaining:
            self._is_complaining = True
            self._items.put_nowait(_TOO_MANY)
