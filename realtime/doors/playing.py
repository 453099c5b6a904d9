"""Sends the sound of answers to a client as it is due, for as long as one connection carries a session.

Read `realtime/playout.py` for what is due, `transport.py` for the ways there.
"""

import asyncio

from realtime.doors.transport import Transport
from realtime.playout import Playout

PERIOD_S = 0.04  # between two looks; a fifth of what is sent ahead
SEND_TIMEOUT_S = 10.0  # for one piece; a client that takes none for so long has gone


async def play(playout: Playout, transport: Transport) -> None:
    """Sends until it is cancelled; raises what the transport raises."""
    loop = asyncio.get_running_loop()
    while True:
        await playout.playing()
        samples = playout.take(loop.time())
        if len(samples):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await transport.play(playout.response_id, samples)
        await asyncio.sleep(PERIOD_S)
