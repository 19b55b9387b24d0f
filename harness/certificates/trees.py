"""Trees of gates: {"split": PLACE, "on": T, "off": T}, with a leaf for every choice of the gates that are split on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from harness.certificates.numbers import Rejected, fields
from harness.problem.places import Place

# Gates on one path of a tree: below Python's own limit on recursion.
MAX_DEPTH = 200


def leaves(
    tree: object, field: str, place_of: Callable[[object, str], Place | None], gates: dict[Place, int], most: int
) -> Iterator[tuple[Any, str]]:
    """The leaves of a tree, each with its field, and `gates` as they are there.

    place_of: reads a place, from JSON and its field; None for one whose gate is known.  gates: given at the root.
    Raises FieldError on a wrong shape, Rejected where a gate is given twice or the tree is too large.
    """
    count = 0

    def below(node: object, at: str, depth: int) -> Iterator[tuple[Any, str]]:
        nonlocal count
        if "split" not in fields(node, at, (), None):
            count += 1
            if count > most:
                raise Rejected(f"more than {most} leaves")
            yield node, at
            return
        split = fields(node, at, ("split", "on", "off"))
        place = place_of(split["split"], f"{at}.split")
        if place is None or place in gates:
            raise Rejected(f"{at} splits on a gate that is given already")
        if depth >= MAX_DEPTH:
            raise Rejected(f"the tree is deeper than {MAX_DEPTH}")
        for gate, side in ((1, "on"), (0, "off")):
            gates[place] = gate
            yield from below(split[side], f"{at}.{side}", depth + 1)
        del gates[place]

    return below(tree, field, 0)
