"""Several people among the others of a call: told apart by their voices, named by a person, and played again."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.ears.beside import ModelWithEars
from models.scripted import ScriptedModel
from models.types import Samples, Voiceprint
from realtime.calls import call_options
from realtime.events import SpeakerTold
from realtime.inbox import SpeakerNamed
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet
from tests.session.test_speakers import speak_together
from tests.test_voices_apart import voiceprints

TOLD = call_options(OPTIONS, tells_speakers=True)


class Voices:
    """Says of each turn whose voice it is: those that were given, in order; an exception is raised."""

    def __init__(self, *voices: int | Exception) -> None:
        self._voices = list(voices)

    def prints(self, samples: Samples, start_s: float) -> tuple[Voiceprint, ...]:
        assert len(samples) > 1600
        voice = self._voices.pop(0)
        if isinstance(voice, Exception):
            raise voice
        return voiceprints(voice, start_s, 4, seed=len(self._voices))


def told_in(conversation: Conversation) -> list[str]:
    return [event.speaker for event in conversation.events if isinstance(event, SpeakerTold)]


async def they_speak(conversation: Conversation, n_turns: int = 1, *, n_before: int = 0) -> None:
    theirs = np.concatenate((loud(2.0), quiet(3.0)))
    for number in range(n_before, n_before + n_turns):
        await speak_together(conversation.session, np.zeros_like(theirs), theirs, start=number * len(theirs))
        await conversation.session.settled()


async def test_the_others_are_told_apart_from_the_second_voice_on_and_replay(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(ScriptedModel([["No."]]), TOLD, voices=Voices(0, 0, 1, 0), taps=[recorder]) as conversation:
        await they_speak(conversation, 2)
        assert told_in(conversation) == [], "one voice alone is no news"
        await they_speak(conversation, n_before=2)
        assert told_in(conversation) == ["speaker 1", "speaker 1", "speaker 2"]
        conversation.session.name_speaker(SpeakerNamed("speaker 1", " Anna\n"))
        await they_speak(conversation, n_before=3)
        assert told_in(conversation)[3:] == ["Anna", "Anna", "Anna"], "the two before, and the new one"
        conversation.session.name_speaker(SpeakerNamed("Anna", "Anne"))
        await conversation.session.settled()
        assert told_in(conversation)[-3:] == ["Anne"] * 3
    recording = read_recording(tmp_path / "one")
    detectors = {name: loudness_detector(OPTIONS.vad, name) for name in TOLD.speakers}
    assert (await replay(recording, detectors=detectors)).difference is None


@pytest.mark.parametrize(
    ("speaker", "name", "says"), [("speaker 9", "Anna", "nobody called"), ("x", " ", "needs a name")]
)
async def test_names_that_cannot_be_are_refused(speaker: str, name: str, says: str) -> None:
    async with conversing(ScriptedModel([["No."]]), TOLD, voices=Voices()) as conversation:
        conversation.session.name_speaker(SpeakerNamed(speaker, name))
        assert says in str(await conversation.until("error"))


async def test_a_voice_that_cannot_be_read_is_left_out() -> None:
    voices = Voices(0, RuntimeError("no memory"), 1)
    async with conversing(ScriptedModel([["No."]]), TOLD, voices=voices) as conversation:
        await they_speak(conversation, 3)
        assert told_in(conversation) == ["speaker 1", "speaker 2"]


async def test_a_task_is_of_the_speaker_who_takes_it() -> None:
    answer = json.dumps({"kind": "task", "text": "Send the offer", "owner": "I", "deadline": None})
    ears = ScriptedModel([["no"]], sounds=["I will send you the offer."], languages=("en",))
    model = ModelWithEars(ScriptedModel([[answer]]), ears)
    options = call_options(OPTIONS, takes_notes=True, tells_speakers=True)
    async with conversing(model, options, voices=Voices(0, 1, 1)) as conversation:
        await they_speak(conversation, 3)
        owners = {note.owner for event in conversation.events for note in getattr(event, "notes", ())}
        assert "speaker 2" in owners
        conversation.session.name_speaker(SpeakerNamed("speaker 2", "Anna"))
        await conversation.session.settled()
        notes = [event for event in conversation.events if hasattr(event, "notes")][-1].notes
        assert "Anna" in {note.owner for note in notes} and "speaker 2" not in {note.owner for note in notes}
        assert "Anna" in {span.speaker for note in notes for span in note.spans}
