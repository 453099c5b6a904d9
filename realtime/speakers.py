"""Who speaks, where several people are in one channel: voices that sound alike are one speaker.

Speakers are named "speaker 1", "speaker 2" and so on in the order in which they come. Turns of a live session are told
as they come; of a whole recording all are compared in the end, in memory that grows with its length alone. Where two
speak at once, the louder one is found. Read `models/voiceprints.py` for what is compared, `hearing/crosstalk.py` for
people on channels of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.types import Voiceprint
from realtime.notes.minutes import Span

# Cosines. CAM++ gives 0.69 to two stretches of 1.5 s of the same reader of LibriSpeech, 0.38 to those of two readers.
SAME_VOICE = 0.45  # mean of all pairs, of two groups that are one speaker; `bench_speakers.py` measured it
SHORT_VOICE = 0.2  # the same, of what is too short to be a speaker of its own
LEAST_S = 1.5  # of speech, that make a speaker
AT_ONCE = 400  # voiceprints that are compared with each other: five minutes of speech


@dataclass(slots=True, eq=False)
class _Group:
    """Voiceprints of one speaker.

    Attributes:
        vectors: their sum; the product of two sums, by the counts, is the mean cosine of all pairs.
        count: how many.
        speech_s: how long they are together.
        members: which ones.
    """

    vectors: NDArray[np.float64]
    count: int
    speech_s: float
    members: list[int]

    @property
    def mean(self) -> NDArray[np.float64]:
        return self.vectors / self.count

    def join(self, other: "_Group") -> None:
        self.vectors = self.vectors + other.vectors
        self.count += other.count
        self.speech_s += other.speech_s
        self.members += other.members


class SpeakersApart:
    """The speakers of one session, told by their voices turn after turn."""

    def __init__(self) -> None:
        self._kept: list[_Group] = []  # of all turns so far
        self._called: list[str | None] = []  # whose each of them is, by its number
        self._numbers: list[str] = []  # of all speakers, in the order in which they came

    @property
    def speakers(self) -> tuple[str, ...]:
        """All who have spoken, in the order in which they came."""
        return tuple(self._numbers)

    def speaker(self, prints: Sequence[Voiceprint]) -> str | None:
        """Says who speaks in a turn, and remembers the voice; None of a turn without any speech."""
        if not prints:
            return None
        first_new = len(self._kept)
        self._kept += [_group(first_new + number, one) for number, one in enumerate(prints)]
        self._called += [None] * len(prints)
        self._call(_voices(self._kept, n_speakers=None))
        seconds: dict[str, float] = {}
        for group, called in zip(self._kept[first_new:], self._called[first_new:], strict=True):
            assert called is not None
            seconds[called] = seconds.get(called, 0.0) + group.speech_s
        self._keep_fewer()
        return max(seconds, key=lambda speaker: seconds[speaker])

    def _call(self, voices: list[_Group]) -> None:
        """Finds who each voice is: the one whom most of it was before, or somebody new."""
        taken: set[str] = set()
        for voice in sorted(voices, key=lambda one: min(one.members)):
            seconds: dict[str, float] = {}
            for member in voice.members:
                called = self._called[member]
                if called is not None and called not in taken:
                    seconds[called] = seconds.get(called, 0.0) + self._kept[member].speech_s
            speaker = max(seconds, key=lambda one: seconds[one], default=None)
            if speaker is None:
                speaker = f"speaker {len(self._numbers) + 1}"
                self._numbers.append(speaker)
            taken.add(speaker)
            for member in voice.members:
                self._called[member] = speaker

    def _keep_fewer(self) -> None:
        """Joins what each speaker has said, where it is too much to be compared with each other."""
        if len(self._kept) <= AT_ONCE:
            return
        whose: dict[str | None, list[_Group]] = {}
        for group, called in zip(self._kept, self._called, strict=True):
            whose.setdefault(called, []).append(group)
        self._kept, self._called = [_joined(groups) for groups in whose.values()], list(whose)
        for number, group in enumerate(self._kept):
            group.members = [number]


def tell_apart(prints: Iterable[Voiceprint], *, n_speakers: int | None = None) -> tuple[Span, ...]:
    """Says who speaks when in a whole recording.

    Args:
        prints: of all its speech, in any order.
        n_speakers: how many there are; None: that is told by the voices, too.

    Returns:
        The speech in order, each stretch with its speaker; neighbours of one speaker are joined.
    """
    ordered = sorted(prints, key=lambda one: one.start_s)
    if not ordered:
        return ()
    groups = [_group(number, one) for number, one in enumerate(ordered)]
    while len(groups) > AT_ONCE:  # those of a part of the recording first, then what they are together
        parts = [groups[start : start + AT_ONCE] for start in range(0, len(groups), AT_ONCE)]
        fewer = [group for part in parts for group in _merged(part, n_groups=None)]
        if len(fewer) == len(groups):
            break
        groups = fewer
    voices = sorted(_voices(groups, n_speakers=n_speakers), key=lambda voice: min(voice.members))
    speakers = {member: f"speaker {number}" for number, voice in enumerate(voices, 1) for member in voice.members}
    return _spans(ordered, speakers)


def speaker_in(spans: Iterable[Span], start_s: float, end_s: float) -> str | None:
    """Who speaks for the longest time between two moments; None: nobody does."""
    seconds: dict[str, float] = {}
    for span in spans:
        shared_s = min(span.end_s, end_s) - max(span.start_s, start_s)
        if shared_s > 0 and span.speaker is not None:
            seconds[span.speaker] = seconds.get(span.speaker, 0.0) + shared_s
    return max(seconds, key=lambda speaker: seconds[speaker], default=None)


def _group(number: int, one: Voiceprint) -> _Group:
    return _Group(np.array(one.vector, np.float64), 1, one.end_s - one.start_s, [number])


def _joined(groups: Iterable[_Group]) -> _Group:
    first, *others = groups
    for other in others:
        first.join(other)
    return first


def _voices(groups: Sequence[_Group], *, n_speakers: int | None) -> list[_Group]:
    """The groups joined to voices; they themselves stay as they are."""
    copies = [replace(group, members=list(group.members)) for group in groups]
    return _without_short(_merged(copies, n_groups=n_speakers), n_groups=n_speakers)


def _merged(groups: list[_Group], *, n_groups: int | None) -> list[_Group]:
    """Joins the two groups that are most alike, as long as they are one voice, or there are more than there may be."""
    groups = list(groups)
    means = np.array([group.mean for group in groups])
    alike = means @ means.T
    np.fill_diagonal(alike, -np.inf)
    left = len(groups)
    while left > (n_groups or 1):
        one, other = divmod(int(alike.argmax()), len(groups))
        if n_groups is None and alike[one, other] < SAME_VOICE:
            break
        groups[one].join(groups[other])
        means[one] = groups[one].mean
        alike[other] = alike[:, other] = -np.inf
        alive = np.isfinite(alike[one])
        alike[one, alive] = alike[alive, one] = means[alive] @ means[one]
        groups[other].members = []
        left -= 1
    return [group for group in groups if group.members]


def _without_short(groups: list[_Group], *, n_groups: int | None) -> list[_Group]:
    """Gives what is too short for a speaker to the one it is most like, if it is somewhat like any."""
    long = [group for group in groups if group.speech_s >= LEAST_S]
    if n_groups is not None or not long:
        return groups
    for short in (group for group in groups if group.speech_s < LEAST_S):
        nearest = max(long, key=lambda group: float(group.mean @ short.mean))
        if float(nearest.mean @ short.mean) >= SHORT_VOICE:
            nearest.join(short)
        else:
            long.append(short)
    return long


def _spans(ordered: Sequence[Voiceprint], speakers: dict[int, str]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for number, one in enumerate(ordered):
        if spans and spans[-1].speaker == speakers[number] and one.start_s - spans[-1].end_s < 1e-6:
            spans[-1] = replace(spans[-1], end_s=one.end_s)
        else:
            spans.append(Span(start_s=one.start_s, end_s=one.end_s, speaker=speakers[number]))
    return tuple(spans)
