"""The surveys that are stored beside counterexamples, read for the site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.records.record import FIGURE, PAGE

# Marks of the program that fills in the tables, and the figure, which has a place of its own on the page.
_LEFT_OUT = re.compile(r"<!--.*?-->|^!\[.*?\]\(.*?\)$", flags=re.DOTALL | re.MULTILINE)
# They lead about the repository, where the site is not.
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\([^)]*\)")
_HEADING = re.compile(r"\A# (.*)\n")


@dataclass(frozen=True)
class Survey:
    """name: of its folder.  title: its heading.  text: the Markdown below it, without links.  figure: SVG."""

    name: str
    title: str
    text: str
    figure: bytes

    @property
    def folder(self) -> str:
        """Where its page is on the site."""
        return f"surveys/{self.name}"


def read_surveys(folder: Path) -> list[Survey]:
    """Every survey with a page and a figure, by name; none where there is no such folder.  Raises OSError."""
    found = []
    for path in sorted(folder.glob(f"*/{PAGE}")):
        name, picture = path.parent.name, path.with_name(FIGURE)
        if picture.is_file() and re.fullmatch(r"[\w-]+", name):
            text = path.read_text(encoding="utf-8", errors="replace")
            heading = _HEADING.match(text)
            title = heading[1] if heading else name
            body = _LINK.sub(r"\1", _LEFT_OUT.sub("", _HEADING.sub("", text)))
            found.append(Survey(name, title, body, picture.read_bytes()))
    return found
