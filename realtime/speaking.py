"""Reads answers aloud: phrase by phrase, while they are being written, and keeps account of what has been heard.

The first phrase may be read before the turn has ended, but nothing is played until the answer counts. What the voice
gives and how far the client has played it come through the session's inbox. Text counts as heard up to the last word
whose sound has been played to its end. A voice that fails leaves the rest of its answer to be read by the eye.
Read `playout.py` for the sound on its way out, `answer.py` for the life of an answer, `models/voices/` for the voices.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.base import Voice
from models.errors import GenerationFailed, ModelError
from models.types import VOICE_RATE_HZ, Speech, SpokenWord
from models.voices.sentences import Phrase, PhraseCutter
from realtime.events import AudioCleared, AudioDone, AudioStarted, AudioStopped, SessionEvent
from realtime.hearing.audio import to_float32, to_int16
from realtime.hearing.own_voice import OwnVoice
from realtime.inbox import Played, Spoken
from realtime.playout import Playout

logger = logging.getLogger(__name__)

AHEAD_SAMPLES = 8 * VOICE_RATE_HZ  # read and not yet played; more would be in vain if the answer is interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingOptions:
    """Whether answers are read aloud.

    Attributes:
        spoken: they are, where there is a voice.
        voice: the name of one; "" for the first.
    """

    spoken: bool = False
    voice: str = ""


class Speaking:
    """The voice of one session.

    Args:
        voice: reads aloud; None: nobody does.
        options: to begin with.
        playout: takes the sound.
        own_voices: are told what is played, to know it when it comes back through a microphone.
        send: tells the client.
        put: takes what the voice gives.

    Attributes:
        is_on: whether the next answer is read aloud.
        voice_name: in which voice.
    """

    def __init__(
        self,
        voice: Voice | None,
        options: SpeakingOptions,
        *,
        playout: Playout,
        own_voices: Sequence[OwnVoice],
        send: Callable[[SessionEvent], None],
        put: Callable[[Spoken], None],
    ) -> None:
        self.is_on = options.spoken and voice is not None
        self.voice_name = "" if voice is None else options.voice or voice.voices[0].name
        self.playout, self.own_voices, self.send = playout, own_voices, send
        self._voice = voice
        self._put = put
        self._number = 0  # of the answer that is read, or was last
        self._reading: asyncio.Task[None] | None = None

    def change(self, *, spoken: bool | None, voice_name: str | None) -> None:
        """Changes whether the next answers are read aloud, and in which voice; None leaves that as it is."""
        self.is_on = self.is_on if spoken is None else spoken
        self.voice_name = self.voice_name if voice_name is None else voice_name

    def begin(self, response_id: str) -> "SpokenAnswer | None":
        """Begins to read an answer; None if answers are not read aloud."""
        if not self.is_on:
            return None
        self.stop_reading()
        self._number += 1
        self.playout.begin(response_id, self._number)
        for own_voice in self.own_voices:
            own_voice.begin()
        return SpokenAnswer(response_id, self)

    def is_current(self, item: Spoken | Played) -> bool:
        """Whether this is about the answer under way."""
        return item.number == self._number

    def read(self, text: str) -> None:
        """Has the voice read a phrase, the only one at a time; its sound comes as `Spoken`."""
        self.stop_reading()  # where a recording is played, the sound was there before the voice
        self._reading = asyncio.get_running_loop().create_task(self._read(self._number, text))

    def stop_reading(self) -> None:
        """Cancels it."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read(self, number: int, text: str) -> None:
        assert self._voice is not None, "asked for only where there is one"
        try:
            speech = await self._voice.speak(text, voice=self.voice_name)
        except ModelError as error:
            self._put(Spoken(number, None, str(error)))
        except Exception as error:
            logger.exception("the voice raised what it should have translated")
            self._put(Spoken(number, None, f"the voice failed: {error}"))
        else:
            samples = to_float32(to_int16(speech.samples))  # as a recording holds it
            self._put(Spoken(number, Speech(samples, speech.words)))

    async def close(self) -> None:
        """Ends it."""
        self.playout.stop()
        reading = self._reading
        self.stop_reading()
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)


