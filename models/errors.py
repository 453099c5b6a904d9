"""What can go wrong with a model, split by whose move is next.

    ModelError
    ├── ModelUnavailable    it cannot be loaded: unknown name, altered weights, no network
    │   └── WeightsMissing  ... because its weights were not fetched yet
    ├── InvalidPrompt       it cannot take this prompt: empty, NaN audio, unsupported part
    │   └── PromptTooLong   ... because it exceeds the context; carries the numbers
    └── GenerationFailed    it failed while answering: out of memory, a fault in the model; this dialogue only
        └── ModelStopped    ... and will go on failing, whoever asks: it hangs or has ended

Every message says what was wrong and what to do, and whoever talks reads it. What only whoever runs the server may
know, such as an address, is in `detail`. Cancellation is not an error: the stream ends with
`finish_reason="cancelled"`. Adapters translate foreign errors with `translate_errors`.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class ModelError(Exception):
    """Anything a model reports to a person.

    Args:
        message: for whoever talks.
        detail: the same for whoever runs the server, where that is more; it never goes to a client.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message


class ModelUnavailable(ModelError):
    """The model cannot be loaded."""


class WeightsMissing(ModelUnavailable):
    """The weights were not fetched yet."""


class InvalidPrompt(ModelError):
    """The model cannot take this prompt."""


class PromptTooLong(InvalidPrompt):
    """The prompt exceeds the context."""

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"the conversation is {prompt_tokens} tokens long and the model takes {context_tokens}; "
            "start a new conversation or ask about a shorter recording"
        )
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens

    def __reduce__(self) -> tuple[type["PromptTooLong"], tuple[int, int]]:
        """Comes out of another process as it went in."""
        return type(self), (self.prompt_tokens, self.context_tokens)


class GenerationFailed(ModelError):
    """The model failed while answering."""


class ModelStopped(GenerationFailed):
    """The model hangs or has ended: it can answer nobody."""


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turns any foreign error inside into `GenerationFailed`, named by `what`; ours pass through."""
    try:
        yield
    except ModelError:
        raise
    except MemoryError as error:
        raise GenerationFailed(f"{what}: out of memory; ask for less or use a smaller model") from error
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which this module does not import
            raise GenerationFailed(f"{what}: the device is out of memory; use a smaller model") from error
        raise GenerationFailed(f"{what}: {error}") from error
