"""What goes wrong with an engine, translated once: whose fault it is, whether asking again helps, and two sentences.

One is for whoever talks: it says "the engine", and neither where that is nor what it said itself. The other is for
whoever runs the server. Engines quote in their messages what they were given, so a message that holds words of the
conversation is not passed on to anybody. Read `models/errors.py` for the errors, `model.py` for what follows from a
fault.
"""

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import openai

from models.errors import GenerationFailed, InvalidPrompt, ModelError, PromptTooLong
from models.remote.wire import AnswerTooLarge

MAX_QUOTED = 200  # characters of an engine's own message
TOO_LONG = re.compile(r"context.length|maximum (model|context) length|max_model_len|exceeds? .{0,40}context", re.I)
WORD = re.compile(r"\w+")
QUOTED_WORDS = 3  # so many in a row are no chance
TELL = "tell whoever runs this server"
CLIP_LIMIT = re.compile(r"at most (\d+) audio", re.I)


class EngineFault(Exception):
    """One request has failed.

    Args:
        error: what a person is told, and in its `detail` what the operator is told.
        is_ill: the replica is unwell, and that counts against it.
        again: whether the same replica may be asked again soon.
        elsewhere: whether another replica may do better.
        after_s: how long the replica asks to be left alone; None where it does not say.
        clip_limit: it takes at most so many clips in a prompt; None where that is not the fault.
    """

    def __init__(
        self,
        error: ModelError,
        *,
        is_ill: bool = False,
        again: bool = False,
        elsewhere: bool = False,
        after_s: float | None = None,
        clip_limit: int | None = None,
    ) -> None:
        super().__init__(error.detail)
        self.error = error
        self.is_ill = is_ill
        self.again = again
        self.elsewhere = elsewhere
        self.after_s = after_s
        self.clip_limit = clip_limit


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was about, for the sentences.

    Attributes:
        url: of the replica.
        model: the model's name there.
        context_tokens: that a prompt and its answer may have, as far as that is known.
        texts: of the conversation, which no message may quote.
    """

    url: str
    model: str
    context_tokens: int
    texts: tuple[str, ...] = ()

    @property
    def engine(self) -> str:
        """How a sentence for the operator names it."""
        return f"the engine at {self.url}"


@contextmanager
def engine_faults(asked: Asked) -> Iterator[None]:
    """Turns whatever a request raises into `EngineFault`."""
    try:
        yield
    except (EngineFault, ModelError):
        raise
    except openai.APIStatusError as error:
        raise _of_status(error, asked) from error
    except openai.APITimeoutError as error:
        raise unreachable(asked, "no connection in time") from error
    except openai.APIConnectionError as error:
        raise _of_connection(error, asked) from error
    except openai.APIError as error:  # an event of the stream
        raise _of_event(error, asked) from error
    except AnswerTooLarge as error:
        raise _foreign(asked, str(error)) from error
    except Exception as error:
        raise _foreign(asked, f"what it sends cannot be read ({type(error).__name__})") from error


def unreachable(asked: Asked, why: str) -> EngineFault:
    """Nobody is there."""
    error = GenerationFailed(
        "the engine cannot be reached; ask again in a moment",
        detail=f"{asked.engine} cannot be reached ({why}); check that it runs, and the address",
    )
    return EngineFault(error, is_ill=True, again=True, elsewhere=True)


def too_slow(asked: Asked, what: str, limit_s: float) -> EngineFault:
    """It gives nothing within a limit."""
    failure = f"has given no {what} in {limit_s:g} s; ask again"
    error = GenerationFailed(f"the engine {failure}", detail=f"{asked.engine} {failure}, or look after it")
    return EngineFault(error, is_ill=True, elsewhere=True)


def broken_off(asked: Asked) -> EngineFault:
    """An answer ends before it is over."""
    failure = "has broken off the answer; ask again"
    error = GenerationFailed(f"the engine {failure}", detail=f"{asked.engine} {failure}")
    return EngineFault(error, is_ill=True, again=True, elsewhere=True)


def other_model(asked: Asked, model: str) -> EngineFault:
    """Another model answers than the one that was asked."""
    detail = f"answers with {quoted(model)} instead of {asked.model}; give --engine-model the name it serves"
    error = GenerationFailed(f"the engine answers with another model; {TELL}", detail=f"{asked.engine} {detail}")
    return EngineFault(error, is_ill=True, elsewhere=True)


def no_stream(asked: Asked, content_type: str) -> EngineFault:
    """It answers something else than a stream of events."""
    kind = quoted(content_type.partition(";")[0]) or "nothing"
    return _foreign(asked, f"it answers {kind} instead of a stream of events")


def _foreign(asked: Asked, why: str) -> EngineFault:
    detail = f"does not answer as OpenAI's chat completions do: {why}; check the address, /v1 included"
    error = GenerationFailed(f"the engine does not answer as it should; {TELL}", detail=f"{asked.engine} {detail}")
    return EngineFault(error, is_ill=True, elsewhere=True)


def _of_connection(error: openai.APIConnectionError, asked: Asked) -> EngineFault:
    causes = list(_causes(error))
    if any(isinstance(cause, AnswerTooLarge) for cause in causes):
        return _foreign(asked, str(next(cause for cause in causes if isinstance(cause, AnswerTooLarge))))
    untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
    if untrusted or any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        untrusted_error = GenerationFailed(
            f"the certificate of the engine is not trusted; {TELL}",
            detail=f"the certificate of {asked.engine} is not trusted; "
            "set SSL_CERT_FILE to a file with that of its authority",
        )
        return EngineFault(untrusted_error, is_ill=True, elsewhere=True)
    return unreachable(asked, quoted(str(causes[-1])) or type(causes[-1]).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _of_status(error: openai.APIStatusError, asked: Asked) -> EngineFault:
    status, message = error.status_code, _message(error)
    if status in (400, 413, 422):
        return _refused(status, message, asked, str(error.code or ""))
    if status in (401, 403):
        detail = f"{asked.engine} refuses the key (HTTP {status}); set EARPIECE_ENGINE_KEY to one that it knows"
        error_told = GenerationFailed(f"the engine lets this server in no more; {TELL}", detail=detail)
        return EngineFault(error_told, elsewhere=True)
    if status == 404 and asked.model:
        detail = f"{asked.engine} has no model {asked.model} (HTTP 404); check --engine-model and the address"
        error_told = GenerationFailed(f"the engine does not have the model; {TELL}", detail=detail)
        return EngineFault(error_told, elsewhere=True)
    if status == 429:
        after_s = _retry_after_s(error)
        when = "in a moment" if after_s is None else f"in {after_s:.0f} s"
        failure = f"has too much to do; ask again {when}"
        error_told = GenerationFailed(f"the engine {failure}", detail=f"{asked.engine} {failure}")
        return EngineFault(error_told, again=True, elsewhere=True, after_s=after_s)
    if status in (408, 425) or status >= 500:
        detail = f"{asked.engine} has failed (HTTP {status}{_because(message, asked)}); ask again"
        error_told = GenerationFailed("the engine has failed; ask again", detail=detail)
        return EngineFault(error_told, is_ill=True, again=True, elsewhere=True)
    return _foreign(asked, f"HTTP {status}")


def _of_event(error: openai.APIError, asked: Asked) -> EngineFault:
    """An error inside a stream that had begun well."""
    message = error.message if isinstance(error.message, str) else ""
    if TOO_LONG.search(message):
        return EngineFault(_too_long(message, asked))
    detail = f"{asked.engine} has failed while answering{_because(message, asked)}; ask again"
    error_told = GenerationFailed("the engine has failed while answering; ask again", detail=detail)
    return EngineFault(error_told, is_ill=True, again=True, elsewhere=True)


def _refused(status: int, message: str, asked: Asked, code: str) -> EngineFault:
    """The engine cannot take this prompt."""
    if TOO_LONG.search(message) or code == "context_length_exceeded":
        return EngineFault(_too_long(message, asked))
    limit = CLIP_LIMIT.search(message)
    why = f"HTTP {status}{_because(message, asked)}"
    detail = f"{asked.engine} cannot take this conversation ({why}); say it otherwise"
    error = InvalidPrompt("the engine cannot take this conversation; say it otherwise", detail=detail)
    return EngineFault(error, clip_limit=int(limit[1]) if limit else None)


def _too_long(message: str, asked: Asked) -> PromptTooLong:
    """The numbers as the engine says them, as far as they can be made out."""
    numbers = [int(number) for number in re.findall(r"\b\d{2,9}\b", message)]
    known = asked.context_tokens
    context = known if known in numbers or not numbers else numbers[0]
    return PromptTooLong(max([*numbers, context + 1]), context)


def _message(error: openai.APIStatusError) -> str:
    """What the engine itself says, where it says it as OpenAI does."""
    body = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        return message if isinstance(message, str) else ""
    return ""


def _because(message: str, asked: Asked) -> str:
    """An engine's message to be added to a sentence, unless it quotes the conversation."""
    shown = quoted(message)
    if not shown or "base64" in message or any(_quotes(shown, text) for text in asked.texts):
        return ""
    return f": {shown}"


def _quotes(message: str, text: str) -> bool:
    """Whether a message has three words in a row of a text, or all of a shorter one."""
    words, told = WORD.findall(text.lower()), f" {' '.join(WORD.findall(message.lower()))} "
    n_words = min(len(words), QUOTED_WORDS)
    runs = (words[start : start + n_words] for start in range(len(words) - n_words + 1))
    return n_words > 0 and any(f" {' '.join(run)} " in told for run in runs)


def quoted(message: str, limit: int = MAX_QUOTED) -> str:
    """A foreign message in one line, without what moves cursors, and not too long."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in message[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None


def conversation_texts(written: Sequence[dict[str, object]]) -> tuple[str, ...]:
    """The texts of a conversation as `write_messages` gives it."""
    texts: list[str] = []
    for message in written:
        content = message["content"]
        if isinstance(content, str):
            texts.append(content)
        elif isinstance(content, list):
            texts += [part["text"] for part in content if part["type"] == "text"]
    return tuple(texts)
