"""Tells a forge what a night found, through its command line: python -m harness.nightly.issues [STATE]

One open issue for violations of what is proven and one for new counterexamples, each with a label of its own that is
made where it is missing.  An issue that is open already gets the new text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.nightly.summary import JSON, MARKDOWN


@dataclass(frozen=True)
class Kind:
    """key: of the summary, a list; told of unless it is empty."""

    key: str
    label: str
    colour: str
    title: str
    about: str


KINDS = (
    Kind("violated", "theorem-violated", "b60205", "A theorem is violated", "The nightly violates what is proven"),
    Kind("new", "counterexample", "0e8a16", "New counterexamples", "The nightly found new or smaller counterexamples"),
)


def main(arguments: list[str]) -> int:
    state = Path(arguments[0] if arguments else ".marginalia")
    summary: dict[str, Any] = json.loads((state / JSON).read_text(encoding="utf-8"))
    for kind in KINDS:
        if summary[kind.key]:
            tell(kind, state / MARKDOWN)
    return 0


def tell(kind: Kind, body: Path) -> None:
    """Raises CalledProcessError where the forge refuses."""
    _gh("label", "create", kind.label, "--force", "--color", kind.colour, "--description", kind.about)
    listed = _gh("issue", "list", "--label", kind.label, "--state", "open", "--limit", "1", "--json", "number")
    numbers = [str(found["number"]) for found in json.loads(listed or "[]")]
    if numbers:
        _gh("issue", "edit", numbers[0], "--body-file", str(body))
    else:
        _gh("issue", "create", "--title", kind.title, "--label", kind.label, "--body-file", str(body))


def _gh(*arguments: str) -> str:
    return subprocess.run(["gh", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
