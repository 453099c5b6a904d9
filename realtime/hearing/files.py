"""Reads recordings: any file FFmpeg reads, to 16 kHz mono float32.

A name is always that of a file on this machine, and the file alone is read: nothing in it makes FFmpeg open another
file or a connection. What cannot be read is refused with a sentence that says why and what to do; what is damaged is
left out, and the result says so. Read `sources.py` and `decoding.py` next; `audio.py` for live audio.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.decoding import Blocks, Channels, Collected, Mixer, TooLong, TrackDecoder, UnreadableAudio
from realtime.hearing.joined import Part, split_recordings
from realtime.hearing.sources import NoAudio, open_container, open_source, read_wav_length

MAX_FILE_S = 2 * 60 * 60.0  # two hours are 460 MB as float32
MAX_TITLE = 80  # characters that are kept of it
MAX_LISTED = 20  # tracks that a message names
MAX_UNREAD = 0.1  # of a file's bytes behind its audio that are not worth a word


class AudioFileError(Exception):
    """A file that cannot be read as audio; the message says why and what to do."""


class AudioTooLong(AudioFileError):
    """A recording that is longer than was allowed."""


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One of the audio tracks of a file.

    Attributes:
        number: counts from 1 among the audio tracks.
        language: as the file gives it ("deu"); None if it gives none.
        title: as the file gives it; None if it gives none.
    """

    number: int
    language: str | None = None
    title: str | None = None

    def __str__(self) -> str:
        named = ", ".join(word for word in (self.language, self.title) if word)
        return f"{self.number} ({named})" if named else str(self.number)


@dataclass(frozen=True, slots=True, eq=False)
class AudioFile:
    """A recording that was read.

    Attributes:
        samples: mono float32 `(n_samples,)` in [-1, 1] at 16 kHz.
        lost_s: seconds that are missing or damaged, estimated; 0 if all was read, and where the file gives no clue.
        track: the one that was read.
        tracks: all audio tracks of the file.
        notes: a sentence on each thing a person should know: what is lost, which track of several was read, and so on.
    """

    samples: Samples
    lost_s: float
    track: AudioTrack
    tracks: tuple[AudioTrack, ...]
    notes: tuple[str, ...]


def read_audio_file(path: str | Path, *, track: int | None = None, max_s: float = MAX_FILE_S) -> AudioFile:
    """Decodes any file FFmpeg reads.

    Args:
        path: the file; "-" is the standard input, which may be a pipe, as may any other name.
        track: which of several audio tracks, from 1; None takes the one that the file marks as its default.
        max_s: the longest recording accepted, in seconds.

    Returns:
        All that can be decoded, and what is missing.

    Raises:
        AudioFileError: it cannot be opened, is no audio, is empty, or has no such track.
        AudioTooLong: it is longer than `max_s`.
    """
    collected = Collected(max_s)
    with _faults_of(str(path)), open_source(path) as file:
        reader = _Reader(track, Mixer(collected))
        for _ in reader.read(split_recordings(file)):
            pass
        samples = collected.samples()
        chosen, notes = reader.finish(has_samples=samples.size > 0)
        return AudioFile(samples, reader.lost_s, chosen, reader.tracks, notes)


