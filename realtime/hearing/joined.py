"""Finds the recordings in a file that was joined from several.

Some formats have one beginning, with the tables that decode what follows. Where another beginning follows, FFmpeg
reads the first part alone, or the second with the tables of the first. Formats without a beginning (MP3, ADTS, a
transport stream) are left to FFmpeg.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

BLOCK_BYTES = 1 << 20  # read at once
MARKER_BYTES = 24  # at least as long as the longest marker

# By the first bytes of a file, what its pages begin with; the group is there in a recording's first page alone.
PAGES = {
    b"OggS": rb"OggS\0([\x02\x03\x06\x07].{12}\0{4})?",  # RFC 3533: a stream's first page has number 0
    b"wvpk": rb"wvpk.{12}(\0{4})?",  # WavPack 4: the block's first sample is the recording's first
}
# By the first bytes of a file, what a whole recording begins with.
BEGINNINGS = {
    b"RIFF": rb"RIFF.{4}(?:WAVE|AVI )",
    b"FORM": rb"FORM.{4}AIF[CF]",
    b"riff": rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb",  # Sony Wave64, whose names are GUIDs
    b".snd": rb"\.snd\0\0.{6}\0\0\0[\x01-\x1b]",  # AU, with one of its encodings
    b"caff": rb"caff\0\x01\0\0",
    b"TTA1": rb"TTA1[\x01-\x03]\0",
    b"fLaC": rb"fLaC[\0\x80]\0\0\x22",  # RFC 9639, 8: a STREAMINFO of 34 bytes comes first
    b"FLV\1": rb"FLV\x01[\x01\x04\x05]\0\0\0\x09",
    b"#!AM": rb"#!AMR(?:-WB)?\n",
    b"\x1aE\xdf\xa3": rb"\x1aE\xdf\xa3.{1,8}?\x42\x86\x81\x01",  # Matroska and WebM: EBML, version 1
    b"ftyp": rb"\0\0\0[\x08-\x60]ftyp",  # MP4: the length of the box comes before its name
}


class Part:
    """A stretch of an open file, as a file of its own that can be read and sought in.

    Args:
        file: the whole file.
        start: position of the first byte.
        end: position after the last byte.
    """

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self.name = str(file.name)  # FFmpeg takes a headless format from it
        self.n_bytes = end - start
        self.furthest = 0  # byte that was read
        self._file = file
        self._start = start
        self._position = 0

    def read(self, n_bytes: int) -> bytes:
        """Reads at most so many bytes; none beyond the end."""
        if self._position >= self.n_bytes:
            return b""
        self._file.seek(self._start + self._position)
        block = self._file.read(min(n_bytes, self.n_bytes - self._position))
        self._position += len(block)
        self.furthest = max(self.furthest, self._position)
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves as `io.IOBase.seek` does; gives -1, as FFmpeg wants it, for a position before the beginning."""
        position = offset + (0, self._position, self.n_bytes)[whence]
        if position < 0:
            return -1
        self._position = position
        return position

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position


def split_recordings(file: BinaryIO) -> list[Part]:
    """Cuts a file where one recording ends and the next begins; one part where it holds one."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(8)
    markers = {**PAGES, **BEGINNINGS}
    marker = markers.get(head[:4]) or markers.get(head[4:])
    later = [] if marker is None else _find_beginnings(file, re.compile(marker, re.DOTALL))
    starts = [0, *later]
    return [Part(file, *stretch) for stretch in zip(starts, [*starts[1:], end], strict=True)]


def _find_beginnings(file: BinaryIO, marker: re.Pattern[bytes]) -> Iterator[int]:
    """Finds every beginning after the file's own, by position; of first pages in a row, the first.

    First pages stand in a row where streams run side by side, as picture and sound do.
    """
    follows_first = True
    for position, match in _find_markers(file, marker):
        is_first = not marker.groups or match[1] is not None
        if position and is_first and not (marker.groups and follows_first):
            yield position
        follows_first = is_first


def _find_markers(file: BinaryIO, marker: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
    file.seek(0)
    position, block = 0, b""
    while more := file.read(BLOCK_BYTES):
        block += more
        searched = max(0, len(block) - MARKER_BYTES)  # a marker beyond it may be cut
        for match in marker.finditer(block):
            if match.start() < searched:
                yield position + match.start(), match
        position, block = position + searched, block[searched:]
