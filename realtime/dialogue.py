"""What is said in a session: carries out what the floor asks for, in turns, answers and memory.

It holds the turns, the conversation and the model's work, tells the client of everything, and decides nothing. Read
`turns/floor.py` for who asks, `answers.py` for what is answered, `conversation.py` for what is remembered.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from models.base import AudioLanguageModel
from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, Samples, Transcription
from realtime.answer import Answer
from realtime.answers import Answers
from realtime.captions import Captions
from realtime.conversation import Conversation, ConversationOptions
from realtime.events import (
    DiscardReason,
    SessionEvent,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
    report_of,
    sample_to_ms,
)
from realtime.hearing.listener import Listener
from realtime.inbox import (
    Captioned,
    Generated,
    ImportedMessage,
    Played,
    SettingsChanged,
    Spoken,
    Summarised,
    WordsDrafted,
)
from realtime.load import LoadShare
from realtime.memory import Memory
from realtime.metrics import SessionMetrics
from realtime.model_work import ModelWork, Put
from realtime.speaking import Speaking
from realtime.turns import actions
from realtime.turns.events import (
    DetectionStopped,
    InterruptionDismissed,
    KeyReleasedInVain,
    SaidToOthers,
    SilenceElapsed,
    TurnEvent,
    TurnTooLong,
)
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.machine import TurnState
from realtime.turns.observations import AnswerFinished, NothingSaid


class Dialogue:
    """The turns, answers and memory of one session.

    Args:
        session_id: names the session.
        model: answers.
        listeners: by speaker.
        generation: options of answers.
        conversation: how much is remembered.
        speaking: reads answers aloud.
        load: the session's share of the process's.
        sound_scorer: judges sounds over an answer; without it their words alone do.
        metrics: where all this is counted.
        send: tells the client.
        put: takes what comes of the model's work.
        observe: is told what the floor has to know of an answer.
    """

    def __init__(
        self,
        session_id: str,
        model: AudioLanguageModel,
        listeners: Mapping[str, Listener],
        *,
        generation: GenerationOptions,
        conversation: ConversationOptions,
        speaking: Speaking,
        load: LoadShare,
        sound_scorer: BackchannelScorer | None,
        metrics: SessionMetrics,
        send: Callable[[SessionEvent], None],
        put: Put,
        observe: Callable[[AnswerFinished | NothingSaid], None],
    ) -> None:
        self._session_id = session_id
        self._listeners = listeners
        self._window_s = model.info.audio_window_s
        self._metrics = metrics
        self._send = send
        self._observe = observe
        self._numbers = itertools.count(1)
        self._now_s = 0.0  # wall time that counts for what is being handled
        new_item_id = partial(self._new_id, "item")
        self._conversation = Conversation(conversation, new_id=new_item_id)
        self._work = ModelWork(model, session_id, generation, load, put, sound_scorer=sound_scorer)
        self._captions = Captions(
            self._work, has_ears=model.has_ears, conversation=self._conversation, metrics=metrics, send=send
        )
        self._memory = Memory(
            self._conversation, self._captions, self._work, metrics=metrics, new_id=new_item_id, send=send
        )
        self._speaking = speaking
        self._answers = Answers(
            session_id,
            self._work,
            speaking,
            conversation=self._conversation,
            memory=self._memory,
            metrics=metrics,
            new_id=self._new_id,
            send=send,
            observe=observe,
        )
        self._recordings: list[tuple[AudioClip, str]] = []  # files, for the turn to which text is added next
        self._long_turn_id = ""  # of the last message that was cut off at the longest turn

    @property
    def is_answering(self) -> bool:
        """Whether an answer is being generated or read aloud, or waits to go on."""
        return self._answers.is_under_way

    @property
    def is_captioning(self) -> bool:
        """Whether a message is being written down."""
        return self._captions.is_writing

    def set_time(self, now_s: float) -> None:
        """Sets the wall time that counts for what comes next."""
        self._now_s = now_s

    def take(self, generated: Generated) -> None:
        """Takes what the model said, unless it belongs to an answer that has been stopped."""
        answer, event = self._answers.current, generated.event
        if answer is None or not self._work.is_current(generated):
            return
        if isinstance(event, Transcription):
            self._take_transcription(event, answer)
        else:
            self._answers.take(event, self._now_s)
        self._ask_for_words()

    def take_sound(self, item: Spoken | Played) -> None:
        """Takes what the voice has read, or how far it has been played, unless that belongs to an earlier answer."""
        self._answers.take_sound(item, self._now_s)

    def take_summary(self, summarised: Summarised) -> None:
        """Takes what the oldest messages have become, unless that has been given up."""
        self._memory.take_summary(summarised)

    def take_words(self, words: Captioned | WordsDrafted) -> None:
        """Takes what ears wrote down of a message, or of a turn that goes on; drops what comes too late."""
        if isinstance(words, Captioned):
            self._captions.take(words, self._now_s)
        elif any(listener.turn and listener.turn.item_id == words.item_id for listener in self._listeners.values()):
            self._captions.take_draft(words)

    def draft_words(self, listener: Listener) -> None:
        """Has written down what is being said, if there is time."""
        self._captions.draft(listener)

    def prefill(self) -> None:
        """Has the conversation computed before it is needed."""
        self._memory.prefill()

    def change_settings(self, change: SettingsChanged) -> None:
        """Changes how the next answers are made and read, and whether words are written down."""
        self._speaking.change(spoken=change.spoken, voice_name=change.voice)
        if change.spoken is False:
            self._answers.fall_silent()
        self._work.set_options(temperature=change.temperature, max_new_tokens=change.max_output_tokens)
        if change.captions is not None:
            self._captions.is_on = change.captions
        if change.instructions is not None:
            self._memory.instruct(change.instructions)

    def remove_from(self, item_id: str) -> None:
        """Takes back a message and all that follow it; says so if it is not remembered."""
        if not self._memory.remove_from(item_id):
            self._metrics.rejected += 1
            reason = "the message is not in what the model remembers any more; begin a new conversation, or just go on"
            self._send(report_of(InvalidPrompt(reason)))

    def bring(self, messages: Sequence[ImportedMessage]) -> None:
        """Adds what was said elsewhere."""
        self._memory.bring(messages)

    def attach(self, clip: AudioClip, file_name: str, *, max_s: float) -> bool:
        """Takes a file; it joins the turn to which text is added next, be that text empty.

        Returns:
            Whether it is taken; not if the files of the turn were longer than `max_s` then, and the client is told so.
        """
        turn = next(iter(self._listeners.values())).turn  # of the first speaker, who types and sends files
        if turn is not None and turn.recordings_s + clip.duration_s > max_s:
            reason = (
                f"the files of one turn are longer than {max_s:g} s together; end the turn, and send the file again"
            )
            self._metrics.rejected += 1
            self._send(report_of(InvalidPrompt(reason)))
            return False
        self._recordings.append((clip, file_name))
        return True

    def audio_of(self, item_id: str) -> Samples | None:
        """The audio of a message, float32 `(n_samples,)` at 16 kHz; None if there is none, or none any more."""
        return self._memory.audio_of(item_id)

    def prefill_finished_windows(self, listener: Listener) -> None:
        """Has computed what a long turn will not change any more, while it goes on."""
        if self._window_s is None or listener.turn is None or self._work.is_prefilling:
            return
        finished = listener.turn.newly_finished(round(self._window_s * SAMPLE_RATE_HZ))
        if finished is not None:
            self._work.prefill((*self._conversation.messages, finished))

    def tend(self, state: TurnState) -> None:
        """Does what can wait until the floor has decided, and ends what has no place in its state."""
        self._ask_for_words()
        self._answers.tend(state)
        if state not in (TurnState.JUDGING, TurnState.OVERLAP_JUDGING):
            self._work.stop_judging()
        if state is not TurnState.LISTENING:
            self._work.stop_summary()
        elif not self._work.is_summarising and (prompt := self._conversation.to_summarise()):
            self._work.start_summary(prompt)

    async def close(self) -> None:
        """Ends the work of model and voice."""
        await self._speaking.close()
        await self._work.close()

    def carry_out(self, action: actions.Action) -> None:
        """Does what the floor asks for."""
        match action:
            case actions.OpenTurn(turn):
                self._open_turn(turn)
            case actions.AnnouncePause(speaker, offset_sample):
                self._pause_turn(self._listeners[speaker], offset_sample)
            case actions.AddText(speaker, text):
                self._add_text(self._listeners[speaker], text)
            case actions.DiscardTurn(speaker, cause):
                item_id = self._listeners[speaker].close_turn().item_id
                self._captions.forget(item_id)
                self._send(UserSpeechDiscarded(item_id=item_id, reason=_reason_of(cause)))
            case actions.CommitTurn():
                self._commit_turn(action)
            case actions.ScoreTurn(end, number):
                self._listeners[end.speaker].score(end, number, asked=self._conversation.last_answer)
            case actions.NoteMissingScore():
                self._metrics.scorer_failures += 1
            case actions.PrefillTurns(ends):
                self._work.prefill_ahead((*self._conversation.messages, *self._messages_of(ends)))
            case actions.JudgeSound(end, number):
                self._work.judge_sound(self._listeners[end.speaker].message(end).clips[0], number)
            case actions.ClearConversation():
                self._memory.clear()
            case _:
                self._carry_out_answer(action)

    def _carry_out_answer(self, action: actions.Action) -> None:
        match action:
            case actions.StartProvisional(ends, speaker, sample):
                self._metrics.provisional += 1
                prompt = (*self._conversation.messages, *self._messages_of(ends))
                self._answers.start(
                    prompt, provisional=True, last_voiced_s=self._wall_s(speaker, sample), now_s=self._now_s
                )
            case actions.SkipProvisional():
                self._metrics.speculations_skipped += 1
            case actions.StartResponse(speaker, sample):
                last_voiced_s = None if sample is None else self._wall_s(speaker, sample)
                prompt = self._conversation.messages
                self._answers.start(prompt, provisional=False, last_voiced_s=last_voiced_s, now_s=self._now_s)
            case actions.RetractResponse():
                self._answers.retract()
            case actions.CommitResponse():
                self._answers.commit(self._now_s)
            case actions.PauseResponse():
                self._answers.pause()
            case actions.ResumeResponse():
                self._metrics.false_interruptions += 1
                self._answers.resume()
            case actions.InterruptResponse(cause):
                self._answers.interrupt(cause, self._now_s)
            case actions.StoreResponse():
                self._answers.store(self._now_s)
            case actions.Refuse(reason):
                self._metrics.rejected += 1
                self._send(report_of(InvalidPrompt(reason)))

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self._session_id.removeprefix('sess_')}_{next(self._numbers)}"

    # Turns.

    def _open_turn(self, turn: actions.Turn) -> None:
        listener = self._listeners[turn.speaker]
        item_id = listener.open_turn(turn, self._new_id("item")).item_id
        start_ms = sample_to_ms(turn.start_sample or 0)
        self._send(UserSpeechStarted(item_id=item_id, audio_start_ms=start_ms, speaker=listener.shown_name))

    def _pause_turn(self, listener: Listener, offset_sample: int) -> None:
        assert listener.turn is not None
        self._answers.note_pause(self._now_s)
        item_id, end_ms = listener.turn.item_id, sample_to_ms(offset_sample)
        self._send(UserSpeechStopped(item_id=item_id, audio_end_ms=end_ms, speaker=listener.shown_name))

    def _add_text(self, listener: Listener, text: str) -> None:
        turn = listener.turn
        if turn is None:
            turn = listener.open_turn(actions.Turn(speaker=listener.name, start_sample=None), self._new_id("item"))
        turn.add_text(text.strip())
        while self._recordings:
            turn.add_recording(*self._recordings.pop(0))

    def _messages_of(self, ends: Sequence[actions.TurnEnd]) -> list[Message]:
        return [self._listeners[end.speaker].message(end) for end in ends]

    def _wall_s(self, speaker: str, sample: int) -> float:
        """When a sample was spoken, if the newest one was spoken just now."""
        return self._now_s - (self._listeners[speaker].end_sample - sample) / SAMPLE_RATE_HZ

    def _commit_turn(self, commit: actions.CommitTurn) -> None:
        turn = self._listeners[commit.turn.speaker].close_turn()
        message = turn.message(commit.end_sample)
        self._metrics.turns += 1
        self._metrics.cut_ins += commit.turn.cut_in_after_samples is not None
        is_addressed = not isinstance(commit.cause, SaidToOthers)
        self._memory.keep(message, file_name=turn.file_name, is_addressed=is_addressed)
        self._captions.commit(message, self._now_s)
        match commit.cause:
            case SilenceElapsed(speaker, _, waited_samples) if speaker == commit.turn.speaker:
                self._metrics.note_wait(waited_samples / SAMPLE_RATE_HZ)
            case SaidToOthers():
                self._metrics.unanswered_turns += 1
                self._memory.cut_window()  # no answer will end, after which it would be
            case TurnTooLong():
                self._metrics.long_turns += 1
                self._long_turn_id = message.id
                self._memory.cut_window()

    def _take_transcription(self, event: Transcription, answer: Answer) -> None:
        transcript, newest = event.transcript, answer.prompt[-1]
        message = next((message for message in answer.prompt if message.id == event.message_id), None)
        if message is None:
            return
        self._captions.take_told(message, transcript, self._now_s, is_provisional=answer.provisional)
        # The last part of a long turn may have no words, where those before it have some.
        goes_on = len(answer.prompt) > 1 and answer.prompt[-2].id == self._long_turn_id
        if message is newest and not (transcript.text or transcript.is_foreign or newest.text or goes_on):
            self._observe(NothingSaid())

    def _ask_for_words(self) -> None:
        """Has messages written down, unless somebody waits for the first word of an answer."""
        if not self._answers.is_awaited:
            self._captions.ask()


def _reason_of(cause: TurnEvent) -> DiscardReason:
    """Why a turn was dropped, as a client is told."""
    match cause:
        case NothingSaid():
            return "no_words"
        case KeyReleasedInVain():
            return "no_speech"
        case InterruptionDismissed() | DetectionStopped():
            return "no_turn"
        case _:
            return "dropped"
