"""What takes the turn from an answer, and what does not."""

import pytest

from models.types import SAMPLE_RATE_HZ
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.interruption import Verdict, is_backchannel, judge_by_length, leaves_turn
from realtime.turns.observations import SoundJudged

OPTIONS = EndpointingOptions(min_interruption_s=0.25, max_backchannel_s=0.8)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Mm-hmm.",
        "Uh-huh!",
        "Yeah.",
        "yeah, right, okay",
        "I see.",
        "That’s right.",
        "Oh, really?",
        "Mhm",
        "M. H. M..",
        "Ah-ha!",
        "okay okay okay okay",
        "Yeah, yeah, yeah, right, right.",
    ],
)
def test_backchannels_take_no_turn(words: str) -> None:
    assert is_backchannel(words)


@pytest.mark.parametrize("words", ["Stop.", "Wait!", "No.", "yeah but no", "What?", "and you"])
def test_other_words_take_the_turn(words: str) -> None:
    assert not is_backchannel(words)


@pytest.mark.parametrize("words", ["4", "9:30", "911!", "20,000", "стоп", "待って", "arrête", "٤"])
@pytest.mark.parametrize("least_probability", [1.0, 0.9])
def test_numbers_and_words_of_every_script_take_the_turn(words: str, least_probability: float) -> None:
    assert not is_backchannel(words, least_probability)


@pytest.mark.parametrize(
    ("words", "least_probability", "leaves"),
    [
        ("A memo.", 0.4, True),
        ("A memo.", 0.6, False),
        ("Stop.", 0.1, False),
        ("4", 0.1, False),
        ("In Emma.", 0.38, True),
    ],
)
def test_words_in_doubt_are_a_hum_unless_they_are_known_to_stop(
    words: str, least_probability: float, leaves: bool
) -> None:
    assert is_backchannel(words, least_probability) is leaves


@pytest.mark.parametrize(
    ("text", "least_probability", "score", "leaves"),
    [
        (None, 1.0, None, False),
        (None, 1.0, 0.9, False),
        (None, 1.0, 0.95, True),
        ("", 1.0, None, True),
        ("", 1.0, 0.5, False),
        ("", 1.0, 0.7, True),
        ("M. H. M.", 0.9, 0.1, False),
        ("A memo.", 0.4, 0.9, True),
        ("Owl.", 0.2, 0.1, False),
        ("Owl.", 0.9, 0.99, False),
        ("Yeah.", 0.9, 0.01, True),
        ("All right.", 0.5, 0.01, True),
        ("Stop.", 0.1, 0.99, False),
        ("Repeat.", 0.1, 0.99, False),
        ("Four.", 0.1, 0.99, False),
        ("4", 0.1, 0.99, False),
    ],
)
def test_words_and_sound_decide_together(
    text: str | None, least_probability: float, score: float | None, leaves: bool
) -> None:
    assert leaves_turn(SoundJudged(1, text, least_probability, score)) is leaves


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(0.1, Verdict.NO_TURN), (0.2, Verdict.ASK), (0.9, Verdict.ASK), (1.1, Verdict.TURN)],
)
def test_more_lengths_are_in_doubt_where_a_scorer_can_tell(seconds: float, verdict: Verdict) -> None:
    samples = round(seconds * SAMPLE_RATE_HZ)
    assert judge_by_length(samples, OPTIONS, ended=True, can_ask=True, is_scored=True) is verdict


@pytest.mark.parametrize(
    ("seconds", "ended", "can_ask", "verdict"),
    [
        (0.2, False, True, None),
        (0.2, True, True, Verdict.NO_TURN),
        (0.2, True, False, Verdict.NO_TURN),
        (0.5, False, True, None),
        (0.5, True, True, Verdict.ASK),
        (0.5, False, False, Verdict.TURN),
        (0.9, False, True, Verdict.TURN),
        (0.9, True, True, Verdict.TURN),
    ],
)
def test_length_decides_where_it_can(seconds: float, ended: bool, can_ask: bool, verdict: Verdict | None) -> None:
    samples = round(seconds * SAMPLE_RATE_HZ)
    assert judge_by_length(samples, OPTIONS, ended=ended, can_ask=can_ask) is verdict
