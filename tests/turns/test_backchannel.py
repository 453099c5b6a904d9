"""How a sound over an answer sounds: our head on the real encoder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns.backchannel import PARTS, Backchannel, features
from realtime.turns.smart_turn import STATE_SIZE, WINDOW_SAMPLES, Heard, SmartTurn, find_smart_turn

N_STATES = 400


@pytest.fixture(scope="module")
def smart_turn() -> SmartTurn:
    return SmartTurn(find_smart_turn(default_cache_dir()))


def heard_counting() -> Heard:
    """Each state is its own number."""
    states = np.repeat(np.arange(N_STATES, dtype=np.float32)[:, None], STATE_SIZE, axis=1)
    return Heard(0.5, np.zeros(STATE_SIZE, np.float32), states)


def test_only_the_sound_counts_part_by_part() -> None:
    found = features(heard_counting(), SAMPLE_RATE_HZ * 16 // 100)  # 0.16 s: the last eight states
    assert found.reshape(PARTS, STATE_SIZE)[:, 0].tolist() == [392.5, 394.5, 396.5, 398.5]


@pytest.mark.parametrize("n_samples", [0, 1, 5000, WINDOW_SAMPLES, 60 * SAMPLE_RATE_HZ])
def test_any_length_has_a_probability(smart_turn: SmartTurn, n_samples: int) -> None:
    scorer = Backchannel(smart_turn)
    for samples in (np.zeros(n_samples, np.float32), np.ones(n_samples, np.float32)):
        assert 0 <= scorer.score(samples) <= 1


def test_the_same_sound_has_the_same_score(smart_turn: SmartTurn, speech: Callable[[str], Samples]) -> None:
    scorer, clip = Backchannel(smart_turn), speech("question_capital")[:SAMPLE_RATE_HZ]
    assert scorer.score(clip) == scorer.score(clip)


def test_the_weights_decide(smart_turn: SmartTurn, tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    save_file({"weight": np.zeros(PARTS * STATE_SIZE, np.float32), "bias": np.ones(1, np.float32)}, path)
    assert Backchannel(smart_turn, path).score(np.zeros(8000, np.float32)) == pytest.approx(0.731, abs=0.001)
