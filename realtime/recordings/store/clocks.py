"""Where sound belongs: on the clock of the user's sound, and beside it that of the answers, as far as they were played.

Both are pure: what comes in order goes out with its position. Read `hearing/intake.py` for the clock that this one
follows, `stored_session.py` for who asks.
"""

import numpy as np

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import MAX_GAP_SAMPLES
from realtime.inbox import Played, Spoken

SLACK_SAMPLES = VOICE_RATE_HZ * 3 // 10  # reports of what was played come unevenly: less than this is no silence


class UserClock:
    """The clock of one speaker's sound, which gaps move on and repeated sound does not.

    Attributes:
        end_sample: where the sound ends so far, at 16 kHz.
    """

    def __init__(self) -> None:
        self.end_sample = 0
        self._expected: int | None = None

    def place(self, chunk: AudioChunk) -> tuple[int, Samples]:
        """Gives where a chunk belongs, and what of it is new."""
        gap = 0 if self._expected is None else chunk.start_sample - self._expected
        self._expected = max(self._expected or 0, chunk.end_sample)
        samples = chunk.samples[max(0, -gap) :]
        start = self.end_sample + min(max(0, gap), MAX_GAP_SAMPLES)
        self.end_sample = start + len(samples)
        return start, samples


class AnswerClock:
    """The sound of the answers, of which only what was played counts.

    Attributes:
        end_sample: where it ends so far, at 24 kHz.
    """

    def __init__(self) -> None:
        self.end_sample = 0
        self._number = 0
        self._speech = np.zeros(0, np.float32)
        self._n_played = 0

    def take(self, spoken: Spoken) -> None:
        """Takes what the voice read, which may never be played."""
        if spoken.number != self._number:
            self._number, self._speech, self._n_played = spoken.number, np.zeros(0, np.float32), 0
        if spoken.speech is not None:
            self._speech = np.concatenate((self._speech, spoken.speech.samples))

    def place(self, played: Played, user_sample: int) -> tuple[int, Samples] | None:
        """Gives what was played since the last time and where it belongs, at 24 kHz; None if that is nothing.

        Args:
            played: how far the sound has come.
            user_sample: where the user's sound is then, at 16 kHz.
        """
        if played.number != self._number or played.n_samples <= self._n_played:
            return None
        samples = self._speech[self._n_played : played.n_samples]
        self._n_played = played.n_samples
        start = user_sample * VOICE_RATE_HZ // SAMPLE_RATE_HZ - len(samples)
        start = self.end_sample if start < self.end_sample + SLACK_SAMPLES else start
        self.end_sample = start + len(samples)
        return start, samples
