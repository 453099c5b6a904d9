"""Clips cut into windows that keep their names while the clip grows."""

import numpy as np
import pytest
import torch

from models.families.windows import audio_span, cut_windows, pooled_positions, whisper_frames, whisper_states
from models.types import SAMPLE_RATE_HZ

NOISE = np.random.default_rng(0).standard_normal(5 * SAMPLE_RATE_HZ).astype(np.float32)


def test_windows_of_a_clip_that_grows_stay_the_same_but_for_the_last() -> None:
    short, long = (cut_windows(NOISE[: round(s * SAMPLE_RATE_HZ)], 2.0) for s in (3.0, 5.0))
    assert [len(window) / SAMPLE_RATE_HZ for window in long] == [2.0, 2.0, 1.0]
    names = [[audio_span(window, 1, torch.from_numpy).key for window in windows] for windows in (short, long)]
    assert names[0][0] == names[1][0]
    assert len({*names[0], *names[1]}) == 4


def test_the_last_window_is_padded_to_the_shortest() -> None:
    assert len(cut_windows(NOISE[:10], 2.0, 0.03)[0]) == 480
    assert len(cut_windows(NOISE[: 2 * SAMPLE_RATE_HZ + 1], 2.0)[1]) == 320


def test_a_window_is_encoded_when_it_is_asked_for() -> None:
    encoded = []
    span = audio_span(NOISE, 7, lambda window: encoded.append(len(window)) or torch.zeros(7, 2))
    assert (span.n_tokens, encoded) == (7, [])
    assert span.embed().shape == (7, 2)
    assert encoded == [len(NOISE)]


@pytest.mark.parametrize(
    ("samples", "frames", "states", "positions"), [(160, 1, 1, 0), (161, 2, 1, 0), (480_000, 3000, 1500, 750)]
)
def test_positions_of_whisper_encoders(samples: int, frames: int, states: int, positions: int) -> None:
    assert (whisper_frames(samples), whisper_states(samples), pooled_positions(samples)) == (frames, states, positions)
