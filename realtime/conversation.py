"""What was said: a rolling buffer of whole messages under a token and an audio budget.

It is cut in one large step, right after an answer and, unless the model finds its prompt too long, never while somebody
waits, so that the prefix cache survives almost every turn. Audio whose words were written down is demoted to its text
first; then the oldest exchanges leave the window. What has left waits for an idle moment, in which the model makes it a
summary, kept beside the system prompt; both stay. It refuses to cut a message in two, or an answer from its question.
Read `dialogue.py` for who calls it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.types import AudioClip, Message, Samples, Transcript, new_message_id
from realtime.events import ConversationWindow, Tier, WindowMessage

SUMMARY_TITLE = "Summary of the conversation before:"
SUMMARY_REQUEST = (
    "Summarise the conversation above in at most three short sentences. Keep names, numbers, wishes and open questions."
)
SYSTEM_PROMPT = (  # of four that pocket was tried with, see tests/benchmarks/LOG.md
    "You are a helpful voice assistant. Answer in one short sentence. Remember what the user tells you: "
    '"I" and "my" in it mean the user. You can neither see nor look things up: if an answer would need that, '
    "say that you cannot know it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOptions:
    """How much is remembered.

    Attributes:
        system_prompt: what the model is told to be; empty for none.
        max_tokens: the window is cut when it would exceed this. The model's context less room for an answer.
        max_audio_s: the window is cut when it holds more audio than this.
        keep: the share of each budget that a cut leaves, so that the next cut is far away.
        summarise: what leaves the window is summarised by the model when nobody waits; otherwise it is forgotten.
        adds_instructions: those of the client follow the system prompt; otherwise they take its place.
    """

    system_prompt: str = SYSTEM_PROMPT
    max_tokens: int = 1500
    max_audio_s: float = 300.0
    keep: float = 0.5
    summarise: bool = True
    adds_instructions: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise ValueError(f"keep is {self.keep}; it must be between 0 and 1")
        if self.max_tokens < 1 or self.max_audio_s <= 0:
            raise ValueError("the budgets of a conversation must be positive")


class Conversation:
    """The messages of one dialogue, oldest first.

    Args:
        options: how much is remembered.
        new_id: names the messages that are made here.
    """

    def __init__(self, options: ConversationOptions, *, new_id: Callable[[], str] = new_message_id) -> None:
        self._options = options
        self._system_prompt = options.system_prompt
        self._new_id = new_id
        self._summary = ""
        self._summary_id = new_id()
        self._system = self._system_messages()
        self._messages: list[Message] = []
        self._leaving: list[Message] = []  # out of the window, not yet in the summary
        self._transcripts: dict[str, Transcript] = {}  # by message id
        self._tokens_per_unit = 1.0  # what the model's own count says of `_estimate`

    @property
    def messages(self) -> tuple[Message, ...]:
        """The window: what a model is given."""
        return (*self._system, *self._messages)

    @property
    def last_answer(self) -> str:
        """What the assistant said last, if nobody has said anything since; else ""."""
        return self._messages[-1].text if self._messages and self._messages[-1].role == "assistant" else ""

    def window(self) -> ConversationWindow:
        """Gives what is in the window, and its budgets, for a person to see."""
        shown = [self._shown(message) for message in self.messages]
        if self._summary:
            tokens = round((len(self._summary) + len(SUMMARY_TITLE)) * TOKENS_PER_CHARACTER * self._tokens_per_unit)
            shown[0] = replace(shown[0], tokens=shown[0].tokens - tokens)
            shown.insert(
                1, WindowMessage(item_id=self._summary_id, role="system", tier="summary", tokens=tokens, audio_s=0.0)
            )
        return ConversationWindow(
            messages=tuple(shown),
            tokens=sum(message.tokens for message in shown),
            max_tokens=self._options.max_tokens,
            audio_s=round(sum(message.audio_s for message in shown), 3),
            max_audio_s=self._options.max_audio_s,
        )

    def add(self, message: Message) -> None:
        """Appends a message."""
        self._messages.append(message)

    def note_transcript(self, message_id: str, transcript: Transcript) -> bool:
        """Remembers what was said in a message; whether that is new."""
        is_new = self._transcripts.get(message_id) != transcript
        self._transcripts[message_id] = transcript
        return is_new

    def remove(self, message_id: str) -> None:
        """Takes a message out that the model cannot take in, or in which it heard nothing."""
        self._messages = [message for message in self._messages if message.id != message_id]

    def ids_from(self, message_id: str) -> list[str]:
        """Names a message and all that follow it; nothing if it is not in the window."""
        ids = [message.id for message in self._messages]
        return ids[ids.index(message_id) :] if message_id in ids else []

    def audio_of(self, message_id: str) -> Samples | None:
        """The audio of a message, float32 `(n_samples,)` at 16 kHz; None if there is none in the window."""
        clips = [clip.samples for message in self._messages if message.id == message_id for clip in message.clips]
        return np.concatenate(clips) if clips else None

    def instruct(self, instructions: str) -> None:
        """Changes what the model is told to be; "": what it was told first."""
        first = self._options.system_prompt
        self._system_prompt = f"{first}\n\n{instructions}" if self._options.adds_instructions else instructions or first
        self._system = self._system_messages()

    def note_tokens(self, prompt: Sequence[Message], prompt_tokens: int) -> None:
        """Learns from a model's own count how long a prompt really is; 0 where it did not look at it."""
        if prompt_tokens:
            self._tokens_per_unit = prompt_tokens / max(1.0, sum(map(_estimate, prompt)))

    def clear(self) -> None:
        """Forgets everything but the system prompt."""
        self._messages.clear()
        self._leaving.clear()
        self._transcripts.clear()
        self._summary = ""
        self._system = self._system_messages()

    def cut(self) -> bool:
        """Brings the window under its budgets if it is over one; call when nobody waits.

        Returns:
            Whether anything changed, and the prompt is worth prefilling again.
        """
        return self._is_over(1.0) and self.shorten()

    def shorten(self) -> bool:
        """Brings the window down to what a cut keeps, and takes one exchange out at least; not the last one.

        Returns:
            Whether anything changed.
        """
        changed, keep = False, self._options.keep
        for index, before in enumerate(self._messages[:-1]):  # the newest message stays as it was given
            if before.clips and self._is_over(keep):
                message = self._messages[index] = self._demoted(before)
                changed = changed or message is not before
        size, n_leaving = self._size(self.messages), 0
        while (end := _oldest_exchange(self._messages, n_leaving)) < len(self._messages) and (
            size.exceeds(self._options, keep) or not changed
        ):
            size = size.without(self._size(self._messages[n_leaving:end]))
            n_leaving, changed = end, True
        self._leaving += self._messages[:n_leaving]
        del self._messages[:n_leaving]
        self._trim_leaving()
        known = {message.id for message in self._messages}
        self._transcripts = {key: words for key, words in self._transcripts.items() if key in known}
        return changed

    def to_summarise(self) -> tuple[Message, ...]:
        """Gives the prompt that makes a summary of what has left the window; empty if nothing has."""
        if not self._leaving:
            return ()
        before = (f"{SUMMARY_TITLE} {self._summary}",) if self._summary else ()
        system = (Message("system", before),) if before else ()
        return (*system, *self._leaving, Message("user", (SUMMARY_REQUEST,)))

    def summarised(self, text: str) -> None:
        """Puts a summary in the place of what has left the window; if it is empty, that is forgotten."""
        self._leaving.clear()
        if text:
            self._summary = text
            self._system = self._system_messages()

    def _system_messages(self) -> tuple[Message, ...]:
        summary = (f"{SUMMARY_TITLE} {self._summary}",) if self._summary else ()
        prompt = (self._system_prompt,) if self._system_prompt else ()
        return (Message("system", (*prompt, *summary), id=self._new_id()),) if prompt or summary else ()

    def _shown(self, message: Message) -> WindowMessage:
        tier: Tier = "audio" if message.clips else "text"
        tokens = round(_estimate(message) * self._tokens_per_unit)
        return WindowMessage(
            item_id=message.id, role=message.role, tier=tier, tokens=tokens, audio_s=round(message.audio_s, 3)
        )

    def _is_over(self, share: float) -> bool:
        return self._size(self.messages).exceeds(self._options, share)

    def _size(self, messages: Sequence[Message]) -> "_Size":
        tokens = sum(map(_estimate, messages)) * self._tokens_per_unit
        return _Size(tokens, sum(message.audio_s for message in messages))

    def _trim_leaving(self) -> None:
        """Forgets what a single summary cannot take in."""
        if not self._options.summarise:
            self._leaving.clear()
        size, n_forgotten = self._size(self._leaving), 0
        while size.exceeds(self._options, 1.0):
            end = _oldest_exchange(self._leaving, n_forgotten)
            size = size.without(self._size(self._leaving[n_forgotten:end]))
            n_forgotten = end
        del self._leaving[:n_forgotten]

    def _demoted(self, message: Message) -> Message:
        transcript = self._transcripts.get(message.id)
        if not message.clips or transcript is None or not transcript.text:
            return message
        first = next(index for index, part in enumerate(message.parts) if isinstance(part, AudioClip))
        behind = tuple(part for part in message.parts[first:] if isinstance(part, str))
        return replace(message, parts=(*message.parts[:first], transcript.text, *behind))


