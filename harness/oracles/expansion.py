"""Margins and kinks of a limit to second order, in floats: what the search for curves and for proofs works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from harness.certificates.signs import leaders
from harness.certificates.taylor import BEYOND, Term, bounds, expand, margin
from harness.oracles.exact import exact_theta
from harness.problem.places import Place
from harness.problem.points import Point

# Margins up to this much above 1 are active; the next decades are open.
ACTIVE, CLEAR = 1e-8, 1e-6


@dataclass(frozen=True)
class Smooth:
    """q_i and the kinks of the active margins with every gate given.

    rows: (A, P) gradients of active q_i.  hessians: (A, P, P).  kinks: place -> (gradient, Hessian) of its
    pre-activation, the place named by its leader.
    """

    rows: np.ndarray
    hessians: np.ndarray
    kinks: Mapping[Place, tuple[np.ndarray, np.ndarray]]


class Expansion:
    """A limit near its own point.

    flat: the trained theta, (P,).  x, seeds: (R, .), those of the margins.  leaders: for every margin the first one of
    its sample, by which kinks are named: their gates are those of all margins of the sample.
    heard: for the leaders of active margins, per hidden layer, which neurons have a way to an output.
    active: margins that are 1.  loud: kinks of active margins that are heard, so that their gates change the gradient;
    quiet: the others that can matter to second order.
    """

    def __init__(self, point: Point) -> None:
        self.point = point
        self.network = network = point.problem.network
        self.flat = network.flat(point.theta)
        self.x, self.seeds = point.problem.inputs, point.problem.seeds
        self.leaders = leaders(point.problem)
        self.below = float(network.slope)
        excess = np.asarray(point.margins) - 1.0
        self.active: list[int] = np.flatnonzero(excess <= ACTIVE).tolist()
        self.unclear = bool(((excess > ACTIVE) & (excess < CLEAR)).any())
        self.multipliers = np.asarray(point.multipliers)[self.active]
        self.signs = [np.asarray(s) for s in point.signs or ()] if network.kinked else []
        self._found = {kink.place: kink.coefficient for kink in point.kinks}
        matrices = network.matrices(point.theta)
        self.loud: list[Place] = []
        self._others: list[Place] = []
        self.heard: dict[int, list[np.ndarray]] = {}
        for i in dict.fromkeys(self.leaders[i] for i in self.active):
            above = np.ones(network.outputs, dtype=bool)
            self.heard[i] = []
            for layer in range(len(self.signs) - 1, -1, -1):
                if layer < len(self.signs) - 1 and not network.slope:
                    above = above & (self.signs[layer + 1][i] >= 0)
                above = (matrices[layer + 1][above] != 0.0).any(axis=0)
                self.heard[i].insert(0, above)
                for j in np.flatnonzero(self.signs[layer][i] == 0).tolist():
                    (self.loud if above[j] else self._others).append(Place(i, layer, j))
        still = self._still()
        self.loud = [place for place in self.loud if place not in still]

    def gate(self, on: bool) -> float:
        """The slope on this side."""
        return 1.0 if on else self.below

    def sided(self, gates: Mapping[Place, int]) -> dict[Place, float]:
        """The slopes of kinks that are on (1) or off (0)."""
        return {place: self.gate(bool(gate)) for place, gate in gates.items()}

    def coefficient(self, place: Place) -> float:
        """The Clarke coefficient of a kink, by its margin."""
        return self._found.get(place, self.below)

    def own(self, places: list[Place]) -> dict[Place, float]:
        """The coefficients of these kinks, for every active margin of their samples."""
        return {
            own: self.coefficient(own)
            for place in places
            for i in self.active
            if self.leaders[i] == place.sample
            for own in [place._replace(sample=i)]
        }

    def _still(self) -> set[Place]:
        """Heard kinks that do not move to second order, whatever happens: a zero patch, say."""
        out = set()
        for place in self.loud:
            i, layer, j = place
            term = self._terms(i, {})[layer][j]
            if not term.value and not term.gradient.any() and not term.hessian.any() and term.unknown == BEYOND:
                out.add(place)
        return out

    @cached_property
    def quiet(self) -> list[Place]:
        """Unheard kinks of active margins on which some q_i depends to second order."""
        out = []
        for place in self._others:
            leader = place.sample
            off = {p: self.below for p in (*self.loud, *self._others) if p.sample == leader and p != place}
            outputs = self._terms(leader, off)[-1]
            seeds = [self.seeds[i] for i in self.active if self.leaders[i] == leader]
            if any(margin(outputs, seed).unknown < BEYOND for seed in seeds):
                out.append(place)
        return out

    def _terms(self, i: int, gates: Mapping[Place, float]) -> list[list[Term]]:
        mine: dict[tuple[int, int], float] = {
            (layer, j): self.gate(sign > 0)
            for layer, block in enumerate(self.signs)
            for j, sign in enumerate(block[i].tolist())
            if sign
        }
        return expand(self.network, self.point.theta, self.x[i], mine | self._gates(i, gates), float)

    def _gates(self, row: int, gates: Mapping[Place, float]) -> dict[tuple[int, int], float]:
        """Those of a margin: the ones that name it go before the ones that name its sample."""
        found: dict[tuple[int, int], float] = {}
        for name in (self.leaders[row], row):
            found |= {place.hidden: gate for place, gate in gates.items() if place.sample == name}
        return found

    def mixed(self, row: int, gates: Mapping[Place, float]) -> list[np.ndarray]:
        """For every hidden layer the gates of a margin, (width,): those given, else by sign, and off at a kink."""
        found = [np.where(block[row] > 0, 1.0, self.below) for block in self.signs]
        for (layer, j), gate in self._gates(row, gates).items():
            found[layer][j] = gate
        return found

    def smooth(self, gates: Mapping[Place, float]) -> Smooth:
        """With these gates at the kinks; others are off, and what is between the slopes is a mixture."""
        kinks = (*self.loud, *self._others)
        every = dict.fromkeys(kinks, self.below) | dict(gates)
        rows, hessians, normals = [], [], {}
        for i in self.active:
            terms = self._terms(i, every)
            q = margin(terms[-1], self.seeds[i])
            rows.append(q.gradient)
            hessians.append(q.hessian)
            for place in kinks:
                if place.sample == self.leaders[i]:
                    term = terms[place.layer][place.neuron]
                    normals[place] = term.gradient, term.hessian
        return Smooth(np.array(rows), np.array(hessians), normals)

    def steepness(self, row: int, layer: int) -> tuple[float, float, float]:
        """Bounds on the first three derivatives of a pre-activation of a layer (m: q), 1e-3 about the limit."""
        k1, k2, k3 = (float(order[layer]) for order in self._limits)
        norm = float(np.linalg.norm(self.x[row])) * (1.0 + 1e-12)
        if layer == self.network.depth:
            norm *= self.seed_length
        return norm * k1, norm * k2, norm * k3

    @property
    def seed_length(self) -> float:
        """The norm of what the outputs are multiplied by: the same for all margins."""
        return float(np.linalg.norm(self.seeds[0]))

    @cached_property
    def _limits(self) -> tuple[tuple[Fraction, ...], ...]:
        found = bounds(self.network, exact_theta(self.network, self.point.theta), Fraction(1, 1000))
        return found.first, found.second, found.third

    @cached_property
    def held(self) -> np.ndarray:
        """The zero parameters that tell the mechanism: all where nothing has a kink; else those of dead neurons.

        A dead neuron has no nonzero weight in, or none out, where a neuron that is off passes nothing on; else in and
        out.  Both are trained.
        """
        zero = self.flat == 0.0
        if not self.signs:
            return zero
        network = self.network
        out = np.zeros(len(self.flat), dtype=bool)
        for layer, width in enumerate(network.widths[1:-1]):
            if not all(network.trained[layer : layer + 2]):
                continue
            for j in range(width):
                sides = network.into(layer, j), network.out_of(layer, j)
                dead = [bool(zero[side].all()) for side in sides]
                if all(dead) if network.slope else any(dead):
                    out[[*sides[0], *sides[1]]] = True
        return out & zero
