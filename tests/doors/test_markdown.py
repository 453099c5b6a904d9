"""Markdown becomes HTML that can do no harm."""

import asyncio
import sys
from types import FrameType

import httpx
import pytest

from models.scripted import ScriptedModel
from realtime.doors.page.markdown import MAX_CHARACTERS, render
from tests.servers import serving


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


def is_laying_out(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not render.__code__:
        frame = frame.f_back
    return frame is not None


async def test_one_text_at_a_time_is_laid_out_whoever_asks() -> None:
    """Somebody who posts the worst of texts, again and again, leaves half of the time to those who talk."""
    with serving(ScriptedModel([["Yes."]])) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            texts = [http.post("/page/markdown", json={"text": "*a_" * 3000}) for _ in range(6)]
            answering, n_at_work = asyncio.gather(*texts), [0]
            while not answering.done():
                n_at_work.append(sum(map(is_laying_out, sys._current_frames().values())))
                await asyncio.sleep(0.005)
            assert {answer.status_code for answer in await answering} == {200}
    assert max(n_at_work) == 1


async def test_what_is_no_text_is_explained() -> None:
    with serving(ScriptedModel([["Yes."]])) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for text in (5, None, ["a"], {}):
                answer = await http.post("/page/markdown", json={"text": text})
                assert answer.status_code == 422 and "this is no text" in answer.json()["message"]
