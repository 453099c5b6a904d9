"""Which floor decides: that of a conversation, or that of a call. Both are told and ask in the same words."""

from realtime.turns.call_floor import CallFloor
from realtime.turns.floor import Floor
from realtime.turns.options import FloorOptions

AnyFloor = Floor | CallFloor


def make_floor(options: FloorOptions) -> AnyFloor:
    """Makes the floor of one session."""
    return CallFloor(options) if options.kind == "call" else Floor(options)
