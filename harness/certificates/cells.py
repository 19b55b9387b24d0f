"""Certificates of kind "cells": a lower bound for every joint cell next to the limit, each with its own multipliers.

A closed cell of a gated neuron is a sign of t_j and a gate a_i in {0, 1} for every sample: all z with
(2 a_i - 1) z . p_i >= 0.  There sigma(z . p_i) = e_i z . p_i with e_i = 1 where the gate is 1 and e_i the slope of the
negative side where it is 0, and for any nu_i >= 0

    psi_j(z) <= z . (sum_i e_i alpha_i y_i t_j p_i + sum_i nu_i (2 a_i - 1) p_i),

so D_j is the norm of that vector (bounds.py has the rest).  A joint cell chooses a cell for every neuron.  The region
of bounds.py is the union of the joint cells that agree with its signs and fixed gates.  The checker lists
them itself and demands one entry for each:

    {"kind": "cells", "problem": P, "scope": S, "theta": ..., "structure": ...,
     "cells": [{"alpha": [n numbers],
                "neurons": [{"sign": 1, "on": [samples with gate 1], "nu": {"3": "1/2"}} one a hidden neuron]}, ...]}

A neuron that does not count has null.  Neurons that see the same inputs and have the same choices are
interchangeable, and one entry then stands for all their orders.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, combinations, combinations_with_replacement, product

from harness.certificates.bounds import LowerBound, Region, combined, lower_bound
from harness.certificates.numbers import Rejected, array, by_sample, choice, fields, samples, vector
from harness.certificates.problems import Block, Name
from harness.problem.numbers import Vector

# How many joint cells a certificate may have.
MAX_CELLS = 4096

# A cell of one neuron: the sign, and the samples with gate 1, in order.
Cell = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Part:
    """What an entry says of one neuron: its cell, and the multipliers of the cell's inequalities, zeros left out."""

    sign: int
    on: frozenset[int]
    nu: dict[int, Fraction]


@dataclass(frozen=True)
class Entry:
    """One joint cell with its multipliers; parts has None for a neuron that does not count."""

    alpha: Vector
    parts: tuple[Part | None, ...]


def read_entries(value: object, field: str, width: int, n: int) -> list[Entry]:
    """Raises FieldError."""
    return [_read_entry(entry, f"{field}[{e}]", width, n) for e, entry in enumerate(array(value, field))]


def _read_entry(value: object, field: str, width: int, n: int) -> Entry:
    found = fields(value, field, ("alpha", "neurons"))
    alpha = vector(found["alpha"], f"{field}.alpha", n)
    parts: list[Part | None] = []
    for j, part in enumerate(array(found["neurons"], f"{field}.neurons", width)):
        place = f"{field}.neurons[{j}]"
        if part is None:
            parts.append(None)
            continue
        known = fields(part, place, ("sign", "on"), ("nu",))
        sign = choice(known["sign"], f"{place}.sign", (-1, 1))
        nu = by_sample(known.get("nu"), f"{place}.nu", n)
        parts.append(Part(sign, samples(known["on"], f"{place}.on", n), nu))
    return Entry(alpha, tuple(parts))


def joint_bounds(
    problem: Name, blocks: Sequence[Block], regions: Sequence[Region], y: Sequence[int], entries: Sequence[Entry]
) -> list[LowerBound]:
    """The bound of every entry.  Raises Rejected unless the entries are all the joint cells of the regions."""
    options = [_options(block, where) for block, where in zip(blocks, regions, strict=True)]
    groups: dict[object, list[int]] = {}
    for b, block in enumerate(blocks):
        groups.setdefault((block.neuron.inputs, block.scale, regions[b]), []).append(b)
    members = list(groups.values())
    count = math.prod(math.comb(len(options[group[0]]) + len(group) - 1, len(group)) for group in members)
    if count > MAX_CELLS:
        raise Rejected(f"{count} joint cells are more than {MAX_CELLS}")
    needed = set(product(*(combinations_with_replacement(sorted(options[group[0]]), len(group)) for group in members)))
    found: list[LowerBound] = []
    for e, entry in enumerate(entries):
        cells = [_cell(block, entry, f"cells[{e}]") for block in blocks]
        key = tuple(tuple(sorted(cells[b] for b in group)) for group in members)
        if key not in needed:
            raise Rejected(f"cells[{e}] is not a joint cell next to the limit, or occurs twice")
        needed.remove(key)
        slopes = [_slope(block, entry, y, f"cells[{e}]") for block in blocks]
        found.append(lower_bound(problem, entry.alpha, slopes))
    if needed:
        raise Rejected(f"{len(needed)} of {count} joint cells are missing")
    return found


def _options(block: Block, where: Region) -> list[Cell]:
    """All cells of one neuron in its region; the gate of a zero patch is left out, as it changes nothing."""
    always = [i for i, gate in enumerate(where.gates) if gate == 1]
    free = [i for i, gate in enumerate(where.gates) if gate is None and any(block.vectors[i])]
    if len(free) >= MAX_CELLS.bit_length():
        raise Rejected(f"2^{len(free)} cells of {block.neuron.name} are more than {MAX_CELLS}")
    subsets = list(chain.from_iterable(combinations(free, size) for size in range(len(free) + 1)))
    return [(sign, tuple(sorted([*always, *subset]))) for sign in where.signs for subset in subsets]


def _part(block: Block, entry: Entry, place: str) -> Part:
    part = entry.parts[block.neuron.index]
    if part is None:
        raise Rejected(f"{place} says nothing of {block.neuron.name}")
    return part


def _cell(block: Block, entry: Entry, place: str) -> Cell:
    part = _part(block, entry, place)
    return part.sign, tuple(sorted(i for i in part.on if any(block.vectors[i])))


def _slope(block: Block, entry: Entry, y: Sequence[int], place: str) -> Fraction:
    part = _part(block, entry, place)
    b = {i: a * label * part.sign * block.scale for i, (a, label) in enumerate(zip(entry.alpha, y, strict=True)) if a}
    weights = {i: a if i in part.on else block.slope * a for i, a in b.items()}
    for i, a in part.nu.items():
        if a < 0:
            raise Rejected(f"{place}: nu of sample {i}, {block.neuron.name} is negative")
        weights[i] = weights.get(i, Fraction(0)) + (a if i in part.on else -a)
    return combined(block, weights)
