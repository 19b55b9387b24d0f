"""So many of what is looked for among draws: with fewer a test fails, and does not pass on less than it says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def first(count: int, found: Iterable[T]) -> list[T]:
    """The first so many of what is found; the draws it is found among have to end, so that the search does."""
    taken = list(islice(found, count))
    assert len(taken) == count, f"only {len(taken)} of {count} are found"
    return taken
