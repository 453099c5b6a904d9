"""What is remembered of a dialogue, kept in step with the model's cache and with what the client is told.

Every change of the conversation is made here: messages that come and go, the window that is cut, a conversation that
is cleared, rewritten from some message on, or brought along. Each is told to the client, and what the model will be
given next is computed when nobody waits. Read `conversation.py` for what is kept, `dialogue.py` for who calls.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from models.types import Message, Samples
from realtime.conversation import Conversation
from realtime.events import ConversationWasCleared, MessageAdded, MessageRemoved, SessionEvent
from realtime.inbox import ImportedMessage, Summarised
from realtime.metrics import SessionMetrics
from realtime.model_work import ModelWork


class _ForgetsMessages(Protocol):
    def forget(self, message_id: str) -> None: ...

    def clear(self) -> None: ...


class Memory:
    """The memory of one session.

    Args:
        conversation: holds the messages.
        captions: waits for the words of some of them.
        work: summarises, and computes prompts.
        metrics: where summaries are counted.
        new_id: names a message.
        send: tells the client.
    """

    def __init__(
        self,
        conversation: Conversation,
        captions: _ForgetsMessages,
        work: ModelWork,
        *,
        metrics: SessionMetrics,
        new_id: Callable[[], str],
        send: Callable[[SessionEvent], None],
    ) -> None:
        self._conversation = conversation
        self._captions = captions
        self._work = work
        self._metrics = metrics
        self._new_id = new_id
        self._send = send

    def keep(self, message: Message, *, file_name: str | None = None, is_addressed: bool = True) -> None:
        """Adds a message.

        Args:
            message: what was said.
            file_name: if its audio came as a file.
            is_addressed: whether it is meant for the assistant.
        """
        self._conversation.add(message)
        assert message.role != "system"
        self._send(
            MessageAdded(
                item_id=message.id,
                role=message.role,
                text=message.text,
                audio_s=round(message.audio_s, 3),
                interrupted=message.interrupted,
                speaker=message.speaker,
                file_name=file_name,
                is_addressed=is_addressed,
            )
        )

    def remove(self, message_id: str) -> None:
        """Takes a message out."""
        self._conversation.remove(message_id)
        self._captions.forget(message_id)
        self._send(MessageRemoved(item_id=message_id))

    def remove_from(self, message_id: str) -> bool:
        """Takes a message out and all that follow it; False if it is not in the window."""
        removed = self._conversation.ids_from(message_id)
        for removed_id in removed:
            self.remove(removed_id)
        if removed:
            self._show_window()
        return bool(removed)

    def bring(self, messages: Sequence[ImportedMessage]) -> None:
        """Adds what was said elsewhere, as text."""
        for message in messages:
            self.keep(Message(message.role, (message.text,), id=self._new_id()))
        self.cut_window()

    def instruct(self, instructions: str) -> None:
        """Tells the model what to be; "": what the server tells it."""
        self._conversation.instruct(instructions)
        self._show_window()

    def audio_of(self, message_id: str) -> Samples | None:
        """The audio of a message, float32 `(n_samples,)` at 16 kHz; None if there is none, or none any more."""
        return self._conversation.audio_of(message_id)

    def clear(self) -> None:
        """Forgets everything that was said."""
        self._conversation.clear()
        self._captions.clear()
        self._send(ConversationWasCleared())
        self._show_window()

    def cut_window(self) -> None:
        """Brings the window under its budgets."""
        if self._conversation.cut():
            self.prefill()
        self._send(self._conversation.window())

    def shorten(self) -> tuple[Message, ...] | None:
        """Makes the conversation shorter and gives it; None if that cannot be."""
        return self._conversation.messages if self._conversation.shorten() else None

    def take_summary(self, summarised: Summarised) -> None:
        """Takes what the oldest messages have become, unless that has been given up."""
        if not self._work.finish_summary(summarised):
            return
        self._conversation.summarised(summarised.text or "")
        self._metrics.summaries += bool(summarised.text)
        self.prefill()
        self._send(self._conversation.window())

    def prefill(self) -> None:
        """Has the conversation computed before it is needed."""
        self._work.prefill(self._conversation.messages)

    def _show_window(self) -> None:
        self._send(self._conversation.window())
        self.prefill()
