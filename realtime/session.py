"""One person's conversation: the loop between what arrives, what the floor decides, and what is done about it.

Everything that happens (audio, typed text, scores, words from the model) comes through one inbox and is handled in
order by `run`. Listeners and the model's words give observations; the floor answers with actions; the dialogue does
them. No wire is known here, and no rule of turn-taking: a door calls `push_audio`, `submit_text` and the like, none of
which blocks or raises, and reads `events`.

What is decided depends on the order of the inbox alone, and wall time is read once an item, for metrics. So a recording
of the inbox replays to the byte. Read `turns/floor.py` for the decisions, `answer.py` for what becomes of an answer.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Unpack

from models.base import AudioLanguageModel, Voice
from models.errors import GenerationFailed, InvalidPrompt, ModelError
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Samples
from realtime.conversation import ConversationOptions
from realtime.dialogue import Dialogue, report_of
from realtime.events import ErrorReported, FloorChanged, SessionCreated, SessionEnded, SessionEvent, SessionUpdated
from realtime.hearing.audio import AudioChunk, to_float32, to_int16
from realtime.hearing.listener import Listener
from realtime.hearing.own_voice import OwnVoice
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.inbox import (
    AnswerWanted,
    Captioned,
    ConversationImported,
    ForFloor,
    Generated,
    ImportedMessage,
    Inbox,
    InboxItem,
    KeyMoved,
    MessagesRemoved,
    MetricsRequested,
    Played,
    RecordingSubmitted,
    Request,
    SettingsChanged,
    Spoken,
    Summarised,
    WordsDrafted,
)
from realtime.load import AnswerLoad
from realtime.metrics import SessionMetrics
from realtime.outbox import Outbox
from realtime.playout import Playout
from realtime.settings import SettingChanges, SettingRefused, check_change
from realtime.speaking import Speaking, SpeakingOptions
from realtime.taps import Tap, Taps
from realtime.turns.actions import EndProtection
from realtime.turns.endpointing import EndOfTurnScorer, EndpointingOptions
from realtime.turns.floor import Floor
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.machine import TurnState
from realtime.turns.observations import (
    DEFAULT_SPEAKER,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    KeyPressed,
    KeyReleased,
    LoadChanged,
    Observation,
    RulesChanged,
    SpeechCleared,
    TextAdded,
    TextSubmitted,
)
from realtime.turns.options import MAX_TEXT_CHARACTERS, FloorOptions

logger = logging.getLogger(__name__)

MAX_IMPORTED_MESSAGES = 1000  # of which the newest are remembered
MAX_PIECE_SAMPLES = 5 * SAMPLE_RATE_HZ  # are listened to at once, of a chunk that may be much longer

_session_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Everything a session can be told.

    Attributes:
        vad: how speech is found.
        endpointing: when a turn has ended.
        conversation: how much is remembered.
        generation: how answers are sampled.
        speaking: whether answers are read aloud.
        speakers: who is listened to, each with a name and audio of their own, which comes all the time.
    """

    vad: VadOptions = field(default_factory=VadOptions)
    endpointing: EndpointingOptions = field(default_factory=EndpointingOptions)
    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    speaking: SpeakingOptions = field(default_factory=SpeakingOptions)
    speakers: tuple[str, ...] = (DEFAULT_SPEAKER,)


