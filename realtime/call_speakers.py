"""Who of several people speaks in the others' channel of a call, turn after turn, by their voices.

Voices are compared beside the event loop, one turn after the other; who it was comes through the inbox, so that a
recording knows it, too. As long as there is one voice alone, nothing is told. A person may give a speaker a name, which
holds for this session. Read `speakers.py` for how voices are told apart, `session.py` for who calls.
"""

import asyncio
import logging
from collections.abc import Callable

from models.base import VoiceReader
from models.types import Samples
from realtime.events import ConversationWasCleared, MessageAdded, MessageRemoved, SessionEvent, SpeakerTold
from realtime.inbox import SpeakerHeard, SpeakerNamed
from realtime.speakers import SpeakersApart

logger = logging.getLogger(__name__)


class CallSpeakers:
    """The voices of one call.

    Args:
        voices: says what a voice is like; None: nothing is compared, as in a replay.
        speaker: the name of the channel in which several may speak.
        audio_of: gives the sound of a message.
        put: takes who was heard.
        send: tells the client.
    """

    def __init__(
        self,
        voices: VoiceReader | None,
        speaker: str,
        *,
        audio_of: Callable[[str], Samples | None],
        put: Callable[[SpeakerHeard], object],
        send: Callable[[SessionEvent], None],
    ) -> None:
        self._voices = voices
        self._speaker = speaker
        self._audio_of = audio_of
        self._put = put
        self._send = send
        self._apart = SpeakersApart()
        self._heard: dict[str, str] = {}  # who spoke in a message
        self._names: dict[str, str] = {}  # that people gave
        self._telling: asyncio.Task[None] | None = None  # the last of those that follow one another
        self._n_waiting = 0

    @property
    def is_listening(self) -> bool:
        """Whether it is still to be found out who spoke."""
        return self._n_waiting > 0

    def take_event(self, event: SessionEvent) -> None:
        """Has the voice of a new turn compared with those before."""
        match event:
            case MessageAdded(role="user", speaker=self._speaker, item_id=item_id) if event.audio_s:
                samples = None if self._voices is None else self._audio_of(item_id)
                if samples is not None:
                    self._n_waiting += 1
                    self._telling = asyncio.get_running_loop().create_task(self._tell(self._telling, item_id, samples))
            case MessageRemoved(item_id=item_id):
                self._heard.pop(item_id, None)
            case ConversationWasCleared():
                self._heard.clear()

    def take(self, heard: SpeakerHeard) -> None:
        """Takes who it was, and tells it; of the turns before, too, if there are two voices only now."""
        if heard.speaker is None:
            return
        n_before = len(set(self._heard.values()))
        self._heard[heard.item_id] = heard.speaker
        n_now = len(set(self._heard.values()))
        if n_now == 1 and not self._names:
            return
        told = self._heard if n_before == 1 and n_now == 2 and not self._names else (heard.item_id,)
        for item_id in told:
            self._tell_client(item_id)

    def name(self, named: SpeakerNamed) -> bool:
        """Gives a speaker a name, by the name that is known; whether there is such a speaker."""
        speaker = next((one for one in self._heard.values() if named.speaker in (one, self._names.get(one))), None)
        if speaker is None:
            return False
        self._names[speaker] = named.name
        for item_id, one in self._heard.items():
            if one == speaker:
                self._tell_client(item_id)
        return True

    async def close(self) -> None:
        """Ends the work."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _tell_client(self, item_id: str) -> None:
        speaker = self._heard[item_id]
        self._send(SpeakerTold(item_id=item_id, speaker=self._names.get(speaker, speaker)))

    async def _tell(self, before: asyncio.Task[None] | None, item_id: str, samples: Samples) -> None:
        assert self._voices is not None, "it was asked"
        speaker: str | None = None
        try:
            if before is not None:
                await before
            prints = await asyncio.to_thread(self._voices.prints, samples, 0.0)
            speaker = self._apart.speaker(prints)
        except Exception:
            logger.exception("who spoke in %s is not told", item_id)
        finally:
            self._n_waiting -= 1
        self._put(SpeakerHeard(item_id, speaker))
