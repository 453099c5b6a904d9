"""The answers of a session, one after another: begun, left, and kept in memory as far as they have been delivered.

At most one is under way. It is told what the model and the voice have done, and the floor is told when it is over;
then the floor asks for it to be stored, interrupted or retracted. Read `answer.py` for the life of one, `dialogue.py`
for who calls, `memory.py` for where they are kept.
"""

import logging
from collections.abc import Callable

from models.errors import GenerationFailed, InvalidPrompt, ModelError
from models.types import GenerationStats, Message, TextDelta
from realtime.answer import Answer, Surroundings
from realtime.answer_times import AnswerTimes
from realtime.conversation import Conversation
from realtime.events import ResponseDone, SessionEvent, report_of
from realtime.inbox import Played, Spoken
from realtime.memory import Memory
from realtime.metrics import SessionMetrics
from realtime.model_work import ModelWork
from realtime.speaking import Speaking
from realtime.turns.events import TurnEvent
from realtime.turns.machine import TurnState
from realtime.turns.observations import AnswerFinished, Closed, NothingSaid

logger = logging.getLogger(__name__)


class Answers:
    """The answers of one session.

    Args:
        session_id: names the session.
        work: the session's model.
        speaking: reads answers aloud.
        conversation: what is answered.
        memory: keeps what was delivered.
        metrics: where answers are counted.
        new_id: names an answer ("resp") or its message ("item").
        send: tells the client.
        observe: is told that an answer is over.

    Attributes:
        current: the answer under way, or not yet stored; None if there is none.
    """

    def __init__(
        self,
        session_id: str,
        work: ModelWork,
        speaking: Speaking,
        *,
        conversation: Conversation,
        memory: Memory,
        metrics: SessionMetrics,
        new_id: Callable[[str], str],
        send: Callable[[SessionEvent], None],
        observe: Callable[[AnswerFinished], None],
    ) -> None:
        self.current: Answer | None = None
        self._session_id = session_id
        self._speaking = speaking
        self._conversation = conversation
        self._memory = memory
        self._metrics = metrics
        self._new_id = new_id
        self._send = send
        self._observe = observe
        self._surroundings = Surroundings(work=work, read_aloud=speaking.begin, send=send, shorten=memory.shorten)
        self._noticed_s: float | None = None  # wall time of the last pause
        self._has_ended = False  # one has, and the window has not been looked at since

    @property
    def is_under_way(self) -> bool:
        """Whether one is being generated or read aloud, or waits to go on."""
        return self.current is not None and self.current.is_under_way

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the first word of one."""
        return self.current is not None and not self.current.has_begun

    # What becomes of the one under way.

    def take(self, event: TextDelta | GenerationStats | ModelError, now_s: float) -> None:
        """Takes what the model said of it."""
        if self._present.take(event, now_s):
            self._observe(AnswerFinished())

    def take_sound(self, item: Spoken | Played, now_s: float) -> None:
        """Takes what the voice has read, or how far it has been played, unless that belongs to an earlier answer."""
        answer = self.current
        if answer is None or not self._speaking.is_current(item):
            return
        try:
            is_over = answer.take_sound(item, now_s)
        except GenerationFailed as error:
            self._send(report_of(error))
            is_over = answer.is_over
        if is_over:
            self._observe(AnswerFinished())

    def fall_silent(self) -> None:
        """Leaves the rest of it to be read by the eye."""
        if self.current is not None and self.current.fall_silent():
            self._observe(AnswerFinished())

    # What the floor asks for.

    def note_pause(self, now_s: float) -> None:
        """Takes note of when the pause was noticed after which the next answer begins."""
        self._noticed_s = now_s

    def start(
        self, prompt: tuple[Message, ...], *, provisional: bool, last_voiced_s: float | None, now_s: float
    ) -> None:
        """Begins one; `last_voiced_s` is the wall time of the last sample that was voiced, if the user spoke."""
        times = AnswerTimes(
            last_voiced_s=last_voiced_s, noticed_s=self._noticed_s, committed_s=None if provisional else now_s
        )
        self._noticed_s = None
        self.current = Answer(self._new_id("resp"), prompt, self._surroundings, provisional=provisional, times=times)

    def commit(self, now_s: float) -> None:
        """Makes the provisional one the answer."""
        if self._present.commit(now_s):
            self._observe(AnswerFinished())

    def pause(self) -> None:
        """Stops it for a while; what was delivered stays."""
        self._present.pause()

    def resume(self) -> None:
        """Lets it go on where it stopped."""
        self._present.resume()

    def retract(self) -> None:
        """Stops the provisional one, and withdraws its text."""
        answer = self._leave()
        self._metrics.retracted += 1
        self._metrics.failed += answer.error is not None
        answer.retract()

    def interrupt(self, cause: TurnEvent, now_s: float) -> None:
        """Stops it for good, and keeps what was delivered; where nothing was said, what it answered is removed."""
        answer = self._leave()
        done = answer.interrupt(now_s)
        if isinstance(cause, NothingSaid):
            self._memory.remove(answer.prompt[-1].id)
        elif not isinstance(cause, Closed):
            self._metrics.interrupted += 1
        self._keep(answer, done)

    def store(self, now_s: float) -> None:
        """Keeps it, now that it is over; says so if it has failed."""
        answer = self._leave()
        if answer.error is not None:
            self._metrics.failed += 1
            logger.warning("session %s, %s: %s", self._session_id, answer.id, answer.error.detail)
            self._send(report_of(answer.error))
            if isinstance(answer.error, InvalidPrompt) and not answer.delivered:  # the next one would fail, too
                self._memory.remove(answer.prompt[-1].id)
        elif answer.stats is not None:
            self._conversation.note_tokens(answer.given, answer.stats.prompt_tokens)
        self._keep(answer, answer.finish(now_s))

    def tend(self, state: TurnState) -> None:
        """Once one has ended and the floor has decided, has the window cut, if there is time, and the metrics sent."""
        if not self._has_ended:
            return
        self._has_ended = False
        if state is TurnState.RESPONDING:  # the next answer is waited for: no time for a cut
            self._send(self._conversation.window())
        else:
            self._memory.cut_window()
        self._send(self._metrics.report())

    @property
    def _present(self) -> Answer:
        assert self.current is not None, "the floor asks for this only while there is an answer"
        return self.current

    def _leave(self) -> Answer:
        answer, self.current = self._present, None
        return answer

    def _keep(self, answer: Answer, done: ResponseDone) -> None:
        if answer.delivered:
            interrupted = done.status == "cancelled"
            self._memory.keep(
                Message("assistant", (answer.delivered,), id=self._new_id("item"), interrupted=interrupted)
            )
        self._send(done)
        logger.info(
            "session %s, %s: %s, response_latency_s %s, %s",
            self._session_id,
            answer.id,
            done.status,
            done.response_latency_s,
            answer.stats,
        )
        self._has_ended = True
