"""Recordings of every kind are read, nothing else is opened, and what cannot be read is explained."""

import contextlib
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing import decoding
from realtime.hearing.files import AudioFileError, read_audio_file
from tests.conftest import CLIPS
from tests.containers import FORMATS, Format, chirp, encode, mux
from tests.traps import Trap

CAPITAL = CLIPS / "question_capital.ogg"


def wav(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1, kind: int = 1) -> bytes:
    """A WAV file of samples that are interleaved; kind 1 is integer, 3 is float."""
    body, width = samples.tobytes(), samples.itemsize * channels
    head = struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * width % 2**32, width % 2**16, 8 * samples.itemsize)
    chunks = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def to_int16(samples: np.ndarray) -> np.ndarray:
    return (samples * 32767).astype("<i2")


def likeness(heard: Samples, source: Samples) -> float:
    """Correlation of two recordings where they fit best, at most 0.1 s apart."""
    size = 1 << (len(heard) + len(source)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.fft.rfft(source, size).conj()
    products = np.fft.irfft(spectrum)
    best = max(products[:1600].max(), products[-1600:].max())
    return float(best / np.linalg.norm(heard) / np.linalg.norm(source))


# ---- every format: whole, damaged, cut, joined ----


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    return {name: encode(kept) for name, kept in FORMATS.items()}


LOSSY = {"amr": 0.9}  # a telephone's codec keeps less of a tone


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_recording_is_read_as_it_was(name: str, encoded: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(encoded[name])
    recording = read_audio_file(tmp_path / "clip")
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(3, abs=0.06)
    assert likeness(recording.samples, chirp(3)) > LOSSY.get(name, 0.97)
    assert recording.lost_s == 0
    assert recording.notes == ()


@pytest.mark.parametrize("name", [name for name, kept in FORMATS.items() if kept.has_checks])
def test_what_is_damaged_is_left_out_and_told(name: str, encoded: dict[str, bytes], tmp_path: Path) -> None:
    whole = encoded[name]
    middle, n_damaged = len(whole) // 2, len(whole) // 20
    noise = random.Random(1).randbytes(n_damaged)
    (tmp_path / "clip").write_bytes(whole[:middle] + noise + whole[middle + n_damaged :])
    recording = read_audio_file(tmp_path / "clip")
    read_s = len(recording.samples) / SAMPLE_RATE_HZ
    assert read_s > 1.4  # short files of Matroska are one cluster, whose rest is lost
    assert recording.lost_s > 0.1
    assert read_s + recording.lost_s == pytest.approx(3, abs=0.1)
    assert any("missing or damaged" in note for note in recording.notes)
    assert np.abs(recording.samples).max() < 0.8, "noise"


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_that_was_cut_off_gives_what_it_holds(name: str, encoded: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(encoded[name][: len(encoded[name]) * 6 // 10])
    recording = read_audio_file(tmp_path / "clip")
    read_s = len(recording.samples) / SAMPLE_RATE_HZ
    assert 0.9 < read_s < 1.9
    assert likeness(recording.samples, chirp(3)[: len(recording.samples)]) > LOSSY.get(name, 0.95)
    if FORMATS[name].states_length:
        assert read_s + recording.lost_s == pytest.approx(3, abs=0.06)
        assert len(recording.notes) == 1


@pytest.mark.parametrize("name", FORMATS)
def test_recordings_that_were_joined_are_read_to_the_end(name: str, encoded: dict[str, bytes], tmp_path: Path) -> None:
    kept = FORMATS[name]
    other_rate_hz = {"libopus": 24_000, "libopencore_amrnb": 8_000}.get(
        kept.codec, 44_100 if kept.rate_hz == 48_000 else 48_000
    )
    second = encode(kept, 2, other_rate_hz, "mono" if name == "amr" else "stereo")
    (tmp_path / "clip").write_bytes(encoded[name] + second)
    recording = read_audio_file(tmp_path / "clip")
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(5, abs=0.1)
    assert recording.lost_s == 0
    assert likeness(recording.samples[: 3 * SAMPLE_RATE_HZ], chirp(3)) > LOSSY.get(name, 0.97)
    assert likeness(recording.samples[-2 * SAMPLE_RATE_HZ :], chirp(2)) > LOSSY.get(name, 0.95)


def test_packets_that_are_no_mp3_cost_themselves_alone(tmp_path: Path) -> None:
    whole = encode(FORMATS["mp3"], 8)
    (tmp_path / "clip.mp3").write_bytes(whole[:20_000] + bytes(3_000) + whole[23_000:])
    recording = read_audio_file(tmp_path / "clip.mp3")
    assert 7.3 < len(recording.samples) / SAMPLE_RATE_HZ < 7.8
    assert len(recording.samples) / SAMPLE_RATE_HZ + recording.lost_s == pytest.approx(8, abs=0.05)


def test_a_tag_behind_the_audio_is_no_loss(tmp_path: Path) -> None:
    tag = b"APETAGEX" + struct.pack("<IIII8x", 2000, 20_032, 1, 0)
    for name in ("mp3", "adts"):
        (tmp_path / name).write_bytes(encode(FORMATS[name]) + b"x" * 20_000 + tag)
        assert read_audio_file(tmp_path / name).lost_s == 0


def test_a_recorder_that_wrote_into_a_pipe_knew_no_length(tmp_path: Path) -> None:
    whole = wav(to_int16(chirp(1)))
    (tmp_path / "pipe.wav").write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
    recording = read_audio_file(tmp_path / "pipe.wav")
    assert len(recording.samples) == SAMPLE_RATE_HZ
    assert recording.notes == ()


def test_a_joined_recording_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    whole = CAPITAL.read_bytes()
    (tmp_path / "clip.ogg").write_bytes(whole + whole[:60])
    recording = read_audio_file(tmp_path / "clip.ogg")
    assert recording.notes == ("1 of the 2 recordings that are joined in it cannot be read",)
    assert len(recording.samples) == len(read_audio_file(CAPITAL).samples)


# ---- rates, channels, samples ----


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_every_rate_and_number_of_channels_gives_the_same_sound(rate_hz: int, channels: int, tmp_path: Path) -> None:
    samples = np.repeat(chirp(1, rate_hz), channels)
    (tmp_path / "clip.wav").write_bytes(wav(samples, rate_hz, channels, kind=3))
    heard = read_audio_file(tmp_path / "clip.wav").samples
    assert len(heard) == pytest.approx(SAMPLE_RATE_HZ, abs=40)
    assert likeness(heard, chirp(1)) > 0.999
    assert np.abs(heard).max() == pytest.approx(np.abs(chirp(1)).max(), rel=0.02)


def test_surround_sound_is_mixed(tmp_path: Path) -> None:
    for layout in ("5.1", "7.1"):
        (tmp_path / "film.mka").write_bytes(encode(FORMATS["mka"], layout=layout))
        assert likeness(read_audio_file(tmp_path / "film.mka").samples, chirp(3)) > 0.999


def test_a_voice_on_one_of_three_microphones_is_heard(tmp_path: Path) -> None:
    samples = np.zeros((SAMPLE_RATE_HZ, 3), np.float32)
    samples[:, 2] = chirp(1)
    (tmp_path / "clip.wav").write_bytes(wav(samples, channels=3, kind=3))
    assert likeness(read_audio_file(tmp_path / "clip.wav").samples, chirp(1)) > 0.999


@pytest.mark.parametrize(("first_s", "second_s"), [(1, 0), (0, 2), (2, 2)])
def test_sides_that_cancel_each_other_are_not_mixed(first_s: int, second_s: int, tmp_path: Path) -> None:
    voice = chirp(first_s + second_s)
    other_side = np.concatenate((-voice[: first_s * SAMPLE_RATE_HZ], voice[first_s * SAMPLE_RATE_HZ :]))
    (tmp_path / "clip.wav").write_bytes(wav(np.stack((voice, other_side), axis=1), channels=2, kind=3))
    recording = read_audio_file(tmp_path / "clip.wav")
    assert np.allclose(recording.samples, voice, atol=1e-6)
    told = (f"for {first_s:.1f} s its two channels cancel each other; the louder one is taken",) if first_s else ()
    assert recording.notes == told


def test_different_voices_on_two_sides_are_both_heard(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sides = rng.normal(0, 0.1, (2 * SAMPLE_RATE_HZ, 2)).astype(np.float32)
    (tmp_path / "clip.wav").write_bytes(wav(sides, channels=2, kind=3))
    recording = read_audio_file(tmp_path / "clip.wav")
    assert np.allclose(recording.samples, sides.mean(axis=1), atol=1e-6)
    assert recording.notes == ()


def test_what_is_no_number_becomes_silence(tmp_path: Path) -> None:
    samples = chirp(1)
    samples[100], samples[5_000], samples[9_000] = np.nan, np.inf, -np.inf
    samples[12_000] = 7
    (tmp_path / "clip.wav").write_bytes(wav(samples, kind=3))
    recording = read_audio_file(tmp_path / "clip.wav")
    assert [recording.samples[at] for at in (100, 5_000, 9_000, 12_000)] == [0, 0, 0, 1]
    assert recording.notes == ("3 samples are no numbers; they are read as silence",)


# ---- tracks ----


def write_film(path: Path, *, default: int | None) -> None:
    """A film of one second with picture and two audio tracks: of 0.5 s in German, and of 1 s without a name."""
    with av.open(str(path), "w") as film:
        picture = film.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        tracks = [film.add_stream("aac", rate=48_000, layout="mono") for _ in range(2)]
        tracks[0].metadata.update(language="deu", title="Kommentar\x1b[2J")
        for number, track in enumerate(tracks, 1):
            track.disposition = av.stream.Disposition.default if number == default else 0
        for _ in range(5):
            film.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        film.mux(picture.encode(None))
        for track, seconds in zip(tracks, (0.5, 1), strict=True):
            mux(film, track, chirp(seconds, 48_000))


@pytest.mark.parametrize(("default", "read_s"), [(1, 0.5), (2, 1.0)])
def test_the_default_of_several_tracks_is_read_and_told(default: int, read_s: float, tmp_path: Path) -> None:
    write_film(tmp_path / "film.mkv", default=default)
    recording = read_audio_file(tmp_path / "film.mkv")
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(read_s, abs=0.03)
    assert recording.track.number == default
    assert [track.language for track in recording.tracks] == ["deu", None]
    first = r"1 (deu, Kommentar\x1b[2J)"
    assert recording.notes == (f"audio track {first if default == 1 else '2'} is read, of {first}, 2",)


def test_another_track_can_be_chosen(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mkv", default=2)
    recording = read_audio_file(tmp_path / "film.mkv", track=1)
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(0.5, abs=0.03)
    assert recording.track.title == r"Kommentar\x1b[2J"
    for missing in (0, 3, -1):
        with pytest.raises(AudioFileError, match=rf"has no audio track {missing}; choose one of 1 \(deu, .*\), 2$"):
            read_audio_file(tmp_path / "film.mkv", track=missing)


def test_a_message_names_the_first_of_many_tracks(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "many.mka"), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(30)]
        for track in tracks:
            mux(container, track, chirp(0.1))
    (note,) = read_audio_file(tmp_path / "many.mka").notes
    assert note.endswith("19, 20, 10 more")


def test_a_film_that_was_cut_off_has_lost_the_rest(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mkv", default=2)
    whole = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(whole[: len(whole) // 2])
    assert read_audio_file(tmp_path / "film.mkv", track=2).lost_s > 0.2


def test_a_track_that_ends_before_the_film_has_lost_nothing(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mkv", default=1)
    assert read_audio_file(tmp_path / "film.mkv").lost_s == 0


def test_a_track_that_begins_late_does_not_matter(tmp_path: Path) -> None:
    kept = Format("mpegts", "mp2", 48_000)
    with av.open(str(tmp_path / "late.ts"), "w", format="mpegts") as container:
        tracks = [container.add_stream("mp2", rate=48_000, layout="mono") for _ in range(2)]
        for track in tracks:
            mux(container, track, chirp(1, 48_000))
    late = (tmp_path / "late.ts").read_bytes()
    nothing = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 30_000  # 5.6 MB, more than FFmpeg looks through for tracks
    (tmp_path / "late.ts").write_bytes(encode(kept) + nothing + late + nothing + encode(kept, 1))
    recording = read_audio_file(tmp_path / "late.ts")
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(5, abs=0.1)
    assert recording.tracks == (recording.track,)


def test_numbers_beside_the_audio_do_not_matter(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.ts"), "w", format="mpegts") as container:
        track, numbers = container.add_stream("aac", rate=48_000, layout="mono"), container.add_data_stream("klv")
        packet = av.Packet(b"\x06\x0e\x2b\x34" + bytes(28))
        packet.stream, packet.pts, packet.dts, packet.time_base = numbers, 0, 0, Fraction(1, 90_000)
        container.start_encoding()
        container.mux(packet)
        mux(container, track, chirp(3, 48_000))
    recording = read_audio_file(tmp_path / "clip.ts")
    assert len(recording.samples) / SAMPLE_RATE_HZ == pytest.approx(3, abs=0.05)
    assert recording.lost_s == 0


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    frame = b"TPE1\0\0\0\x0a\0\0\0M\xfcller\xe9\xe9\xff"
    (tmp_path / "clip.mp3").write_bytes(b"ID3\3\0\0\0\0\0\x14" + frame + encode(FORMATS["mp3"]))
    whole = wav(to_int16(chirp(3)))
    tags = b"LIST\x14\0\0\0INFOINAM\x08\0\0\0M\xfcller\xff\0"
    (tmp_path / "clip.wav").write_bytes(whole[:12] + tags + whole[12:])
    for name in ("clip.mp3", "clip.wav"):
        assert len(read_audio_file(tmp_path / name).samples) / SAMPLE_RATE_HZ == pytest.approx(3, abs=0.01)


# ---- nothing else is opened ----


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    """A pipe named `secret.wav` in the working folder, and a port."""
    monkeypatch.chdir(tmp_path)
    trap = Trap(tmp_path, wav(to_int16(chirp(1))))
    yield trap
    trap.close()


REFERRING = {
    "list.ffconcat": "ffconcat version 1.0\nfile secret.wav\nfile http://127.0.0.1:{port}/a.wav\n",
    "list.wav": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.wav\nfile secret.wav\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "local.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "key.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n"
    '#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{port}/key"\n#EXTINF:9,\nlist.ffconcat\n#EXT-X-ENDLIST\n',
    "list.m3u": "secret.wav\nhttp://127.0.0.1:{port}/a.wav\n",
    "list.pls": "[playlist]\nFile1=http://127.0.0.1:{port}/a.wav\nFile2=secret.wav\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
    'bandwidth="9"><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("name", REFERRING)
def test_a_file_makes_nothing_else_be_opened(name: str, trap: Trap) -> None:
    Path(name).write_text(REFERRING[name].format(port=trap.port))
    with pytest.raises(AudioFileError, match=name):
        read_audio_file(name)
    assert not trap.was_touched()


@pytest.mark.parametrize("opened", ["list.ffconcat", "http://127.0.0.1:{port}/a.wav"])
def test_the_trap_is_touched_where_ffmpeg_opens_what_it_likes(opened: str, trap: Trap) -> None:
    Path("list.ffconcat").write_text("ffconcat version 1.0\nfile secret.wav\n")
    with contextlib.suppress(av.FFmpegError), av.open(opened.format(port=trap.port), timeout=0.5):
        pass
    assert trap.was_touched()


def test_sound_that_a_film_keeps_in_another_file_is_not_fetched(trap: Trap) -> None:
    path = str(trap.pipe).encode()
    alias = bytes(50) + b"\x0asecret.wav".ljust(64, b"\0") + bytes(16) + b"\0\1\0\1" + bytes(16)
    alias += struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2) + b"\xff\xff\0\0"
    inside, outside = b"\0\0\0\x0curl \0\0\0\1", struct.pack(">I", 12 + len(alias)) + b"alis\0\0\0\0" + alias
    film = bytearray(encode(Format("mov", "pcm_s16le", 48_000)).replace(inside, outside))
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = film.index(box) - 4
        film[at : at + 4] = (int.from_bytes(film[at : at + 4], "big") + len(alias)).to_bytes(4, "big")
    Path("film.mov").write_bytes(film)
    with contextlib.suppress(AudioFileError):
        read_audio_file("film.mov")
    assert not trap.was_touched()


@pytest.mark.parametrize(
    "name",
    ["note: capital.wav", "2026-11-25T10:20:30Z.wav", "http:x.wav", "concat:secret.wav", "pipe:0", "-.wav", "%03d.wav"],
)
def test_a_name_is_that_of_a_file_whatever_it_looks_like(name: str, trap: Trap) -> None:
    Path(name).write_bytes(wav(to_int16(chirp(1))))
    assert len(read_audio_file(name).samples) == SAMPLE_RATE_HZ
    assert not trap.was_touched()


def test_a_folder_that_looks_like_an_address_is_a_folder(trap: Trap) -> None:
    name = f"http:/127.0.0.1:{trap.port}/a.wav"
    with pytest.raises(AudioFileError, match="no such file"):
        read_audio_file(name)
    Path(name).parent.mkdir(parents=True)
    Path(name).write_bytes(wav(to_int16(chirp(1))))
    assert len(read_audio_file(name.replace("http:/", "http://")).samples) == SAMPLE_RATE_HZ
    assert not trap.was_touched()


# ---- names that are no files, pipes ----


def test_names_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    reasons = {
        "missing.wav": "no such file",
        "x" * 300: "File name too long",
        "file/clip.wav": "Not a directory",
        "loop": "Too many levels of symbolic links",
        "folder": "not a file but a folder",
        "nul\0.wav": "null character",
    }
    for name, reason in reasons.items():
        with pytest.raises(AudioFileError, match=reason):
            read_audio_file(f"{tmp_path}/{name}")
    for device in ("/dev/null", "/dev/zero"):
        with pytest.raises(AudioFileError, match="device"):
            read_audio_file(device)


READ_AS_NOBODY = """
import os, sys
from realtime.hearing.files import AudioFileError, read_audio_file
if os.geteuid() == 0:  # who may read everything
    os.setuid(65534)
try:
    read_audio_file(sys.argv[1])
except AudioFileError as error:
    print(error)
"""


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    clip = tmp_path / "mine" / "clip.wav"
    clip.write_bytes(wav(to_int16(chirp(1))))
    for path in (clip, tmp_path / "mine"):
        path.chmod(0)
        run = [sys.executable, "-c", READ_AS_NOBODY, str(clip)]
        told = subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout.decode()
        assert told == f"{clip}: cannot be read (Permission denied)\n"
        path.chmod(0o700)


def test_an_error_is_one_line_whatever_the_name(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError) as refused:
        read_audio_file(tmp_path / "a\nb\x1b[2J\udcff.wav")
    assert str(refused.value).isprintable()


def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    whole = encode(FORMATS["m4a"])
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(whole,))
    writer.start()
    assert len(read_audio_file(tmp_path / "pipe").samples) / SAMPLE_RATE_HZ == pytest.approx(3, abs=0.05)
    writer.join()


def test_a_pipe_that_does_not_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.hearing.sources.MAX_PIPE_BYTES", 5_000_000)
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"exec cat /dev/zero > {tmp_path}/pipe", shell=True) as writer:
        with pytest.raises(AudioFileError, match="GB came through the pipe; give a file"):
            read_audio_file(tmp_path / "pipe")
        writer.kill()


READ_STDIN = """
import sys
from realtime.hearing.files import AudioFileError, read_audio_file
try:
    print(len(read_audio_file(sys.argv[1]).samples))
except AudioFileError as error:
    print(error)
"""


def read_stdin(name: str, **how: object) -> str:
    run = [sys.executable, "-c", READ_STDIN, name]
    return subprocess.run(run, check=True, stdout=subprocess.PIPE, **how).stdout.decode().strip()


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_the_standard_input_is_read(name: str) -> None:
    n_samples = str(len(read_audio_file(CAPITAL).samples))
    assert read_stdin(name, input=CAPITAL.read_bytes()) == n_samples
    with CAPITAL.open("rb") as file:
        assert read_stdin(name, stdin=file) == n_samples


def test_a_terminal_is_no_recording() -> None:
    ours, theirs = os.openpty()
    assert "terminal" in read_stdin("-", stdin=theirs)
    os.close(ours)
    os.close(theirs)


# ---- what is no audio, and what is too much ----


def test_files_that_are_no_audio_say_so(tmp_path: Path) -> None:
    (tmp_path / "text.ogg").write_text("this is no audio")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "none.wav").write_bytes(wav(np.zeros(0, np.int16)))
    (tmp_path / "head.ogg").write_bytes(CAPITAL.read_bytes()[:100])
    (tmp_path / "page.png").write_bytes((CLIPS.parents[1] / "realtime/doors/page/card.png").read_bytes())
    for name in ("text.ogg", "empty.wav", "none.wav", "head.ogg", "page.png", "missing.wav"):
        with pytest.raises(AudioFileError, match=name):
            read_audio_file(tmp_path / name)


def test_a_file_without_sound_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        film.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="holds no audio"):
        read_audio_file(tmp_path / "film.mp4")


@pytest.mark.parametrize(
    ("rate_hz", "channels", "reason"),
    [
        (1, 1, "its sample rate is 1 Hz"),
        (4_000_000, 1, "its sample rate is 4000000 Hz"),
        (16_000, 65, "it has 65 channels"),
        (16_000, 1_000, "decoded|no samples"),
        (16_000, 65_535, "decoded|no samples"),
    ],
)
def test_rates_and_channels_that_cannot_be_are_refused(
    rate_hz: int, channels: int, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "clip.wav").write_bytes(wav(np.zeros(100 * channels, np.int16), rate_hz, channels))
    with pytest.raises(AudioFileError, match=reason):
        read_audio_file(tmp_path / "clip.wav")


def test_much_that_cannot_be_is_not_decoded_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of silence at such a rate are a few megabytes, and no limit of length counts them."""
    cannot_be, can_be = wav(np.zeros(2000, np.int16), 500), wav(to_int16(chirp(1)))
    (tmp_path / "joined.wav").write_bytes(cannot_be + cannot_be + can_be)
    assert len(read_audio_file(tmp_path / "joined.wav").samples)
    monkeypatch.setattr(decoding, "MAX_REFUSED_SAMPLES", 3000)
    with pytest.raises(AudioFileError, match="its sample rate is 500 Hz"):
        read_audio_file(tmp_path / "joined.wav")


def test_a_recording_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(wav(to_int16(chirp(3))))
    with pytest.raises(AudioFileError, match="longer than 2 s"):
        read_audio_file(tmp_path / "long.wav", max_s=2)
    assert len(read_audio_file(tmp_path / "long.wav", max_s=3).samples) == 3 * SAMPLE_RATE_HZ


READ_AND_WEIGH = """
import resource, sys
from realtime.hearing.files import AudioFileError, read_audio_file
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
read_audio_file(sys.argv[2])
before_mb = peak_mb()
try:
    print(read_audio_file(sys.argv[1]).samples.nbytes / 2**20, peak_mb() - before_mb)
except AudioFileError as error:
    print(0, peak_mb() - before_mb)
"""


@pytest.mark.parametrize(("hours", "result_mb"), [(2, 440), (4, 0)])
def test_memory_is_that_of_the_result(hours: int, result_mb: int, tmp_path: Path) -> None:
    """Hours of silence in some kB; four are refused while they are read."""
    silence = np.zeros((1, 60 * SAMPLE_RATE_HZ), np.int16)
    with av.open(str(tmp_path / "long.wv"), "w") as container:
        stream = container.add_stream("wavpack", rate=SAMPLE_RATE_HZ, layout="mono")
        for minute in range(60 * hours):
            frame = av.AudioFrame.from_ndarray(silence, format="s16p", layout="mono")
            frame.sample_rate, frame.time_base = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ)
            frame.pts = minute * silence.shape[1]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert (tmp_path / "long.wv").stat().st_size < 250_000
    run = [sys.executable, "-c", READ_AND_WEIGH, str(tmp_path / "long.wv"), str(CAPITAL)]
    held_mb, growth_mb = map(float, subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout.split())
    assert held_mb == pytest.approx(result_mb, abs=1)
    assert growth_mb < 500


def test_the_cover_of_an_album_is_not_unpacked(tmp_path: Path) -> None:
    side = 8_000  # 192 MB as pixels
    with av.open(str(tmp_path / "album.mp3"), "w") as album:
        track = album.add_stream("libmp3lame", rate=48_000, layout="mono")
        cover = album.add_stream("png")
        cover.width = cover.height = side
        cover.pix_fmt, cover.disposition = "gray", av.stream.Disposition.attached_pic
        album.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((side, side), np.uint8), "gray")))
        album.mux(cover.encode(None))
        mux(album, track, chirp(1, 48_000))
    run = [sys.executable, "-c", READ_AND_WEIGH, str(tmp_path / "album.mp3"), str(CAPITAL)]
    held_mb, growth_mb = map(float, subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout.split())
    assert held_mb > 0.05
    assert growth_mb < 20
