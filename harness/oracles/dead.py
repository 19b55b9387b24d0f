"""Dead neurons next to a limit: whether waking one can pay to second order, cell by cell (certificates/dead.py).

To second order a dead neuron with incoming w and outgoing v adds v' G w to the Lagrangian's sum over margins, G that of
the cell that w lies in, and costs 1/2 |w|^2 + 1/2 |v|^2: nothing is gained where |G| < 1 on the cell.  Next to a live
neuron of the same layer with the same gates, |G| is 1 along it and the gain is 0: that is a rotation.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear, minimize

from harness.certificates.symmetries import pairs
from harness.certificates.taylor import bounds
from harness.oracles.exact import between, exact_theta
from harness.oracles.expansion import Expansion
from harness.problem.numbers import as_json
from harness.problem.places import HiddenNeuron, Place

# Gates and sides of one dead neuron beyond which its cells are not gone through.
MAX_SPLITS = 11
# Random starts of the ascent to the steepest direction.
STARTS = 20
# A norm below CLEAR needs no help; 1 less the norm must be at least LEAST.
CLEAR, LEAST = 0.9, 1e-3
# Slopes and inputs that differ less than this share are one.
SAME = 1e-9


class Wakes(Exception):
    """A cell in which waking the neuron is not shown to cost."""


@dataclass(frozen=True)
class Pull:
    """A polynomial of the Lagrangian: weight times seed . (pre-activations of layer `last`) for a margin."""

    row: int
    last: int
    seed: np.ndarray
    weight: float

    @classmethod
    def of_margin(cls, near: Expansion, row: int, weight: float) -> Pull:
        return cls(row, near.network.depth - 1, near.seeds[row], weight)

    @classmethod
    def of_kink(cls, near: Expansion, place: Place, side: float, weight: float) -> Pull:
        row, layer, j = place
        return cls(row, layer, side * np.eye(near.network.widths[layer + 1])[j], weight)


@dataclass(frozen=True)
class Proof:
    """tree: as the certificate has it.  least: the least eigenvalue of its blocks.  third: of its kappas, in floats."""

    tree: dict[str, Any]
    least: float
    third: float


def dead_neurons(near: Expansion) -> list[HiddenNeuron]:
    """The neurons whose weights are all zero, trained and used nowhere else."""
    network, found = near.network, []
    for layer, width in enumerate(network.widths[1:-1] if near.signs else ()):
        for j in range(width if all(network.trained[layer : layer + 2]) else 0):
            incoming, outgoing = network.incoming(layer, j), network.outgoing(layer, j)
            own = network.lone[layer].issuperset(incoming) and network.lone[layer + 1].issuperset(outgoing)
            zero = not near.flat[[*network.into(layer, j), *network.out_of(layer, j)]].any()
            if incoming and outgoing and own and zero:
                found.append(HiddenNeuron(layer, j))
    return found


@dataclass(frozen=True)
class Partner:
    """A live neuron that the dead one can be turned into.

    neuron: of the same layer.  tangent: its weights, in the order of the block.  gates: by margin, mixtures where kinks
    are mixed.
    """

    neuron: HiddenNeuron
    tangent: np.ndarray
    gates: dict[int, float]


class DeadNeuron:
    """One dead neuron at one choice of gates for the kinks of live neurons.

    gates: by place, mixtures where kinks are mixed.  pulls: what the Lagrangian is made of.  used, inputs, slopes,
    parts, soft, sides: margins.  samples: those that the gates are named by.
    """

    def __init__(
        self, near: Expansion, neuron: HiddenNeuron, gates: Mapping[Place, float], pulls: Sequence[Pull], tau: float
    ) -> None:
        self.near, self.neuron, self.gates, self.tau = near, neuron, gates, tau
        layer, j = neuron
        network = near.network
        self.incoming, self.outgoing = network.into(layer, j), network.out_of(layer, j)
        self.columns = [c for c, k in enumerate(network.patterns[layer][j]) if k >= 0]
        self.rows = [r for r, row in enumerate(network.patterns[layer + 1]) if row[j] >= 0]
        self.matrices = network.matrices(near.point.theta)
        self.leaders = near.leaders
        self.used = sorted({pull.row for pull in pulls})
        self.on = {i: near.mixed(i, gates) for i in {*self.used, *(self.leaders[i] for i in self.used)}}
        self.inputs = {i: self._forward(i)[self.columns] for i in self.on}
        self.slopes = {i: self._backward(i, network.depth - 1, near.seeds[i]) for i in self.used}
        self.parts: dict[int, np.ndarray] = {i: np.zeros(len(self.rows)) for i in self.used}
        for pull in pulls:
            if pull.last > layer:
                back = self._backward(pull.row, pull.last, pull.seed)
                self.parts[pull.row] = self.parts[pull.row] + pull.weight * back
        self.partners = self._partners()
        matter = [i for i in self.used if self.parts[i].any() and self.inputs[i].any()]
        # A turn needs the gates of every sample used.
        self.samples = list(dict.fromkeys(self.leaders[i] for i in (self.used if self.partners else matter)))
        # Where a partner has a kink, both sides of it are next to the partner: gates are mixed there.
        self.soft = sorted({i for p in self.partners for i in self.used if not near.signs[layer][i][p.neuron.neuron]})
        # The side on which the bend lowers the margin.
        self.lowering = int(network.slope > 1)
        self.sides = self._sides(matter)
        self.least, self.third = np.inf, 0.0

    # The next two not by evaluate(): one sample, gates that are mixed, and no farther than the neuron.

    def _forward(self, row: int) -> np.ndarray:
        h = self.near.x[row]
        for layer in range(self.neuron[0]):
            h = self.on[row][layer] * (self.matrices[layer] @ h)
        return h

    def _backward(self, row: int, last: int, seed: np.ndarray) -> np.ndarray:
        """The slopes of seed . (pre-activations of layer `last`) at the neurons above this one."""
        back = seed
        for layer in range(last, self.neuron[0] + 1, -1):
            back = self.on[row][layer - 1] * (back @ self.matrices[layer])
        return back[self.rows]

    def _sides(self, matter: Sequence[int]) -> list[int]:
        """One margin of every direction that the slopes have, soft ones first."""
        found: list[int] = []
        for i in sorted(matter, key=lambda i: i not in self.soft):
            b = self.slopes[i] / max(float(np.linalg.norm(self.slopes[i])), 1e-300)
            if self.slopes[i].any() and not any(
                abs(float(b @ self.slopes[k])) > (1.0 - SAME) * np.linalg.norm(self.slopes[k]) for k in found
            ):
                found.append(i)
        return found

    def _partners(self) -> list[Partner]:
        layer, j = self.neuron
        found: list[Partner] = []
        for k in range(self.near.network.widths[layer + 1]):
            turned = pairs(self.near.network, (layer, k, j)) if k != j else None
            if turned is None:
                continue
            gates: dict[int, float] = {}
            for i in self.used:
                sign = int(self.near.signs[layer][i][k])
                split = self.gates.get(Place(self.leaders[i], layer, k))
                gate = self.near.gate(sign > 0) if sign else self.gates.get(Place(i, layer, k), split)
                if gate is not None:
                    gates[i] = gate
            of = {b: float(self.near.flat[a]) for a, b in turned}
            # Pairs list incoming parameters before outgoing ones, each in order.
            t = np.array(list(of.values()))
            if len(gates) == len(self.used) and t.any() and not any(p.gates == gates for p in found):
                found.append(Partner(HiddenNeuron(layer, k), t, gates))
        return found

    def steepest(self) -> tuple[float, np.ndarray, np.ndarray]:
        """The largest |G w| that ascent finds over |w| = 1, each w with its own gates; w, and G w / |G w|."""
        best = (0.0, np.zeros(len(self.columns)), np.zeros(len(self.rows)))
        inputs = np.array([self.inputs[i] for i in self.used])
        parts = np.array([self.parts[i] for i in self.used])
        starts = [*inputs, *(a + b for a, b in itertools.combinations(inputs, 2)), inputs.sum(axis=0)]
        starts += list(np.random.default_rng(0).standard_normal((STARTS, len(self.columns))))
        for w in starts:
            value = 0.0
            for _ in range(60):
                length = float(np.linalg.norm(w))
                if not length:
                    break
                w = w / length
                on = inputs @ w > 0.0
                some = on | bool(self.near.below)
                gates = np.where(on[some], 1.0, self.near.below)
                pull = parts[some].T @ (gates * (inputs[some] @ w))
                before, value = value, float(np.linalg.norm(pull))
                if value > best[0]:
                    best = value, w, pull / value
                if value <= before * (1.0 + 1e-9):
                    break
                w = inputs[some].T @ (gates * (parts[some] @ pull))
        return best

    def proof(self) -> Proof:
        """That no cell pays.  Raises Wakes."""
        sides = {*self.soft, *self.sides}
        if len(self.samples) + len(sides) > MAX_SPLITS:
            raise Wakes(f"a dead neuron has 2^{len(self.samples) + len(sides)} cells")
        return Proof(self._split({}, {}), self.least, self.third)

    def _split(self, gates: dict[int, int], chosen: dict[int, int]) -> dict[str, Any]:
        undecided = [i for i in self.soft if i not in chosen]
        if undecided:
            return self._branch("side", undecided[0], gates, chosen)
        loose = [i for i in self.used if self.leaders[i] in self.samples and self.leaders[i] not in gates]
        hard = [self.leaders[i] for i in loose if i not in self.soft or chosen[i] != self.lowering]
        if hard:
            return self._branch("gate", hard[0], gates, chosen)
        leaf = self._leaf(gates, chosen, loose)
        if leaf is not None:
            return leaf
        if loose:
            return self._branch("gate", self.leaders[loose[0]], gates, chosen)
        sides = [k for k in self.sides if k not in chosen]
        if not sides:
            raise Wakes("waking a dead neuron may pay")
        return self._branch("side", sides[0], gates, chosen)

    def _branch(self, key: str, place: int, gates: dict[int, int], chosen: dict[int, int]) -> dict[str, Any]:
        into = gates if key == "gate" else chosen
        node: dict[str, Any] = {key: place}
        for value, branch in ((1, "on"), (0, "off")):
            into[place] = value
            node[branch] = self._split(gates, chosen)
        del into[place]
        return node

    def _leaf(self, gates: Mapping[int, int], chosen: Mapping[int, int], loose: Sequence[int]) -> dict[str, Any] | None:
        """The leaf if its block is clearly definite, else None.  loose: margins whose gate may be mixed."""
        given = {i: self.near.gate(bool(gates[leader])) for i, leader in self._leading() if leader in gates}
        for partner in self.partners:
            if all(partner.gates[i] == gate for i, gate in given.items()):
                mixed = {i: partner.gates[i] for i in loose}
                matrix = self._matrix({**given, **mixed})
                block = np.eye(sum(matrix.shape))
                block[len(self.columns) :, : len(self.columns)] = -matrix
                block[: len(self.columns), len(self.columns) :] = -matrix.T
                block += self.tau * np.outer(partner.tangent, partner.tangent)
                least = float(np.linalg.eigvalsh(block)[0])
                if least > 1e-6:
                    self.least = min(self.least, least)
                    return self._end(partner.neuron, mixed, [])
        mixed, kappa = dict.fromkeys(loose, min(self.near.below, 1.0)), []
        matrix = self._matrix({**given, **mixed})
        if np.linalg.norm(matrix, 2) > CLEAR and (chosen or loose):
            matrix, mixed, kappa = self._shortened(matrix, gates, chosen, loose)
        least = 1.0 - float(np.linalg.norm(matrix, 2))
        if least < LEAST:
            return None
        self.least = min(self.least, least)
        self.third = max(self.third, sum(value * self._third(i) for _, i, value in kappa))
        return self._end(None, mixed, kappa)

    def _leading(self) -> list[tuple[int, int]]:
        """The margins used, each with the one that its gate is named by."""
        return [(i, self.leaders[i]) for i in self.used]

    def _matrix(self, gates: Mapping[int, float]) -> np.ndarray:
        matrix = np.zeros((len(self.rows), len(self.columns)))
        for i, gate in gates.items():
            matrix += gate * np.outer(self.parts[i], self.inputs[i])
        return matrix

    def _shortened(
        self, matrix: np.ndarray, gates: Mapping[int, int], chosen: Mapping[int, int], loose: Sequence[int]
    ) -> tuple[np.ndarray, dict[int, float], list[tuple[int, int, float]]]:
        """The matrix with the coefficients, from the least on, and kappas that make its norm small."""
        names = list(itertools.product(chosen, gates))
        terms = [
            (1.0 if chosen[k] else -1.0) * (1.0 if gates[i] else -1.0) * np.outer(self.slopes[k], self.inputs[i])
            for k, i in names
        ]
        terms += [np.outer(self.parts[i], self.inputs[i]) for i in loose]
        if not terms:
            return matrix, {}, []
        low, high = sorted((self.near.below, 1.0))
        top = np.array([np.inf] * len(names) + [high - low] * len(loose))
        stack = np.array(terms)
        found = lsq_linear(stack.reshape(len(terms), -1).T, -matrix.reshape(-1), (0.0, top), method="bvls").x
        if min(matrix.shape) > 1 and np.linalg.norm(matrix + np.tensordot(found, stack, 1), 2) > CLEAR:
            found = _least_norm(matrix, stack, found, top)
        # Short numbers: whatever they are, the block is tested with them.
        found = np.minimum(np.round(np.maximum(found, 0.0) * 2.0**20) / 2.0**20, top)
        kappa = [(k, i, float(v)) for (k, i), v in zip(names, found[: len(names)], strict=True) if v > 0.0]
        mixed = {i: low + more for i, more in zip(loose, found[len(names) :].tolist(), strict=True)}
        return matrix + np.tensordot(found, stack, 1), mixed, kappa

    def _third(self, row: int) -> float:
        """What one kappa of 1 adds to the bound on the third derivative."""
        near, layer = self.near, self.neuron[0]
        theta = exact_theta(near.network, near.point.theta)
        radius = Fraction(1, 1000)
        norm = Fraction(float(np.linalg.norm(near.x[row])) * (1.0 + 1e-12))
        p1, p2, p3 = (float(v) for v in bounds(near.network, theta, radius).of(layer + 1, norm))
        upper = bounds(near.network, theta, radius, layer + 1).of(near.network.depth - layer - 1, Fraction(1))
        l1, l2, l3 = (near.seed_length * float(v) for v in upper)
        return 1e-3 * (p1 * l3 + p3 * l1) + 3.0 * (p1 * l2 + p2 * l1)

    def _end(
        self, turn: HiddenNeuron | None, mixed: Mapping[int, float], kappa: Sequence[tuple[int, int, float]]
    ) -> Any:
        """A leaf as the certificate has it."""
        return {
            "turn": None if turn is None else turn.number,
            "mixed": [[i, as_json(between(self.near.network, c))] for i, c in mixed.items()],
            "kappa": [[k, i, as_json(value)] for k, i, value in kappa],
        }


def _least_norm(matrix: np.ndarray, terms: np.ndarray, start: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Weights >= 0 that make the spectral norm small: a high Schatten norm in its place."""
    power = 12

    def measure(weights: np.ndarray) -> tuple[float, np.ndarray]:
        u, values, v = np.linalg.svd(matrix + np.tensordot(weights, terms, 1), full_matrices=False)
        total = float((values**power).sum())
        scale = total ** (1.0 / power - 1.0) if total else 0.0
        slope = u * (values ** (power - 1)) @ v * scale
        return total ** (1.0 / power), np.tensordot(terms, slope, ([1, 2], [0, 1]))

    found = minimize(measure, start, jac=True, method="L-BFGS-B", bounds=[(0.0, most) for most in top.tolist()])
    return np.clip(found.x, 0.0, top)
