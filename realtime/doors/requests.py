"""What a client asks for, done in its session. Read `protocol.py` for the commands, `reception.py` for what they do."""

from collections.abc import Callable

from realtime.doors.protocol import (
    AddText,
    CancelResponse,
    ChangeSettings,
    ClearConversation,
    ClearSpeech,
    Command,
    EditNote,
    EndTurn,
    ImportConversation,
    NameSpeaker,
    PressToTalk,
    ReleaseToTalk,
    RequestAnswer,
    RequestMetrics,
    TakeBack,
)
from realtime.reception import Reception

_PLAIN: dict[type, Callable[[Reception], None]] = {
    RequestAnswer: Reception.request_answer,
    EndTurn: Reception.end_turn,
    ClearSpeech: Reception.clear_speech,
    CancelResponse: Reception.cancel,
    ClearConversation: Reception.clear,
    PressToTalk: Reception.press_to_talk,
    ReleaseToTalk: Reception.release_to_talk,
    RequestMetrics: Reception.request_metrics,
}


def carry_out(command: Command, session: Reception) -> None:
    """Does what one command asks for."""
    match command:
        case AddText(text):
            session.add_text(text)
        case ChangeSettings(changes):
            session.change_settings(**changes)
        case TakeBack(item_id):
            session.remove_from(item_id)
        case ImportConversation(messages):
            session.import_conversation(messages)
        case EditNote(edit):
            session.edit_note(edit)
        case NameSpeaker(named):
            session.name_speaker(named)
        case _ if type(command) in _PLAIN:
            _PLAIN[type(command)](session)
