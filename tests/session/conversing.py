"""Plays audio into a session on the sample clock and collects what it says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import numpy as np

from models.base import AudioLanguageModel, Voice, VoiceReader
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.doors.event_text import WIRE_NAMES
from realtime.events import ConversationWindow, FloorChanged, ResponseDelta, SessionEvent
from realtime.hearing.audio import AudioChunk
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, SpeechDetector, VadOptions
from realtime.load import AnswerLoad
from realtime.session import Session, SessionOptions
from realtime.taps import Tap
from realtime.turns.endpointing import EndOfTurnScorer, EndpointingOptions
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import DEFAULT_SPEAKER

STEPS_WITHOUT_AN_EVENT = 100  # of the loop, after which nothing more comes by itself: each task takes a few
FRAME_S = SILERO_FRAME_SAMPLES / SAMPLE_RATE_HZ
OPTIONS = SessionOptions(
    vad=VadOptions(pause_s=0.19), endpointing=EndpointingOptions(silence_s=0.6, max_turn_s=4.0, min_interruption_s=0.25)
)


class ScriptedScorer:
    """Takes the loudness of a frame for the probability of speech, so that a test's audio is its script."""

    frame_samples = SILERO_FRAME_SAMPLES

    def score(self, frame: Samples) -> float:
        """Gives 1 for loud frames, 0 for quiet ones."""
        return float(np.abs(frame).max() > 0.2)

    def forget(self) -> None:
        """Has nothing to forget."""


def alternating(levels: Samples) -> Samples:
    """A sound of these levels, (n_samples,): without a constant part, which the detector takes out."""
    levels[1::2] *= -1
    return levels


def loud(seconds: float) -> Samples:
    """What `ScriptedScorer` takes for speech."""
    return alternating(np.full(round(seconds / FRAME_S) * SILERO_FRAME_SAMPLES, 0.5, np.float32))


def quiet(seconds: float) -> Samples:
    """What `ScriptedScorer` takes for silence."""
    return np.zeros(round(seconds / FRAME_S) * SILERO_FRAME_SAMPLES, np.float32)


def loudness_detector(options: VadOptions, speaker: str = DEFAULT_SPEAKER) -> SpeechDetector:
    """Takes loudness for speech."""
    return SpeechDetector(options, ScriptedScorer(), speaker=speaker)


class Conversation:
    """A session under test, what it has said so far, and the sample clock."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events: list[SessionEvent] = []
        self.played: list[Samples] = []  # what a client would have been sent
        self._sample = 0
        self._changed = asyncio.Condition()

    async def hear(self, *pieces: Samples, chunk_samples: int = 320, wait: bool = True) -> None:
        """Plays audio in chunks, and takes what is to be played meanwhile; `wait`s after each for what comes of it."""
        audio = np.concatenate(pieces)
        for start in range(0, len(audio), chunk_samples):
            chunk = audio[start : start + chunk_samples]
            self.session.push_audio(AudioChunk(chunk, self._sample))
            self._sample += len(chunk)
            self.played.append(self.session.playout.take(self._sample / SAMPLE_RATE_HZ))
            if wait:
                await self.session.settled()
            else:
                await asyncio.sleep(0)
        if wait:
            await self.session.settled()

    async def skip(self, n_samples: int) -> None:
        """Loses (or, if negative, repeats) audio on the way."""
        self._sample += n_samples

    async def session_caught_up(self) -> None:
        """Lets the session and the model's tasks do all that they can without more audio or words."""
        n_events = -1
        while n_events != len(self.events):
            n_events = len(self.events)
            for _ in range(STEPS_WITHOUT_AN_EVENT):
                await asyncio.sleep(0)

    async def until_window(self, is_so: Callable[[ConversationWindow], bool]) -> None:
        """Waits until the session has shown such a window."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(
                lambda: any(isinstance(event, ConversationWindow) and is_so(event) for event in self.events)
            )

    async def until(self, wire_type: str, count: int = 1) -> SessionEvent:
        """Waits until the session has sent so many events of a type and gives the last."""
        async with asyncio.timeout(20):
            async with self._changed:
                await self._changed.wait_for(lambda: len(self.of(wire_type)) >= count)
        return self.of(wire_type)[count - 1]

    async def collect(self) -> None:
        """Reads the session's events until it ends."""
        async for event in self.session.events():
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    def of(self, wire_type: str) -> list[SessionEvent]:
        """All events of a type so far."""
        return [event for event in self.events if WIRE_NAMES[type(event)] == wire_type]

    def types(self, *leave_out: str) -> list[str]:
        """The types of all events so far, in order, without who has the floor; runs of deltas count once."""
        types: list[str] = []
        for event in self.events:
            name = WIRE_NAMES[type(event)]
            if name not in (*leave_out, WIRE_NAMES[FloorChanged]) and not (
                types and types[-1] == name == WIRE_NAMES[ResponseDelta]
            ):
                types.append(name)
        return types


@asynccontextmanager
async def conversing(
    model: AudioLanguageModel,
    options: SessionOptions = OPTIONS,
    *,
    real_vad: bool = False,
    scorer: EndOfTurnScorer | None = None,
    sound_scorer: BackchannelScorer | None = None,
    voice: Voice | None = None,
    voices: VoiceReader | None = None,
    load: AnswerLoad | None = None,
    taps: Sequence[Tap] = (),
) -> AsyncIterator[Conversation]:
    """Runs a session; the detector takes loudness for speech unless `real_vad`."""
    make_detector = None if real_vad else partial(loudness_detector, options.vad)
    session = Session(
        model,
        options,
        make_detector=make_detector,
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=voice,
        voices=voices,
        load=load,
        taps=taps,
    )
    conversation = Conversation(session)
    tasks: Iterable[asyncio.Task[None]] = [
        asyncio.create_task(conversation.session.run()),
        asyncio.create_task(conversation.collect()),
    ]
    try:
        yield conversation
    finally:
        conversation.session.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)


def texts(messages: Sequence[object]) -> list[str]:
    """The text of each message."""
    return [getattr(message, "text", "") for message in messages]
