"""`python app.py intent` and `python app.py describe`: what somebody means, and what there is to be listened to.

Read `realtime/review/intent.py` and `describe.py` for how the model is asked.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from commands.errors import NothingUnderstood
from commands.loading import generation_options, load
from commands.recording import read_recording
from models.base import AudioLanguageModel
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Transcript
from realtime.hearing.files import AudioFile, printable
from realtime.hearing.speech import measure_speech_s

if TYPE_CHECKING:
    from realtime.review.intent import Intent

MAX_INTENT_S = 120.0  # of one utterance, or a few
MAX_DESCRIBED_S = 300.0  # a song


def judge_intent(options: argparse.Namespace) -> None:
    """Says what somebody means, and which words show it.

    Raises:
        NothingUnderstood: nobody speaks in it.
    """
    from realtime.review.voice_measures import measure_voice

    recording, clip = _read(options, MAX_INTENT_S)
    if clip.speech_s == 0:
        raise NothingUnderstood(f"{printable(options.clip)}: no speech was detected in it")
    model = load(options)

    async def judge() -> "tuple[Intent, tuple[str, ...], Transcript | None]":
        from realtime.review.intent import judge_intent

        try:
            transcript = await _write_down(model, clip)
            measured = measure_voice(clip, transcript).sentences()
            return await judge_intent(model, clip, transcript, measured), measured, transcript
        finally:
            await model.close()

    found, measured, transcript = asyncio.run(judge())
    words = None if transcript is None else transcript.text
    if options.json:
        report = {**asdict(found), "measured": measured, "text": words, "model": model.info.name}
        print(json.dumps({**report, "notes": recording.notes}, ensure_ascii=False))
        return
    if words is not None:
        print(f"Words: {words}")
    for name in ("intent", "certainty", "sentiment", "emotion"):
        judged = getattr(found, name)
        shown = "; ".join(_quoted(quote.text, quote.span) for quote in judged.quotes)
        print(f"{name.capitalize()}: {judged.value}  ({shown or 'no words show it'})")
    print(f"Measured: {'; '.join(measured)}")
    _remark(options.clip, found.remarks)


def describe(options: argparse.Namespace) -> None:
    """Says what there is to be listened to, with what was measured of it."""
    from realtime.review.music import measure_music

    recording, clip = _read(options, MAX_DESCRIBED_S)
    music = measure_music(clip.samples)
    speech = f"{clip.speech_s or 0:.0f} s of speech in {clip.duration_s:.0f} s"
    measured = (*music.sentences(), speech)
    generation = generation_options(options)
    model = load(options)
    if not options.json:
        for sentence in measured:
            print(f"Measured: {sentence}")
    text = asyncio.run(_describe(model, clip, options, generation, measured))
    from realtime.review.describe import NO_SOUND

    remarks = () if model.info.listens else (NO_SOUND,)
    if options.json:
        report = {"text": text, "measured": measured, "music": asdict(music), "remarks": remarks}
        print(json.dumps({**report, "model": model.info.name, "notes": recording.notes}, ensure_ascii=False))
    else:
        print()
        _remark(options.clip, remarks)


async def _describe(
    model: AudioLanguageModel,
    clip: AudioClip,
    options: argparse.Namespace,
    generation: GenerationOptions,
    measured: tuple[str, ...],
) -> str:
    from realtime.review.describe import describe

    text = ""
    try:
        transcript = await _write_down(model, clip) if clip.speech_s else None
        pieces = describe(model, clip, options.prompt, generation, measured=measured, transcript=transcript)
        async for delta in pieces:
            text += delta
            if not options.json:
                print(delta, end="", flush=True)
    finally:
        await model.close()
    return text


def _read(options: argparse.Namespace, max_s: float) -> tuple[AudioFile, AudioClip]:
    """Reads the recording; of a long one the beginning is taken, and that is said."""
    recording = read_recording(options.clip, options.track)
    n_samples = round(max_s * SAMPLE_RATE_HZ)
    if len(recording.samples) > n_samples:
        print(f"earpiece: {printable(options.clip)}: its first {max_s / 60:g} minutes are taken", file=sys.stderr)
    samples = recording.samples[:n_samples]
    return recording, AudioClip(samples, measure_speech_s(samples))


async def _write_down(model: AudioLanguageModel, clip: AudioClip) -> Transcript | None:
    return None if model.transcriber is None else await model.transcriber.transcribe(clip, dialogue="judging")


def _quoted(text: str, span: object) -> str:
    from commands.review import cited
    from realtime.notes.minutes import Span

    return f'"{text}" {cited(span)}' if isinstance(span, Span) else f'"{text}"'


def _remark(name: str, remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        print(f"earpiece: {printable(name)}: {remark}", file=sys.stderr)
