"""Markdown becomes HTML that can do no harm."""

import pytest

from realtime.doors.page.markdown import MAX_CHARACTERS, render


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold** and `code`", "<p><strong>bold</strong> and <code>code</code></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>\n'),
        ("```python\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>\n"),
        ("<b onclick=x>hi</b>", "<p>&lt;b onclick=x&gt;hi&lt;/b&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("![x](https://example.com/x.png)", "<p></p>\n"),
        (
            "[x](https://example.com)",
            '<p><a href="https://example.com" target="_blank" rel="noopener noreferrer">x</a></p>\n',
        ),
    ],
)
def test_markdown_is_laid_out_and_nothing_else_is(markdown: str, html: str) -> None:
    assert render(markdown) == html


def test_tables() -> None:
    assert "<td>1</td>" in render("| a | b |\n|---|---|\n| 1 | 2 |")


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 20000 are laid out"):
        render("x" * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize("piece", ["> ", "* ", "[", "![", "`", "**a", "<", "| "])
def test_nesting_is_bounded(piece: str) -> None:
    render(piece * (MAX_CHARACTERS // len(piece)))
