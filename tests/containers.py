"""Recordings in every format that FFmpeg writes here: what tests read, damage, cut and join."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples


@dataclass(frozen=True)
class Format:
    """How a recording is kept.

    Attributes:
        container: FFmpeg's name of the muxer.
        codec: FFmpeg's name of the encoder.
        rate_hz: sample rate.
        states_length: whether a file says how long it is before its audio, so that one knows what was cut off.
        has_checks: whether a decoder can tell damage from sound.
        options: of the muxer.
    """

    container: str
    codec: str
    rate_hz: int
    states_length: bool = True
    has_checks: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


FORMATS = {
    "wav": Format("wav", "pcm_s16le", 48_000, has_checks=False),
    "wav24": Format("wav", "pcm_s24le", 96_000, has_checks=False),
    "wav_float": Format("wav", "pcm_f32le", 16_000, has_checks=False),
    "wav_adpcm": Format("wav", "adpcm_ima_wav", 22_050, has_checks=False),
    "wav_mp3": Format("wav", "libmp3lame", 44_100),
    "w64": Format("w64", "pcm_s16le", 44_100, states_length=False, has_checks=False),
    "aiff": Format("aiff", "pcm_s16be", 44_100, has_checks=False),
    "aifc": Format("aiff", "pcm_mulaw", 8_000, has_checks=False),
    "au": Format("au", "pcm_s16be", 22_050, has_checks=False),
    "caf": Format("caf", "pcm_s16be", 44_100, states_length=False, has_checks=False),
    "flac": Format("flac", "flac", 44_100),
    "wv": Format("wv", "wavpack", 44_100),
    "tta": Format("tta", "tta", 44_100),
    "mp3": Format("mp3", "libmp3lame", 44_100),
    "mp2": Format("mp2", "mp2", 48_000, states_length=False),
    "adts": Format("adts", "aac", 44_100, states_length=False),
    "ac3": Format("ac3", "ac3", 48_000, states_length=False),
    "eac3": Format("eac3", "eac3", 48_000, states_length=False),
    "amr": Format("amr", "libopencore_amrnb", 8_000, states_length=False, has_checks=False),
    "ogg_opus": Format("ogg", "libopus", 48_000, states_length=False),
    "ogg_flac": Format("ogg", "flac", 44_100, states_length=False),
    "webm": Format("webm", "libopus", 48_000),
    "mkv": Format("matroska", "aac", 48_000),
    "mka": Format("matroska", "flac", 44_100),
    "m4a": Format("ipod", "aac", 44_100, options={"movflags": "faststart"}),
    "mp4_alac": Format("mp4", "alac", 44_100, options={"movflags": "faststart"}),
    "3gp": Format("3gp", "aac", 44_100, options={"movflags": "faststart"}),
    "mov": Format("mov", "pcm_s16le", 48_000, has_checks=False, options={"movflags": "faststart"}),
    "flv": Format("flv", "aac", 44_100),
    "avi": Format("avi", "libmp3lame", 44_100, states_length=False),
    "ts": Format("mpegts", "aac", 48_000, states_length=False),
    "mpeg": Format("mpeg", "mp2", 48_000, states_length=False),
}


def chirp(seconds: float, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """A tone that rises from 200 to 1800 Hz, three times a second louder: no stretch of it is like another."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * (200 * time_s + 800 / seconds * time_s**2)
    return (0.4 * np.sin(phase) * (0.6 + 0.4 * np.sin(6 * np.pi * time_s))).astype(np.float32)


def encode(kept: Format, seconds: float = 3.0, rate_hz: int | None = None, layout: str = "mono") -> bytes:
    """Writes a chirp in one format, the same bytes each time."""
    rate_hz = rate_hz or kept.rate_hz
    options = {"fflags": "bitexact", **kept.options}  # no random serial numbers
    with tempfile.NamedTemporaryFile() as file:  # some containers are read again while they are written
        with av.open(file.name, "w", format=kept.container, container_options=options) as container:
            stream = container.add_stream(kept.codec, rate=rate_hz)
            stream.codec_context.layout = layout
            if kept.codec == "libopencore_amrnb":
                stream.bit_rate = 12_200
            mux(container, stream, chirp(seconds, rate_hz))
        return Path(file.name).read_bytes()


def mux(container: av.container.OutputContainer, stream: av.AudioStream, samples: Samples) -> None:
    """Encodes mono float32 `(n_samples,)` at the stream's rate, the same on all channels."""
    context = stream.codec_context
    resampler = av.AudioResampler(context.codec.audio_formats[0], context.layout, context.sample_rate)
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = context.sample_rate, 0, Fraction(1, context.sample_rate)
    waiting = av.AudioFifo()
    for converted in [*resampler.resample(frame), *resampler.resample(None)]:
        waiting.write(converted)
    if not context.is_open:
        context.open()
    size = context.frame_size or 1024
    while piece := waiting.read(size) or waiting.read():
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))
