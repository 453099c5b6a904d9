"""A whole session that hears itself: its own voice does not interrupt it, and somebody who speaks over it does."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import soxr

from models.base import Voice
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from realtime.session import SessionOptions
from realtime.speaking import SpeakingOptions
from tests.session.conversing import Conversation, conversing

SPOKEN = replace(SessionOptions(), speaking=SpeakingOptions(spoken=True))
ANSWER = "The capital of France is Paris. It lies on the river Seine, and about two million people live there today."
CHUNK_SAMPLES = 640  # 40 ms
ECHO_DB, DELAY_S = -15.0, 0.25


class Room:
    """A loudspeaker that a microphone hears a little later and softer, and somebody beside it."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._echo = np.zeros(0, np.float32)
        self._noise = np.random.default_rng(0)
        self._n_heard = 0

    async def hear(self, said: Samples) -> None:
        """Plays what somebody says, (n_samples,) at 16 kHz, and what comes back of the answer meanwhile."""
        for start in range(0, len(said), CHUNK_SAMPLES):
            chunk = said[start : start + CHUNK_SAMPLES]
            echo = self._echo[self._n_heard : self._n_heard + len(chunk)]
            chunk = chunk + np.pad(echo, (0, len(chunk) - len(echo)))
            chunk = chunk + self._noise.normal(0, 0.001, len(chunk))
            await self._conversation.hear(chunk.astype(np.float32), chunk_samples=CHUNK_SAMPLES)
            self._n_heard += len(chunk)
            self._play(self._conversation.played[-1])

    def _play(self, sound: Samples) -> None:
        """What is sent now is heard after what was sent before."""
        if len(sound):
            lower = soxr.resample(sound, VOICE_RATE_HZ, SAMPLE_RATE_HZ) * 10 ** (ECHO_DB / 20)
            begin = max(len(self._echo), self._n_heard + round(DELAY_S * SAMPLE_RATE_HZ))
            self._echo = np.concatenate((self._echo, np.zeros(begin - len(self._echo)), lower)).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def model() -> ScriptedModel:
    return ScriptedModel([[f"{word} " for word in ANSWER.split()], ["Yes."]])


async def test_an_answer_does_not_interrupt_itself(real_voice: Voice, speech: Callable[[str], Samples]) -> None:
    async with conversing(model(), SPOKEN, voice=real_voice, real_vad=True) as conversation:
        room = Room(conversation)
        await room.hear(np.concatenate((speech("question_capital"), silence(11))))
        types = conversation.types()
        assert types.count("input_audio_buffer.speech_started") == 1, "the question alone"
        assert "output_audio_buffer.cleared" not in types
        assert "output_audio_buffer.stopped" in types


async def test_who_speaks_over_it_interrupts_it(real_voice: Voice, speech: Callable[[str], Samples]) -> None:
    async with conversing(model(), SPOKEN, voice=real_voice, real_vad=True) as conversation:
        room = Room(conversation)
        await room.hear(np.concatenate((speech("question_capital"), silence(3))))
        assert "output_audio_buffer.started" in conversation.types()
        await room.hear(np.concatenate((speech("question_river"), silence(2))))
        assert "output_audio_buffer.cleared" in conversation.types()
        assert conversation.of("response.done")[0].status == "cancelled"  # type: ignore[attr-defined]
