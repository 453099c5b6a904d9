"""Markdown to HTML that can do no harm: what the page shows of an answer once it is done.

markdown-it-py makes the HTML (CommonMark and tables; HTML in the text is shown as text), nh3 takes out whatever a page
must not get from a model. Pictures are left out: a page of ours asks no other server for anything. Pure functions; read
`__init__.py` for who asks.
"""

import nh3
from markdown_it import MarkdownIt

MAX_CHARACTERS = 20_000  # of one answer: 4096 tokens are less; the worst text of that length takes 0.3 s

_TAGS = {"a", "blockquote", "br", "code", "em", "hr", "p", "pre", "s", "strong"}
_TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "ul", "table", "tbody", "td", "th", "thead", "tr"}
_PARSER = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def render(text: str) -> str:
    """Gives the HTML of Markdown text.

    Raises:
        ValueError: it has more than `MAX_CHARACTERS` characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the text has {len(text)} characters; at most {MAX_CHARACTERS} are laid out")
    return nh3.clean(
        _PARSER.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
    )
