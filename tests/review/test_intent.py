"""What somebody means: judgements with quotes that were said, and what a model of words cannot judge."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import EXIT_NO_SPEECH, EXIT_USER_ERROR, main
from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Transcript, Word
from realtime.review.describe import describe
from realtime.review.intent import NO_TONE, judge_intent
from realtime.review.voice_measures import measure_voice
from tests.conftest import CLIPS
from tests.models.tiny import text_model
from tests.review.test_transcript import silence, write

TEXT = "Um, I'm not sure I can finish this on time."
WORDS = tuple(
    Word(text, 0.3 * number + (0.8 if number else 0), 0.3 * number + 0.2 + (0.8 if number else 0), 1.0)
    for number, text in enumerate(TEXT.split())
)
TRANSCRIPT = Transcript(TEXT, WORDS)
CLIP = AudioClip(np.zeros(4 * SAMPLE_RATE_HZ, np.float32), 3.0)


def judged(**quotes: str) -> list[str]:
    values = {"intent": "to warn", "certainty": "uncertain", "sentiment": "negative", "emotion": "worried"}
    return [json.dumps({name: {"quote": quotes.get(name, ""), "value": value} for name, value in values.items()})]


async def test_quotes_that_were_said_have_their_times_and_others_are_taken_away() -> None:
    model = ScriptedModel([judged(certainty="not sure", emotion="I am afraid", intent="finish THIS on time")])
    found = await judge_intent(model, CLIP, TRANSCRIPT, ("221 words a minute",))
    (quote,) = found.certainty.quotes
    assert quote.text == "not sure"
    assert quote.span is not None
    assert (quote.span.start_s, quote.span.end_s) == pytest.approx((1.4, 1.9))
    assert found.intent.quotes[0].text == "finish this on time."
    assert found.emotion.quotes == ()
    assert found.remarks == ()
    (request,) = model.requests
    assert request[-1].clips == (CLIP,), "it listens itself"
    assert "221 words a minute" in request[-1].text


async def test_a_model_of_words_is_given_words_and_says_what_it_cannot_judge() -> None:
    model = ScriptedModel([judged()])
    model.info = replace(model.info, listens=False)
    found = await judge_intent(model, CLIP, TRANSCRIPT, ("nothing",))
    assert found.remarks == (NO_TONE,)
    assert not model.requests[0][-1].clips
    assert TEXT in model.requests[0][-1].text


async def test_a_judgement_that_was_cut_off_is_an_error() -> None:
    with pytest.raises(GenerationFailed, match="cut off"):
        await judge_intent(ScriptedModel([['{"intent": {"quo']]), CLIP, TRANSCRIPT, ())


def test_the_voice_is_measured() -> None:
    pitches_hz = np.linspace(120, 180, 2 * SAMPLE_RATE_HZ)
    phases = np.cumsum(pitches_hz) / SAMPLE_RATE_HZ
    samples = (0.2 * np.mod(phases, 1.0) - 0.1).astype(np.float32)  # a sawtooth, as from vocal folds
    measured = measure_voice(AudioClip(samples, 2.0), TRANSCRIPT)
    assert measured.words_per_minute == pytest.approx(60 * len(WORDS) / 2.0)
    assert (measured.n_pauses, measured.longest_pause_s) == (1, pytest.approx(0.9))
    assert [word.lower() for word in measured.hesitations] == ["um", "not sure"]
    assert measured.pitch_hz == pytest.approx(150, rel=0.05)
    assert measured.pitch_range == pytest.approx(12 * np.log2(174 / 126), abs=1)
    silent = measure_voice(CLIP, None)
    assert silent.sentences() == ("hesitations: none",)


async def test_a_description_rests_on_what_was_measured() -> None:
    model = ScriptedModel([["A ", "waltz."]])
    pieces = describe(model, CLIP, "What is it?", GenerationOptions(), measured=("key: C major",), transcript=None)
    assert [piece async for piece in pieces] == ["A ", "waltz."]
    assert model.requests[0][-1].clips == (CLIP,)
    assert "key: C major" in model.requests[0][-1].text
    model.info = replace(model.info, listens=False)
    async for _ in describe(model, CLIP, "", GenerationOptions(), measured=("key: C major",), transcript=TRANSCRIPT):
        pass
    assert not model.requests[1][-1].clips
    assert TEXT in model.requests[1][-1].text


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--model", "cascade", "--text-model", str(text_model.save(tmp_path_factory.mktemp("text_model")))]


def test_both_commands_say_what_a_cascade_cannot_judge(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(CLIPS / "question_capital.ogg")
    assert main([*model, "intent", clip, "--json"]) == 0
    out, error = capsys.readouterr()
    report = json.loads(out)
    assert report["certainty"]["value"] in ("certain", "fairly certain", "uncertain")
    assert report["remarks"] == [NO_TONE]
    assert main([*model, "describe", clip, "--max-new-tokens", "5"]) == 0
    out, error = capsys.readouterr()
    assert out.startswith("Measured: no steady beat was found")
    assert "words alone" in error


def test_silence_means_nothing(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "silence.wav", silence(3))
    assert main([*model, "intent", str(path)]) == EXIT_NO_SPEECH
    text = tmp_path / "text.wav"
    text.write_text("words")
    assert main([*model, "describe", str(text)]) == EXIT_USER_ERROR
    assert "not readable as audio" in capsys.readouterr().err
