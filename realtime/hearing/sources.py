"""Opens a recording, and nothing else.

FFmpeg is never given a name, which it might take for an address, but an open file; and its formats, protocols and
decoders are restricted, so that nothing in a file makes it open another or a connection.
"""

import functools
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import av

from realtime.hearing.decoding import UnreadableAudio
from realtime.hearing.joined import BLOCK_BYTES, Part

MAX_PIPE_BYTES = 2_100_000_000  # two hours of 24-bit stereo at 48 kHz
MAX_WAV_CHUNKS = 100  # before the one with the samples
UNKNOWN_WAV_BYTES = 0x7FFF_0000  # recorders that write into a pipe state at least this

# Formats whose files are lists of others, or scripts. Devices are no danger: FFmpeg finds none of them in a file.
REFERRING_FORMATS = {"concat", "dash", "hls", "image2", "imf", "rtsp", "sap", "sdp", "vapoursynth"}
NO_PROTOCOL = "none"  # a name that none of FFmpeg's protocols has


class NoAudio(UnreadableAudio):
    """A container that is none, or that lacks the track that is wanted."""


@contextmanager
def open_source(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a file, or copies a pipe into a temporary file, because most formats are read to and fro.

    Args:
        path: a name on this machine, whatever it looks like; "-" is the standard input.

    Raises:
        UnreadableAudio: it is neither a file nor a pipe, or more comes through the pipe than is kept.
        OSError: it is not there, or may not be read.
    """
    if "\0" in str(path):
        raise UnreadableAudio("no file has a name with a null character")
    is_stdin = str(path) == "-"
    mode = (os.fstat(0) if is_stdin else Path(path).stat()).st_mode
    if stat.S_ISDIR(mode):
        raise UnreadableAudio("not a file but a folder")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise UnreadableAudio("not a file but a terminal or another device; give a file, or pipe one in")
    with open(0 if is_stdin else path, "rb", closefd=not is_stdin) as file:
        if stat.S_ISREG(mode):
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            _copy(file, copy)
            yield cast(BinaryIO, copy)


def _copy(pipe: IO[bytes], copy: IO[bytes]) -> None:
    n_bytes = 0
    while block := pipe.read(BLOCK_BYTES):
        n_bytes += len(block)
        if n_bytes > MAX_PIPE_BYTES:
            raise UnreadableAudio(f"more than {MAX_PIPE_BYTES / 1e9:.1f} GB came through the pipe; give a file")
        copy.write(block)


def open_container(part: Part) -> Any:
    """Opens a container whose formats, protocols and decoders are those that are needed, and no more.

    Without decoders for pictures, FFmpeg does not unpack the cover of an album to learn its size.

    Raises:
        NoAudio: it is a list of other files.
        av.FFmpegError: it is of no format that FFmpeg knows, or its beginning is damaged.
    """
    formats, codecs = _allowed_names()
    options = {"protocol_whitelist": NO_PROTOCOL, "format_whitelist": formats, "codec_whitelist": codecs}
    try:
        return av.open(part, "r", metadata_errors="replace", container_options=options)
    except av.error.ArgumentError as error:  # of a format that is not allowed
        raise NoAudio("a list of other files or addresses, which are not opened; give one of them") from error


@functools.cache
def _allowed_names() -> tuple[str, str]:
    """Names the formats that are read, and the audio decoders."""
    decoders = [name for name in av.codecs_available if _decodes_audio(name)]
    return ",".join(sorted(av.formats_available - REFERRING_FORMATS)), ",".join(decoders)


def _decodes_audio(name: str) -> bool:
    try:
        return bool(av.Codec(name, "r").type == "audio")
    except av.codec.codec.UnknownCodecError:  # it only encodes
        return False


def read_wav_length(part: Part) -> float | None:
    """Reads the length that a WAV file states, in seconds, if it holds less; FFmpeg tells of what is there alone."""
    part.seek(0)
    header = part.read(12)
    if header[:4] + header[8:] != b"RIFFWAVE":
        return None
    bytes_per_s = 0
    for _ in range(MAX_WAV_CHUNKS):
        name, n_bytes = struct.unpack("<4sI", part.read(8).ljust(8, b"\0"))
        if name == b"fmt ":
            bytes_per_s = int.from_bytes(part.read(16)[8:12], "little")
            part.seek(-16, 1)
        if name == b"data":
            was_cut = part.tell() + n_bytes > part.n_bytes and n_bytes < UNKNOWN_WAV_BYTES
            return n_bytes / bytes_per_s if was_cut and bytes_per_s else None
        part.seek(n_bytes + n_bytes % 2, 1)
    return None
