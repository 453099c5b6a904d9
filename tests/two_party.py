"""Calls of two people, made of lines that voices say, of which it is known who speaks when.

Who calls (*them*) asks, tells and orders; who is called (*me*) answers. There are questions with answers after gaps of
known length, turns that ask nothing, back-channels in the middle of the other's turn, and turns that begin before the
other's has ended. What one says comes back in the other's channel as an echo, and *them* may come by telephone. The
same seed gives the same call. Read `benchmarks/bench_calls.py` for what is measured on them.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soxr

from models.base import Voice
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from tests.benchmarks.build_dialogues import telephone
from tests.voiced import first_voiced_sample, last_voiced_sample

Party = Literal["me", "them"]
Kind = Literal["question", "answer", "telling", "remark", "back-channel"]

QUESTIONS = (  # each with its answer
    ("What does the larger plan cost per month?", "It is ninety euros per month, for up to ten people."),
    ("Can you deliver before the end of next week?", "Yes, we ship on Monday, so it arrives on Wednesday."),
    ("How long does it take to set everything up?", "Usually two days, if the network is ready."),
    ("Do you have an office in Berlin?", "We do, close to the central station."),
    ("Who will be our contact after the contract is signed?", "That will be Martin Keller from customer care."),
    ("Is there a discount if we pay for a whole year?", "Yes, two months are free then."),
    ("Could you send me the offer by email today?", "Of course, you will have it in an hour."),
    ("What happens to our data when we leave?", "You can export all of it, and we delete it after thirty days."),
    ("Where is your data center located?", "Everything runs in Frankfurt."),
    ("Would it be possible to test it for a month?", "Yes, the first month is free for everybody."),
    ("How many users can work at the same time?", "There is no limit at all."),
    ("Which languages does the support team speak?", "English, German and French."),
)
TELLINGS = (  # of *them*; nothing is asked
    "We looked at three other products before we called you.",
    "Our warehouse moved to the other side of town last spring.",
    "The old system was really slow, and people hated it.",
    "My colleague wrote all the requirements down in a document.",
    "We are about forty people, and most of us work from home.",
    "I talked to our lawyers about it yesterday.",
    "The budget for this year is already approved.",
    "It rained so much here that half of the office stayed at home.",
    "Last year we had two outages in the same month.",
    "Everybody in the team liked the demonstration.",
    "We usually pay our invoices within two weeks.",
    "I sent the signed papers to your office this morning.",
    "Our new building has much better internet now.",
    "The training last time was very good.",
    "We only need the reports on the first day of the month.",
    "I wrote the address on the last page of the form.",
    "My manager is on vacation until the tenth of August.",
    "That is exactly how we have done it for years.",
    "The numbers from March looked a lot better than expected.",
    "We sold the second shop, so there is only one left.",
)
REMARKS = (  # of *me*, to what was told
    "That sounds like a lot of work.",
    "Good, then I will write that down.",
    "I understand, that happens a lot.",
    "That is very good news for all of us.",
    "Many of our customers say the same thing.",
)
BACK_CHANNELS = ("Mm-hm.", "Right.", "Yeah.", "Uh-huh.", "Okay.")
VOICES = (("am_michael", "af_heart"), ("bf_emma", "am_fenrir"), ("af_bella", "am_puck"))  # of me, of them
ANSWER_GAPS_S = (0.3, 0.6, 0.8, 1.2, 2.0)  # between a question and its answer
TURN_GAPS_S = (0.5, 1.5)  # between other turns
LEAD_S, TAIL_S = 1.0, 3.0  # of silence around a call
OVERLAP_S = 0.4  # that an early turn begins before the end of the other's
NOISE_DB = -66.0  # of the lines, to full scale
ROOM_SAMPLES = 1600  # reflections fade within 100 ms

Speak = Callable[[str, str], Awaitable[Samples]]  # a text, and the name of a voice


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """What one party said.

    Attributes:
        party: who.
        kind: what it is for.
        text: the words.
        start_sample: where its first voiced sample is in the call.
        end_sample: just behind its last.
        gap_s: from the end of the turn before it to its start; below 0: it began earlier.
    """

    party: Party
    kind: Kind
    text: str
    start_sample: int
    end_sample: int
    gap_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How the two channels of a call are joined.

    Attributes:
        echo_db: level of *them* in *me*, to their own; None: nothing comes back.
        back_db: level of *me* in *them*.
        delay_s: after which it comes back.
        by_telephone: *them* have telephone band.
    """

    echo_db: float | None = None
    back_db: float | None = None
    delay_s: float = 0.12
    by_telephone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPartyCall:
    """Two channels, float32 `(n_samples,)` at 16 kHz, and who spoke when."""

    me: Samples
    them: Samples
    turns: tuple[SpokenTurn, ...]


def with_voice(voice: Voice) -> Speak:
    """Lets a voice of ours say each text once; no quiet is left around it."""
    said: dict[tuple[str, str], Samples] = {}

    async def speak(text: str, name: str) -> Samples:
        if (text, name) not in said:
            speech = await voice.speak(text, voice=name)
            samples = np.asarray(soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ), np.float32)
            said[text, name] = samples[first_voiced_sample(samples) : last_voiced_sample(samples) + 1]
        return said[text, name]

    return speak


