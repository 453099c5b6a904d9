"""Opens sessions: puts what all of them share around one conversation. Read `session.py` for how it goes on."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from models.base import AudioLanguageModel, Voice, VoiceReader
from realtime.hearing.vad import SileroBatch, SpeechDetector
from realtime.load import AnswerLoad
from realtime.metrics import SessionMetrics
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.store.stored_session import StoredSession
from realtime.recordings.store.writer import StoreWriter
from realtime.session import Session, SessionOptions
from realtime.taps import Tap
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.interruption import BackchannelScorer

logger = logging.getLogger(__name__)


def open_session(
    model: AudioLanguageModel,
    options: SessionOptions,
    *,
    scorer: EndOfTurnScorer | None = None,
    sound_scorer: BackchannelScorer | None = None,
    voice: Voice | None = None,
    voices: VoiceReader | None = None,
    load: AnswerLoad | None = None,
    batch: SileroBatch | None = None,
    record: Path | None = None,
    taps: Sequence[Tap] = (),
    metrics: SessionMetrics | None = None,
    store: StoreWriter | None = None,
    owner: str = "",
) -> Session:
    """Makes one session.

    Args:
        model: answers; shared.
        options: of the session.
        scorer: judges at pauses whether a turn is complete; shared.
        sound_scorer: judges sounds over an answer; shared.
        voice: reads answers aloud; shared.
        voices: tells several people in the others' channel of a call apart; shared.
        load: decides when provisional answers are given up; shared.
        batch: scores the audio of all sessions in one call; shared.
        record: folder in which the session gets a folder of its own; nothing is kept if not given, or if it cannot be.
        taps: listen to it, beside the recorder.
        metrics: where it counts.
        store: writes into the store in which the session is kept; shared; nothing is if not given.
        owner: whose it is there; "" where nobody is asked for a key.
    """

    def make_detector(speaker: str) -> SpeechDetector:
        return SpeechDetector(options.vad, batch=batch, speaker=speaker)

    def tell(message: str, is_over: bool) -> None:
        session.report_storing(message, has_stopped=is_over)

    listening = [*_recorders(record), *taps]
    if store is not None:
        listening.append(StoredSession(store, tell, owner=owner))
        options = replace(options, stored=True)
    session = Session(
        model,
        options,
        make_detector=make_detector,
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=voice,
        voices=voices,
        load=load,
        taps=listening,
        metrics=metrics,
    )
    return session


def _recorders(record: Path | None) -> list[Tap]:
    """The recorder of one session, where it is to be kept and can be."""
    if record is None:
        return []
    folder = record / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    try:
        return [SessionRecorder(folder)]
    except OSError as error:
        logger.error("%s: this session is not recorded: %s", folder, error)
        return []
