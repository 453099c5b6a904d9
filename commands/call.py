"""`python app.py call`: plays a recorded call of two channels through a call session, and prints what is suggested.

The left channel is me, the right one the other party. A recording of one channel is that of several others, who are to
be told apart by their voices. Read `talk.py` for conversations.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from commands.errors import UsageError
from commands.loading import check_folder, load, load_call_voices, load_scorers, session_options
from commands.store import open_writer
from models.base import AudioLanguageModel
from models.types import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime.hearing.decoding import Channels
    from realtime.recordings.store.writer import StoreWriter
    from realtime.session import Session

CHUNK_SAMPLES = SAMPLE_RATE_HZ // 50
AFTER_S = 0.5  # of silence beyond the longest wait
NOT_TWO = "a call has two channels, me on the left and the other party on the right; --tell-speakers takes one of many"


def call(options: argparse.Namespace) -> None:
    """Plays a call.

    Raises:
        UsageError: the recording does not have two parties on two channels, or an option cannot be.
        AudioFileError: it cannot be read.
    """
    from realtime.calls import call_options
    from realtime.hearing.files import AudioStream, printable
    from realtime.opening import open_session
    from realtime.review.sides import SideWatch

    watch = SideWatch()
    for block in AudioStream(options.clip, track=options.track).blocks():
        watch.add(block)
        if watch.has_enough:
            break
    sides = watch.judge()
    if sides.kind not in ("two", "left_dead", "right_dead") and not (sides.kind == "one" and options.tell_speakers):
        reason = sides.remark or "it has one channel"
        raise UsageError(f"{printable(options.clip)}: {reason}; {NOT_TWO}")
    context = _read_context(options.context)
    check_folder(options.record)
    model = load(options)
    voices = load_call_voices(options)
    chosen = call_options(session_options(options, model), tells_speakers=voices is not None)
    scorer, sound_scorer = load_scorers(options)
    store = open_writer(options)
    session = open_session(
        model, chosen, scorer=scorer, sound_scorer=sound_scorer, voices=voices, record=options.record, store=store
    )
    if context:
        session.change_settings(instructions=context)
    blocks = AudioStream(options.clip, track=options.track).blocks()
    after_s = chosen.endpointing.max_wait_s + AFTER_S
    asyncio.run(_call(model, session, blocks, after_s, realtime=options.realtime, store=store))


def _read_context(given: str) -> str:
    """What I want to be helped with: a text, or that of a file behind an @."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--context {given}: cannot be read as text ({error}); give a text file in UTF-8") from error


async def _call(
    model: AudioLanguageModel,
    session: "Session",
    blocks: "Iterator[Channels]",
    after_s: float,
    *,
    realtime: bool,
    store: "StoreWriter | None",
) -> None:
    import numpy as np

    tasks = [asyncio.create_task(session.run()), asyncio.create_task(_print_events(session))]
    playing = _Playing(session, realtime=realtime)
    try:
        for block in blocks:
            await playing.play(block)
        await playing.play(np.zeros((round(after_s * SAMPLE_RATE_HZ), 2), np.float32))
        await session.settled()
    finally:
        session.close()
        await asyncio.gather(*tasks)
        await model.close()
        if store is not None:
            await store.close()


class _Playing:
    """Plays both channels side by side.

    Args:
        session: listens.
        realtime: as fast as it was spoken; otherwise as fast as it is handled.
    """

    def __init__(self, session: "Session", *, realtime: bool) -> None:
        self._session = session
        self._realtime = realtime
        self._began_s = time.perf_counter()
        self._sample = 0

    async def play(self, block: "Channels") -> None:
        """Plays float32 `(n_samples, 1 or 2)` at 16 kHz."""
        from realtime.hearing.audio import AudioChunk

        for start in range(0, len(block), CHUNK_SAMPLES):
            piece = block[start : start + CHUNK_SAMPLES]
            mine = piece[:, 0] if piece.shape[1] == 2 else 0 * piece[:, 0]
            for speaker, channel in zip(self._session.speakers, (mine, piece[:, -1]), strict=True):
                self._session.push_audio(AudioChunk(channel, self._sample, speaker))
            self._sample += len(piece)
            if self._realtime:
                due_s = self._began_s + self._sample / SAMPLE_RATE_HZ
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            else:
                await self._session.settled()


async def _print_events(session: "Session") -> None:
    from commands.call_lines import CallLines

    lines = CallLines()
    async for event in session.events():
        lines.show(event)
