"""Multipliers and sizes of neurons of the convex problem of flow_ends.py, to far more digits than floats have.

Newton's method on |D_j|^2 = 1 for the live neurons and M_i = 1 for the samples with a multiplier: residuals in exact
fractions, steps by one inverse in floats.  Every step gains the digits of a float or so.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from harness.certificates.problems import Neuron
from harness.problem.numbers import Vector, dot, squared_norm

_STEPS = 8
# alpha and sizes are whole multiples of 2^-BITS; what is left of the residuals in the end is at most 2^-ENOUGH.
BITS = 120
ENOUGH = 100
# More than what rounding alpha can add to |D_j|, relatively.
ROUNDED = Fraction(1, 1 << 110)
# Multipliers below this share of the largest belong to margins that do not bind.
SMALL = 1e-7


def refined(
    live: Sequence[tuple[Neuron, Sequence[int]]], multipliers: Sequence[float], sizes: Sequence[float]
) -> tuple[list[Fraction], list[Fraction]] | None:
    """alpha, one a sample, and t, one a live neuron; None where Newton's method does not settle.

    live: the neurons with the samples on which they are on.  multipliers, sizes: where it starts.
    """
    binding = [i for i, a in enumerate(multipliers) if a > SMALL * max(multipliers)]
    alpha = [Fraction(a) if i in binding else Fraction(0) for i, a in enumerate(multipliers)]
    t = [Fraction(a) for a in sizes]
    inverse: np.ndarray | None = None
    for _ in range(_STEPS):
        residual, vectors = _residual(live, binding, alpha, t)
        if max(map(abs, residual)) < Fraction(1, 1 << ENOUGH):
            return _shortened(alpha, vectors), t
        if inverse is None:
            try:
                inverse = np.linalg.inv(_jacobian(live, binding, t, vectors))
            except np.linalg.LinAlgError:
                return None
        # Scaled, so that the smallest residuals are floats too.
        size = max(map(abs, residual))
        step = inverse @ np.array([float(a / size) for a in residual])
        if not np.isfinite(step).all():
            return None
        moved = [
            _rounded(a - Fraction(b) * size) for a, b in zip([*(alpha[i] for i in binding), *t], step, strict=True)
        ]
        for i, a in zip(binding, moved, strict=False):
            alpha[i] = a
        t = moved[len(binding) :]
        if min(moved) <= 0:
            return None
    return None


def _residual(
    live: Sequence[tuple[Neuron, Sequence[int]]],
    binding: Sequence[int],
    alpha: Sequence[Fraction],
    t: Sequence[Fraction],
) -> tuple[list[Fraction], list[Vector]]:
    vectors = [
        tuple(sum((alpha[i] * neuron.patches[i][c] for i in on), Fraction(0)) for c in range(len(neuron.inputs)))
        for neuron, on in live
    ]
    margins = [
        sum(
            (a * dot(d, neuron.patches[i]) for (neuron, on), d, a in zip(live, vectors, t, strict=True) if i in on),
            Fraction(0),
        )
        for i in binding
    ]
    return [*((squared_norm(d) - 1) for d in vectors), *((m - 1) for m in margins)], vectors


def _jacobian(
    live: Sequence[tuple[Neuron, Sequence[int]]],
    binding: Sequence[int],
    t: Sequence[Fraction],
    vectors: Sequence[Vector],
) -> np.ndarray:
    table = np.zeros((len(live) + len(binding),) * 2)
    for j, ((neuron, on), d, size) in enumerate(zip(live, vectors, t, strict=True)):
        for c, i in enumerate(binding):
            if i not in on:
                continue
            table[j, c] = 2.0 * float(dot(d, neuron.patches[i]))
            table[len(live) + c, len(binding) + j] = float(dot(d, neuron.patches[i]))
            for e, k in enumerate(binding):
                if k in on:
                    table[len(live) + c, e] += float(size * dot(neuron.patches[k], neuron.patches[i]))
    return table


def _rounded(a: Fraction) -> Fraction:
    return Fraction(round(a * (1 << BITS)), 1 << BITS)


def _shortened(alpha: Sequence[Fraction], vectors: Sequence[Vector]) -> list[Fraction]:
    """alpha, so little smaller that no |D_j| is above 1."""
    over = max(squared_norm(d) for d in vectors) - 1
    return [_rounded(a * (1 - over - ROUNDED)) if over > 0 else a for a in alpha]
