"""One speaker's side of the floor: what was detected last, the turn under way, the score of its pause.

It holds what the floor decides by and decides nothing itself. All positions are on the speaker's sample clock.
Read `floor.py` for the decisions.
"""

from models.types import SAMPLE_RATE_HZ
from realtime.turns.actions import Turn, TurnEnd
from realtime.turns.endpointing import Endpointing, EndpointingOptions
from realtime.turns.observations import DetectedFrame, PauseScored, SpeechStarted, SpeechStopped

LATEST_SCORE_SAMPLES = 1 * SAMPLE_RATE_HZ  # after it was due: ten times what a score takes; then silence alone decides
FOLLOW_UP_SAMPLES = 8 * SAMPLE_RATE_HZ  # after an answer: time to read or hear it out, and to think
CUT_IN_SAMPLES = 1 * SAMPLE_RATE_HZ  # who goes on within this time of the commit had not finished


class PauseScore:
    """The score of one pause: asked for at its first silent frames, counting from a fixed place in the samples.

    A score that comes early waits for that place. One that is late is waited for, up to a second: until then nothing
    ends the turn.

    Args:
        delay_samples: from where the pause was noticed to where its score counts.

    Attributes:
        value: of the present pause; None: not scored, or not yet.
        asks_to_wait: the speaker asked in words to be waited for.
        address: how probable it is that the words are meant for the assistant; None: they are not known.
        asks: whether the words ask something; None: they are not known.
    """

    def __init__(self, delay_samples: int) -> None:
        self.value: float | None = None
        self.asks_to_wait = False
        self.address: float | None = None
        self.asks: bool | None = None
        self._delay_samples = delay_samples
        self._number = 0
        self._is_asked = False
        self._due_sample: int | None = None
        self._arrived: PauseScored | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a score is on its way, or waits for its place."""
        return self._is_asked

    @property
    def is_pending(self) -> bool:
        """Whether a pause's score is still to count."""
        return self._is_asked and self._due_sample is not None

    def ask(self) -> int:
        """Begins to wait for a score, and numbers it."""
        self.drop()
        self._is_asked = True
        return self._number

    def take(self, scored: PauseScored) -> None:
        """Takes the score that is waited for; any other is late."""
        if self._is_asked and scored.number == self._number:
            self._arrived = scored

    def expect(self, sample: int) -> None:
        """The silence proved, at this position, to be a pause: its score will count."""
        self.value, self.asks_to_wait, self.address, self.asks = None, False, None, None
        self._due_sample = sample + self._delay_samples

    def settle(self, sample: int) -> bool:
        """Lets the score count once its place has come.

        Returns:
            Whether the place has come and there is no score.
        """
        if not self._is_asked or self._due_sample is None or sample < self._due_sample:
            return False
        if self._arrived is None and sample < self._due_sample + LATEST_SCORE_SAMPLES:
            return False
        if self._arrived is not None:
            self.value, self.asks_to_wait = self._arrived.probability, self._arrived.asks_to_wait
            self.address, self.asks = self._arrived.address, self._arrived.asks
        self.drop()
        return self.value is None

    def drop(self) -> None:
        """Forgets a score that nobody waits for any more."""
        self._number += 1
        self._is_asked, self._due_sample, self._arrived = False, None, None