@dataclass(frozen=True, slots=True)
class _Written:
    """A turn before it is said; `gap_s` is None where it comes in the middle of the turn before it."""

    party: Party
    kind: Kind
    text: str
    gap_s: float | None


def write_call(seed: int, *, n_questions: int, n_tellings: int) -> list[_Written]:
    """What is said in one call, in order."""
    rng = random.Random(seed)
    questions, tellings = rng.sample(QUESTIONS, n_questions), rng.sample(TELLINGS, n_tellings)
    kinds = ["question"] * n_questions + ["telling"] * n_tellings
    rng.shuffle(kinds)
    written: list[_Written] = []
    for kind in kinds:
        gap_s = rng.uniform(*TURN_GAPS_S)
        if kind == "question":
            question, answer = questions.pop()
            written.append(_Written("them", "question", question, gap_s))
            written.append(_Written("me", "answer", answer, rng.choice(ANSWER_GAPS_S)))
            if rng.random() < 0.3:
                written.append(_Written("them", "back-channel", rng.choice(BACK_CHANNELS), None))
            continue
        written.append(_Written("them", "telling", tellings.pop(), gap_s))
        if (chance := rng.random()) < 0.3:
            written.append(_Written("me", "back-channel", rng.choice(BACK_CHANNELS), None))
        elif chance < 0.5:
            written.append(_Written("me", "remark", rng.choice(REMARKS), -OVERLAP_S))
        elif chance < 0.8:
            written.append(_Written("me", "remark", rng.choice(REMARKS), rng.choice(ANSWER_GAPS_S)))
    return written


def written_questions(n_questions: int, gap_s: float) -> list[_Written]:
    """Questions of *them* alone, with so much silence between them."""
    return [_Written("them", "question", question, gap_s) for question, _ in QUESTIONS[:n_questions]]


async def make_call(
    written: Sequence[_Written], speak: Speak, voices: tuple[str, str], line: Line, *, seed: int = 0
) -> TwoPartyCall:
    """Lets two voices say a call.

    Args:
        written: what `write_call` gave.
        speak: says one text.
        voices: of *me*, and of *them*.
        line: how the channels are joined.
        seed: of the noise and of the rooms.
    """
    names = dict(zip(("me", "them"), voices, strict=True))
    turns: list[SpokenTurn] = []
    sounds: list[Samples] = []
    end = round(LEAD_S * SAMPLE_RATE_HZ)  # of the last turn that is no back-channel
    for one in written:
        sound = await speak(one.text, names[one.party])
        if one.gap_s is None:
            middle = (turns[-1].start_sample + turns[-1].end_sample) // 2
            start = middle
        else:
            start = end + round(one.gap_s * SAMPLE_RATE_HZ)
            end = start + len(sound)
        sounds.append(sound)
        turns.append(
            SpokenTurn(
                party=one.party,
                kind=one.kind,
                text=one.text,
                start_sample=start,
                end_sample=start + len(sound),
                gap_s=(start - turns[-1].end_sample) / SAMPLE_RATE_HZ if turns else 0.0,
            )
        )
    n_samples = max(turn.end_sample for turn in turns) + round(TAIL_S * SAMPLE_RATE_HZ)
    me, them = (_channel(party, turns, sounds, n_samples) for party in ("me", "them"))
    return TwoPartyCall(**_joined(me, them, line, np.random.default_rng(seed)), turns=tuple(turns))


def _channel(party: str, turns: Sequence[SpokenTurn], sounds: Sequence[Samples], n_samples: int) -> Samples:
    channel = np.zeros(n_samples, np.float32)
    for turn, sound in zip(turns, sounds, strict=True):
        if turn.party == party:
            channel[turn.start_sample : turn.end_sample] += sound
    return channel


def _joined(me: Samples, them: Samples, line: Line, rng: np.random.Generator) -> dict[str, Samples]:
    """Both channels with what comes back in them, and with the noise of their lines."""
    if line.by_telephone:
        them = telephone(them)
    heard_by_me, heard_by_them = me.copy(), them.copy()
    if line.echo_db is not None:
        heard_by_me += _come_back(them, line.echo_db, line.delay_s, rng)
    if line.back_db is not None:
        back = _come_back(me, line.back_db, line.delay_s, rng)
        heard_by_them += telephone(back) if line.by_telephone else back
    return {
        name: (samples + rng.normal(0, 10 ** (NOISE_DB / 20), len(samples))).astype(np.float32)
        for name, samples in (("me", heard_by_me), ("them", heard_by_them))
    }


def _come_back(samples: Samples, level_db: float, delay_s: float, rng: np.random.Generator) -> Samples:
    """A channel as it comes back through a room: softer and later, at the level that is asked for."""
    room = rng.normal(size=ROOM_SAMPLES) * np.exp(-np.arange(ROOM_SAMPLES) / 300) * 0.15
    room[0] = 1.0
    delay = round(delay_s * SAMPLE_RATE_HZ)
    reflected = _in_the_room(samples, room / np.sqrt(np.square(room).sum()))
    return np.concatenate((np.zeros(delay), reflected))[: len(samples)] * 10 ** (level_db / 20)


def _in_the_room(samples: Samples, room: np.ndarray) -> np.ndarray:
    """The sound in the room, by FFT: (n_samples,)."""
    size = len(samples) + len(room)
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(room, size), size)[: len(samples)]
