"""Markdown to HTML for the site, with its plain-text mathematics set in type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt

# Characters in a cell of a table that are not broken into lines.
LONG = 40
# In this order.  What is looked for has been escaped already.
_TYPE = [
    (r"theta~", "<i>θ̃</i>"),
    (r"\btheta\b", "<i>θ</i>"),
    (r"\bPhi_\((\w+)\)", r"Φ<sub>\1</sub>"),
    (r"\bPhi_(\w)\b", r"Φ<sub><i>\1</i></sub>"),
    (r"\bPhi\b", "Φ"),
    (r"\blambda_([a-z0-9])\b", r"<i>λ</i><sub>\1</sub>"),
    (r"\blambda\b", "<i>λ</i>"),
    (r"\bsigma\b", "<i>σ</i>"),
    (r"\bgamma_(\w+)\b", r"<i>γ</i><sub>\1</sub>"),
    (r"\bgamma\b", "<i>γ</i>"),
    (r"\bzeta\b", "<i>ζ</i>"),
    (r"\bR_(min|max)\b", r"<i>R</i><sub>\1</sub>"),
    (r"\b(sum|max|min)_([a-z])\b", r"\1<sub><i>\2</i></sub>"),
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


def html(markdown: str, *, plain: bool = False) -> str:
    """A page's Markdown as HTML; long cells of tables are broken, and a wide table has a scroll bar of its own.

    plain: without links and pictures, for a text that is not ours.
    """
    parser = _PLAIN if plain else _PARSER
    rendered = re.sub(r"<td>(.*?)</td>", _cell, parser.render(markdown), flags=re.DOTALL)
    return rendered.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")


def inline(markdown: str) -> str:
    """One line of Markdown as HTML."""
    return _PARSER.renderInline(markdown)


def _cell(found: re.Match[str]) -> str:
    length = len(re.sub(r"<.*?>", "", found[1]))
    return f'<td class="long">{found[1]}</td>' if length > LONG else found[0]


def _text(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    return typeset(tokens[index].content)


def _heading(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    """With a name of its own, for links."""
    name = re.sub(r"[^a-z0-9]+", "-", tokens[index + 1].content.lower()).strip("-")
    return f'<{tokens[index].tag} id="{name}">'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("text", _text)
    parser.add_render_rule("heading_open", _heading)
    return parser


_PARSER = _parser()
_PLAIN = _parser().disable(["link", "image", "autolink", "reference"])
