"""What goes wrong with an engine, translated once: whose fault it is, whether asking again helps, and one sentence.

Engines quote in their messages what they were given, so a message that holds words of the conversation is not passed
on. Read `models/errors.py` for the errors, `model.py` for what follows from a fault.
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
CLIP_LIMIT = re.compile(r"at most (\d+) audio", re.I)


class EngineFault(Exception):
    """One request has failed.

    Args:
        error: what a person is told.
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
        super().__init__(str(error))
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
        """How a sentence names it."""
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
    error = GenerationFailed(f"{asked.engine} cannot be reached ({why}); check that it runs, and the address")
    return EngineFault(error, is_ill=True, again=True, elsewhere=True)


def too_slow(asked: Asked, what: str, limit_s: float) -> EngineFault:
    """It gives nothing within a limit."""
    error = GenerationFailed(f"{asked.engine} has given no {what} in {limit_s:g} s; ask again, or look after it")
    return EngineFault(error, is_ill=True, elsewhere=True)


def broken_off(asked: Asked) -> EngineFault:
    """An answer ends before it is over."""
    error = GenerationFailed(f"{asked.engine} has broken off the answer; ask again")
    return EngineFault(error, is_ill=True, again=True, elsewhere=True)


def other_model(asked: Asked, model: str) -> EngineFault:
    """Another model answers than the one that was asked."""
    error = GenerationFailed(
        f"{asked.engine} answers with {quoted(model)} instead of {asked.model}; give --engine-model the name it serves"
    )
    return EngineFault(error, is_ill=True, elsewhere=True)


def no_stream(asked: Asked, content_type: str) -> EngineFault:
    """It answers something else than a stream of events."""
    kind = quoted(content_type.partition(";")[0]) or "nothing"
    return _foreign(asked, f"it answers {kind} instead of a stream of events")


def _foreign(asked: Asked, why: str) -> EngineFault:
    error = GenerationFailed(
        f"{asked.engine} does not answer as OpenAI's chat completions do: {why}; check the address, /v1 included"
    )
    return EngineFault(error, is_ill=True, elsewhere=True)


def _of_connection(error: openai.APIConnectionError, asked: Asked) -> EngineFault:
    causes = list(_causes(error))
    if any(isinstance(cause, AnswerTooLarge) for cause in causes):
        return _foreign(asked, str(next(cause for cause in causes if isinstance(cause, AnswerTooLarge))))
    untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
    if untrusted or any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        untrusted_error = GenerationFailed(
            f"the certificate of {asked.engine} is not trusted; set SSL_CERT_FILE to a file with that of its authority"
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
        sentence = f"{asked.engine} refuses the key (HTTP {status}); set EARPIECE_ENGINE_KEY to one that it knows"
        return EngineFault(GenerationFailed(sentence), elsewhere=True)
    if status == 404:
        sentence = f"{asked.engine} has no model {asked.model} (HTTP 404); check --engine-model and the address"
        return EngineFault(GenerationFailed(sentence), elsewhere=True)
    if status == 429:
        after_s = _retry_after_s(error)
        when = "in a moment" if after_s is None else f"in {after_s:.0f} s"
        sentence = f"{asked.engine} has too much to do; ask again {when}"
        return EngineFault(GenerationFailed(sentence), again=True, elsewhere=True, after_s=after_s)
    if status in (408, 425) or status >= 500:
        sentence = f"{asked.engine} has failed (HTTP {status}{_because(message, asked)}); ask again"
        return EngineFault(GenerationFailed(sentence), is_ill=True, again=True, elsewhere=True)
    return _foreign(asked, f"HTTP {status}")


def _of_event(error: openai.APIError, asked: Asked) -> EngineFault:
    """An error inside a stream that had begun well."""
    message = error.message if isinstance(error.message, str) else ""
    if TOO_LONG.search(message):
        return EngineFault(_too_long(message, asked))
    sentence = f"{asked.engine} has failed while answering{_because(message, asked)}; ask again"
    return EngineFault(GenerationFailed(sentence), is_ill=True, again=True, elsewhere=True)


def _refused(status: int, message: str, asked: Asked, code: str) -> EngineFault:
    """The engine cannot take this prompt."""
    if TOO_LONG.search(message) or code == "context_length_exceeded":
        return EngineFault(_too_long(message, asked))
    limit = CLIP_LIMIT.search(message)
    why = f"HTTP {status}{_because(message, asked)}"
    sentence = f"{asked.engine} cannot take this conversation ({why}); say it otherwise"
    return EngineFault(InvalidPrompt(sentence), clip_limit=int(limit[1]) if limit else None)


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
    said = [text.strip()[:16].lower() for text in asked.texts if text.strip()]
    if not message or any(beginning in message.lower() for beginning in said) or "base64" in message:
        return ""
    return f": {quoted(message)}"


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
