"""Random JSON schemas whose answers are short: every string, array and object in them has an end.

The seed decides all of it. What llguidance has no grammar for (`not`, `uniqueItems`, `if`) is not among them.
"""

import random
from typing import Any

Schema = dict[str, Any]

NAMES = ("name", "age", "tags", "address", "colour", "is open", "Größe", 'a"b', "x", "price_eur", "items", "note")
WORDS = ("red", "green", "a longer phrase, with a comma", "Straße", 'with "quotes"', "", "日本", "line\nbreak")
PATTERNS = (
    "^[A-Z]{2}-[0-9]{3}$",
    "^(mon|tues|wednes)day$",
    r"^\d{1,3}(\.\d{1,3}){3}$",
    "^[a-z]{1,6}@[a-z]{1,6}\\.(com|org)$",
    "^#[0-9a-fA-F]{6}$",
)
FORMATS = ("date", "uuid", "ipv4")  # the fractions of a "time" have no end
MAX_DEPTH = 3


def random_schemas(n: int, seed: int = 0) -> list[Schema]:
    """`n` of them; an object at the top of most, as people write them."""
    rng = random.Random(seed)
    return [_with_definitions(rng) if rng.random() < 0.1 else _top(rng) for _ in range(n)]


def _top(rng: random.Random) -> Schema:
    return _object(rng, 0) if rng.random() < 0.8 else _any(rng, 0)


def _with_definitions(rng: random.Random) -> Schema:
    schema = _object(rng, 1)
    schema["properties"]["first"] = {"$ref": "#/$defs/shared"}
    schema["properties"]["second"] = {"$ref": "#/$defs/shared"}
    return {**schema, "required": [*schema["required"], "second"], "$defs": {"shared": _any(rng, 2)}}


def _any(rng: random.Random, depth: int) -> Schema:
    kinds = [_string, _pattern, _format, _integer, _number, _enum, _constant, _simple]
    if depth < MAX_DEPTH:
        kinds += [_object, _array, _choice]
    return rng.choice(kinds)(rng, depth)


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(NAMES, rng.randint(1, 4))
    return {
        "type": "object",
        "properties": {name: _any(rng, depth + 1) for name in names},
        "required": [name for name in names if rng.random() < 0.6],
        "additionalProperties": False,
    }


def _array(rng: random.Random, depth: int) -> Schema:
    fewest = rng.randint(0, 2)
    return {"type": "array", "items": _any(rng, depth + 1), "minItems": fewest, "maxItems": fewest + rng.randint(0, 2)}


def _choice(rng: random.Random, depth: int) -> Schema:
    return {"anyOf": [_any(rng, depth + 1) for _ in range(rng.randint(2, 3))]}


def _string(rng: random.Random, _: int) -> Schema:
    shortest = rng.randint(0, 4)
    return {"type": "string", "minLength": shortest, "maxLength": shortest + rng.randint(0, 6)}


def _pattern(rng: random.Random, _: int) -> Schema:
    return {"type": "string", "pattern": rng.choice(PATTERNS)}


def _format(rng: random.Random, _: int) -> Schema:
    return {"type": "string", "format": rng.choice(FORMATS)}


def _integer(rng: random.Random, _: int) -> Schema:
    least = rng.randint(-1000, 1000)
    most = least + rng.randint(0, 5000)
    if rng.random() < 0.3:
        return {"type": "integer", "exclusiveMinimum": least - 1, "exclusiveMaximum": most + 1}
    return {"type": "integer", "minimum": least, "maximum": most}


def _number(rng: random.Random, _: int) -> Schema:
    least = round(rng.uniform(-100, 100), 1)
    return {"type": "number", "minimum": least, "maximum": round(least + rng.uniform(0.1, 50), 1)}


def _enum(rng: random.Random, _: int) -> Schema:
    return {"enum": rng.sample([*WORDS, 1, 2.5, True, None], rng.randint(1, 4))}


def _constant(rng: random.Random, _: int) -> Schema:
    return {"const": rng.choice([*WORDS, 7, False, None, [1, "two"], {"deep": {"er": 1}}])}


def _simple(rng: random.Random, _: int) -> Schema:
    return {"type": rng.choice(["boolean", "null", ["boolean", "null"]])}
