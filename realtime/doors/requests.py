"""What a client asks for, done in its session. Read `protocol.py` for the commands, `reception.py` for what they do."""

from realtime.doors.protocol import (
    AddText,
    CancelResponse,
    ChangeSettings,
    ClearConversation,
    ClearSpeech,
    Command,
    EndTurn,
    ImportConversation,
    PressToTalk,
    ReleaseToTalk,
    RequestAnswer,
    RequestMetrics,
    TakeBack,
)
from realtime.reception import Reception


def carry_out(command: Command, session: Reception) -> None:
    """Does what one command asks for."""
    match command:
        case AddText(text):
            session.add_text(text)
        case RequestAnswer():
            session.request_answer()
        case EndTurn():
            session.end_turn()
        case ClearSpeech():
            session.clear_speech()
        case CancelResponse():
            session.cancel()
        case ClearConversation():
            session.clear()
        case PressToTalk():
            session.press_to_talk()
        case ReleaseToTalk():
            session.release_to_talk()
        case RequestMetrics():
            session.request_metrics()
        case ChangeSettings(changes):
            session.change_settings(**changes)
        case TakeBack(item_id):
            session.remove_from(item_id)
        case ImportConversation(messages):
            session.import_conversation(messages)
