"""One person's conversation: the loop between what arrives, what the floor decides, and what is done about it.

Everything that happens (audio, typed text, scores, words from the model) comes through one inbox and is handled in
order by `run`. Listeners and the model's words give observations; the floor answers with actions; the dialogue does
them. No wire is known here, and no rule of turn-taking: a door calls `push_audio`, `submit_text` and the like, which
are in `reception.py`, and reads `events`.

What is decided depends on the order of the inbox alone, and wall time is read once an item, for metrics. So a recording
of the inbox replays to the byte. Read `turns/floor.py` for the decisions, `answer.py` for what becomes of an answer.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from models.base import AudioLanguageModel, Voice, VoiceReader
from models.errors import GenerationFailed, InvalidPrompt
from models.types import SAMPLE_RATE_HZ, GenerationOptions, Samples
from realtime.call_notes import CallNotes
from realtime.call_speakers import CallSpeakers
from realtime.conversation import ConversationOptions
from realtime.dialogue import Dialogue
from realtime.events import (
    ErrorReported,
    FloorChanged,
    SessionCreated,
    SessionEnded,
    SessionEvent,
    SessionUpdated,
    StoringStopped,
    report_of,
)
from realtime.hearing.audio import AudioChunk
from realtime.hearing.crosstalk import Crosstalk
from realtime.hearing.listener import Listener
from realtime.hearing.own_voice import OwnVoice
from realtime.hearing.scoring import ears_at_pauses
from realtime.hearing.vad import KnownSound, SpeechDetector, VadOptions
from realtime.inbox import (
    AnswerWanted,
    Captioned,
    ConversationImported,
    ForFloor,
    Generated,
    Inbox,
    InboxItem,
    KeyMoved,
    MessagesRemoved,
    MetricsRequested,
    Noted,
    NoteEdited,
    Played,
    RecordingSubmitted,
    Request,
    SettingsChanged,
    SpeakerHeard,
    SpeakerNamed,
    Spoken,
    Summarised,
    WordsDrafted,
)
from realtime.load import AnswerLoad
from realtime.logs import name_session
from realtime.metrics import SessionMetrics
from realtime.outbox import Outbox
from realtime.playout import Playout
from realtime.reception import Reception
from realtime.speaking import Speaking, SpeakingOptions
from realtime.taps import Tap, Taps
from realtime.turns.actions import EndProtection
from realtime.turns.endpointing import EndOfTurnScorer, EndpointingOptions
from realtime.turns.floors import make_floor
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.machine import TurnState
from realtime.turns.observations import (
    DEFAULT_SPEAKER,
    Address,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    KeyPressed,
    KeyReleased,
    LoadChanged,
    Observation,
    RulesChanged,
    TextSubmitted,
)
from realtime.turns.options import FloorOptions, SessionKind

logger = logging.getLogger(__name__)

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
        address: whether what seems to be said to others is answered, until the client sets it.
        speakers: who is listened to, each with a name and audio of their own, which comes all the time.
        stored: somebody keeps the conversation, and the client is told so.
        kind: "call": the speakers talk to each other, and the first of them is helped.
        takes_notes: of a call, while it goes on, where ears write it down.
        tells_speakers: several people may speak in the others' channel of a call, and are told apart by their voices.
    """

    vad: VadOptions = field(default_factory=VadOptions)
    endpointing: EndpointingOptions = field(default_factory=EndpointingOptions)
    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    generation: GenerationOptions = field(default_factory=GenerationOptions)
    speaking: SpeakingOptions = field(default_factory=SpeakingOptions)
    address: Address = "always"
    speakers: tuple[str, ...] = (DEFAULT_SPEAKER,)
    stored: bool = False
    kind: SessionKind = "conversation"
    takes_notes: bool = False
    tells_speakers: bool = False


