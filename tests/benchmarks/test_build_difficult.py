"""Difficult turns: the sentences of the two parts differ, templates are filled, and silences know what came before."""

import re
from itertools import product

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ
from tests.benchmarks.build_dialogues import Turn
from tests.benchmarks.build_difficult import (
    COUNTS,
    DIGITS_HOLD_S,
    HOLD_S,
    HOLDS_S,
    LINES,
    TEST_PROGRAMS,
    TRAIN_PROGRAMS,
    Line,
    Spoken,
    holds_s,
    in_a_room,
    make_line,
    quietest,
    read_lines,
    said_before,
    spelled,
)

KINDS = {
    *("number", "digits", "spelling", "list", "filler", "conjunction", "trailing", "afterthought"),
    *("one word", "complete", "answer"),
}
WITHOUT_HOLDS = ("one word", "complete", "answer")
ALL = [
    (part, kind, template) for part in LINES for kind, found in read_lines(LINES[part]).items() for template in found
]


def test_both_parts_have_all_kinds_with_other_sentences_and_voices() -> None:
    spoken = {part: {template.split("> ")[-1] for other, _, template in ALL if other == part} for part in LINES}
    assert all(set(read_lines(path)) == KINDS for path in LINES.values())
    both = spoken["test"] & spoken["train"]
    assert all(re.fullmatch(r"\{\w+\}\.?", template) for template in both), both
    assert not set(TEST_PROGRAMS) & set(TRAIN_PROGRAMS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_template_can_be_spoken(kind: str) -> None:
    rng = np.random.default_rng(0)
    for part, template in ((part, template) for part, other, template in ALL if other == kind):
        line = make_line(kind, template, part, rng)
        assert not set("{}|>") & set(line.text), template
        assert all(line.parts), template
        assert (len(line.parts) == 1) == (kind in WITHOUT_HOLDS), template
        assert line.asked is None or line.asked.endswith((".", "?")), template


def test_the_same_seed_makes_the_same_line() -> None:
    first, again, other = (
        make_line("number", "It's | {phone}.", "test", np.random.default_rng(seed)).text for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_name_is_spelled_whole() -> None:
    for seed, name in product(range(20), ("Thea", "Lindqvist", "Al")):
        groups = spelled(name, np.random.default_rng(seed))
        assert "".join(letter for letter in groups if letter.isalpha()) == name.upper()


@pytest.mark.parametrize(("kind", "median_s"), [("list", HOLD_S), ("digits", DIGITS_HOLD_S), ("number", DIGITS_HOLD_S)])
def test_holds_are_as_long_as_people_make_them(kind: str, median_s: float) -> None:
    found = holds_s(Line(kind, ("a",) * 2001, None), np.random.default_rng(0))
    assert len(found) == 2000
    assert HOLDS_S[0] == min(found) <= max(found) == HOLDS_S[1]
    assert abs(float(np.median(found)) - median_s) < 0.05


def test_a_sentence_is_cut_where_it_is_quiet() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    samples[8600:8900] = 0
    assert 8600 <= quietest(samples, 8000) <= 8900
    assert 0 <= quietest(samples, 0) < 2100
    assert quietest(samples, len(samples)) <= len(samples)


@pytest.mark.parametrize("n_samples", [0, 10, 1000])
def test_a_part_of_any_length_gets_a_quiet_room(n_samples: int) -> None:
    found = in_a_room(np.ones(n_samples, np.float32), np.random.default_rng(0))
    assert found.dtype == np.float32
    assert 0 < np.abs(found[:4000]).max() < 0.01 > np.abs(found[-4000:]).max()


def test_each_silence_knows_the_words_before_it() -> None:
    line = Line("list", ("We need eggs, fresh milk,", "and bread."), None)
    turn = Turn(
        np.zeros(50_000, np.float32),
        silences=[(3000, 5000), (9000, 20_000), (24_000, 26_000), (30_000, 50_000)],
        starts=[1000, 18_000],
        origins=[500, 17_000],
    )
    words = [[("We", 700), ("We need", 1500), ("We need eggs,", 2600), ("We need eggs, fresh", 6000)], []]
    assert said_before(line, Spoken("kokoro", "x", [], words), turn) == [
        "We need eggs,",
        "We need eggs, fresh milk,",
        None,
        "We need eggs, fresh milk, and bread.",
    ]


def test_there_are_enough_turns_of_each_kind() -> None:
    assert COUNTS["test"] >= 25
    assert COUNTS["train"] >= 150