def longest_system_prompt(options: ConversationOptions) -> int:
    """How many characters a system prompt may have, so that it leaves half of what a cut keeps to the conversation."""
    return int(options.max_tokens * options.keep / 2 / TOKENS_PER_CHARACTER)


@dataclass(frozen=True, slots=True)
class _Size:
    """How much some messages are, estimated."""

    tokens: float
    audio_s: float

    def exceeds(self, options: ConversationOptions, share: float) -> bool:
        """Whether it is more than a share of either budget."""
        return self.tokens > share * options.max_tokens or self.audio_s > share * options.max_audio_s

    def without(self, other: "_Size") -> "_Size":
        """Gives what is left without some of them."""
        return _Size(self.tokens - other.tokens, self.audio_s - other.audio_s)


def _oldest_exchange(messages: Sequence[Message], start: int = 0) -> int:
    """Where the exchange ends that begins with the message at `start`: behind that message and the answers to it."""
    end = start + 1
    while end < len(messages) and messages[end].role == "assistant":
        end += 1
    return end


TOKENS_PER_CHARACTER = 0.3  # English, byte-pair vocabularies of 32k to 152k
TOKENS_PER_AUDIO_S = 6.25  # Ultravox's rate; corrected by the model's own count after its first answer
TOKENS_PER_MESSAGE = 6  # role markers of the usual chat templates


def _estimate(message: Message) -> float:
    audio = sum(
        math.ceil(part.duration_s * TOKENS_PER_AUDIO_S) for part in message.parts if isinstance(part, AudioClip)
    )
    return TOKENS_PER_MESSAGE + audio + len(message.text) * TOKENS_PER_CHARACTER
