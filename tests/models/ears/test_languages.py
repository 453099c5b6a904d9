"""How ears name the languages they know."""

import pytest

from models.ears.languages import what_is_understood


@pytest.mark.parametrize(
    ("languages", "sentence"),
    [
        (("en",), "I understand only English."),
        (("en", "de"), "I understand only English and German."),
        (("en", "de", "xx"), "I understand only English, German and xx."),
        ((), "I do not understand this language."),
    ],
)
def test_the_languages_are_named(languages: tuple[str, ...], sentence: str) -> None:
    assert what_is_understood(languages) == sentence
