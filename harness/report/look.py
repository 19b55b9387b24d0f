"""Colours and lines of the figures for paper.

The two colours of signs are told apart by every common form of colour blindness (Okabe & Ito), and the line style says
the same once more.
"""

from __future__ import annotations

from typing import Any

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
FAINT = "#DDDDDD"
DOTTED, DASHED = (0, (1, 3)), (0, (4, 1.5))


def signed(number: Any) -> tuple[str, Any]:
    """The colour and the line of a number that is not negative, and of one that is."""
    return (BLUE, "solid") if number >= 0 else (VERMILION, DASHED)
