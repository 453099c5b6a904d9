"""What flows between a conversation and an audio language model: frozen values, no behaviour.

Audio is always mono float32 `(n_samples,)` in [-1, 1] at 16 kHz; the boundary that received it converted it once.
Read `base.py` next.
"""

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000  # what every speech encoder in this project was trained on
VOICE_RATE_HZ = 24_000  # what voices speak at, as most do
MAX_SCHEMA_BYTES = 64_000  # of a JSON schema, written as JSON

Samples = NDArray[np.float32]
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled"]

_clip_numbers = itertools.count(1)
_message_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class AudioClip:
    """A stretch of speech or sound; equal only to itself, so that caches may key on `id`.

    Attributes:
        samples: mono float32 `(n_samples,)` in [-1, 1] at 16 kHz.
        speech_s: seconds of speech that a detector found in it; 0: nobody speaks; None: no detector has listened.
        id: names the clip for as long as the process lives.
    """

    samples: Samples
    speech_s: float | None = None
    id: str = field(default_factory=lambda: f"clip_{next(_clip_numbers)}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


Part = str | AudioClip


def new_message_id() -> str:
    """Names a message before it exists, so that its audio can be named while somebody still speaks."""
    return f"item_{next(_message_numbers)}"


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One immutable turn of a conversation.

    Attributes:
        role: who speaks.
        parts: text and audio in the order in which they were given.
        id: names the message on the wire and in caches.
        interrupted: an assistant's answer that was cut off; `parts` hold exactly what had been delivered.
        speaker: who of several users spoke; None where there is one.
    """

    role: Role
    parts: tuple[Part, ...]
    id: str = field(default_factory=new_message_id)
    interrupted: bool = False
    speaker: str | None = None

    @property
    def named_parts(self) -> tuple[Part, ...]:
        """The parts as a model is given them: behind the speaker's name, where there are several speakers."""
        return self.parts if self.speaker is None or not self.parts else (f"{self.speaker}:", *self.parts)

    @property
    def text(self) -> str:
        """All text parts, joined by a newline."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def clips(self) -> tuple[AudioClip, ...]:
        """All audio parts."""
        return tuple(part for part in self.parts if isinstance(part, AudioClip))

    @property
    def audio_s(self) -> float:
        """Seconds of audio in the message."""
        return sum(clip.duration_s for clip in self.clips)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """How an answer is sampled.

    Attributes:
        max_new_tokens: the answer ends after this many tokens, with finish reason "length".
        temperature: 0 is greedy, and reproducible.
        top_p: keep the smallest set of tokens whose probability reaches this.
        top_k: keep this many tokens; 0 keeps all.
        repetition_penalty: divides the logits of tokens already seen; 1 is none (Keskar et al., 2019).
        seed: of the sampler; None takes a fresh one.
        stop: strings that end the answer; they are not part of it.
        json_schema: the answer is JSON that this schema describes, on one line; None for text. JSON that
            `max_new_tokens` or a stop string cuts off is not whole: "length" is then the finish reason, or "stop".
            Copied: who changes what was given changes nothing here.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be 0 (off) or more")
        if not 0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty is {self.repetition_penalty}; it must be above 0")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 2**63 - 1")
        if any(not stop for stop in self.stop):
            raise ValueError("an empty stop string would end every answer before it begins")
        if self.json_schema is not None:
            object.__setattr__(self, "json_schema", _copied_schema(self.json_schema))


def _copied_schema(schema: object) -> dict[str, Any]:
    """A copy of a JSON schema; raises `ValueError` if it is none or too long."""
    if not isinstance(schema, dict):
        raise ValueError(f"json_schema is a {type(schema).__name__}; it must be a JSON object (a dict)")
    try:
        written = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"json_schema cannot be written as JSON: {error}") from error
    if len(written) > MAX_SCHEMA_BYTES:
        raise ValueError(f"json_schema is {len(written)} bytes long; it must be at most {MAX_SCHEMA_BYTES}")
    copied: dict[str, Any] = json.loads(written)
    return copied


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voiceprint:
    """How a voice sounds.

    Attributes:
        start_s: where the speech begins that it stands for.
        end_s: where that ends.
        vector: float32 `(192,)` of length 1; two of the same voice point in about the same direction.
    """

    start_s: float
    end_s: float
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """One word that ears wrote down.

    Attributes:
        text: with its punctuation, without spaces.
        start_s: where it begins in the clip, in seconds.
        end_s: where it ends.
        probability: how sure the ears are, from 0 to 1.
    """

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What ears wrote down of one clip.

    Attributes:
        text: the words; "" where nobody says one, or none that the ears understand.
        words: the same one by one; none from ears that do not know where words are.
        is_foreign: somebody speaks, and it sounds like a language that the ears do not know; `text` is "" then.
    """

    text: str
    words: tuple[Word, ...] = ()
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Transcription:
    """What the model understood of one user message, from models that can tell."""

    message_id: str
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationStats:
    """What an answer cost; the last thing `generate` yields.

    Attributes:
        prompt_tokens: length of the whole prompt, cached part included.
        cached_tokens: how much of the prompt was already in the prefix cache.
        completion_tokens: length of the answer.
        ttft_s: `generate` called to first delta, wall time; None if there was none.
        total_s: `generate` called to the end, wall time.
        finish_reason: why it ended.
        prefill_s: `generate` called to the whole prompt computed, wall time; None where that is not known.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_s: float | None
    total_s: float
    finish_reason: FinishReason
    prefill_s: float | None = None


GenerationEvent = TextDelta | Transcription | GenerationStats


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What `python app.py models` and the page say of a model.

    Attributes:
        name: what `--model` takes.
        description: one sentence for a person who chooses.
        checkpoints: hub ids or package names of the weights.
        parameters: their number, as people write it: "135M".
        licence: of the weights.
        languages: spoken languages it answers.
        gated: whether a hub asks for consent first.
        memory_gb: to run it, in its default dtype.
        context_tokens: longest prompt and answer together.
        max_audio_s: longest audio in one prompt; None when only the context limits it.
        audio_window_s: the encoder hears windows of this length independently of what follows, so that those that are
            whole can be prefilled while the speaker goes on; None when it hears a clip as one.
        listens: it is given the sound itself; a cascade is given words alone, and cannot judge tone, sounds or music.
    """

    name: str
    description: str
    checkpoints: tuple[str, ...]
    parameters: str
    licence: str
    languages: str
    gated: bool = False
    memory_gb: float
    context_tokens: int
    max_audio_s: float | None = None
    audio_window_s: float | None = None
    listens: bool = True


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """Where one word of a text is in its sound.

    Attributes:
        end: of the word in the text, in characters, its punctuation included.
        end_sample: of the word in the sound.
    """

    end: int
    end_sample: int


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A text read aloud.

    Attributes:
        samples: mono float32 `(n_samples,)` in [-1, 1] at `VOICE_RATE_HZ`.
        words: in the order of the text, which is in the order of the sound.
    """

    samples: Samples
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """What a voice is.

    Attributes:
        name: what it is asked for by.
        language: that it speaks, in two letters (ISO 639-1).
        description: for a person who chooses.
    """

    name: str
    language: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """How one replica of somebody else's engine is; the numbers count from the start.

    Attributes:
        url: where it is.
        is_answering: whether it is asked at all; False while it is left alone after failures.
        in_flight: requests under way.
        requests: that were made to it.
        failures: of these, that failed.
        retries: of these, that repeat one that had failed here or on another replica.
    """

    url: str
    is_answering: bool
    in_flight: int
    requests: int
    failures: int
    retries: int
