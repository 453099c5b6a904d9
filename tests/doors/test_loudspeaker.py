import asyncio

import numpy as np

from models.types import VOICE_RATE_HZ
from realtime.doors.loudspeaker import FRAME_SAMPLES, RATE_HZ, Loudspeaker


def tone(seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 / VOICE_RATE_HZ * np.arange(round(seconds * VOICE_RATE_HZ)))).astype(
        np.float32
    )


async def frames_of(loudspeaker: Loudspeaker, count: int) -> np.ndarray:
    frames = [await loudspeaker.recv() for _ in range(count)]
    assert all((frame.sample_rate, frame.samples) == (RATE_HZ, FRAME_SAMPLES) for frame in frames)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]) / 32768


async def test_it_plays_what_it_is_given_and_silence_before_and_after() -> None:
    loudspeaker = Loudspeaker()
    assert not (await frames_of(loudspeaker, 2)).any()
    loudspeaker.play(tone(0.2))
    heard = await frames_of(loudspeaker, 12)
    assert np.abs(heard).max() > 0.45
    crossings = np.count_nonzero(np.diff(np.signbit(heard[: round(0.08 * RATE_HZ)])))
    assert abs(crossings - 2 * 440 * 0.08) < 4, "at its own pitch"
    assert not heard[-FRAME_SAMPLES:].any()


async def test_it_runs_in_real_time() -> None:
    loudspeaker, loop = Loudspeaker(), asyncio.get_running_loop()
    began_s = loop.time()
    await frames_of(loudspeaker, 11)
    assert 0.18 < loop.time() - began_s < 0.5


async def test_what_is_hushed_is_not_heard() -> None:
    loudspeaker = Loudspeaker()
    loudspeaker.play(tone(0.5))
    await frames_of(loudspeaker, 1)
    loudspeaker.hush()
    assert not (await frames_of(loudspeaker, 2)).any()
