"""The baseline: FastRTC's own `ReplyOnPause` with the same embedded model behind it.

Its turn-taking is untouched. Only two things are ours: its detector gets Silero's network from the `silero-vad` wheel
instead of a download, and the answer is sent as text, word by word, as our server does.
Run as a module it serves until it is ended: `python -m tests.benchmarks.reply_on_pause --port 7861`.
"""

import argparse
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastrtc import ReplyOnPause, Stream
from fastrtc.pause_detection.silero import SileroVADModel

from app import default_cache_dir
from models.base import AudioLanguageModel
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, TextDelta
from realtime.conversation import SYSTEM_PROMPT
from realtime.hearing.audio import to_float32
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, SileroScorer

_dialogues = itertools.count()


class LocalSilero(SileroVADModel):  # type: ignore[misc]
    """FastRTC's detector with Silero 6, whose windows are half as long: the half with more speech speaks for both."""

    def __init__(self) -> None:
        pass

    def get_initial_state(self, batch_size: int) -> SileroScorer:
        """Begins a stream."""
        return SileroScorer()

    def __call__(self, x: np.ndarray, state: SileroScorer, sr: int) -> tuple[float, SileroScorer]:
        """Scores float32 (1024,) at 16 kHz."""
        return max(state.score(half) for half in x.reshape(-1, SILERO_FRAME_SAMPLES)), state


class TextReply(ReplyOnPause):  # type: ignore[misc]
    """Answers each turn it finds with text."""

    def __init__(self, model: AudioLanguageModel, detector: LocalSilero) -> None:
        super().__init__(self._answer, input_sample_rate=SAMPLE_RATE_HZ, model=detector)
        self._model = model
        self._detector = detector

    def copy(self) -> "TextReply":
        """Makes the handler of one connection."""
        return TextReply(self._model, self._detector)

    async def _answer(self, audio: tuple[int, np.ndarray]) -> AsyncIterator[None]:
        clip = AudioClip(to_float32(audio[1]))
        messages = [Message("system", (SYSTEM_PROMPT,)), Message("user", (clip,))]
        dialogue = f"baseline{next(_dialogues)}"
        async for event in self._model.generate(messages, GenerationOptions(), dialogue=dialogue):
            if isinstance(event, TextDelta):
                await self._tell({"type": "response.output_text.delta", "delta": event.text})
        await self._tell({"type": "response.done"})
        await self._model.forget(dialogue=dialogue)
        for nothing in ():
            yield nothing

    async def _tell(self, event: dict[str, Any]) -> None:
        await self.send_message(json.dumps(event))


def main() -> None:
    """Serves the baseline."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    app = FastAPI()
    handler = TextReply(load_model(options.model, LoadOptions(cache_dir=default_cache_dir())), LocalSilero())
    stream = Stream(handler, modality="audio", mode="send-receive", concurrency_limit=4, ui_args={"hide_title": True})
    stream.mount(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    uvicorn.run(app, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
