"""The rules of the answer sheet: each takes its right answer, and none takes what says nothing."""

import pytest

from tests.benchmarks.answer_sheet import Question, Rule, read_sheet

QUESTIONS = read_sheet()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question.number} {question.kind}")
def test_a_rule_takes_the_right_answer_and_no_empty_one(question: Question) -> None:
    assert question.rule.passes(question.right)
    assert not question.rule.passes("")
    assert not question.rule.passes("Blah blah.")


@pytest.mark.parametrize("kind", ["facts", "sums", "instructions", "memory", "notes"])
def test_a_rule_takes_hardly_any_answer_to_another_question(kind: str) -> None:
    questions = [question for question in QUESTIONS if question.kind == kind]
    taken = sum(one.rule.passes(other.right) for one in questions for other in questions if one is not other)
    assert taken / (len(questions) * (len(questions) - 1)) < 0.03


def test_there_are_enough_questions_that_can_be_asked_in_text() -> None:
    assert sum(question.can_be_text for question in QUESTIONS) >= 160


def test_a_rule_counts_words_and_reads_whole_ones() -> None:
    rule = Rule(says=("oslo", "2000|two thousand"), never=("bergen",), max_words=4)
    assert rule.passes("**Oslo**, 2,000 people.")
    assert not rule.passes("Oslonian, 2,000")
    assert not rule.passes("Oslo 2000, not Bergen.")
    assert not rule.passes("Oslo has two thousand people.")
