"""One speaker's turn under way: its audio, what was typed for it, and the message that is made of both.

When a turn begins, ends, or is none is decided elsewhere (`turns/floor.py`). Read `listener.py` for who asks.
"""

from models.types import AudioClip, Message, Part
from realtime.hearing.intake import Intake
from realtime.hearing.speech import SpeechLog
from realtime.turns.actions import Turn


class UserTurn:
    """One turn.

    Args:
        item_id: names its message.
        turn: where it begins.
        intake: has its audio.
        speech: knows how much of it is speech.
        speaker: named in its message; None where there is only one.
    """

    def __init__(
        self, item_id: str, turn: Turn, intake: Intake, speech: SpeechLog, *, speaker: str | None = None
    ) -> None:
        self.item_id = item_id
        self.turn = turn
        self._speaker = speaker
        self._intake = intake
        self._speech = speech
        self._texts: list[str] = []
        self._recordings: list[AudioClip] = []
        self.file_name: str | None = None  # of the recording, if there is one
        self._n_finished_windows = 0
        self._message: tuple[int, Message] | None = None  # and where its audio ends

    def add_text(self, text: str) -> None:
        """Adds what was typed, if anything was."""
        self._texts += [text] if text else []
        self._message = None

    @property
    def recordings_s(self) -> float:
        """How long its files are together."""
        return sum(clip.duration_s for clip in self._recordings)

    def add_recording(self, clip: AudioClip, file_name: str) -> None:
        """Adds a file."""
        self._recordings.append(clip)
        self.file_name = file_name
        self._message = None

    def add_audio(self, turn: Turn) -> None:
        """Makes a typed turn a spoken one, too."""
        self.turn = turn
        self._message = None

    def message(self, end_sample: int) -> Message:
        """The turn up to a position; the same message for the same position, until something is typed."""
        if self._message is None or self._message[0] != end_sample:
            parts: tuple[Part, ...] = (
                *self._recordings,
                *self._texts,
                *self._clips(end_sample),
            )  # a text behind a recording is about it
            message = Message("user", parts, id=self.item_id, speaker=self._speaker)
            self._message = end_sample, message
        return self._message[1]

    def draft_clip(self) -> AudioClip | None:
        """The audio so far, for whoever writes down what is being said; None if there is none."""
        return next(iter(self._clips(self._intake.end_sample)), None)

    def _clips(self, end_sample: int) -> tuple[AudioClip, ...]:
        start_sample = self.turn.start_sample
        if start_sample is None:
            return ()
        samples = self._intake.cut(start_sample, end_sample)
        # Who holds a key says that there is something to listen to, and may be too quiet for the detector.
        speech_s = self._speech.speech_s(start_sample, end_sample) if self.turn.onset_sample else None
        return (AudioClip(samples, speech_s),) if samples.size else ()

    def newly_finished(self, window_samples: int) -> Message | None:
        """The whole windows so far, which nothing will change any more; None if there are no more than last time.

        Args:
            window_samples: what the model takes in at once.
        """
        start_sample = self.turn.start_sample
        if start_sample is None:
            return None
        n_windows = (self._intake.end_sample - start_sample) // window_samples
        if n_windows <= self._n_finished_windows:
            return None
        self._n_finished_windows = n_windows
        samples = self._intake.cut(start_sample, start_sample + n_windows * window_samples)
        return Message("user", (*self._texts, AudioClip(samples)), id=self.item_id, speaker=self._speaker)
