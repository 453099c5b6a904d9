"""Where one recording ends and the next begins in a file."""

from pathlib import Path

import pytest

from realtime.hearing.joined import BLOCK_BYTES, Part, split_recordings
from tests.conftest import CLIPS

WAV = b"RIFF\0\0\0\0WAVE"


def lengths(content: bytes, path: Path) -> list[int]:
    path.write_bytes(content)
    with path.open("rb") as file:
        return [part.n_bytes for part in split_recordings(file)]


@pytest.mark.parametrize("before_end", range(-12, 30))
def test_a_beginning_is_found_across_the_blocks_that_are_read(before_end: int, tmp_path: Path) -> None:
    first = WAV.ljust(BLOCK_BYTES - before_end, b"\0")
    assert lengths(first + WAV.ljust(100, b"\0"), tmp_path / "clip") == [len(first), 100]


def test_streams_side_by_side_are_one_recording(tmp_path: Path) -> None:
    first_page = b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(10)
    page = b"OggS\0\0" + bytes(8) + b"\1\0\0\0\1\0\0\0" + bytes(6)
    film = first_page * 2 + page * 3
    assert lengths(film, tmp_path / "one") == [len(film)]
    assert lengths(film * 3, tmp_path / "three") == [len(film)] * 3


def test_a_flag_that_flipped_begins_nothing(tmp_path: Path) -> None:
    whole = (CLIPS / "question_capital.ogg").read_bytes()
    at = whole.index(b"OggS\0\0", 200)
    assert lengths(whole[: at + 5] + b"\2" + whole[at + 6 :], tmp_path / "clip") == [len(whole)]


def test_beginnings_of_another_format_are_sound(tmp_path: Path) -> None:
    content = WAV + bytes(100) + b"OggS\0\2" + bytes(100) + b"fLaC\0\0\0\x22" + bytes(100)
    assert lengths(content, tmp_path / "clip") == [len(content)]
    assert lengths(b"", tmp_path / "clip") == [0]


def test_a_part_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"0123456789")
    with (tmp_path / "clip").open("rb") as file:
        part = Part(file, 2, 7)
        assert part.read(3) == b"234"
        assert part.tell() == 3
        assert part.seek(-2, 2) == 3
        assert part.read(100) == b"56"
        assert part.read(100) == b""
        assert part.seek(1, 0) == 1
        assert part.seek(1, 1) == 2
        assert part.read(1) == b"4"
        assert part.seek(-9, 1) == -1
        assert part.seek(2**63 - 1) == 2**63 - 1
        assert part.read(1) == b""
        assert part.furthest == 5
