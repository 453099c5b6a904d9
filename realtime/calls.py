"""What makes a session a call: two speakers who talk to each other, the first of whom is helped.

It is the same session as a conversation, with another floor: `turns/call_floor.py` says when something is suggested.
Read `session.py` for how it goes on.
"""

from dataclasses import replace

from realtime.session import SessionOptions
from realtime.turns.call_floor import ME, THEM

CALL_PROMPT = (
    'You help "me" in a call with "them". When they ask something, write what I can say next, as I would say it, in '
    "one or two short sentences. Use what you know of me and of the call. Do not greet, do not explain, and do not "
    "repeat the question."
)


def call_options(options: SessionOptions, *, takes_notes: bool = False, tells_speakers: bool = False) -> SessionOptions:
    """Makes the options of a call out of those of a conversation; what I want to be helped with follows the prompt.

    Args:
        options: of a conversation.
        takes_notes: of decisions, tasks and questions, while the call goes on.
        tells_speakers: several people among the others are told apart.
    """
    conversation = replace(options.conversation, system_prompt=CALL_PROMPT, adds_instructions=True)
    return replace(
        options,
        kind="call",
        speakers=(ME, THEM),
        conversation=conversation,
        address="always",
        takes_notes=takes_notes,
        tells_speakers=tells_speakers,
    )
