"""A meeting that is kept, for the picture of the view of recordings: made up, with noise where people speak."""

import time

import numpy as np

from models.types import SAMPLE_RATE_HZ
from realtime.notes.minutes import Line, Note, Span
from realtime.recordings.store import rows
from realtime.recordings.store.database import Store
from realtime.recordings.store.tracks import USER, Tracks

SAID = (
    ("Anna", 2.0, 6.5, "Good morning. Shall we talk about the launch first?"),
    ("Ben", 7.0, 12.5, "Yes. The website is ready, but the translation is still missing."),
    ("Chiara", 13.0, 17.5, "I will have it by Thursday, the text is short."),
    ("Anna", 18.0, 23.0, "Wonderful. Then let us launch on Monday, the ninth."),
    ("Ben", 23.5, 27.0, "Agreed. Who tells the partners?"),
    ("Chiara", 27.4, 33.0, "I can write to them tomorrow, if somebody sends me the list."),
    ("Anna", 33.5, 38.0, "Ben, could you send her the list today?"),
    ("Ben", 38.3, 40.0, "Sure, after lunch."),
    ("Chiara", 41.0, 46.0, "One more thing: do we still pay for the old server?"),
    ("Ben", 46.5, 50.0, "I do not know, I would have to ask."),
    ("Anna", 51.0, 56.5, "Let us keep that for next week. Thank you both."),
)


def _note(number: int, kind: str, text: str, *at: int, owner: str | None = None, deadline: str | None = None) -> Note:
    spans = tuple(Span(start_s=SAID[line][1], end_s=SAID[line][2], speaker=SAID[line][0]) for line in at)
    return Note(id=f"note_{number}", kind=kind, text=text, spans=spans, owner=owner, deadline=deadline)  # type: ignore[arg-type]


SUMMARY = (
    "The launch is on Monday, the ninth. The translation and the letter to the partners are to be done before; whether "
    "the old server is still paid for is open."
)
NOTES = (
    _note(1, "summary", SUMMARY, 0),
    _note(2, "decision", "The launch is on Monday, the ninth.", 3),
    _note(3, "action_item", "Translate the website.", 2, owner="Chiara", deadline="by Thursday"),
    _note(4, "action_item", "Write to the partners.", 5, owner="Chiara", deadline="tomorrow"),
    _note(5, "action_item", "Send Chiara the list of partners.", 6, 7, owner="Ben", deadline="today"),
    _note(6, "open_question", "Is the old server still paid for?", 8, 9),
)


def keep_meeting(store: Store) -> None:
    """Puts it into a store."""
    meeting, length_s = "20261127-090000-meeting", SAID[-1][2] + 1.0
    with store.writing() as connection:
        rows.add_conversation(
            connection, meeting, model="pocket", started_s=time.time(), kind="recording", name="Launch meeting.m4a"
        )
        rows.add_review(connection, meeting, about="", n_speakers=3)
        for number, (speaker, start_s, end_s, text) in enumerate(SAID, 1):
            line = Line(span=Span(start_s=start_s, end_s=end_s, speaker=speaker), text=text)
            rows.add_line(connection, meeting, number, line, track=USER)
        rows.put_notes(connection, meeting, NOTES)
        rows.change_review(connection, meeting, state="ready", duration_s=length_s)
    tracks, noise = Tracks(store, meeting), np.random.default_rng(0)
    samples = np.zeros(round(length_s * SAMPLE_RATE_HZ), np.int16)
    for _, start_s, end_s, _ in SAID:
        part = samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
        part[:] = noise.normal(0, 1000, len(part)).astype(np.int16)
    tracks.write(USER, SAMPLE_RATE_HZ, samples)
    tracks.close()
