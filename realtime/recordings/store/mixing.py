"""The sound of a conversation as it is heard: all of its tracks in one, as a WAV file or piece by piece.

A file that is written has the user on its left and, where answers were read aloud, these on its right, each where it
was heard. What is played in a browser is mono at 16 kHz, and is read from any place on without what is before it.
Read `sound.py` for the files of the tracks.
"""

import struct
import wave
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import soxr

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ
from realtime.recordings.store.errors import NotStored, StoreError
from realtime.recordings.store.reading import Sound, StoredConversation
from realtime.recordings.store.sound import Pcm, length_of, read_sound
from realtime.recordings.store.tracks import ANSWERS, SENT

HEADER_BYTES = 44
MAX_WAV_SAMPLES = (2**32 - HEADER_BYTES) // 2 - 1  # 37 hours


def write_wav(conversation: StoredConversation, path: Path) -> None:
    """Writes what was heard.

    Raises:
        StoreError: there was no sound, or it is not there any more.
        OSError: the file cannot be written.
    """
    users = [sound for sound in conversation.sounds if sound.track != ANSWERS and not sound.track.startswith(SENT)]
    answers = [sound for sound in conversation.sounds if sound.track == ANSWERS]
    if not users and not answers:
        raise StoreError(f"{conversation.head.id}: there is no sound in this conversation")
    rate_hz = VOICE_RATE_HZ if answers else SAMPLE_RATE_HZ
    left = _mixed([_blocks(sound, rate_hz) for sound in users])
    channels = [left, *(_blocks(sound, rate_hz) for sound in answers)]
    blocks = zip_longest(*channels, fillvalue=np.zeros(0, np.int16))
    first = next(blocks, ())  # before a file is made: the sound may not be there
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for block in chain([first], blocks):
            file.writeframes(_side_by_side(block).tobytes())


class MixedSound:
    """What was heard, mono int16 at 16 kHz, as the bytes of a WAV file that nobody has written.

    Args:
        conversation: whose sound.

    Attributes:
        n_samples: its length.

    Raises:
        NotStored: there is no sound.
        StoreError: it is not there any more.
    """

    def __init__(self, conversation: StoredConversation) -> None:
        self._sounds = [sound for sound in conversation.sounds if not sound.track.startswith(SENT)]
        lengths = [length_of(sound.path, sound.rate_hz) / sound.rate_hz for sound in self._sounds]
        self.n_samples = min(MAX_WAV_SAMPLES, round(max(lengths, default=0) * SAMPLE_RATE_HZ))
        if not self.n_samples:
            raise NotStored(f"{conversation.head.id}: there is no sound in this conversation")

    @property
    def n_bytes(self) -> int:
        """The length of the file."""
        return HEADER_BYTES + 2 * self.n_samples

    def content(self, first: int, last: int) -> Iterator[bytes]:
        """Yields the bytes from one to another, both included."""
        if first < HEADER_BYTES:
            yield self._header()[first : last + 1]
        start, end = max(0, first - HEADER_BYTES), last + 1 - HEADER_BYTES
        skipped, left = start % 2, end - start
        for block in self.samples(start // 2, (end + 1) // 2) if left > 0 else ():
            content = block.astype("<i2").tobytes()[skipped : skipped + left]
            skipped, left = 0, left - len(content)
            yield content

    def samples(self, start: int, end: int) -> Iterator[Pcm]:
        """Yields samples, (n_samples,), from one until before another; silence where no track has any."""
        end = min(end, self.n_samples)
        blocks = _mixed([_blocks(sound, SAMPLE_RATE_HZ, start) for sound in self._sounds])
        for block in blocks:
            if start >= end:
                return
            wanted = block[: end - start]
            start += len(wanted)
            yield wanted
        if start < end:
            yield np.zeros(end - start, np.int16)

    def _header(self) -> bytes:
        n_bytes = 2 * self.n_samples
        riff = struct.pack("<4sI4s", b"RIFF", HEADER_BYTES - 8 + n_bytes, b"WAVE")
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16)
        return riff + form + struct.pack("<4sI", b"data", n_bytes)


def _blocks(sound: Sound, rate_hz: int, start: int = 0) -> Iterator[Pcm]:
    """The samples of a track at a rate, from one on, in blocks of a second."""
    rest = np.zeros(0, np.int16)
    for piece in _resampled(sound, rate_hz, start):
        rest = np.concatenate((rest, piece))
        while len(rest) >= rate_hz:
            yield rest[:rate_hz]
            rest = rest[rate_hz:]
    if len(rest):
        yield rest


def _resampled(sound: Sound, rate_hz: int, start: int) -> Iterator[Pcm]:
    if sound.rate_hz == rate_hz:
        yield from read_sound(sound.path, start)
        return
    resampler = soxr.ResampleStream(sound.rate_hz, rate_hz, 1, dtype="int16")
    for piece in read_sound(sound.path, start * sound.rate_hz // rate_hz):
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.int16), last=True)


def _mixed(tracks: Sequence[Iterator[Pcm]]) -> Iterator[Pcm]:
    for block in zip_longest(*tracks, fillvalue=np.zeros(0, np.int16)):
        total = np.zeros(max(map(len, block)), np.int32)
        for samples in block:
            total[: len(samples)] += samples
        yield np.clip(total, -32768, 32767).astype(np.int16)


def _side_by_side(channels: Sequence[Pcm]) -> Pcm:
    frames = np.zeros((max(map(len, channels), default=0), len(channels)), np.int16)
    for number, samples in enumerate(channels):
        frames[: len(samples), number] = samples
    return frames