class Speaker:
    """What the floor knows of one speaker.

    Args:
        name: as observations have it.
        options: of endpointing.
        pre_roll_samples: audio kept before an onset.

    Attributes:
        endpointing: learns from this speaker's pauses.
        score: of the present pause.
        sample: end of the last frame.
        last_voiced_sample: end of the last voiced frame.
        answer_end_sample: where the last answer ended, on this speaker's clock.
        speech: what the detector decided last.
        turn: under way, if any.
        end_sample: where its audio ends, if it may just be ending; None while it goes on.
        has_text: whether something was typed for it.
        unopened_sample: where speech began for which no turn was opened, if there is any.
    """

    def __init__(self, name: str, options: EndpointingOptions, pre_roll_samples: int) -> None:
        self.name = name
        self.endpointing = Endpointing(options)
        self.score = PauseScore(options.score_at_samples)
        self.sample = 0
        self.last_voiced_sample = 0
        self.answer_end_sample = 0
        self.speech: SpeechStarted | SpeechStopped | None = None
        self.turn: Turn | None = None
        self.end_sample: int | None = None
        self.has_text = False
        self.unopened_sample: int | None = None
        self._pre_roll_samples = pre_roll_samples
        self._given_sample = 0  # end of the audio that has been given to a turn before
        self._committed: DetectedFrame | None = None  # whose silence was last taken for the end of a turn

    @property
    def is_speaking(self) -> bool:
        """Whether speech is under way."""
        return isinstance(self.speech, SpeechStarted)

    @property
    def follows_answer(self) -> bool:
        """Whether the turn began soon after an answer, or over it."""
        if self.turn is None or not self.answer_end_sample:
            return False
        return self.turn.onset_sample - self.answer_end_sample <= FOLLOW_UP_SAMPLES

    @property
    def end(self) -> TurnEnd:
        """Up to where the turn is taken now."""
        return TurnEnd(self.name, self.sample if self.end_sample is None else self.end_sample)

    @property
    def n_samples(self) -> int:
        """How long the turn's audio is so far."""
        return 0 if self.turn is None or self.turn.start_sample is None else self.sample - self.turn.start_sample

    def take(self, frame: DetectedFrame) -> None:
        """Notes a frame."""
        if not frame.silence_samples:
            self.last_voiced_sample = frame.end_sample
            if self.turn is None and self.unopened_sample is None:
                self.unopened_sample = self._start_before(self.sample)
        self.sample = frame.end_sample
        self.speech = frame.event or self.speech

    def open_at_onset(self, onset_sample: int) -> Turn:
        """Begins a turn a little before its first voice."""
        return self._open(
            Turn(
                speaker=self.name,
                start_sample=self._start_before(onset_sample),
                onset_sample=onset_sample,
                cut_in_after_samples=self._cut_in_after_samples(onset_sample),
            )
        )

    def open_at(self, sample: int) -> Turn:
        """Begins a turn at a position, whatever is said there."""
        return self._open(Turn(speaker=self.name, start_sample=sample))

    def open_next_part(self) -> Turn:
        """Begins a turn that goes on where the last one was cut."""
        return self._open(Turn(speaker=self.name, start_sample=self._given_sample, continues=True))

    def add_text(self) -> None:
        """Notes that something was typed; begins a turn without audio if there is none."""
        if self.turn is None:
            self.turn = Turn(speaker=self.name, start_sample=None)
        self.has_text = True

    def commit(self, end_sample: int) -> Turn:
        """Ends the turn: its audio up to a position is the conversation's."""
        self.end_sample = end_sample
        return self.leave()

    def leave(self) -> Turn:
        """Ends the turn; no later turn takes the audio up to its end."""
        turn, self.turn, self.has_text, self.unopened_sample = self.turn, None, False, None
        assert turn is not None
        if turn.start_sample is not None and self.end_sample is not None:
            self._given_sample = max(self._given_sample, self.end_sample)
        self.end_sample = None
        return turn

    def note_commit(self, frame: DetectedFrame | None) -> None:
        """Remembers the frame whose silence ended a turn, or forgets it."""
        self._committed = frame

    def drop_unopened(self) -> None:
        """Forgets speech for which no turn was opened; no later turn takes it."""
        self.unopened_sample = None
        self._given_sample = max(self._given_sample, self.sample)

    def _open(self, turn: Turn) -> Turn:
        self.turn, self.end_sample, self.unopened_sample = turn, None, None
        return turn

    def _start_before(self, onset_sample: int) -> int:
        """Where a turn begins whose first voice is at `onset_sample`."""
        return max(0, onset_sample - self._pre_roll_samples, self._given_sample)

    def _cut_in_after_samples(self, onset_sample: int) -> int | None:
        """Silence after which somebody goes on who had not finished; None if this is another turn."""
        committed = self._committed
        if committed is None or onset_sample - committed.end_sample > CUT_IN_SAMPLES:
            return None
        return onset_sample - (committed.end_sample - committed.silence_samples)
