"""The rule on made-up scores; Smart Turn, and our head on it, on real speech; their weights."""

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
from realtime.end_of_turn import EndOfTurn
from realtime.endpointing import MAX_ADAPTATION, MIN_ADAPTATION, Endpointing, EndpointingOptions
from realtime.smart_turn import (
    SHA256,
    WHEEL_MEMBER,
    WINDOW_SAMPLES,
    SmartTurn,
    fetch_smart_turn,
    find_smart_turn,
    smart_turn_path,
)
from tests.conftest import silence

PROBABILITIES = st.floats(0, 1)
PAUSES = st.lists(st.one_of(st.none(), st.integers(0, 10 * SAMPLE_RATE_HZ)), max_size=200)  # None: a cut-in


def after(pauses: list[int | None], options: EndpointingOptions | None = None) -> Endpointing:
    endpointing = Endpointing(options or EndpointingOptions())
    for pause in pauses:
        if pause is None:
            endpointing.observe_cut_in()
        else:
            endpointing.observe_hold(pause)
    return endpointing


@given(PROBABILITIES, PROBABILITIES, PAUSES)
def test_a_higher_score_never_waits_longer(one: float, other: float, pauses: list[int | None]) -> None:
    endpointing = after(pauses)
    low, high = sorted((one, other))
    assert endpointing.wait_samples(high) <= endpointing.wait_samples(low)
    assert endpointing.wait_samples(1.0) <= endpointing.wait_samples(None) <= endpointing.wait_samples(0.0)


@given(st.one_of(st.none(), PROBABILITIES), PAUSES)
def test_the_wait_stays_within_its_bounds(score: float | None, pauses: list[int | None]) -> None:
    options = EndpointingOptions()
    endpointing = after(pauses, options)
    assert 0 <= endpointing.wait_samples(score) <= options.max_wait_samples
    neutral = endpointing.wait_samples(None)
    assert options.silence_samples * MIN_ADAPTATION - 1 <= neutral <= options.silence_samples * MAX_ADAPTATION + 1
    assert neutral == endpointing.wait_samples(0.5)


@given(st.floats(0.2, 0.8), st.floats(0.1, 0.6))
def test_the_wait_costs_least_for_pauses_of_that_length(score: float, mean_pause_s: float) -> None:
    options = EndpointingOptions(silence_s=1.0, mean_pause_s=mean_pause_s)
    cut_in_s = mean_pause_s * math.exp(options.silence_s / mean_pause_s)  # what a cut-in is worth at this silence_s

    def cost(wait_s: float) -> float:
        return score * wait_s + (1 - score) * cut_in_s * math.exp(-wait_s / mean_pause_s)

    wait_s = Endpointing(options).wait_samples(score) / SAMPLE_RATE_HZ
    assert cost(wait_s) <= min(cost(wait_s - 0.01), cost(wait_s + 0.01))


@given(PAUSES)
def test_a_long_pause_never_shortens_the_wait_and_a_short_one_never_lengthens_it(pauses: list[int | None]) -> None:
    before = after(pauses).wait_samples(None)
    assert after([*pauses, None]).wait_samples(None) >= before
    assert after([*pauses, before + 1]).wait_samples(None) >= before
    assert after([*pauses, before]).wait_samples(None) <= before


def test_without_a_score_the_wait_is_the_silence_asked_for() -> None:
    assert Endpointing(EndpointingOptions(silence_s=0.8)).wait_samples(None) == round(0.8 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize("score", [-1.0, 2.0, float("nan"), float("inf")])
def test_a_score_that_cannot_be_is_taken_for_the_nearest(score: float) -> None:
    endpointing = Endpointing(EndpointingOptions())
    assert endpointing.wait_samples(1.0) <= endpointing.wait_samples(score) <= endpointing.wait_samples(0.0)


def test_the_wait_settles_where_one_pause_in_twenty_outlasts_it() -> None:
    pauses_s = np.random.default_rng(0).gamma(4, 0.15, 4000)
    endpointing = Endpointing(EndpointingOptions(silence_s=1.0))
    outlasted = []
    for pause_s in pauses_s:
        outlasted.append(pause_s * SAMPLE_RATE_HZ > endpointing.wait_samples(None))
        endpointing.observe_hold(round(pause_s * SAMPLE_RATE_HZ))
    assert np.mean(outlasted[500:]) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"silence_s": -0.1},
        {"mean_pause_s": -0.1},
        {"score_at_s": -1},
        {"max_wait_s": 0.3},
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


@pytest.mark.parametrize("name", ["question_capital", "question_sky", "name_ask", "question_story"])
def test_our_head_hears_the_end_of_a_question_too(
    smart_turn: SmartTurn, speech: Callable[[str], Samples], name: str
) -> None:
    head, clip = EndOfTurn(smart_turn), speech(name)
    half = np.concatenate((clip[: len(clip) // 2], silence(0.2)))
    assert head.score(half) < min(0.3, head.score(clip))
    assert head.score(clip) == head.score(clip)


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
    with pytest.raises(ModelUnavailable, match=r"Smart Turn is not in .* python app\.py fetch"):
        find_smart_turn(tmp_path)
    path = smart_turn_path(tmp_path)
    path.parent.mkdir()
    shutil.copy(find_smart_turn(default_cache_dir()), path)
    assert fetch_smart_turn(tmp_path) == path
    with path.open("ab") as file:
        file.write(b"!")
    for use in (find_smart_turn, fetch_smart_turn):
        with pytest.raises(ModelUnavailable, match="altered; delete it"):
            use(tmp_path)


def offer_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Lets pip find a wheel of the pinned name and version that holds other weights, and nothing else."""
    info = "pipecat_ai-1.14.0.dist-info"
    with zipfile.ZipFile(folder / "pipecat_ai-1.14.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pipecat-ai\nVersion: 1.14.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr(WHEEL_MEMBER, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_weights_that_are_not_what_was_pinned_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(tmp_path, monkeypatch, b"something else")
    cache = tmp_path / "cache"
    with pytest.raises(ModelUnavailable, match="not the file that was pinned"):
        fetch_smart_turn(cache)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_what_was_pinned_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_wheel(tmp_path, monkeypatch, find_smart_turn(default_cache_dir()).read_bytes())
    path = fetch_smart_turn(tmp_path / "cache")
    assert path == find_smart_turn(tmp_path / "cache")
    assert len(SHA256) == 64
