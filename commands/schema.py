"""`--schema FILE.json`: reads the JSON schema that an answer is held to, and the answer.

It refuses a file that is no JSON object or too long; what no answer can be held to, the model refuses.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands.errors import UsageError
from models.types import GenerationOptions
from realtime.hearing.files import printable

MAX_FILE_BYTES = 1_000_000  # white space included; `GenerationOptions` has the limit for the schema


def with_schema(generation: GenerationOptions, file: Path) -> GenerationOptions:
    """Adds the schema in a file to what is asked of an answer.

    Raises:
        UsageError: the file cannot be read, or holds no JSON schema.
    """
    name = f"--schema {printable(str(file))}"
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{name}: more than {MAX_FILE_BYTES} bytes; give a shorter schema")
    try:
        return replace(generation, json_schema=json.loads(content))
    except RecursionError as error:
        raise UsageError(f"{name}: nested too deeply; give a flatter schema") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: no text in UTF-8; write the schema as JSON") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}: no JSON ({error}); mend the file") from error
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def parse_answer(text: str, finish_reason: str) -> tuple[Any, str | None]:
    """Gives the answer as a JSON value, and why there is none where its JSON is not whole."""
    try:
        return json.loads(text), None
    except ValueError:
        if finish_reason == "length":
            return None, "the answer was cut off before its JSON was whole; give a larger --max-new-tokens"
        return None, "the model did not keep to the schema; ask another one"
