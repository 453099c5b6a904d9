"""What a door asks of a session: looked at here, and put into its inbox, where it waits for its turn.

None of these methods blocks or raises. What cannot be is reported to the client in a sentence, and goes no further.
Read `session.py` for what becomes of the rest, `settings.py` for what may be set, `doors/requests.py` for who calls.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from models.errors import InvalidPrompt, ModelError
from models.types import AudioClip, Samples, VoiceInfo
from realtime.conversation import ConversationOptions
from realtime.events import ErrorReported, StoringStopped, report_of
from realtime.hearing.audio import AudioChunk, rounded_to_16_bits
from realtime.inbox import (
    AnswerWanted,
    ConversationImported,
    ImportedMessage,
    InboxItem,
    KeyMoved,
    MessagesRemoved,
    MetricsRequested,
    NoteEdited,
    RecordingSubmitted,
    SettingsChanged,
    SpeakerNamed,
)
from realtime.settings import SettingChanges, SettingRefused, check_change
from realtime.turns.observations import (
    CancelRequested,
    Closed,
    ConversationCleared,
    SpeechCleared,
    TextAdded,
    TextSubmitted,
)
from realtime.turns.options import MAX_TEXT_CHARACTERS

MAX_NAME_CHARACTERS = 100  # of a speaker
MAX_IMPORTED_MESSAGES = 1000  # of which the newest are remembered


class Reception(ABC):
    """The side of a session that faces a door.

    Args:
        speakers: who is listened to, by name.
        models: the names of those that could answer.
        voices: that can read answers aloud.
        conversation: how much is remembered.
        max_output_tokens: the longest answer that the server allows.
        longest_turn_s: how much audio fits into one turn.
        can_judge_address: whom words are meant for can be known.

    Attributes:
        speakers: who is listened to, by name; the first of them presses and types.
        voices: that can read answers aloud.
        longest_turn_s: how much audio fits into one turn.
    """

    def __init__(
        self,
        *,
        speakers: tuple[str, ...],
        models: tuple[str, ...],
        voices: tuple[VoiceInfo, ...],
        conversation: ConversationOptions,
        max_output_tokens: int,
        longest_turn_s: float,
        can_judge_address: bool,
    ) -> None:
        self.speakers = speakers
        self._models = models
        self.voices = voices
        self._conversation = conversation
        self._max_output_tokens = max_output_tokens
        self.longest_turn_s = longest_turn_s
        self._can_judge_address = can_judge_address

    def push_audio(self, chunk: AudioChunk) -> None:
        """Takes the next audio, rounded to 16 bits, as a recording holds it; drops and counts it when 20 s behind."""
        if chunk.speaker not in self.speakers:
            self.report(InvalidPrompt(f"there is no speaker {chunk.speaker!r} here, but {', '.join(self.speakers)}"))
        elif len(chunk.samples):
            self._put(AudioChunk(rounded_to_16_bits(chunk.samples), chunk.start_sample, chunk.speaker))

    def submit_text(self, text: str) -> None:
        """Takes typed text as (part of) the user's turn, to be answered; reports text that is empty or endless."""
        if (checked := self._checked(text)) is not None:
            self._put(TextSubmitted(checked))

    def add_text(self, text: str) -> None:
        """Does the same with text that is not to be answered yet: it joins the turn under way, or the next one."""
        if (checked := self._checked(text)) is not None:
            self._put(TextAdded(checked))

    def request_answer(self) -> None:
        """Has answered what was said and typed, for others too; while somebody speaks, at the end of the turn."""
        self._put(AnswerWanted(ends_speech=False))

    def end_turn(self) -> None:
        """Ends the spoken turn here and has it answered, also without detection; reports that nothing was said."""
        self._put(AnswerWanted(ends_speech=True))

    def clear_speech(self) -> None:
        """Drops what is being said and has not been answered."""
        self._put(SpeechCleared())

    def press_to_talk(self) -> None:
        """Begins a turn that lasts until `release_to_talk`, whatever is detected; stops even a protected answer."""
        self._put(KeyMoved(is_down=True))

    def release_to_talk(self) -> None:
        """Ends that turn, and has it answered at once; a turn in which nobody spoke or typed is dropped."""
        self._put(KeyMoved(is_down=False))

    def change_settings(self, **changes: Unpack[SettingChanges]) -> None:
        """Changes settings, which `SessionUpdated` describes; reports one that cannot be, and then changes none."""
        change = SettingsChanged(**changes)
        if change.instructions is not None:
            change = replace(change, instructions=_whole_characters(change.instructions).strip())
        try:
            check_change(
                change,
                models=self._models,
                voices=self.voices,
                conversation=self._conversation,
                max_output_tokens=self._max_output_tokens,
                can_judge_address=self._can_judge_address,
            )
        except SettingRefused as refusal:
            self.report(InvalidPrompt(str(refusal)))
        else:
            self._put(change)

    def remove_from(self, item_id: str) -> None:
        """Takes back a message and all that follow it, with the answer under way; reports one that is not there."""
        self._put(MessagesRemoved(_whole_characters(item_id)))

    def import_conversation(self, messages: Sequence[ImportedMessage]) -> None:
        """Begins a new conversation, with these as what was said before; reports those that cannot be."""
        messages = [replace(message, text=_whole_characters(message.text)) for message in messages]
        if len(messages) > MAX_IMPORTED_MESSAGES:
            self.report(InvalidPrompt(f"at most {MAX_IMPORTED_MESSAGES} messages are taken; leave out the oldest"))
        elif messages and messages[0].role != "user":
            self.report(InvalidPrompt("a conversation begins with what the user said; leave out what is before it"))
        elif not all(0 < len(message.text) <= MAX_TEXT_CHARACTERS for message in messages):
            self.report(InvalidPrompt(f"each message of a conversation has 1 to {MAX_TEXT_CHARACTERS} characters"))
        else:
            self._put(ConversationImported(tuple(messages)))

    def submit_recording(self, samples: Samples, file_name: str) -> None:
        """Takes a recording, float32 `(n_samples,)` at 16 kHz, as (part of) the user's turn, to be answered."""
        self._put(RecordingSubmitted(AudioClip(rounded_to_16_bits(samples)), _whole_characters(file_name)))

    def edit_note(self, edit: NoteEdited) -> None:
        """Changes a note of a call, or removes it; reports one that is not there, and a text that is empty."""
        if edit.text is not None and not edit.text.strip():
            self.report(InvalidPrompt("a note needs some text; remove it instead"))
        else:
            self._put(edit)

    def name_speaker(self, named: SpeakerNamed) -> None:
        """Names one of several speakers of a call; reports a name that is empty, and one of nobody."""
        name = _whole_characters(" ".join(named.name.split()))[:MAX_NAME_CHARACTERS]
        if name:
            self._put(replace(named, name=name))
        else:
            self.report(InvalidPrompt("a speaker needs a name of some characters; write one"))

    def request_metrics(self) -> None:
        """Has the metrics sent now; they come after each answer anyway."""
        self._put(MetricsRequested())

    def cancel(self) -> None:
        """Stops the answer under way."""
        self._put(CancelRequested())

    def clear(self) -> None:
        """Begins a new conversation."""
        self._put(ConversationCleared())

    def report(self, error: ModelError) -> None:
        """Tells the client that something is wrong."""
        self._put(report_of(error))

    def report_storing(self, message: str, *, has_stopped: bool) -> None:
        """Tells the client that the conversation is not kept any more, or that some of it was not."""
        error = ErrorReported(error_type="server_error", message=message)
        self._put(StoringStopped(message=message) if has_stopped else error)

    def close(self, reason: str = "") -> None:
        """Ends the session; `run` returns and `events` ends.

        Args:
            reason: why, in a sentence for the client, if the client did not ask for it.
        """
        self._put(Closed(reason))

    @abstractmethod
    def _put(self, item: InboxItem) -> None:
        """Puts what was asked into the inbox."""

    def _checked(self, text: str) -> str | None:
        text = _whole_characters(text).strip()
        if not text:
            self.report(InvalidPrompt("the message is empty; type a question"))
        elif len(text) > MAX_TEXT_CHARACTERS:
            self.report(InvalidPrompt(f"the message has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} fit"))
        else:
            return text
        return None


def _whole_characters(text: str) -> str:
    """Joins the halves of characters that JSON may hold, and replaces a half without its other."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
