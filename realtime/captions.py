"""The words of what users say, beside the conversation: while they speak, and of every message.

Ears write a message down once its answer has begun, so that no answer waits for words it does not need; a cascade says
them itself, and earlier. While somebody speaks the turn so far is written down again and again, as often as that is
cheap: words on which two drafts in a row agree stay, the others may change. When a draft is begun depends on the load
and on wall time; what becomes of it depends on the inbox alone. A failure is told and counted, and no answer suffers.
Read `model_work.py` for the tasks, `dialogue.py` for who calls.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from models.types import SAMPLE_RATE_HZ, Message, Transcript
from realtime.conversation import Conversation
from realtime.events import MessageDrafted, MessageTranscribed, SessionEvent, TranscriptionFailed
from realtime.hearing.listener import Listener
from realtime.inbox import Captioned, WordsDrafted
from realtime.metrics import SessionMetrics
from realtime.model_work import ModelWork

DRAFT_EVERY_SAMPLES = SAMPLE_RATE_HZ // 2  # more often nobody can read
DRAFT_SHARE = (
    5  # a draft begins after so many times as much audio as the last one took: it keeps a fifth of a core busy
)


class AgreedWords:
    """What drafts of one turn agree on: words that were the same in two drafts in a row, and all before them.

    This is local agreement (Liu et al., "Low-Latency Sequence-to-Sequence Speech Recognition", 2020), for two drafts.
    """

    def __init__(self) -> None:
        self._n_agreed = 0
        self._last: list[str] = []

    def take(self, words: Sequence[str]) -> tuple[str, str]:
        """Takes the next draft.

        Args:
            words: of the turn so far.

        Returns:
            The words that are agreed on now and were not before, with a space before them unless they are the first;
            and what follows them in this draft.
        """
        pairs = zip(self._last, words, strict=False)
        n_same = sum(1 for _ in takewhile(lambda pair: _plain(pair[0]) == _plain(pair[1]), pairs))
        new = words[self._n_agreed : n_same]
        space = " " if new and self._n_agreed else ""
        self._n_agreed = max(self._n_agreed, n_same)
        self._last = list(words)
        return space + " ".join(new), " ".join(words[self._n_agreed :])


def _plain(word: str) -> str:
    return re.sub(r"\W", "", word).casefold()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message without its words, and the wall time of its commit."""

    message: Message
    since_s: float


class Captions:
    """The words of one session.

    Args:
        work: asks the ears.
        has_ears: whether there are any; without them only what a model says of itself is known.
        conversation: keeps the words, too.
        metrics: where they are counted.
        send: tells the client.

    Attributes:
        is_on: the client wants them; otherwise no ears are asked, and the client is told nothing.
    """

    def __init__(
        self,
        work: ModelWork,
        *,
        has_ears: bool,
        conversation: Conversation,
        metrics: SessionMetrics,
        send: Callable[[SessionEvent], None],
    ) -> None:
        self.is_on = True
        self._work = work
        self._has_ears = has_ears
        self._conversation = conversation
        self._metrics = metrics
        self._send = send
        self._told: tuple[Message, Transcript] | None = None  # of a turn that may be one, by the model itself
        self._to_ask: list[Message] = []
        self._waiting: dict[str, _Waiting] = {}
        self._drafts: dict[str, AgreedWords] = {}  # of turns under way, by the ids of their messages
        self._drafted_sample: dict[str, int] = {}  # up to where, by speaker

    @property
    def is_writing(self) -> bool:
        """Whether ears have been asked for words that are still waited for."""
        return len(self._waiting) > len(self._to_ask)

    # Messages.

    def commit(self, message: Message, now_s: float) -> None:
        """A turn became a message: its words are waited for from now on, unless they are known."""
        self.forget(message.id)
        told, self._told = self._told, None
        if told is not None and told[0] is message:
            self._metrics.note_caption(0.0)
            self._note(message.id, told[1])
        elif self._has_ears and self.is_on and message.clips:
            self._waiting[message.id] = _Waiting(message, now_s)
            self._to_ask.append(message)

    def ask(self) -> None:
        """Asks for all words that are waited for; call when nobody waits for the first word of an answer."""
        while self._to_ask:
            self._work.write_down(self._to_ask.pop(0))

    def take_told(self, message: Message, transcript: Transcript, now_s: float, *, is_provisional: bool) -> None:
        """Takes what the model says that it understood of a message, or of a turn that may become one."""
        if is_provisional:
            self._told = message, transcript
            self._take_draft(message.id, transcript)
        else:
            self._end_wait(message.id, now_s)
            self._note(message.id, transcript)

    def take(self, captioned: Captioned, now_s: float) -> None:
        """Takes what the ears wrote down, if the message is there and its words are not known."""
        if captioned.message_id not in self._waiting:
            return
        if captioned.transcript is not None:
            self._end_wait(captioned.message_id, now_s)
            self._note(captioned.message_id, captioned.transcript)
            return
        self.forget(captioned.message_id)
        self._metrics.failed_captions += 1
        self._send(TranscriptionFailed(item_id=captioned.message_id, message=captioned.failure))

    def forget(self, message_id: str) -> None:
        """The message, or the turn, has gone: words that come later are not its."""
        self._drafts.pop(message_id, None)
        if self._waiting.pop(message_id, None) is not None:
            self._to_ask = [message for message in self._to_ask if message.id != message_id]

    def clear(self) -> None:
        """All messages have gone; turns under way have not."""
        self._waiting.clear()
        self._to_ask.clear()

    def _end_wait(self, message_id: str, now_s: float) -> None:
        if (waiting := self._waiting.get(message_id)) is not None:
            self._metrics.note_caption(now_s - waiting.since_s)
            self.forget(message_id)

    def _note(self, message_id: str, transcript: Transcript) -> None:
        if self._conversation.note_transcript(message_id, transcript) and self.is_on:
            self._send(
                MessageTranscribed(
                    item_id=message_id,
                    transcript=transcript.text,
                    words=transcript.words,
                    is_foreign=transcript.is_foreign,
                )
            )

    # Turns under way.

    def draft(self, listener: Listener) -> None:
        """Has what is being said written down so far, if enough of it is new and there is time."""
        turn = listener.turn
        if turn is None or turn.turn.start_sample is None or not self.is_on or not self._work.may_draft:
            return
        since = max(turn.turn.start_sample, turn.turn.onset_sample, self._drafted_sample.get(listener.name, 0))
        new_samples = listener.end_sample - since
        if new_samples < max(DRAFT_EVERY_SAMPLES, DRAFT_SHARE * self._work.draft_s * SAMPLE_RATE_HZ):
            return
        if (clip := turn.draft_clip()) is not None:
            self._drafted_sample[listener.name] = listener.end_sample
            self._work.draft_words(turn.item_id, clip)

    def take_draft(self, drafted: WordsDrafted) -> None:
        """Takes what was written down of a turn that goes on."""
        self._take_draft(drafted.item_id, drafted.transcript)

    def _take_draft(self, item_id: str, transcript: Transcript) -> None:
        words = [word.text for word in transcript.words] or transcript.text.split()
        delta, draft = self._drafts.setdefault(item_id, AgreedWords()).take(words)
        if self.is_on and (delta or draft):
            self._send(MessageDrafted(item_id=item_id, delta=delta, draft=draft))