class Session(Reception):
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
        voices: tells several people in the others' channel of a call apart, shared between sessions.
        load: of the process, shared between sessions; without it the session has one of its own.
        taps: are told what goes in and what comes out; closed with the session.
        metrics: where it counts what happens; it makes its own if not given.

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
        voices: VoiceReader | None = None,
        load: AnswerLoad | None = None,
        taps: Sequence[Tap] = (),
        metrics: SessionMetrics | None = None,
    ) -> None:
        options = options or SessionOptions()
        super().__init__(
            speakers=options.speakers,
            models=(model.info.name,),
            voices=() if voice is None else voice.voices,
            conversation=options.conversation,
            max_output_tokens=options.generation.max_new_tokens,
            longest_turn_s=options.endpointing.max_turn_s,
            can_judge_address=scorer is not None and ears_at_pauses(model) is not None,
        )
        self.id = id or f"sess_{next(_session_numbers)}"
        self.metrics = metrics or SessionMetrics()
        self._options, self._model, self._now = options, model, now
        self._now_s = 0.0  # wall time that counts for the item being handled
        self._taps = Taps(taps, self.id)
        self._inbox, self._outbox = Inbox(), Outbox()
        self._notes: CallNotes | None = None
        self._call_speakers: CallSpeakers | None = None
        self._floor_options = _floor_options_of(options, model, scorer, sound_scorer)
        self._floor = make_floor(self._floor_options)
        self._shown_state = self._floor.state
        self._observations: deque[Observation] = deque()
        self.playout = Playout(self._put)
        own_voices = {name: OwnVoice() for name in options.speakers if voice is not None}
        speaking = self._make_speaking(voice, tuple(own_voices.values()))
        known = _channels_of_call(options) if options.kind == "call" else own_voices
        self._listeners = self._make_listeners(make_detector, scorer, known)
        self.metrics.intakes = [listener.counters for listener in self._listeners.values()]
        self._dialogue = self._make_dialogue(speaking, load or AnswerLoad(), sound_scorer)
        self._notes = self._make_notes()
        self._call_speakers = self._make_call_speakers(voices)
        self._settings = _first_settings(model.info.name, options, speaking)

    def _make_speaking(self, voice: Voice | None, own_voices: tuple[OwnVoice, ...]) -> Speaking:
        return Speaking(
            voice,
            self._options.speaking,
            playout=self.playout,
            own_voices=own_voices,
            send=self._send,
            put=self._put,
        )

    def _make_listeners(
        self,
        make_detector: Callable[[str], SpeechDetector] | None,
        scorer: EndOfTurnScorer | None,
        known: Mapping[str, KnownSound],
    ) -> dict[str, Listener]:
        make_detector = make_detector or (lambda speaker: SpeechDetector(self._options.vad, speaker=speaker))
        names, listeners = self._options.speakers, {}
        ears = ears_at_pauses(self._model)
        transcribe = None if ears is None else partial(ears.transcribe, dialogue=self.id)
        for name in names:
            detector = make_detector(name)
            detector.known_sound = known.get(name)
            shown_name = name if len(names) > 1 else None
            listeners[name] = Listener(
                name,
                detector,
                scorer=scorer,
                put=self._put,
                transcribe=transcribe,
                shown_name=shown_name,
                hears_last_alone=self._options.kind == "call" and name == names[-1],
            )
        return listeners

    def _make_dialogue(self, speaking: Speaking, load: AnswerLoad, sound_scorer: BackchannelScorer | None) -> Dialogue:
        return Dialogue(
            self.id,
            self._model,
            self._listeners,
            generation=self._options.generation,
            conversation=self._options.conversation,
            speaking=speaking,
            load=load.share(lambda allows: self._put(LoadChanged(allows))),
            sound_scorer=sound_scorer,
            metrics=self.metrics,
            send=self._send,
            put=self._put,
            observe=self._observe,
        )

    def _make_notes(self) -> CallNotes | None:
        if not self._options.takes_notes or not self._model.has_ears:
            return None
        return CallNotes(self._model, self.id, put=self._put, send=self._send)

    def _make_call_speakers(self, voices: VoiceReader | None) -> CallSpeakers | None:
        if not self._options.tells_speakers:
            return None
        others = self._options.speakers[-1]
        return CallSpeakers(voices, others, audio_of=self.audio_of, put=self._put, send=self._send)

    # What a door reads.

    def audio_of(self, item_id: str) -> Samples | None:
        """The audio of a message, float32 `(n_samples,)` at 16 kHz; None if there is none, or none any more."""
        return self._dialogue.audio_of(item_id)

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
        name_session(self.id)
        self.begin()
        try:
            while self._floor.state is not TurnState.CLOSED:
                await self.handle(await self._inbox.get())
                self._report_lost_audio()
                if not self._inbox.is_empty:
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
        self._taps.start(info, self._options, self._floor_options, caption_languages=languages, voices=self.voices)
        self._send(
            SessionCreated(
                session_id=self.id,
                model=info.name,
                description=info.description,
                caption_languages=languages,
                voices=self.voices,
                models=(info.name,),
                stored=self._options.stored,
                kind=self._options.kind,
                speakers=self._options.speakers,
            )
        )
        self._dialogue.prefill()

    async def handle(self, item: InboxItem) -> None:
        """Does all that one item of the inbox calls for; the middle of `run`."""
        self._now_s = self._now()
        self._dialogue.set_time(self._now_s)
        self._taps.take_item(item, self._now_s)
        match item:
            case AudioChunk() if len(item.samples) <= MAX_PIECE_SAMPLES:
                await self._listen(item)
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
            case Noted() | SpeakerHeard():
                self._take_of_call(item)
            case ErrorReported():
                self.metrics.rejected += 1
                self._send(item)
            case StoringStopped():
                self._send(item)
            case _:
                self._take_request(item)
        self._tend_notes()

    def _take_of_call(self, item: Noted | SpeakerHeard) -> None:
        if isinstance(item, Noted):
            if self._notes is not None:
                self._notes.take(item)
        elif self._call_speakers is not None:
            self._call_speakers.take(item)

    def _tend_notes(self) -> None:
        """Has notes taken while nothing is being suggested, nobody may be about to ask, and it is known who spoke."""
        if self._notes is not None and self._floor.state is not TurnState.CLOSED:
            other = self._listeners[self._options.speakers[-1]]
            is_known = self._call_speakers is None or not self._call_speakers.is_listening
            self._notes.tend(may_work=other.turn is None and not self._dialogue.is_answering and is_known)

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
            case NoteEdited():
                self._edit_note(item)
            case SpeakerNamed():
                self._name_speaker(item)
            case _:
                self._observe(item)

    def _edit_note(self, edited: NoteEdited) -> None:
        if self._notes is None or not self._notes.edit(edited):
            self.metrics.rejected += 1
            self._send(report_of(InvalidPrompt("there is no such note any more; look at the list as it is now")))

    def _name_speaker(self, named: SpeakerNamed) -> None:
        if self._call_speakers is None or not self._call_speakers.name(named):
            self.metrics.rejected += 1
            self._send(report_of(InvalidPrompt(f"nobody called {named.speaker!r} was told apart in this session")))

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
                for each in (self._notes, self._call_speakers):
                    if each is not None:
                        await each.close()
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
        if self._call_speakers is not None and self._call_speakers.is_listening:
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
        for each in (self._notes, self._call_speakers):
            if each is not None:
                each.take_event(event)

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
        rules = {rule: getattr(change, rule) for rule in ("protect_answer", "turn_detection", "patience", "address")}
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


