"""Markdown to HTML for the site, with its plain-text mathematics set in type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt

# In this order.  What is looked for has been escaped already.
_TYPE = [
    (r"theta~", "<i>θ̃</i>"),
    (r"\btheta\b", "<i>θ</i>"),
    (r"\bPhi\b", "Φ"),
    (r"\|\|", "‖"),
    (r"1/2 (?=‖)", "½ "),
    (r"&gt;=", "≥"),
    (r"&lt;=", "≤"),
    (r"(?<=\w) \. (?=\w)", " · "),
    (r"!=", "≠"),
    # the one tag that cells of tables have
    (r"&lt;br&gt;", "<br>"),
    (r"\b([a-zA-Z])_([0-9]+)\b", r"<i>\1</i><sub>\2</sub>"),
    (r"\b([a-zA-Z])_([a-z])\b", r"<i>\1</i><sub><i>\2</i></sub>"),
    (r"\bu\^", "<i>u</i>^"),
    (r"\^(\d|[a-z])\b", r"<sup>\1</sup>"),
    (r"\^\(([a-z])\)", r"<sup>(\1)</sup>"),
    (r"\beps\b", "<i>ε</i>"),
]


def typeset(text: str) -> str:
    """Plain text to HTML."""
    html = escape(text, quote=False)
    for pattern, instead in _TYPE:
        html = re.sub(pattern, instead, html)
    return html


def html(markdown: str) -> str:
    """A page's Markdown as HTML; a wide table gets a scroll bar of its own."""
    return (
        _PARSER.render(markdown).replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    )


def _text(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    return typeset(tokens[index].content)


_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_PARSER.add_render_rule("text", _text)
