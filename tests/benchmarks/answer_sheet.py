"""The questions of `bench_answers.py`, and the rules that say whether an answer is right.

`answer_sheet.jsonl` has one question a line, all of them ours. Its `turns` are said one after the other, and the last
answer is judged: it must have every pattern of `says`, none of `never`, and as many words as are allowed. Patterns are
regular expressions for whole words, upper and lower case alike. `right` is an answer that passes; a test sees to it.
No model judges another. Read `voices.py` for who says the questions.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SHEET = Path(__file__).with_suffix(".jsonl")
ONE_SENTENCE_WORDS = 30  # and a long one
COMMON_PATTERNS = {  # that many questions share
    "<does not know>": r"(?:do(?:es)? not|don't|doesn't|cannot|can't|can not|could not|couldn't) (?:\w+ )?"
    r"(?:know|see|tell|have|predict|access|recall|remember|determine|provide|say|read|guess|hear|answer|find)"
    r"|unable|not (?:able|possible|sure|aware|certain)|impossible|no (?:way|idea|access|information)|have(?:n't| not)"
    r"|nobody (?:can|knows)|not (?:been )?(?:told|provided|mentioned|given|shared)|without (?:more|knowing)"
    r"|(?:could|can|would) you (?:\w+ )?(?:tell|provide|share|give|describe)|please (?:tell|provide|share|give)",
    "<no words>": r"no(?:t any)? (?:words?|speech|one|voice|spoken|audible)|nobody|nothing (?:is|was) said|silen\w+"
    r"|(?:not|n't) (?:\w+ )?(?:speak|understand|understood|hear|heard|say|any words)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a person says, or a recording and what they ask about it.

    Attributes:
        spoken: the words said to the model; "" where it is given a recording.
        recording: what is said in the recording, line by line, by one voice after the other.
        clip: name of a recording in `assets/clips`.
        data: path of a recording in the folder given to `--data`.
        sound: a recording without words: "silence", "noise" or "melody".
        ask: what is asked about the recording, in text; "" where the recording is the question.
    """

    spoken: str = ""
    recording: tuple[str, ...] = ()
    clip: str = ""
    data: str = ""
    sound: str = ""
    ask: str = ""

    @property
    def can_be_text(self) -> bool:
        """Whether its words are known."""
        return bool(self.spoken or self.recording)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When an answer is right.

    Attributes:
        says: patterns that must all be in it.
        never: patterns that must not.
        min_words: so many words at least.
        max_words: so many words at most; a person is told to be answered in one short sentence.
    """

    says: tuple[str, ...]
    never: tuple[str, ...] = ()
    min_words: int = 1
    max_words: int = ONE_SENTENCE_WORDS

    def passes(self, answer: str) -> bool:
        """Whether an answer is right."""
        text = _plain(answer)
        n_words = len(re.findall(r"\w+(?:['’-]\w+)*", text))
        if not self.min_words <= n_words <= self.max_words:
            return False
        return all(_has(text, pattern) for pattern in self.says) and not any(_has(text, one) for one in self.never)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One line of the sheet.

    Attributes:
        number: of the line, from 1.
        kind: what it tries.
        turns: said one after the other; the answer to the last one is judged.
        rule: when that answer is right.
        right: an answer that is.
    """

    number: int
    kind: str
    turns: tuple[Turn, ...]
    rule: Rule
    right: str

    @property
    def can_be_text(self) -> bool:
        """Whether it can be asked in text."""
        return all(turn.can_be_text for turn in self.turns)

    @property
    def needs_data(self) -> bool:
        """Whether it is about a recording of `--data`."""
        return any(turn.data for turn in self.turns)


def read_sheet(path: Path = SHEET) -> list[Question]:
    """Reads the questions.

    Raises:
        ValueError: a line is no JSON object.
        KeyError: a line lacks something.
        TypeError: a line has something that is not known.
    """
    return [_question(number, json.loads(line)) for number, line in enumerate(path.read_text().splitlines(), 1)]


def _question(number: int, line: dict[str, object]) -> Question:
    kind, turns, right = (line.pop(name) for name in ("kind", "turns", "right"))
    assert isinstance(turns, list)
    rule = {name: tuple(value) if isinstance(value, list) else value for name, value in line.items()}
    return Question(number=number, kind=str(kind), turns=tuple(map(_turn, turns)), rule=Rule(**rule), right=str(right))


def _turn(turn: str | dict[str, object]) -> Turn:
    if isinstance(turn, str):
        return Turn(spoken=turn)
    return Turn(**{name: tuple(value) if isinstance(value, list) else value for name, value in turn.items()})


def _plain(answer: str) -> str:
    """The answer without marks of emphasis, with straight apostrophes, and numbers without separators."""
    text = re.sub(r"[*_`#]+", "", answer.replace("’", "'"))
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", text).strip()


def _has(text: str, pattern: str) -> bool:
    for name, common in COMMON_PATTERNS.items():
        pattern = pattern.replace(name, common)
    return re.search(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE | re.DOTALL) is not None


def kinds_of(questions: Sequence[Question]) -> list[str]:
    """The kinds, in the order of the sheet."""
    return list(dict.fromkeys(question.kind for question in questions))
