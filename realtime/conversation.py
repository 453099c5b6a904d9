"""What was said: a rolling buffer of whole messages under a token and an audio budget.

It is cut in one large step, right after an answer and never while somebody waits, so that the prefix cache survives
almost every turn. Audio that a model has transcribed is demoted to its text first; then the oldest exchanges are
dropped. The system prompt stays. Read `session.py` for who calls it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.types import AudioClip, Message

SYSTEM_PROMPT = "You are a helpful voice assistant. Answer in one short sentence."


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOptions:
    """How much is remembered.

    Attributes:
        system_prompt: what the model is told to be; empty for none.
        max_tokens: the window is cut when it would exceed this. The model's context less room for an answer.
        max_audio_s: the window is cut when it holds more audio than this.
        keep: the share of each budget that a cut leaves, so that the next cut is far away.
    """

    system_prompt: str = SYSTEM_PROMPT
    max_tokens: int = 1500
    max_audio_s: float = 300.0
    keep: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1:
            raise ValueError(f"keep is {self.keep}; it must be between 0 and 1")
        if self.max_tokens < 1 or self.max_audio_s <= 0:
            raise ValueError("the budgets of a conversation must be positive")


class Conversation:
    """The messages of one dialogue, oldest first."""

    def __init__(self, options: ConversationOptions) -> None:
        self._options = options
        self._system = (Message("system", (options.system_prompt,)),) if options.system_prompt else ()
        self._messages: list[Message] = []
        self._transcripts: dict[str, str] = {}  # by message id
        self._tokens_per_unit = 1.0  # what the model's own count says of `_estimate`

    @property
    def messages(self) -> tuple[Message, ...]:
        """The window: what a model is given."""
        return (*self._system, *self._messages)

    def add(self, message: Message) -> None:
        """Appends a message."""
        self._messages.append(message)

    def note_transcript(self, message_id: str, text: str) -> None:
        """Remembers what a model understood of a message."""
        self._transcripts[message_id] = text

    def note_tokens(self, prompt: Sequence[Message], prompt_tokens: int) -> None:
        """Learns from a model's own count how long a prompt really is."""
        self._tokens_per_unit = prompt_tokens / max(1.0, sum(map(_estimate, prompt)))

    def clear(self) -> None:
        """Forgets everything but the system prompt."""
        self._messages.clear()
        self._transcripts.clear()

    def cut(self) -> bool:
        """Brings the window under its budgets if it is over one; call when nobody waits.

        Returns:
            Whether anything changed, and the prompt is worth prefilling again.
        """
        if not self._is_over(1.0):
            return False
        keep = self._options.keep
        for index in range(len(self._messages) - 1):  # the newest message stays as it was given
            if self._is_over(keep):
                self._messages[index] = self._demoted(self._messages[index])
        while self._is_over(keep) and len(self._messages) > 1:
            self._drop_oldest_exchange()
        known = {message.id for message in self._messages}
        self._transcripts = {key: text for key, text in self._transcripts.items() if key in known}
        return True

    def _is_over(self, share: float) -> bool:
        tokens = sum(map(_estimate, self.messages)) * self._tokens_per_unit
        audio_s = sum(message.audio_s for message in self._messages)
        return tokens > share * self._options.max_tokens or audio_s > share * self._options.max_audio_s

    def _demoted(self, message: Message) -> Message:
        transcript = self._transcripts.get(message.id)
        if not message.clips or not transcript:
            return message
        text = tuple(part for part in message.parts if isinstance(part, str))
        return replace(message, parts=(transcript, *text))

    def _drop_oldest_exchange(self) -> None:
        del self._messages[0]
        while len(self._messages) > 1 and self._messages[0].role == "assistant":
            del self._messages[0]


TOKENS_PER_CHARACTER = 0.3  # English, byte-pair vocabularies of 32k to 152k
TOKENS_PER_AUDIO_S = 6.25  # Ultravox's rate; corrected by the model's own count after its first answer
TOKENS_PER_MESSAGE = 6  # role markers of the usual chat templates


def _estimate(message: Message) -> float:
    audio = sum(
        math.ceil(part.duration_s * TOKENS_PER_AUDIO_S) for part in message.parts if isinstance(part, AudioClip)
    )
    return TOKENS_PER_MESSAGE + audio + len(message.text) * TOKENS_PER_CHARACTER