class AudioStream:
    """A recording that is read block by block, in memory that does not grow with it.

    Args:
        path: the file; "-" is the standard input.
        track: which of several audio tracks, from 1; None takes the one that the file marks as its default.

    Attributes:
        share: how much of the file has been read, from 0 to 1, by its bytes.
        notes: after the last block: a sentence on each thing a person should know, as `AudioFile` has them.
    """

    def __init__(self, path: str | Path, *, track: int | None = None) -> None:
        self.share = 0.0
        self.notes: tuple[str, ...] = ()
        self._path = path
        self._track = track

    def blocks(self) -> Iterator[Channels]:
        """Yields float32 `(n_samples, 1 or 2)` in [-1, 1] at 16 kHz, about a second each: two channels stay apart.

        Raises:
            AudioFileError: as `read_audio_file` does; what was read before has been given.
        """
        blocks, has_samples = Blocks(), False
        with _faults_of(str(self._path)), open_source(self._path) as file:
            reader = _Reader(self._track, Mixer(blocks, keeps_sides=True))
            for self.share in reader.read(split_recordings(file)):
                for block in blocks.take():
                    has_samples = has_samples or len(block) > 0
                    yield block
            for block in blocks.take():
                has_samples = has_samples or len(block) > 0
                yield block
            _, self.notes = reader.finish(has_samples=has_samples)


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Gives every reason why a file cannot be read its name."""
    name = printable(name)
    try:
        yield
    except TooLong as error:
        raise AudioTooLong(f"{name}: {error}") from error
    except UnreadableAudio as error:
        raise AudioFileError(f"{name}: {error}") from error
    except av.FFmpegError as error:
        raise AudioFileError(f"{name}: not readable as audio ({error.strerror})") from error
    except FileNotFoundError as error:
        raise AudioFileError(f"{name}: no such file") from error
    except OSError as error:
        raise AudioFileError(f"{name}: cannot be read ({error.strerror})") from error


def printable(text: str) -> str:
    """Writes out what would move a terminal's cursor, or could not be encoded."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Reader:
    """Reads the parts of a file one after the other.

    Args:
        track: the audio track to read, from 1; None for the file's default.
        mixer: where the audio goes.

    Attributes:
        tracks: all audio tracks of the file.
        lost_s: seconds that are missing or damaged, estimated.
    """

    def __init__(self, track: int | None, mixer: Mixer) -> None:
        self.tracks: tuple[AudioTrack, ...] = ()
        self.lost_s = 0.0
        self._number = track
        self._mixer = mixer
        self._n_parts = 0
        self._refusal: str | None = None
        self._fault: str | None = None
        self._ends_early = False
        self._unread_bytes = 0
        self._unreadable_parts = 0

    def read(self, parts: Sequence[Part]) -> Iterator[float]:
        """Reads all parts to their ends; yields at each step how much has been read, from 0 to 1.

        Raises:
            UnreadableAudio: it is too long; or the first part holds no audio or no such track.
            av.FFmpegError: the first part is of no format that is read.
        """
        self._n_parts, n_bytes, before = len(parts), sum(part.n_bytes for part in parts), 0
        for part in parts:
            for _ in self._read(part):
                yield min(1.0, (before + part.furthest) / max(1, n_bytes))
            before += part.n_bytes
        self._mixer.flush()

    def _read(self, part: Part) -> Iterator[None]:
        is_first = not self.tracks
        try:
            with open_container(part) as container:
                decoder = TrackDecoder(container, self._choose(container), self._mixer)
                yield from decoder.decode()
                self.lost_s += decoder.losses.lost_s(read_wav_length(part))
                self._ends_early = decoder.ends_early and container.format.name != "wav"
                self._refusal = self._refusal or decoder.refusal
                self._fault = self._fault or decoder.fault
            unread_bytes = part.n_bytes - part.furthest
            self._unread_bytes += unread_bytes if unread_bytes > MAX_UNREAD * part.n_bytes else 0
        except (av.FFmpegError, NoAudio):
            if is_first:
                raise
            self._unreadable_parts += 1

    def finish(self, *, has_samples: bool) -> tuple[AudioTrack, tuple[str, ...]]:
        """Gives the track that was read, and a sentence on each thing a person should know.

        Raises:
            UnreadableAudio: there were no samples.
        """
        if not has_samples:
            undecoded = (
                f"holds no audio that can be decoded ({self._fault})" if self._fault else "holds no samples, or too few"
            )
            raise UnreadableAudio(self._refusal or undecoded)
        assert self._number is not None, "chosen with the first part"
        track = self.tracks[self._number - 1]
        return track, tuple(self._notes(track))

    def _choose(self, container: Any) -> Any:
        """Takes the stream to read, and remembers its number for the parts that follow."""
        streams = container.streams.audio
        if not streams:
            raise NoAudio("holds no audio")
        tracks = tuple(_describe(number, stream) for number, stream in enumerate(streams, 1))
        self.tracks = self.tracks or tracks
        if self._number is None:
            best = container.streams.best("audio")
            self._number = 1 if best is None else streams.index(best) + 1
        if not 1 <= self._number <= len(tracks):
            raise NoAudio(f"has no audio track {self._number}; choose one of {_list(tracks)}")
        stream = streams[self._number - 1]
        if stream.codec_context is None:
            raise NoAudio("holds audio of a kind that FFmpeg does not decode; convert it to WAV")
        return stream

    def _notes(self, track: AudioTrack) -> Iterator[str]:
        mixer = self._mixer
        if len(self.tracks) > 1:
            yield f"audio track {track} is read, of {_list(self.tracks)}"
        if self.lost_s:
            yield f"about {self.lost_s:.1f} s are missing or damaged; the rest is read"
        elif self._ends_early:
            yield "it ends in the middle of a packet; what came after it is missing"
        if self._unread_bytes:
            yield f"{self._unread_bytes} bytes behind its audio hold nothing that is read"
        if self._unreadable_parts:
            yield f"{self._unreadable_parts} of the {self._n_parts} recordings that are joined in it cannot be read"
        if self._refusal:
            yield f"some of it is left out: {self._refusal}"
        if mixer.cancelled_samples:
            cancelled_s = mixer.cancelled_samples / SAMPLE_RATE_HZ
            yield f"for {cancelled_s:.1f} s its two channels cancel each other; the louder one is taken"
        if mixer.non_finite_samples:
            yield f"{mixer.non_finite_samples} samples are no numbers; they are read as silence"


def _describe(number: int, stream: Any) -> AudioTrack:
    title = stream.metadata.get("title", "")[:MAX_TITLE]
    return AudioTrack(number, printable(stream.language or "") or None, printable(title) or None)


def _list(tracks: tuple[AudioTrack, ...]) -> str:
    more = [f"{len(tracks) - MAX_LISTED} more"] if len(tracks) > MAX_LISTED else []
    return ", ".join([*map(str, tracks[:MAX_LISTED]), *more])
