"""What waits on both sides of a session is bounded."""

import asyncio

import numpy as np

from models.types import SAMPLE_RATE_HZ
from realtime.events import ErrorReported, FloorChanged
from realtime.hearing.audio import AudioChunk
from realtime.inbox import MAX_WAITING_COMMANDS, Inbox, MetricsRequested
from realtime.outbox import MAX_UNREAD_EVENTS, Outbox
from realtime.turns.observations import Closed

SECOND = np.zeros(SAMPLE_RATE_HZ, np.float32)


async def test_20_s_of_audio_may_wait_and_other_items_always() -> None:
    inbox = Inbox()
    assert sum(inbox.put(AudioChunk(SECOND, 0)) for _ in range(25)) == 5 * SAMPLE_RATE_HZ
    assert inbox.put(MetricsRequested()) == 0
    await inbox.get()
    assert inbox.put(AudioChunk(SECOND, 0)) == 0, "there is room again"


async def test_some_commands_may_wait_and_who_sends_more_is_told_once() -> None:
    inbox = Inbox()
    for _ in range(MAX_WAITING_COMMANDS + 1000):
        inbox.put(MetricsRequested())
    inbox.put(AudioChunk(SECOND, 0))
    waiting = [await inbox.get() for _ in range(MAX_WAITING_COMMANDS + 2)]
    assert inbox.is_empty
    assert waiting.count(MetricsRequested()) == MAX_WAITING_COMMANDS
    complaint = waiting[MAX_WAITING_COMMANDS]
    assert isinstance(complaint, ErrorReported) and "faster" in complaint.message
    inbox.put(MetricsRequested())
    assert await inbox.get() == MetricsRequested(), "there is room again"


async def test_the_end_goes_before_everything_that_waits() -> None:
    inbox = Inbox()
    inbox.put(AudioChunk(SECOND, 0))
    inbox.put(MetricsRequested())
    inbox.put(Closed("because"))
    inbox.put(MetricsRequested())
    inbox.put(Closed())
    assert await inbox.get() == Closed("because")
    assert inbox.is_empty


async def test_it_is_settled_until_something_comes() -> None:
    inbox = Inbox()
    await asyncio.wait_for(inbox.settled(), 1)
    inbox.put(MetricsRequested())
    waiting = asyncio.create_task(inbox.settled())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.settle()
    await asyncio.wait_for(waiting, 1)


async def test_a_client_that_reads_nothing_is_noticed_once() -> None:
    outbox = Outbox()
    event = FloorChanged(state="listening")
    assert [outbox.put(event) for _ in range(MAX_UNREAD_EVENTS + 3)].count(True) == 1
    outbox.close()
    assert len([event async for event in outbox.events()]) == MAX_UNREAD_EVENTS - 1, "the end takes one place"
