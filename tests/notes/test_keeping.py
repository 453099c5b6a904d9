"""Notes are kept: the same thing is one note, and what people did with it stays."""

import pytest

from realtime.notes.grounding import Grounded
from realtime.notes.keeping import Kept, add, edit, remove
from realtime.notes.minutes import NoteKind, Span


def found(text: str, at_s: float = 0.0, kind: NoteKind = "action_item", owner: str | None = None) -> Grounded:
    return Grounded(kind=kind, text=text, spans=(Span(start_s=at_s, end_s=at_s + 4, speaker="Anna"),), owner=owner)


def texts(kept: Kept) -> list[str]:
    return [note.text for note in kept.notes]


def test_the_same_thing_twice_is_one_note() -> None:
    kept = add(Kept(), [found("Order the tents.")])
    again = add(kept, [found("Ben orders two tents.", 40.0, owner="Ben")])
    assert texts(again) == ["Ben orders two tents."]
    assert again.notes[0].id == kept.notes[0].id
    assert [span.start_s for span in again.notes[0].spans] == [0.0, 40.0]
    assert again.notes[0].owner == "Ben"


@pytest.mark.parametrize(
    "other",
    [
        found("Call the baker."),
        found("Order the tents.", kind="decision"),
        found("Order the tents.", 40.0, owner="Ben"),
    ],
    ids=["text", "kind", "owner"],
)
def test_something_else_is_another_note(other: Grounded) -> None:
    kept = add(Kept(), [found("Order the tents.", owner="Anna"), other])
    assert len(kept.notes) == 2
    assert len({note.id for note in kept.notes}) == 2


def test_a_decision_that_is_changed_at_once_is_the_newer_one() -> None:
    kept = add(Kept(), [found("The date is the first of March.", kind="decision")])
    assert texts(add(kept, [found("The date is the second of March.", 9.0, "decision")])) == [
        "The date is the second of March."
    ]
    assert len(add(kept, [found("The door opens at eight.", 9.0, "decision")]).notes) == 2


def test_what_a_person_edited_stays() -> None:
    kept = add(Kept(), [found("Order the tents.")])
    kept = edit(kept, kept.notes[0].id, text="Order three tents.", owner="Carla", is_done=True)
    again = add(kept, [found("Order the tents now.", owner=None)])
    assert again.notes == kept.notes
    assert (again.notes[0].owner, again.notes[0].is_done) == ("Carla", True)


def test_what_a_person_removed_does_not_come_back() -> None:
    kept = add(Kept(), [found("Order the tents."), found("Call the baker.", 10.0)])
    kept = remove(kept, kept.notes[0].id)
    assert texts(add(kept, [found("Order the tents soon.")])) == ["Call the baker."]


def test_an_id_is_never_given_twice() -> None:
    kept = add(Kept(), [found("Order the tents.")])
    gone = kept.notes[0].id
    kept = add(remove(kept, gone), [found("Call the baker.")])
    assert kept.notes[0].id != gone


def test_notes_are_in_order_of_their_kind_and_place() -> None:
    kinds: list[NoteKind] = ["open_question", "action_item", "decision", "summary"]
    kept = add(Kept(), [found(f"Word {kind}", 9.0, kind) for kind in kinds])
    kept = add(kept, [found("Earlier thing", 1.0)])
    assert [note.kind for note in kept.notes] == ["summary", "decision", "action_item", "action_item", "open_question"]
    assert kept.notes[2].text == "Earlier thing"


def test_there_is_one_summary() -> None:
    kept = add(Kept(), [found("They met.", kind="summary"), found("Nothing like it.", kind="summary")])
    assert texts(kept) == ["Nothing like it."]


def test_a_note_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        edit(Kept(), "note_1", text="x")
    with pytest.raises(KeyError):
        remove(Kept(), "note_1")
