"""Recordings of every format, broken: each gives samples or `AudioFileError`, in bounded time and memory."""

import functools
import random
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from realtime.hearing.files import AudioFileError, read_audio_file
from tests.containers import FORMATS, encode
from tests.traps import Trap

NAME = "files"
SECONDS = 0.5  # of audio in a case, before it is broken
MAX_READ_S = 60.0
MAX_CPU_S = 10.0
MAX_GROWTH_BYTES = 256 << 20
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63 - 1, 2**64 - 1)
REFERRING = (  # @PIPE@ and @PORT@ stand for what nobody may open
    b"ffconcat version 1.0\nfile @PIPE@\nfile http://127.0.0.1:@PORT@/a.wav\n",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n@PIPE@\n#EXTINF:9,\nhttp://127.0.0.1:@PORT@/a.ts\n#EXT-X-ENDLIST\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio @PORT@ RTP/AVP 0\n",
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    b'<Representation id="1"><BaseURL>http://127.0.0.1:@PORT@/a.mp4</BaseURL></Representation></AdaptationSet>'
    b"</Period></MPD>",
)


def make_case(rng: random.Random) -> bytes:
    """A recording, or now and then a list of files, to which one to four things have happened."""
    case = rng.choice(REFERRING) if rng.random() < 0.05 else _recording(rng)
    for _ in range(rng.randint(1, 4)):
        case = rng.choice((_flip, _cut, _remove, _repeat, _splice, _overwrite, _blow_up, _blow_up))(case, rng)
    return case


def check(case: bytes) -> None:
    """Reads a case, and fails if that takes too much, opens anything else, or gives what is no audio."""
    bound_bytes = _memory_bound_bytes()
    with tempfile.TemporaryDirectory() as folder:
        trap, path = Trap(Path(folder)), Path(folder) / "clip"
        case = case.replace(b"@PIPE@", str(trap.pipe).encode()).replace(b"@PORT@", str(trap.port).encode())
        path.write_bytes(case)
        began_s = time.process_time()
        _read(path)
        assert time.process_time() - began_s < MAX_CPU_S, "it took too long"
        assert _peak_bytes() < bound_bytes, "it took too much memory"
        assert not trap.was_touched(), "it opened something else"
        trap.close()


def _read(path: Path) -> None:
    try:
        recording = read_audio_file(path, max_s=MAX_READ_S)
    except AudioFileError as error:
        assert str(error).isprintable()
        return
    samples = recording.samples
    assert samples.dtype == np.float32 and samples.ndim == 1 and samples.size
    assert np.abs(samples).max() <= 1  # false of what is no number, too
    assert 0 <= recording.lost_s < float("inf")
    assert "".join(recording.notes).isprintable()


@functools.cache
def _memory_bound_bytes() -> int:
    """How much memory this process may take at most, once it has read a recording."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(encode(FORMATS["mkv"], SECONDS))
        file.flush()
        read_audio_file(file.name)
    return _peak_bytes() + MAX_GROWTH_BYTES


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# ---- what happens to a recording ----


@functools.cache
def _whole(name: str) -> bytes:
    return encode(FORMATS[name], SECONDS)


def _recording(rng: random.Random) -> bytes:
    return _whole(rng.choice(list(FORMATS)))


def _stretch(case: bytes, rng: random.Random) -> slice:
    start = rng.randrange(len(case) + 1)
    return slice(start, start + rng.randint(1, max(1, len(case) // 8)))


def _flip(case: bytes, rng: random.Random) -> bytes:
    broken = bytearray(case)
    for _ in range(rng.choice((1, 4, 64))):
        if broken:
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    return bytes(broken)


def _cut(case: bytes, rng: random.Random) -> bytes:
    return case[: rng.randrange(len(case) + 1)]


def _remove(case: bytes, rng: random.Random) -> bytes:
    where = _stretch(case, rng)
    return case[: where.start] + case[where.stop :]


def _repeat(case: bytes, rng: random.Random) -> bytes:
    where = _stretch(case, rng)
    return case[: where.stop] + case[where] * rng.choice((1, 3, 30)) + case[where.stop :]


def _splice(case: bytes, rng: random.Random) -> bytes:
    other, where = _recording(rng), rng.randrange(len(case) + 1)
    return case[:where] + other[_stretch(other, rng) if rng.random() < 0.5 else slice(None)] + case[where:]


def _overwrite(case: bytes, rng: random.Random) -> bytes:
    where = _stretch(case, rng)
    return case[: where.start] + rng.randbytes(len(case[where])) + case[where.stop :]


def _blow_up(case: bytes, rng: random.Random) -> bytes:
    """Sets a field of one to eight bytes, mostly of the header, to a number at the end of a range."""
    width = rng.choice((1, 2, 4, 8))
    where = rng.randrange(min(len(case), rng.choice((64, 512, 1 << 30))) + 1)
    field = (rng.choice(EXTREMES) % 2 ** (8 * width)).to_bytes(width, rng.choice(("little", "big")))
    return case[:where] + field + case[where + width :]