class Session:
    """One dialogue between one client and one model.

    Args:
        model: answers; shared between sessions.
        options: of this session.
        id: names it; made up if not given.
        now: wall time in seconds, for metrics only.
        make_detector: finds the speech of a speaker; made from the options if not given.
        scorer: judges at pauses whether a turn is complete; without it silence alone decides.
        sound_scorer: judges sounds over an answer; without it their words alone do, or their length.
        voice: reads answers aloud, shared between sessions; without it they are read by the eye.
        load: of the process, shared between sessions; without it the session has one of its own.
        taps: are told what goes in and what comes out; closed with the session.

    Attributes:
        id: names it.
        metrics: what has happened in it.
        playout: the sound of the answer under way, for whoever has the connection.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        options: SessionOptions | None = None,
        *,
        id: str | None = None,  # noqa: A002  # the wire's own word
        now: Callable[[], float] = time.perf_counter,
        make_detector: Callable[[str], SpeechDetector] | None = None,
        scorer: EndOfTurnScorer | None = None,
        sound_scorer: BackchannelScorer | None = None,
        voice: Voice | None = None,
        load: AnswerLoad | None = None,
        taps: Sequence[Tap] = (),
    ) -> None:
        self.id = id or f"sess_{next(_session_numbers)}"
        self.metrics = SessionMetrics()
        self._options = options = options or SessionOptions()
        self._model = model
        self._now = now
        self._voices = () if voice is None else voice.voices
        self._taps = Taps(taps, self.id)
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._floor_options = FloorOptions(
            endpointing=options.endpointing,
            pre_roll_s=options.vad.pre_roll_s,
            speakers=options.speakers,
            scores_pauses=scorer is not None,
            transcribes_sounds=model.transcriber is not None,
            scores_sounds=sound_scorer is not None,
        )
        self._floor = Floor(self._floor_options)
        self._shown_state = self._floor.state
        self.playout = Playout(self._put)
        self._own_voices = {name: OwnVoice() for name in options.speakers if voice is not None}
        self._speaking = Speaking(
            voice,
            options.speaking,
            playout=self.playout,
            own_voices=tuple(self._own_voices.values()),
            send=self._send,
            put=self._put,
        )
        make_detector = make_detector or (lambda speaker: SpeechDetector(options.vad, speaker=speaker))
        self._listeners = {name: self._make_listener(name, make_detector(name), scorer) for name in options.speakers}
        self.metrics.intakes = [listener.counters for listener in self._listeners.values()]
        self._dialogue = Dialogue(
            self.id,
            model,
            self._listeners,
            generation=options.generation,
            conversation=options.conversation,
            speaking=self._speaking,
            load=(load or AnswerLoad()).share(lambda allows: self._put(LoadChanged(allows))),
            sound_scorer=sound_scorer,
            metrics=self.metrics,
            send=self._send,
            put=self._put,
            observe=self._observe,
        )
        self._observations: deque[Observation] = deque()
        self._now_s = 0.0  # wall time that counts for the item being handled
        self._settings = SessionUpdated(
            muted=False,
            protect_answer=False,
            turn_detection=True,
            patience="normal",
            instructions="",
            temperature=options.generation.temperature,
            max_output_tokens=options.generation.max_new_tokens,
            captions=True,
            model=model.info.name,
            spoken=self._speaking.is_on,
            voice=self._speaking.voice_name,
        )

    def _make_listener(self, name: str, detector: SpeechDetector, scorer: EndOfTurnScorer | None) -> Listener:
        detector.own_voice = self._own_voices.get(name)
        shown_name = name if len(self._options.speakers) > 1 else None
        return Listener(name, detector, scorer=scorer, put=self._put, shown_name=shown_name)

    # What a door calls: none of these blocks or raises.

    def push_audio(self, chunk: AudioChunk) -> None:
        """Takes the next audio, rounded to 16 bits, as a recording holds it; drops and counts it when 20 s behind."""
        if chunk.speaker not in self._listeners:
            self.report(InvalidPrompt(f"there is no speaker {chunk.speaker!r} here, but {', '.join(self._listeners)}"))
        elif len(chunk.samples):
            self._put(AudioChunk(to_float32(to_int16(chunk.samples)), chunk.start_sample, chunk.speaker))

    def submit_text(self, text: str) -> None:
        """Takes typed text as (part of) the user's turn, to be answered; reports text that is empty or endless."""
        if (checked := self._checked(text)) is not None:
            self._put(TextSubmitted(checked))

    def add_text(self, text: str) -> None:
        """Does the same with text that is not to be answered yet: it joins the turn under way, or the next one."""
        if (checked := self._checked(text)) is not None:
            self._put(TextAdded(checked))

    def request_answer(self) -> None:
        """Has answered what was said and typed; while somebody speaks, at the end of the turn, as ever."""
        self._put(AnswerWanted(ends_speech=False))

    def end_turn(self) -> None:
        """Ends the spoken turn here and has it answered, also without detection; reports that nothing was said."""
        self._put(AnswerWanted(ends_speech=True))

    def clear_speech(self) -> None:
        """Drops what is being said and has not been answered."""
        self._put(SpeechCleared())

    def press_to_talk(self) -> None:
        """Begins a turn that lasts until `release_to_talk`, whatever is detected; stops even a protected answer."""
        self._put(KeyMoved(is_down=True))

    def release_to_talk(self) -> None:
        """Ends that turn, and has it answered at once; a turn in which nobody spoke or typed is dropped."""
        self._put(KeyMoved(is_down=False))

    def change_settings(self, **changes: Unpack[SettingChanges]) -> None:
        """Changes settings, which `SessionUpdated` describes; reports one that cannot be, and then changes none."""
        change = SettingsChanged(**changes)
        if change.instructions is not None:
            change = replace(change, instructions=_whole_characters(change.instructions).strip())
        try:
            check_change(
                change,
                models=(self._model.info.name,),
                voices=self._voices,
                conversation=self._options.conversation,
                max_output_tokens=self._options.generation.max_new_tokens,
            )
        except SettingRefused as refusal:
            self.report(InvalidPrompt(str(refusal)))
        else:
            self._put(change)

    def remove_from(self, item_id: str) -> None:
        """Takes back a message and all that follow it, with the answer under way; reports one that is not there."""
        self._put(MessagesRemoved(_whole_characters(item_id)))

    def import_conversation(self, messages: Sequence[ImportedMessage]) -> None:
        """Begins a new conversation, with these as what was said before; reports those that cannot be."""
        messages = [replace(message, text=_whole_characters(message.text)) for message in messages]
        if len(messages) > MAX_IMPORTED_MESSAGES:
            self.report(InvalidPrompt(f"at most {MAX_IMPORTED_MESSAGES} messages are taken; leave out the oldest"))
        elif messages and messages[0].role != "user":
            self.report(InvalidPrompt("a conversation begins with what the user said; leave out what is before it"))
        elif not all(0 < len(message.text) <= MAX_TEXT_CHARACTERS for message in messages):
            self.report(InvalidPrompt(f"each message of a conversation has 1 to {MAX_TEXT_CHARACTERS} characters"))
        else:
            self._put(ConversationImported(tuple(messages)))

    def submit_recording(self, samples: Samples, file_name: str) -> None:
        """Takes a recording, float32 `(n_samples,)` at 16 kHz, as (part of) the user's turn, to be answered."""
        self._put(RecordingSubmitted(AudioClip(to_float32(to_int16(samples))), _whole_characters(file_name)))

    def audio_of(self, item_id: str) -> Samples | None:
        """The audio of a message, float32 `(n_samples,)` at 16 kHz; None if there is none, or none any more."""
        return self._dialogue.audio_of(item_id)

    @property
    def longest_turn_s(self) -> float:
        """How much audio fits into one turn."""
        return self._options.endpointing.max_turn_s

    def request_metrics(self) -> None:
        """Has the metrics sent now; they come after each answer anyway."""
        self._put(MetricsRequested())

    def cancel(self) -> None:
        """Stops the answer under way."""
        self._put(CancelRequested())

    def clear(self) -> None:
        """Begins a new conversation."""
        self._put(ConversationCleared())

    def report(self, error: ModelError) -> None:
        """Tells the client that something is wrong."""
        self._put(report_of(error))

    def _checked(self, text: str) -> str | None:
        text = _whole_characters(text).strip()
        if not text:
            self.report(InvalidPrompt("the message is empty; type a question"))
        elif len(text) > MAX_TEXT_CHARACTERS:
            self.report(InvalidPrompt(f"the message has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} fit"))
        else:
            return text
        return None

    def close(self, reason: str = "") -> None:
        """Ends the session; `run` returns and `events` ends.

        Args:
            reason: why, in a sentence for the client, if the client did not ask for it.
        """
        self._put(Closed(reason))

    def events(self) -> AsyncIterator[SessionEvent]:
        """Yields what the client is to know, until the session has ended. For one reader."""
        return self._outbox.events()

    async def settled(self) -> None:
        """Waits until everything received has been handled, and no answer, score or words of a message are to come."""
        await self._inbox.settled()

    def _put(self, item: InboxItem) -> None:
        if self._floor.state is not TurnState.CLOSED:
            self.metrics.dropped_samples += self._inbox.put(item)

    # The loop.

    async def run(self) -> None:
        """Handles everything that arrives until `close`; cancel it to end at once."""
        self.begin()
        try:
            while self._floor.state is not TurnState.CLOSED:
                await self.handle(await self._inbox.get())
                self._report_lost_audio()
                await asyncio.sleep(0)  # `get` does not wait while there is more: others have their turn
                if self._inbox.is_empty and not self._is_busy():
                    self._inbox.settle()
        except Exception:
            logger.exception("session %s ends on a bug", self.id)
            self._send(report_of(GenerationFailed("the session failed; reconnect to begin a new one")))
            raise
        finally:
            await self.end()

    def begin(self) -> None:
        """Says what answers; the first part of `run`, which a replay calls itself."""
        info, ears = self._model.info, self._model.transcriber if self._model.has_ears else None
        languages = None if ears is None else ears.languages
        self._taps.start(info, self._options, self._floor_options, caption_languages=languages, voices=self._voices)
        self._send(
            SessionCreated(
                session_id=self.id,
                model=info.name,
                description=info.description,
                caption_languages=languages,
                voices=self._voices,
                models=(info.name,),
            )
        )
        self._dialogue.prefill()

    async def handle(self, item: InboxItem) -> None:
        """Does all that one item of the inbox calls for; the middle of `run`."""
        self._now_s = self._now()
        self._dialogue.set_time(self._now_s)
        self._taps.take_item(item, self._now_s)
        match item:
            case AudioChunk():
                for start in range(0, len(item.samples), MAX_PIECE_SAMPLES):
                    samples = item.samples[start : start + MAX_PIECE_SAMPLES]
                    await self._listen(AudioChunk(samples, item.start_sample + start, item.speaker))
                    await asyncio.sleep(0)  # others have their turn
            case Generated():
                self._dialogue.take(item)
            case Spoken() | Played():
                self._dialogue.take_sound(item)
            case Summarised():
                self._dialogue.take_summary(item)
            case Captioned() | WordsDrafted():
                self._dialogue.take_words(item)
            case ErrorReported():
                self.metrics.rejected += 1
                self._send(item)
            case _:
                self._take_request(item)

    def _take_request(self, item: Request | ForFloor) -> None:
        """Does what the client asks for; most of it is the floor's to decide."""
        match item:
            case KeyMoved(is_down):
                self._observe(KeyPressed(self._user_sample) if is_down else KeyReleased(self._user_sample))
            case AnswerWanted(ends_speech):
                self._observe(AnswerRequested(self._user_sample, ends_speech))
            case SettingsChanged():
                self._change_settings(item)
            case MessagesRemoved(item_id):
                self._observe(CancelRequested())
                self._dialogue.remove_from(item_id)
            case ConversationImported(messages):
                self._observe(ConversationCleared())
                self._dialogue.bring(messages)
            case RecordingSubmitted(clip, file_name):
                if self._dialogue.attach(clip, file_name, max_s=self.longest_turn_s):
                    self._observe(TextSubmitted(""))
            case MetricsRequested():
                self._send(self.metrics.report())
            case _:
                self._observe(item)

    async def end(self) -> None:
        """Frees everything and lets `events` end, even if nobody has read it for long; the last part of `run`."""
        self._taps.stop()  # what is settled now is no consequence of what was recorded
        self._observations.clear()  # in which a bug may have been
        try:
            self._observe(Closed())
        finally:
            self._inbox.settle()
            self._outbox.close()
            for listener in self._listeners.values():
                listener.close()
            try:
                await self._dialogue.close()
            finally:
                await self._taps.close()

    @property
    def _user_sample(self) -> int:
        """Where the audio ends of the one who presses and types."""
        return self._listeners[self._options.speakers[0]].end_sample

    def _report_lost_audio(self) -> None:
        if lost_samples := self._inbox.take_loss():
            self.report(
                InvalidPrompt(
                    f"{lost_samples / SAMPLE_RATE_HZ:.1f} s of audio were lost, because 20 s of it were waiting; send "
                    "it as fast as it is spoken"
                )
            )

    def _is_busy(self) -> bool:
        if any(listener.is_scoring for listener in self._listeners.values()) or self._dialogue.is_captioning:
            return True
        if self._floor.state in (TurnState.JUDGING, TurnState.OVERLAP_JUDGING):
            return True
        if self._floor.state is TurnState.INTERRUPTED:
            return False  # the answer waits for the sound to end
        return self._dialogue.is_answering

    def _send(self, event: SessionEvent) -> None:
        self._taps.take_event(event)
        if self._outbox.put(event):
            logger.warning("session %s: the client reads nothing; closing it", self.id)
            self._put(Closed())  # not at once: what is being carried out ends first

    # What arrives.

    async def _listen(self, chunk: AudioChunk) -> None:
        listener = self._listeners[chunk.speaker]
        frames = await listener.listen(chunk, self._now_s)
        for frame in frames:
            self._observe(frame)
        listener.forget_the_past(self._floor.unopened_sample)
        if self._floor.state in (TurnState.USER_SPEAKING, TurnState.KEY_HELD):
            self._dialogue.prefill_finished_windows(listener)
            if frames and not frames[-1].silence_samples:
                self._dialogue.draft_words(listener)

    def _change_settings(self, change: SettingsChanged) -> None:
        if change.muted is not None:
            for listener in self._listeners.values():
                listener.mute(muted=change.muted)
        self._dialogue.change_settings(change)
        rules = {rule: getattr(change, rule) for rule in ("protect_answer", "turn_detection", "patience")}
        self._observe(RulesChanged(**rules))
        given = {name: value for name, value in asdict(change).items() if value is not None}
        self._settings = replace(self._settings, **given)
        self._announce_settings()

    def _announce_settings(self) -> None:
        floor = self._floor
        self._settings = replace(
            self._settings, protect_answer=floor.protect_answer, turn_detection=floor.turn_detection
        )
        self._send(self._settings)

    # What the floor decides.

    def _observe(self, observation: Observation) -> None:
        """Tells the floor, and does what it asks for; what follows from that comes after it."""
        self._observations.append(observation)
        if len(self._observations) > 1:
            return  # it is being worked on already
        while self._observations:
            observed = self._observations[0]
            asked = self._floor.observe(observed)
            self._taps.take_decision(observed, asked)
            for action in asked:
                if isinstance(action, EndProtection):
                    self._announce_settings()
                else:
                    self._dialogue.carry_out(action)
            self._observations.popleft()
            self._follow_the_floor(observed)

    def _follow_the_floor(self, observed: Observation) -> None:
        state = self._floor.state
        if state is not self._shown_state and state is not TurnState.CLOSED:
            self._shown_state = state
            self._send(FloorChanged(state=state.value))
        self._dialogue.tend(state)
        if isinstance(observed, Closed) and observed.reason:
            self._send(SessionEnded(reason=observed.reason))


def _whole_characters(text: str) -> str:
    """Joins the halves of characters that JSON may hold, and replaces a half without its other."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
