"""Rules that end turns, played on turns whose pauses are known, and how they fare.

A rule is swept over its settings by playing each of them on every turn; the figures of any choice of turns, such as one
source, are read off what that gave. Read `pauses.py` for where pauses come from, `bench_endpointing.py` for what is
compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.types import SAMPLE_RATE_HZ
from realtime.turns.endpointing import Endpointing, EndpointingOptions
from tests.benchmarks.pauses import Pause

MIN_HOLD_S, MAX_HOLD_S = 0.2, 5.0  # the holds eot-bench counts
WAIT_BUDGETS_S = (0.3, 0.6)
CUT_BUDGETS = (0.05, 0.10)
CUT_IN_S = 1.0  # an answer talked over within this tells the rule that it cut in
BOOTSTRAPS = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """One row of the manifest, and what the detector made of it."""

    row: dict[str, Any]
    pauses: tuple[Pause, ...]

    @property
    def end_s(self) -> float:
        """When the turn has ended."""
        return float(self.row["silences"][-1][0])

    @property
    def holds(self) -> list[tuple[float, float]]:
        """The holds that count."""
        return [(a, b) for a, b in self.row["silences"][:-1] if MIN_HOLD_S <= b - a <= MAX_HOLD_S]


Rule = Callable[[Turn], Iterator[float]]  # when the rule commits, in seconds, in order


# ---- rules ----


def by_annotated_silence(wait_s: float) -> Rule:
    """Commits in every annotated silence that lasts long enough."""

    def commits(turn: Turn) -> Iterator[float]:
        for begin, end in [*turn.holds, turn.row["silences"][-1]]:
            if end - begin > wait_s:
                yield begin + wait_s

    return commits


def by_pauses(wait_of: Callable[[Pause], float]) -> Rule:
    """Commits in every pause the detector noticed that outlasts its wait."""

    def commits(turn: Turn) -> Iterator[float]:
        for pause in turn.pauses:
            commit_s = pause.commit_s(wait_of(pause))
            if commit_s is not None:
                yield commit_s

    return commits


def by_endpointing(options: EndpointingOptions) -> Rule:
    """Our rule for a speaker it has not heard before, at every pause."""
    endpointing = Endpointing(options)
    return by_pauses(lambda pause: our_wait_s(endpointing, pause, options.score_at_s))


def speaker_of(turn: Turn) -> str:
    """Who speaks; somebody new if that is not known."""
    return str(turn.row["speaker"] or turn.row["path"])


def by_adapting(options: EndpointingOptions, session_of: Callable[[Turn], str] = speaker_of) -> Rule:
    """Our rule as it learns from each speaker's turns, in the order of the manifest.

    Args:
        options: of the rule.
        session_of: names what it learns of together.
    """
    sessions: dict[str, Endpointing] = {}

    def commits(turn: Turn) -> Iterator[float]:
        endpointing = sessions.setdefault(session_of(turn), Endpointing(options))
        for pause in turn.pauses:
            commit_s = pause.commit_s(our_wait_s(endpointing, pause, options.score_at_s))
            ended_s = pause.silences[-1][1]
            if commit_s is None:
                scored = ended_s >= pause.scored_s(options.score_at_s)
                endpointing.observe_hold(
                    round((ended_s - pause.offset_s) * SAMPLE_RATE_HZ), pause.score if scored else None
                )
                continue
            yield commit_s
            endpointing.observe_end(pause.score)
            if pause.resumed and ended_s - commit_s <= CUT_IN_S:
                endpointing.observe_cut_in(round((ended_s - pause.offset_s) * SAMPLE_RATE_HZ))

    return commits


def our_wait_s(endpointing: Endpointing, pause: Pause, score_at_s: float) -> float:
    """How long the session waits after the last voiced frame of a pause: never before the score counts."""
    wait_samples = endpointing.wait_samples(pause.score, asks_to_wait=pause.asks_to_wait)
    return max(pause.scored_s(score_at_s) - pause.offset_s, wait_samples / SAMPLE_RATE_HZ)


def by_threshold(threshold: float, delay_s: float, timeout_s: float) -> Rule:
    """eot-bench's policy: a score that reaches the threshold commits after the delay, any other at the time-out."""
    return by_pauses(lambda pause: delay_s if pause.score >= threshold else timeout_s)


# ---- figures ----


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a sweep of rules did: for each rule and turn the answers before its end, and the wait after it.

    Attributes:
        cuts: int `(n_rules, n_turns)`.
        waits_s: float `(n_rules, n_turns)`; a turn never answered counts as waited for to the end of its audio.
        holds: int `(n_turns,)`.
    """

    cuts: np.ndarray
    waits_s: np.ndarray
    holds: np.ndarray

    def of(self, chosen: Sequence[int]) -> "Outcomes":
        """Those of some turns."""
        return Outcomes(self.cuts[:, chosen], self.waits_s[:, chosen], self.holds[chosen])

    @property
    def cut_rate(self) -> float:
        """Answers before the end for each hold, by all rules."""
        return float(self.cuts.mean(axis=0).sum() / max(1, self.holds.sum()))

    @property
    def wait_s(self) -> float:
        """The mean wait, by all rules."""
        return float(self.waits_s.mean())

    def at_budgets(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The four figures, each `(n_samples,)`, for weights of the turns `(n_turns, n_samples)`."""
        cut_rate = (self.cuts @ weights) / np.maximum(1, self.holds @ weights)
        wait_s = (self.waits_s @ weights) / weights.sum(axis=0)
        figures = {
            f"cutoff_at_{round(budget * 1000)}ms": np.where(wait_s <= budget, cut_rate, np.inf).min(axis=0)
            for budget in WAIT_BUDGETS_S
        }
        for budget in CUT_BUDGETS:
            figures[f"wait_s_at_{round(budget * 100)}pct"] = np.where(cut_rate <= budget, wait_s, np.inf).min(axis=0)
        return figures


def outcomes(turns: Sequence[Turn], rules: Sequence[Rule]) -> Outcomes:
    """Plays every rule on every turn."""
    cuts = np.zeros((len(rules), len(turns)))
    waits_s = np.zeros((len(rules), len(turns)))
    for column, turn in enumerate(turns):
        for row, rule in enumerate(rules):
            answers = list(rule(turn))
            cuts[row, column] = sum(answer < turn.end_s for answer in answers)
            after = [answer for answer in answers if answer >= turn.end_s]
            waits_s[row, column] = (after[0] if after else turn.row["seconds"]) - turn.end_s
    return Outcomes(cuts, waits_s, np.array([len(turn.holds) for turn in turns]))


def figures_of(name: str, found: Outcomes, seed: int) -> dict[str, Any]:
    """One row of the result: the figures and their 95 % intervals; None where no setting meets a budget."""
    n_turns = len(found.holds)
    rng = np.random.default_rng(seed)
    resampled = rng.multinomial(n_turns, np.full(n_turns, 1 / n_turns), size=BOOTSTRAPS).T.astype(float)
    point = found.at_budgets(np.ones((n_turns, 1)))
    spread = found.at_budgets(resampled)

    def rounded(value: float) -> float | None:
        return round(float(value), 4) if np.isfinite(value) else None

    row: dict[str, Any] = {"name": name, "turns": n_turns, "holds": int(found.holds.sum()), "seed": seed}
    for key, value in point.items():
        row[key] = rounded(value[0])
        row[f"{key}_95"] = [rounded(bound) for bound in np.percentile(spread[key], [2.5, 97.5], method="nearest")]
    return row
