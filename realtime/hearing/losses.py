"""Keeps account of what is missing from a recording, in seconds.

A file that states how long it is, is held to it, and the holes between its frames are added up by its clock. Of a bare
stream of packets (MP3 without a header, ADTS, AC-3) FFmpeg only guesses a length; there the bytes that could not be
decoded are counted, at as many to the second as were decoded. Both are estimates, and 0 where there is no clue: raw
samples have no checksum, and a stream that was cut off looks whole.
"""

import math
from typing import Any

import av

PADDING_S = 0.05  # codecs fill their last packet up, and containers round: so much is never called missing
RESTART_S = 0.5  # a clock that goes back by more begins anew: two recordings were joined
MAX_GAP_S = 10.0  # beyond it a broadcast's clock begins anew (`-dts_delta_threshold` of the ffmpeg command)


class Timeline:
    """Adds up the holes between frames by the times that their container gives them.

    Args:
        max_gap_s: after a longer one the clock began anew, or lies.
    """

    def __init__(self, max_gap_s: float) -> None:
        self.reached_s = 0.0  # the latest end of a frame
        self._end_s: float | None = None  # of the last frame
        self._max_gap_s = max_gap_s
        self._missing_s = 0.0

    @property
    def missing_s(self) -> float:
        """Seconds in holes; what rounds to and fro adds up to nothing."""
        return max(0.0, self._missing_s)

    def place(self, start_s: float | None, duration_s: float) -> None:
        """Puts a frame behind those before; `start_s` is None where the container gives no time."""
        if start_s is None:
            start_s = self._end_s or 0.0
        elif self._end_s is not None and -RESTART_S <= start_s - self._end_s <= self._max_gap_s:
            self._missing_s += start_s - self._end_s
        self._end_s = start_s + duration_s
        self.reached_s = max(self.reached_s, self._end_s)


class Losses:
    """What one track of one container has lost.

    Args:
        container: an open `av` container.
        stream: its audio stream, of which nothing was decoded yet.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self._bit_rate = stream.codec_context.bit_rate  # of the beginning; it may change with the format
        restarts = container.format.flags & av.format.Flags.ts_discont.value
        self._timeline = Timeline(MAX_GAP_S if restarts else self._stated_s()[1] or math.inf)
        self._others_end_s = -math.inf
        self._first_byte: int | None = None
        self._decoded_s = self._failed_s = 0.0
        self._decoded_bytes = self._failed_bytes = self._last_failed_bytes = 0

    def count_other_track(self, packet: Any) -> None:
        """Counts a packet of another track, which shows how far the file reaches."""
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._others_end_s = max(self._others_end_s, end_s)

    def count_failed(self, packet: Any) -> None:
        """Counts a packet that could not be decoded."""
        self._last_failed_bytes += packet.size
        self._failed_s += float((packet.duration or 0) * packet.time_base)

    def count_decoded(self, packet: Any) -> None:
        """Counts a packet that was decoded, and those that failed before it."""
        if not packet.size:
            return
        if self._first_byte is None:
            self._first_byte = packet.pos
        self._decoded_bytes += packet.size
        self._failed_bytes += self._last_failed_bytes
        self._last_failed_bytes = 0

    def count_frame(self, frame: Any) -> None:
        """Counts decoded audio."""
        duration_s = frame.samples / frame.sample_rate
        self._decoded_s += duration_s
        self._timeline.place(None if frame.pts is None else float(frame.pts * frame.time_base), duration_s)

    def lost_s(self, wav_s: float | None = None) -> float:
        """Estimates the seconds that are missing or damaged, once all was counted.

        Args:
            wav_s: the length that a WAV file states and does not have, which FFmpeg does not tell.
        """
        start_s, duration_s = self._stated_s() if wav_s is None else (0.0, wav_s)
        if duration_s is None or (wav_s is None and self._is_guessed(duration_s)):
            lost_s = self._failed_by_bytes_s()
        else:
            # The length of a file with several tracks is that of the longest.
            reached_s = max(self._timeline.reached_s, self._others_end_s)
            lost_s = max(self._timeline.missing_s + max(0.0, start_s + duration_s - reached_s), self._failed_s)
        return lost_s if lost_s > PADDING_S else 0.0

    def _stated_s(self) -> tuple[float, float | None]:
        """Start and duration of the track as its file states them; no duration where it states none."""
        track = self._container if self._stream.duration is None else self._stream
        time_base = 1 / av.time_base if track is self._container else float(track.time_base)
        duration_s = None if track.duration is None else track.duration * time_base
        return (track.start_time or 0) * time_base, duration_s if duration_s and duration_s > 0 else None

    def _is_guessed(self, duration_s: float) -> bool:
        """Whether the duration is what FFmpeg makes of the bit rate where a file states none."""
        n_bytes = self._container.size - (self._first_byte or 0)
        return bool(self._bit_rate) and math.isclose(duration_s, 8 * n_bytes / self._bit_rate, rel_tol=2e-3)

    def _failed_by_bytes_s(self) -> float:
        """Estimates what failed from its size; what fails at the very end is a tag, or a packet that was cut."""
        if not self._failed_bytes:
            return 0.0
        seen_bytes = (self._first_byte or 0) + self._decoded_bytes + self._failed_bytes + self._last_failed_bytes
        skipped_bytes = max(0, int(self._container.size) - seen_bytes)
        return (self._failed_bytes + skipped_bytes) * self._decoded_s / self._decoded_bytes
