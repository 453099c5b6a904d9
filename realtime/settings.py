"""What a client may set in its session, and what it may be set to.

A change that cannot be is refused as a whole, before it reaches the session's inbox, with a sentence that says what
can. Read `doors/protocol.py` for how a change arrives, `reception.py` for where it is looked at, `session.py` for where
it is made.
"""

import math
from typing import TypedDict

from models.types import VoiceInfo
from realtime.conversation import ConversationOptions, longest_system_prompt
from realtime.inbox import SettingsChanged
from realtime.turns.observations import Address, Patience

NO_ADDRESS = (
    "whom words are meant for is judged by ears at pauses; start the server with --ears moonshine and --endpointing "
    "semantic, or let everything be answered (always)"
)
MAX_TEMPERATURE = 2.0  # beyond it every word is as likely as any other


class SettingChanges(TypedDict, total=False):
    """The fields of `SettingsChanged`."""

    muted: bool | None
    protect_answer: bool | None
    turn_detection: bool | None
    patience: Patience | None
    address: Address | None
    instructions: str | None
    temperature: float | None
    max_output_tokens: int | None
    captions: bool | None
    model: str | None
    spoken: bool | None
    voice: str | None


class SettingRefused(Exception):
    """A setting cannot be; the message says what can."""


def check_change(
    change: SettingsChanged,
    *,
    models: tuple[str, ...],
    voices: tuple[VoiceInfo, ...],
    conversation: ConversationOptions,
    max_output_tokens: int,
    can_judge_address: bool,
) -> None:
    """Looks at a change before it is made.

    Args:
        change: what the client wants.
        models: the names of those that could answer.
        voices: that could read answers aloud.
        conversation: how much is remembered: the instructions must leave room in it.
        max_output_tokens: the longest answer that the server allows.
        can_judge_address: pauses are scored, and ears that know English alone write words down.

    Raises:
        SettingRefused: it cannot be.
    """
    if change.model is not None and change.model not in models:
        raise SettingRefused(f"there is no model {change.model[:100]!r} here; there is {', '.join(models)}")
    _check_voice(change, voices)
    if change.address == "when-asked" and not can_judge_address:
        raise SettingRefused(NO_ADDRESS)
    longest = longest_system_prompt(conversation)
    if change.instructions is not None and len(change.instructions) > longest:
        raise SettingRefused(
            f"the instructions have {len(change.instructions)} characters; at most {longest} leave room for a "
            "conversation with this model"
        )
    if change.temperature is not None and not (
        math.isfinite(change.temperature) and 0 <= change.temperature <= MAX_TEMPERATURE
    ):
        raise SettingRefused(f"the temperature is from 0 (always the same answer) to {MAX_TEMPERATURE:g}")
    if change.max_output_tokens is not None and not 1 <= change.max_output_tokens <= max_output_tokens:
        raise SettingRefused(
            f"max_output_tokens is from 1 to {max_output_tokens}, the longest answer that this server allows"
        )


def _check_voice(change: SettingsChanged, voices: tuple[VoiceInfo, ...]) -> None:
    if change.spoken and not voices:
        raise SettingRefused("no voice is loaded here; start the server with --voice, or leave spoken false")
    names = [voice.name for voice in voices]
    if change.voice is not None and change.voice not in names:
        raise SettingRefused(f"there is no voice {change.voice[:100]!r} here; there are: {', '.join(names) or 'none'}")
