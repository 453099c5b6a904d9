"""One speaker: audio in, frames out, and the turn under way."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.listener import Listener
from realtime.hearing.vad import VadOptions
from realtime.turns.actions import Turn, TurnEnd
from realtime.turns.observations import PauseScored, SpeechStarted, SpeechStopped
from tests.session.conversing import loud, loudness_detector, quiet


class Half:
    """Is never sure."""

    def score(self, samples: Samples) -> float:
        return 0.5


def listener_of(put: Callable[[PauseScored], object] = print, *, scores: bool = False) -> Listener:
    detector = loudness_detector(VadOptions(), "Ann")
    return Listener("Ann", detector, scorer=Half() if scores else None, put=put, shown_name="Ann")


async def test_frames_say_whose_they_are_and_what_was_found() -> None:
    listener = listener_of()
    audio = np.concatenate((loud(0.5), quiet(0.5)))
    frames = []
    for start in range(0, len(audio), 333):
        frames += await listener.listen(AudioChunk(audio[start : start + 333], start, "Ann"), 0.0)
    assert {frame.speaker for frame in frames} == {"Ann"}
    assert [type(frame.event) for frame in frames if frame.event] == [SpeechStarted, SpeechStopped]
    assert listener.end_sample == len(audio)


async def test_a_turn_is_cut_from_the_past_and_named_after_its_speaker() -> None:
    listener = listener_of()
    audio = np.concatenate((quiet(1), loud(1)))
    await listener.listen(AudioChunk(audio, 0, "Ann"), 0.0)
    turn = Turn(speaker="Ann", start_sample=12_000, onset_sample=16_000)
    assert listener.open_turn(turn, "item_1").item_id == "item_1"
    message = listener.message(TurnEnd("Ann", 20_000))
    assert np.array_equal(message.clips[0].samples, audio[12_000:20_000])
    assert (message.id, message.speaker) == ("item_1", "Ann")
    listener.close_turn()
    assert listener.turn is None


async def test_the_past_is_forgotten_but_for_what_a_turn_may_need() -> None:
    listener = listener_of()
    for second in range(10):
        await listener.listen(AudioChunk(loud(1), second * len(loud(1)), "Ann"), 0.0)
        listener.forget_the_past()
    end_sample = listener.end_sample
    listener.open_turn(Turn(speaker="Ann", start_sample=0), "item_1")
    kept_s = listener.message(TurnEnd("Ann", end_sample)).audio_s
    assert 1.3 <= kept_s < 3


@pytest.mark.parametrize("n_scores", [1, 2])
async def test_pauses_are_scored(n_scores: int) -> None:
    arrived: list[PauseScored] = []
    has_arrived = asyncio.Event()
    listener = listener_of(lambda scored: (arrived.append(scored), has_arrived.set()), scores=True)
    await listener.listen(AudioChunk(loud(1), 0, "Ann"), 0.0)
    listener.open_turn(Turn(speaker="Ann", start_sample=0), "item_1")
    for number in range(n_scores):
        listener.score(TurnEnd("Ann", SAMPLE_RATE_HZ // 2), number)
    await asyncio.wait_for(has_arrived.wait(), 10)
    assert arrived == [PauseScored("Ann", n_scores - 1, 0.5)], "the last one counts"


async def test_a_muted_speaker_is_silent() -> None:
    listener = listener_of()
    listener.mute(muted=True)
    frames = await listener.listen(AudioChunk(loud(1), 0, "Ann"), 0.0)
    assert all(frame.event is None for frame in frames)
