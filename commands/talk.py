"""`python app.py talk`: plays clips through a whole session on the sample clock and prints its events."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from commands.loading import check_folder, load, load_scorers, session_options
from commands.recording import read_recording
from commands.store import open_writer
from models.base import AudioLanguageModel
from models.types import SAMPLE_RATE_HZ, Samples

if TYPE_CHECKING:
    from realtime.recordings.store.writer import StoreWriter
    from realtime.session import Session

TALK_CHUNK_S = 0.02
TALK_BETWEEN_S = 1.5  # of silence between clips that are to interrupt
TALK_AFTER_S = 0.5  # of silence beyond the longest wait


def talk(options: argparse.Namespace) -> None:
    """Plays clips through a whole session on the sample clock and prints its events."""
    from realtime.opening import open_session

    clips = [read_recording(path).samples for path in options.clips]
    check_folder(options.record)
    model = load(options)
    chosen = session_options(options, model)
    scorer, sound_scorer = load_scorers(options)
    store = open_writer(options)
    session = open_session(model, chosen, scorer=scorer, sound_scorer=sound_scorer, record=options.record, store=store)
    after_s = chosen.endpointing.max_wait_s + TALK_AFTER_S
    silences_s = [TALK_BETWEEN_S if options.realtime else after_s] * (len(clips) - 1) + [after_s]
    asyncio.run(_talk(model, session, options.clips, clips, silences_s, realtime=options.realtime, store=store))


async def _talk(
    model: AudioLanguageModel,
    session: "Session",
    names: Sequence[str],
    clips: Sequence[Samples],
    silences_s: Sequence[float],
    *,
    realtime: bool,
    store: "StoreWriter | None",
) -> None:
    import numpy as np

    from realtime.hearing.audio import AudioChunk

    tasks = [asyncio.create_task(session.run()), asyncio.create_task(_print_events(session))]
    chunk_samples, sample = round(TALK_CHUNK_S * SAMPLE_RATE_HZ), 0
    began_s = time.perf_counter()
    try:
        for name, clip, silence_s in zip(names, clips, silences_s, strict=True):
            print(f"▶ {name}", flush=True)
            audio = np.concatenate((clip, np.zeros(round(silence_s * SAMPLE_RATE_HZ), np.float32)))
            for start in range(0, len(audio), chunk_samples):
                session.push_audio(AudioChunk(audio[start : start + chunk_samples], sample))
                sample += len(audio[start : start + chunk_samples])
                if realtime:
                    await asyncio.sleep(max(0.0, began_s + sample / SAMPLE_RATE_HZ - time.perf_counter()))
                else:
                    await session.settled()
        await session.settled()
    finally:
        session.close()
        await asyncio.gather(*tasks)
        await model.close()
        if store is not None:
            await store.close()


async def _print_events(session: "Session") -> None:
    from commands.event_lines import EventLines

    lines = EventLines()
    async for event in session.events():
        lines.show(event)
