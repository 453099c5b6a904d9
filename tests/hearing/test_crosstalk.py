"""An echo of one party in the other's channel makes no second speaker; two who speak at once stay two."""

from collections.abc import Callable

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.crosstalk import Crosstalk
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import SpeechStarted, SpeechStopped
from tests.two_party import Line, Speak, TwoPartyCall, make_call, write_call

CHUNK_SAMPLES = 320  # 20 ms
Stretches = dict[str, list[tuple[int, int]]]


def listen(me: Samples, them: Samples, *, knows_other: bool = True) -> Stretches:
    """Where speech begins and stops on each channel, frame by frame as a call is listened to."""
    crosstalk = Crosstalk()
    detectors = {name: SpeechDetector(VadOptions(), speaker=name) for name in ("me", "them")}
    if knows_other:
        detectors["me"].known_sound, detectors["them"].known_sound = crosstalk.me, crosstalk.them
    found: Stretches = {"me": [], "them": []}
    onsets: dict[str, int] = {}
    for start in range(0, len(me), CHUNK_SAMPLES):
        for name, channel in (("me", me), ("them", them)):
            for frame in detectors[name].push(channel[start : start + CHUNK_SAMPLES]):
                if isinstance(frame.event, SpeechStarted):
                    onsets[name] = frame.event.onset_sample
                elif isinstance(frame.event, SpeechStopped):
                    found[name].append((onsets.pop(name), frame.event.offset_sample))
    assert not onsets, "a call ends in silence"
    return found


def overlap(stretch: tuple[int, int], call: TwoPartyCall, party: str) -> int:
    """Samples of a stretch in which a party speaks."""
    return sum(
        max(0, min(stretch[1], turn.end_sample) - max(stretch[0], turn.start_sample))
        for turn in call.turns
        if turn.party == party
    )


def echo(samples: Samples, level_db: float, delay_s: float) -> Samples:
    late = np.concatenate((np.zeros(round(delay_s * SAMPLE_RATE_HZ), np.float32), samples))
    return (late[: len(samples)] * 10 ** (level_db / 20)).astype(np.float32)


def around(samples: Samples, before_s: float, after_s: float) -> Samples:
    """With the noise of a quiet line before, behind and beneath."""
    quiet = [np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32) for seconds in (before_s, after_s)]
    padded = np.concatenate((quiet[0], samples, quiet[1]))
    return padded + np.random.default_rng(0).normal(0, 0.0004, len(padded)).astype(np.float32)


@pytest.fixture
def them(speech: Callable[[str], Samples]) -> Samples:
    return around(speech("question_capital"), 0.5, 3.0)


@pytest.mark.parametrize("level_db", [-3, -10, -20])
@pytest.mark.parametrize("delay_s", [0.02, 0.12, 0.3])
def test_what_comes_back_is_no_speech_of_the_other_party(them: Samples, level_db: float, delay_s: float) -> None:
    me = echo(them, level_db, delay_s)
    assert listen(me, them, knows_other=False)["me"], "it sounds like speech"
    found = listen(me, them)
    assert found["me"] == []
    (start, end), *more = found["them"]
    alone = listen(np.zeros_like(them), them)["them"]
    assert (start, more) == (alone[0][0], [])
    assert end == pytest.approx(alone[-1][1], abs=0.2 * SAMPLE_RATE_HZ), "its softest part may be taken for an echo"


def test_it_is_the_same_the_other_way_round(them: Samples) -> None:
    assert listen(them, echo(them, -10, 0.12))["them"] == []


def test_who_speaks_over_an_echo_is_listened_to(them: Samples, speech: Callable[[str], Samples]) -> None:
    said = np.zeros_like(them)
    start = round(1.0 * SAMPLE_RATE_HZ)
    words = speech("hesitation")[: len(said) - start]
    said[start : start + len(words)] = words
    alone, over_echo = listen(said, np.zeros_like(them))["me"], listen(said + echo(them, -10, 0.12), them)["me"]
    assert over_echo[0][0] == pytest.approx(alone[0][0], abs=0.15 * SAMPLE_RATE_HZ)
    assert over_echo[-1][1] == pytest.approx(alone[-1][1], abs=0.2 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    "line",
    [
        Line(echo_db=-20),
        Line(echo_db=-10, delay_s=0.3),
        Line(echo_db=-10, back_db=-20, by_telephone=True),
    ],
)
async def test_every_turn_of_a_call_is_its_partys(speak: Speak, line: Line) -> None:
    written = write_call(2, n_questions=2, n_tellings=3)
    call = await make_call(written, speak, ("am_michael", "af_heart"), line)
    found = listen(call.me, call.them)
    for party, stretches in found.items():
        for stretch in stretches:
            assert overlap(stretch, call, party) > 0.3 * (stretch[1] - stretch[0]), (party, stretch)
    for turn in call.turns:
        of_turn = [(max(start, turn.start_sample), min(end, turn.end_sample)) for start, end in found[turn.party]]
        covered = sum(max(0, end - start) for start, end in of_turn)
        assert covered > 0.5 * (turn.end_sample - turn.start_sample), turn