def _channels_of_call(options: SessionOptions) -> Mapping[str, KnownSound]:
    """What each party's channel knows of the other's, so that an echo makes no second speaker."""
    crosstalk = Crosstalk()
    return dict(zip(options.speakers, (crosstalk.me, crosstalk.them), strict=True))


def _floor_options_of(
    options: SessionOptions,
    model: AudioLanguageModel,
    scorer: EndOfTurnScorer | None,
    sound_scorer: BackchannelScorer | None,
) -> FloorOptions:
    """What the floor has to know of the options, and of what there is beside it."""
    return FloorOptions(
        endpointing=options.endpointing,
        pre_roll_s=options.vad.pre_roll_s,
        speakers=options.speakers,
        scores_pauses=scorer is not None,
        transcribes_sounds=model.transcriber is not None,
        scores_sounds=sound_scorer is not None,
        address=options.address,
        kind=options.kind,
    )


def _first_settings(model_name: str, options: SessionOptions, speaking: Speaking) -> SessionUpdated:
    """What a session is set to before anybody has changed anything."""
    return SessionUpdated(
        muted=False,
        protect_answer=False,
        turn_detection=True,
        patience="normal",
        address=options.address,
        instructions="",
        temperature=options.generation.temperature,
        max_output_tokens=options.generation.max_new_tokens,
        captions=True,
        model=model_name,
        spoken=speaking.is_on,
        voice=speaking.voice_name,
    )