class SpokenAnswer:
    """One answer that is read aloud; `Speaking.begin` makes it.

    Args:
        response_id: of the answer.
        speaking: the session's voice.
    """

    def __init__(self, response_id: str, speaking: Speaking) -> None:
        self._id = response_id
        self._speaking = speaking
        self._cutter = PhraseCutter()
        self._waiting: deque[Phrase] = deque()  # to be read
        self._reading: Phrase | None = None
        self._text = ""  # all of the answer so far
        self._is_whole = False
        self._counts = self._is_playing = self._has_started = self._is_given_up = False
        self._words: list[SpokenWord] = []  # of the answer: where each ends in its text and in its sound
        self._n_samples = self._played = 0

    @property
    def heard(self) -> str:
        """The text whose words have been played to their ends; all of it if the voice gave up."""
        if self._is_given_up or (self._has_been_played and self._is_whole):
            return self._text
        end = max((word.end for word in self._words if word.end_sample <= self._played), default=0)
        return self._text[:end]

    @property
    def is_over(self) -> bool:
        """Whether the whole answer has been played."""
        return self._is_whole and self._counts and (self._is_given_up or self._has_been_played)

    @property
    def is_reading(self) -> bool:
        """Whether the voice is at work."""
        return self._reading is not None

    @property
    def _has_been_played(self) -> bool:
        return not self._waiting and self._reading is None and self._played >= self._n_samples

    def add(self, text: str) -> None:
        """Takes the next piece of the answer's text."""
        self._text += text
        if not self._is_given_up:
            self._wait_for(self._cutter.push(text))

    def finish_text(self) -> None:
        """Says that the text is whole."""
        self._is_whole = True
        if not self._is_given_up:
            self._wait_for(self._cutter.finish())
            self._stop_if_over()

    def count(self) -> None:
        """The answer counts: what is read of it is played."""
        self._counts = True
        if not self._is_given_up:
            self._is_playing = True
            self._speaking.playout.play()
            self._read_next()

    def pause(self) -> None:
        """Stops the sound at once; what is being read goes on."""
        self._silence()

    def resume(self) -> None:
        """Plays on, from the beginning of the word that was not heard to its end."""
        if not self._is_given_up:
            ends = [word.end_sample for word in self._words if word.end_sample <= self._played]
            self._played = max(ends, default=0)
            self._is_playing = True
            self._speaking.playout.play(self._played)
            self._read_next()

    def stop(self) -> None:
        """Stops for good."""
        self._silence()
        self._speaking.stop_reading()
        self._waiting.clear()
        self._reading = None

    def give_up(self) -> None:
        """Leaves the rest of the answer to be read by the eye."""
        self._is_given_up = True
        self.stop()

    def take(self, item: Spoken | Played) -> None:
        """Takes what the voice has read, or how far the client has played it.

        Raises:
            GenerationFailed: the voice failed; the answer goes on without it.
        """
        if self._is_given_up:
            return
        if isinstance(item, Played):
            self._take_played(item.n_samples)
        elif item.speech is None:
            self.give_up()
            raise GenerationFailed(f"the rest of the answer is not read aloud: {item.failure}")
        else:
            self._take_speech(item.speech)
        self._read_next()
        self._stop_if_over()

    def _take_speech(self, speech: Speech) -> None:
        phrase, self._reading = self._reading, None
        assert phrase is not None, "only what was asked for is read"
        self._words += [SpokenWord(phrase.start + w.end, self._n_samples + w.end_sample) for w in speech.words]
        self._n_samples += len(speech.samples)
        self._speaking.playout.add(speech.samples)
        for own_voice in self._speaking.own_voices:
            own_voice.add(speech.samples)

    def _take_played(self, n_samples: int) -> None:
        if self._is_playing and not self._has_started:  # what was played before it paused may be told behind that
            self._has_started = True
            self._speaking.send(AudioStarted(response_id=self._id))
        self._played = max(self._played, n_samples)
        for own_voice in self._speaking.own_voices:
            own_voice.note_played(n_samples)

    def _wait_for(self, phrases: list[Phrase]) -> None:
        self._waiting.extend(phrases)
        self._read_next()

    def _read_next(self) -> None:
        """Has the next phrase read, if it is time: before the answer counts the first one alone."""
        has_time = self._n_samples - self._played < AHEAD_SAMPLES if self._counts else not self._n_samples
        if self._waiting and self._reading is None and has_time:
            self._reading = self._waiting.popleft()
            self._speaking.read(self._reading.text)

    def _silence(self) -> None:
        self._is_playing = False
        self._speaking.playout.stop()
        if self._has_started:
            self._has_started = False
            self._speaking.send(AudioCleared(response_id=self._id))

    def _stop_if_over(self) -> None:
        if self.is_over and self._has_started:
            self._has_started = False
            self._speaking.playout.stop()
            self._speaking.send(AudioDone(response_id=self._id))
            self._speaking.send(AudioStopped(response_id=self._id))
