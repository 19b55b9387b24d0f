"""Margins and kinks of a limit to second order, in floats: what the search for curves and for proofs works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from harness.certificates.taylor import BEYOND, Term, bounds, expand
from harness.problem.points import Point

Place = tuple[int, int, int]
"""(sample, layer, neuron), all from 0."""

# Margins up to this much above 1 are active; the next decades are open.
ACTIVE, CLEAR = 1e-8, 1e-6


@dataclass(frozen=True)
class Smooth:
    """q_i and the kinks of the active samples with every gate given.

    rows: (A, P) gradients of active q_i.  hessians: (A, P, P).  kinks: place -> (gradient, Hessian) of its
    pre-activation.
    """

    rows: np.ndarray
    hessians: np.ndarray
    kinks: Mapping[Place, tuple[np.ndarray, np.ndarray]]


class Expansion:
    """A limit near its own point.

    flat: theta, (P,).  active: samples with margin 1.  loud: kinks of active samples that are heard, so that their
    gates change the gradient; quiet: the others that can matter to second order.
    """

    def __init__(self, point: Point) -> None:
        self.point = point
        self.network = point.problem.network
        self.flat = np.concatenate(point.theta)
        self.x, self.y = point.problem.x_float, point.problem.y_float
        excess = np.asarray(point.margins) - 1.0
        self.active = np.flatnonzero(excess <= ACTIVE).tolist()
        self.unclear = bool(((excess > ACTIVE) & (excess < CLEAR)).any())
        self.multipliers = np.asarray(point.multipliers)[self.active]
        relu = self.network.activation == "relu"
        self.signs = [np.asarray(s) for s in point.signs or ()] if relu else []
        self.coefficients = {(k.sample, k.layer - 1, k.neuron - 1): k.coefficient for k in point.kinks} if relu else {}
        matrices = self.network.matrices(point.theta)
        self.loud: list[Place] = []
        self._others: list[Place] = []
        for i in self.active:
            above = np.ones(1, dtype=bool)
            for layer in range(len(self.signs) - 1, -1, -1):
                if layer < len(self.signs) - 1:
                    above = above & (self.signs[layer + 1][i] >= 0)
                above = (matrices[layer + 1][above] != 0.0).any(axis=0)
                for j in np.flatnonzero(self.signs[layer][i] == 0).tolist():
                    (self.loud if above[j] else self._others).append((i, layer, j))
        still = self._still()
        self.loud = [place for place in self.loud if place not in still]

    def _still(self) -> set[Place]:
        """Heard kinks that do not move to second order, whatever happens: a zero patch, say."""
        out = set()
        for i, layer, j in self.loud:
            term = self._terms(i, {})[layer][j]
            if not term.value and not term.gradient.any() and not term.hessian.any() and term.unknown == BEYOND:
                out.add((i, layer, j))
        return out

    @cached_property
    def quiet(self) -> list[Place]:
        """Unheard kinks of active samples on which some q_i depends to second order."""
        out = []
        for i, layer, j in self._others:
            gates = {place: 0 for place in (*self.loud, *self._others) if place[0] == i and place != (i, layer, j)}
            if self._terms(i, gates)[-1][0].unknown < BEYOND:
                out.append((i, layer, j))
        return out

    def _terms(self, i: int, gates: Mapping[Place, float]) -> list[list[Term]]:
        mine: dict[tuple[int, int], float] = {
            (layer, j): int(sign > 0)
            for layer, block in enumerate(self.signs)
            for j, sign in enumerate(block[i].tolist())
            if sign
        }
        mine |= {(layer, j): gate for (k, layer, j), gate in gates.items() if k == i}
        return expand(self.network, self.flat, self.x[i], mine, float)

    def mixed(self, sample: int, gates: Mapping[Place, float]) -> list[np.ndarray]:
        """For every hidden layer the gates on a sample, (width,): those given, else by sign, and off at a kink."""
        found = [(block[sample] > 0).astype(float) for block in self.signs]
        for (i, layer, j), gate in gates.items():
            if i == sample:
                found[layer][j] = gate
        return found

    def smooth(self, gates: Mapping[Place, float]) -> Smooth:
        """With these gates at the kinks; others are off, and fractions are mixtures."""
        every = dict.fromkeys((*self.loud, *self._others), 0.0) | dict(gates)
        rows, hessians, kinks = [], [], {}
        for i in self.active:
            terms = self._terms(i, every)
            rows.append(self.y[i] * terms[-1][0].gradient)
            hessians.append(self.y[i] * terms[-1][0].hessian)
            for place in (*self.loud, *self._others):
                if place[0] == i:
                    term = terms[place[1]][place[2]]
                    kinks[place] = term.gradient, term.hessian
        return Smooth(np.array(rows), np.array(hessians), kinks)

    def steepness(self, sample: int, degree: int) -> tuple[float, float, float]:
        """Bounds on the first three derivatives of a pre-activation of layer `degree` (m: q), 1e-3 about the limit."""
        k1, k2, k3 = (float(order[degree]) for order in self._limits)
        norm = float(np.linalg.norm(self.x[sample])) * (1.0 + 1e-12)
        return norm * k1, norm * k2, norm * k3

    @cached_property
    def _limits(self) -> tuple[tuple[Fraction, ...], ...]:
        theta = tuple(tuple(Fraction(float(v)) for v in u) for u in self.point.theta)
        found = bounds(self.network, theta, Fraction(1, 1000))
        return found.first, found.second, found.third

    @cached_property
    def held(self) -> np.ndarray:
        """The zero parameters that tell the mechanism: all of a linear network; for relu those of dead neurons.

        A dead neuron has no nonzero weight in, or none out.
        """
        zero = self.flat == 0.0
        if not self.signs:
            return zero
        out = np.zeros(len(self.flat), dtype=bool)
        for layer, width in enumerate(self.network.widths[1:-1]):
            for j in range(width):
                incoming, outgoing = self.network.into(layer, j), self.network.out_of(layer, j)
                if zero[incoming].all() or zero[outgoing].all():
                    out[[*incoming, *outgoing]] = True
        return out & zero
