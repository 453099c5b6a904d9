"""One speaker's audio on its way into a session: put onto the sample clock, with silence where the client sends none.

Read `stay.py` for who has tracks, `silence.py` for when silence passes, `hearing/audio.py` for the clock.
"""

import logging
from collections.abc import Callable

from models.types import SAMPLE_RATE_HZ
from realtime.doors.silence import PassingSilence
from realtime.hearing.audio import AudioChunk, Capture, CaptureCounters, RawSamples

logger = logging.getLogger(__name__)


class Track:
    """The audio of one speaker.

    Args:
        push: takes what is on the clock.
        speaker: who speaks.
        counters: where what is wrong with the audio is counted.
    """

    def __init__(self, push: Callable[[AudioChunk], None], speaker: str, counters: CaptureCounters) -> None:
        self.counters = counters
        self._push = push
        self._speaker = speaker
        self._capture = Capture(counters, speaker)
        self._silence = PassingSilence(self._let_silence_pass)

    def listen(self, rate_hz: int, samples: RawSamples) -> None:
        """Takes audio: mono, any shape, int16 or float."""
        try:
            chunk = self._capture.push(rate_hz, samples)
            if len(chunk.samples):
                self._silence.note_audio(len(chunk.samples) / SAMPLE_RATE_HZ)
            self._push(chunk)
        except Exception:
            self.counters.failed_chunks += 1
            logger.exception("%s: a chunk of audio was lost", self._speaker)

    def skip(self, missing_s: float) -> None:
        """Leaves a gap before the audio that comes next, of which some may have passed as silence already."""
        self._capture.skip(round(self._silence.claim(missing_s) * SAMPLE_RATE_HZ))

    def resume(self) -> None:
        """Goes on: its client has a connection."""
        self._silence.resume()

    def stop(self) -> None:
        """Lets no more silence pass, until audio comes again or `resume`."""
        self._silence.stop()

    def _let_silence_pass(self, duration_s: float) -> None:
        self._push(self._capture.silence(round(duration_s * SAMPLE_RATE_HZ)))
