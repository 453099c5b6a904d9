"""What no model takes is refused in the same words by all."""

import numpy as np
import pytest

from models.checks import check_clip, check_language, check_messages
from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, AudioClip, Message


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (np.zeros(0, np.float32), r"0\.000 s long; at least 0\.02 s"),
        (np.zeros(601 * SAMPLE_RATE_HZ, np.float32), "601 s long; at most 600 s"),
        (np.full(SAMPLE_RATE_HZ, np.inf, np.float32), "not finite"),
    ],
)
def test_clips_that_cannot_be_taken(samples: np.ndarray, complaint: str) -> None:
    clip = AudioClip(samples)
    with pytest.raises(InvalidPrompt, match=complaint):
        check_clip(clip)
    with pytest.raises(InvalidPrompt, match=complaint):
        check_messages([Message("user", ("look", clip))])


def test_no_messages() -> None:
    with pytest.raises(InvalidPrompt, match="no messages"):
        check_messages([])
    check_messages([Message("user", (AudioClip(np.zeros(320, np.float32)),))])


def test_languages_have_two_letters() -> None:
    for language in (None, "en", "fr"):
        check_language(language)
    for language in ("", "e", "eng", "EN", "e1", "auto"):
        with pytest.raises(InvalidPrompt, match="two letters"):
            check_language(language)
