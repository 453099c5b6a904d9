"""The user's turn under way: what has been heard and typed of it, and the message that is made of it.

The message is made as soon as the turn may have ended, so that model and scorer have it early, and stays the same one
until more is heard or typed; whoever knows that more is says so with `goes_on`. When a turn begins, ends, or is none is
decided elsewhere. Read `session.py` for that.
"""

from models.types import AudioClip, Message, Samples
from realtime.hearing.intake import Intake


class UserTurn:
    """One turn of the user.

    Args:
        item_id: names its message.
        intake: has its audio.
        start_sample: where that begins; None: it was typed, nothing is heard.
        onset_sample: where its first voice was heard.
        continues: the turn before was too long, and is this one's beginning.
        cut_in_after_samples: of silence, if it began within a second of the commit that ended the turn before.

    Attributes:
        end_sample: where the audio of its last message ends; 0 before the first.
        asked: of a sound over an answer: the model is to say what it was.
        takes_turn: of a sound over an answer: it has been judged to be a turn.
    """

    def __init__(
        self,
        item_id: str,
        intake: Intake,
        start_sample: int | None,
        *,
        onset_sample: int = 0,
        continues: bool = False,
        cut_in_after_samples: int | None = None,
    ) -> None:
        self.item_id = item_id
        self.start_sample = start_sample
        self.onset_sample = onset_sample
        self.continues = continues
        self.cut_in_after_samples = cut_in_after_samples
        self.end_sample = 0
        self.asked = False
        self.takes_turn = False
        self._intake = intake
        self._texts: list[str] = []
        self._n_finished_windows = 0
        self._message: Message | None = None

    @property
    def has_text(self) -> bool:
        """Whether something was typed."""
        return bool(self._texts)

    @property
    def has_message(self) -> bool:
        """Whether nothing has been added since the last message was made."""
        return self._message is not None

    def goes_on(self) -> None:
        """More is heard than the last message holds."""
        self._message = None

    def add_text(self, text: str) -> None:
        """Adds what was typed."""
        self._texts.append(text)
        self._message = None

    def n_samples(self, sample: int) -> int:
        """How much has been heard, up to a position."""
        return 0 if self.start_sample is None else sample - self.start_sample

    def message(self, end_sample: int) -> Message:
        """The turn up to a position; the same message until something is added to it."""
        if self._message is None:
            clips: tuple[AudioClip, ...] = ()
            if self.start_sample is not None:
                self.end_sample = end_sample
                samples = self._intake.cut(self.start_sample, end_sample)
                clips = (AudioClip(samples),) if samples.size else ()
            self._message = Message("user", (*clips, *self._texts), id=self.item_id)
        return self._message

    @property
    def heard(self) -> Samples | None:
        """The audio of the last message, (n_samples,) at 16 kHz; None if there is none."""
        if self._message is None or not self._message.clips:
            return None
        return self._message.clips[0].samples

    def newly_finished(self, window_samples: int, sample: int) -> Message | None:
        """The whole windows so far, which nothing will change any more; None if there are no more than last time.

        Args:
            window_samples: what the model hears at once.
            sample: how far has been heard.
        """
        n_windows = self.n_samples(sample) // window_samples
        if n_windows <= self._n_finished_windows or self.start_sample is None:
            return None
        self._n_finished_windows = n_windows
        samples = self._intake.cut(self.start_sample, self.start_sample + n_windows * window_samples)
        return Message("user", (AudioClip(samples),), id=self.item_id)
