"""Plays calls of two people into a session, and judges what it made of them.

A turn is right if a message of its own party is made of it. A message is strange if its party did not speak then: an
echo that was taken for speech. A suggestion belongs to the question in which, or after which, it began; what was
withdrawn is none. Read `two_party.py` for the calls.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from models.base import AudioLanguageModel
from models.types import SAMPLE_RATE_HZ
from realtime.calls import call_options
from realtime.events import (
    ResponseDelta,
    ResponseRetracted,
    SessionEvent,
    UserSpeechStarted,
    UserSpeechStopped,
)
from realtime.hearing.audio import AudioChunk
from realtime.session import Session, SessionOptions
from realtime.turns.endpointing import EndOfTurnScorer
from tests.two_party import SpokenTurn, TwoPartyCall

CHUNK_SAMPLES = 320  # 20 ms
LEAST_GAP_S = 0.6  # between a question and its answer, in which a suggestion is to begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event, and how many samples had been played when it came."""

    event: SessionEvent
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a session made of calls.

    Attributes:
        turns: those of the calls, without back-channels.
        right_turns: of which there are messages of their own party.
        strange: messages of a party that did not speak.
        questions: with an answer that comes no sooner than 0.6 s after them.
        helped: those to which a suggestion began before the answer.
        delays_s: from the end of each question to its suggestion, where there is one.
        tellings: turns of *them* that ask nothing.
        needless: suggestions that belong to no question.
    """

    turns: int = 0
    right_turns: int = 0
    strange: int = 0
    questions: int = 0
    helped: int = 0
    delays_s: tuple[float, ...] = ()
    tellings: int = 0
    needless: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        fields = self.__dataclass_fields__
        return Verdict(**{name: getattr(self, name) + getattr(other, name) for name in fields})


@asynccontextmanager
async def _running(session: Session, heard: list[Heard], played: list[int]) -> AsyncIterator[None]:
    async def collect() -> None:
        async for event in session.events():
            heard.append(Heard(event=event, sample=played[0]))

    tasks = [asyncio.create_task(session.run()), asyncio.create_task(collect())]
    try:
        yield
    finally:
        session.close()
        await asyncio.gather(*tasks)


async def listen_to(
    call: TwoPartyCall,
    model: AudioLanguageModel,
    options: SessionOptions,
    scorer: EndOfTurnScorer | None,
    *,
    realtime: bool,
) -> list[Heard]:
    """Plays a call, on the sample clock or at the speed of speech, and gives what the session said."""
    session = Session(model, call_options(options), scorer=scorer)
    heard: list[Heard] = []
    played = [0]
    async with _running(session, heard, played):
        began_s = time.perf_counter()
        for start in range(0, len(call.me), CHUNK_SAMPLES):
            for name, channel in (("me", call.me), ("them", call.them)):
                session.push_audio(AudioChunk(channel[start : start + CHUNK_SAMPLES], start, name))
            played[0] = start + CHUNK_SAMPLES
            if realtime:
                await asyncio.sleep(max(0.0, began_s + played[0] / SAMPLE_RATE_HZ - time.perf_counter()))
            else:
                await session.settled()
        if not realtime:
            await session.settled()
    return heard


def judge(call: TwoPartyCall, heard: Sequence[Heard]) -> Verdict:
    """Compares what a session said with who spoke when."""
    spoken = _stretches(heard)
    turns = [turn for turn in call.turns if turn.kind != "back-channel"]
    strange = [one for one in spoken if shared_samples(one, call.turns) < 0.3 * (one[2] - one[1])]
    begun = first_words(heard)
    helped, delays_s, questions = 0, [], 0
    for turn, answer in zip(call.turns, call.turns[1:], strict=False):
        if turn.kind != "question":
            continue
        own = [sample for sample in begun if turn.start_sample < sample < answer.end_sample]
        begun = [sample for sample in begun if sample not in own]
        own = own[-1:]  # a pause within a question may have brought one, to which this is added
        delays_s += [(own[0] - turn.end_sample) / SAMPLE_RATE_HZ] if own else []
        if answer.gap_s >= LEAST_GAP_S:
            questions += 1
            helped += bool(own) and own[0] < answer.start_sample
    return Verdict(
        turns=len(turns),
        right_turns=sum(_is_right(turn, spoken) for turn in turns),
        strange=len(strange),
        questions=questions,
        helped=helped,
        delays_s=tuple(delays_s),
        tellings=sum(turn.kind == "telling" for turn in call.turns),
        needless=len(begun),
    )


def _stretches(heard: Sequence[Heard]) -> list[tuple[str, int, int]]:
    """Speech as the session told it: the party, where it begins and where it ends."""
    found: dict[str, tuple[str, int, int]] = {}  # by the message that was made of it; the last pause ends it
    for one in heard:
        match one.event:
            case UserSpeechStarted(item_id=item_id, audio_start_ms=start_ms, speaker=str(speaker)):
                start = start_ms * SAMPLE_RATE_HZ // 1000
                found.setdefault(item_id, (speaker, start, start))
            case UserSpeechStopped(item_id=item_id, audio_end_ms=end_ms) if item_id in found:
                speaker, start, _ = found[item_id]
                found[item_id] = (speaker, start, end_ms * SAMPLE_RATE_HZ // 1000)
    return list(found.values())


def shared_samples(stretch: tuple[str, int, int], turns: Sequence[SpokenTurn]) -> int:
    """How much of a stretch (party, start, end) its own party speaks."""
    party, start, end = stretch
    return sum(
        max(0, min(end, turn.end_sample) - max(start, turn.start_sample)) for turn in turns if turn.party == party
    )


def _is_right(turn: SpokenTurn, spoken: Sequence[tuple[str, int, int]]) -> bool:
    covered = sum(shared_samples(one, [turn]) for one in spoken)
    return covered > 0.5 * (turn.end_sample - turn.start_sample)


def first_words(heard: Sequence[Heard]) -> list[int]:
    """When each suggestion that was not withdrawn had its first words."""
    withdrawn = {one.event.response_id for one in heard if isinstance(one.event, ResponseRetracted)}
    begun: dict[str, int] = {}
    for one in heard:
        if isinstance(one.event, ResponseDelta) and one.event.response_id not in withdrawn:
            begun.setdefault(one.event.response_id, one.sample)
    return list(begun.values())
