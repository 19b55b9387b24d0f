"""Neurons that are zero in the limit, in certificates of kind "ball" (balls.py).

A hidden neuron with trained parameters of its own that are all zero at theta, incoming w and outgoing v, is dead.  For
margin i let h_i be its inputs, p_i = w . h_i its pre-activation, and for a polynomial f of the leaf let b_r be the
slopes of f at the neurons above.  To second order f gains sum_r v_r b_r sigma(p_i), in the coordinates of this neuron
alone: dead neurons decouple from all others, and from each other.  So the Hessian of F falls into blocks, and the gates
of a dead neuron need be gone through for its own block only.  A tree for each does that:

    D = {"gate": margin, "on": D, "off": D}     p_i >= 0, or <= 0; the first margin of a sample stands for all of it
        or {"side": margin, "on": D, "off": D}  l_i >= 0, or <= 0: l_i = sum_r v_r b_r, the slope of q_i in sigma(p_i)
        or {"turn": neuron or null, "mixed": [[margin, number], ...], "kappa": [[margin, margin, number], ...]}

The cells of the leaf are the products of the leaves of these trees.  At a leaf, with kappa >= 0,

    F' = F - sum kappa (+-l_k) (+-p_i),     every factor >= 0 in the cell,

is at most F, has the same value and gradient at theta (p_i and l_k, polynomials with the cell's gates, vanish there,
and their gradients do not depend on the gates of dead neurons), and the block

    | 1    -G' |
    | -G    1  |     G = sum_f weight_f a_i b h_i' + sum kappa (+-b_k) (+-h_i)',     a_i the slope of sigma,

must exceed mu.  "turn" adds tau t t' with t the tangent of the rotation of the dead neuron into another one of its
layer that has the same gates on every sample used: F does not change along it (balls.py), kappa must be empty.  The
p_i and l_k of other neurons do not change either: they contain both neurons alike, or none.
A gate that is not given must not change G; where it is not given and the bend lowers q_i (l_i <= 0 for a negative slope
of less than 1, l_i >= 0 for one of more), it may be "mixed": q_i is replaced with a coefficient between the slopes for
a_i, which only raises it (balls.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from harness.certificates.definite import exceeds
from harness.certificates.gradients import Gates, backward, forward, gate_of, side_of
from harness.certificates.numbers import Rejected, array, fields, integer, number
from harness.certificates.parameters import flat
from harness.certificates.signs import Signs, Theta, leaders, named
from harness.certificates.symmetries import pairs
from harness.certificates.taylor import bounds, norms, sqrt_up
from harness.certificates.trees import MAX_DEPTH
from harness.problem.numbers import Vector
from harness.problem.places import HiddenNeuron, Place, neuron_name
from harness.problem.problems import Problem

MAX_LEAVES = 4096


@dataclass(frozen=True)
class Feature:
    """A polynomial of F: seed . (pre-activations of layer `last`) for a margin, with the slope of F in it at theta."""

    row: int
    last: int
    seed: tuple[int, ...]
    slope: Fraction


@dataclass(frozen=True)
class Leaf:
    """What a leaf of the ball's tree has given: gates by margin, 0 for those of dead neurons; margins used."""

    gates: Sequence[Gates]
    features: Sequence[Feature]
    used: Sequence[int]
    walls: Sequence[Place]
    tau: Fraction
    mu: Fraction


@dataclass
class _Cell:
    gates: dict[int, int] = field(default_factory=dict)
    sides: dict[int, int] = field(default_factory=dict)
    leaves: int = 0


class Dead:
    """One dead neuron.  Raises Rejected where it is not one."""

    def __init__(
        self, given: Problem, theta: Theta, signs: Signs | None, radius: Fraction, neuron: HiddenNeuron
    ) -> None:
        network = given.network
        self.given, self.theta, self.signs, self.radius, self.neuron = given, theta, signs, radius, neuron
        layer, j = neuron
        self.place = str(neuron)
        self.leaders = leaders(given)
        offsets = network.offsets
        self.incoming = [(c, offsets[layer] + k) for c, k in enumerate(network.patterns[layer][j]) if k >= 0]
        above = network.patterns[layer + 1]
        self.outgoing = [(r, offsets[layer + 1] + row[j]) for r, row in enumerate(above) if row[j] >= 0]
        self.flat = flat(network, theta)
        for at, own in ((layer, self.incoming), (layer + 1, self.outgoing)):
            if not network.trained[at] or any(self.flat[p] or p - offsets[at] not in network.lone[at] for _, p in own):
                raise Rejected(f"{self.place} is not a zero neuron with parameters of its own")
        if signs is None or any(row[j] for row in signs[layer]):
            raise Rejected(f"{self.place} has a sign")
        self.below = [bounds(network, theta, radius).of(layer + 1, norm) for norm in norms(given)]
        # The seeds of all margins are equally long.
        length = sqrt_up(Fraction(sum(s * s for s in given.rows[0][1])))
        self.upper = bounds(network, theta, radius, layer + 1).of(network.depth - layer - 1, length)

    def check(self, tree: object, at: str, leaf: Leaf) -> Fraction:
        """A bound on what kappa adds to the third derivative of F in any cell.  Raises FieldError, Rejected."""
        layer, (network, given) = self.neuron[0], (self.given.network, self.given)
        self.leaf = leaf
        # Margins with a mixed gate, and with a sign in some kappa.
        self.mixed: set[int] = set()
        self.paired: set[int] = set()
        self.inputs = {
            i: forward(network, self.theta, given.x[given.rows[i][0]], leaf.gates[i], layer)[layer]
            for i in {*leaf.used, *(self.leaders[i] for i in leaf.used)}
        }
        self.slopes = {
            i: self._upwards(backward(network, self.theta, leaf.gates[i], network.depth - 1, given.rows[i][1]))
            for i in leaf.used
        }
        self.parts: list[tuple[int, Vector]] = []
        for f in leaf.features:
            back = backward(network, self.theta, leaf.gates[f.row], f.last, f.seed)
            if len(back) > layer + 1:
                self.parts.append((f.row, tuple(f.slope * b for b in self._upwards(back))))
        return self._walk(tree, at, _Cell())

    def _upwards(self, back: Sequence[Vector]) -> Vector:
        """The slopes at the neurons that the outgoing weights lead to."""
        return tuple(back[self.neuron[0] + 1][r] for r, _ in self.outgoing)

    def _walk(self, node: object, at: str, cell: _Cell) -> Fraction:
        known = fields(node, at, (), None)
        for key, given in (("gate", cell.gates), ("side", cell.sides)):
            if key not in known:
                continue
            split = fields(node, at, (key, "on", "off"))
            row = integer(split[key], f"{at}.{key}", 0, len(self.given.rows) - 1)
            if row in given or row not in {self.leaders[i] if key == "gate" else i for i in self.leaf.used}:
                raise Rejected(f"{at} splits where there is nothing to split")
            if len(cell.gates) + len(cell.sides) >= MAX_DEPTH:
                raise Rejected(f"the tree of {self.place} is deeper than {MAX_DEPTH}")
            worst = Fraction(0)
            for value, branch in ((1, "on"), (0, "off")):
                given[row] = value
                worst = max(worst, self._walk(split[branch], f"{at}.{branch}", cell))
            del given[row]
            return worst
        cell.leaves += 1
        if cell.leaves > MAX_LEAVES:
            raise Rejected(f"{self.place} has more than {MAX_LEAVES} cells")
        return self._end(node, at, cell)

    def _end(self, node: object, at: str, cell: _Cell) -> Fraction:
        """The block of one cell."""
        found = fields(node, at, ("turn", "kappa"), ("mixed",))
        gates = {
            i: gate_of(self.given.network, bool(cell.gates[leader]))
            for i, leader in enumerate(self.leaders)
            if leader in cell.gates
        } | self._mixed(found.get("mixed", []), f"{at}.mixed", cell)
        rows, columns = len(self.outgoing), len(self.incoming)
        matrix = [[Fraction(0)] * columns for _ in range(rows)]
        for i, slopes in self.parts:
            h = [self.inputs[i][c] for c, _ in self.incoming]
            if any(slopes) and any(h) and i not in gates:
                raise Rejected(f"{at}: the gate of {named(self.given, i)} is open and matters")
            if gates.get(i):
                _add(matrix, [gates[i] * slope for slope in slopes], h)
        third = Fraction(0)
        for e, entry in enumerate(array(found["kappa"], f"{at}.kappa")):
            third += self._pair(matrix, entry, f"{at}.kappa[{e}]", cell)
        size = columns + rows
        block = [[Fraction(int(r == c)) for c in range(r + 1)] for r in range(size)]
        for r in range(rows):
            for c in range(columns):
                block[columns + r][c] = matrix[r][c]
        if found["turn"] is not None:
            if found["kappa"]:
                raise Rejected(f"{at}: there is no kappa beside a turn")
            partner = integer(found["turn"], f"{at}.turn", 1, self.given.network.widths[self.neuron[0] + 1]) - 1
            t = self._tangent(partner, at, gates)
            block = [[v + self.leaf.tau * t[r] * t[c] for c, v in enumerate(row)] for r, row in enumerate(block)]
        if not exceeds(block, self.leaf.mu):
            raise Rejected(f"{at}: the block of {self.place} is not clearly positive definite")
        return third

    def _mixed(self, value: object, at: str, cell: _Cell) -> dict[int, Fraction]:
        """Coefficients for gates that are not given, where they only raise q_i.  Raises Rejected."""
        network = self.given.network
        low, high = sorted((network.slope, Fraction(1)))
        lowering = 0 if side_of(network) > 0 else 1
        found: dict[int, Fraction] = {}
        for e, entry in enumerate(array(value, at)):
            row, c = array(entry, f"{at}[{e}]", 2)
            row = integer(row, f"{at}[{e}][0]", 0, len(self.given.rows) - 1)
            found[row] = number(c, f"{at}[{e}][1]")
            self.mixed.add(row)
            if self.leaders[row] in cell.gates or cell.sides.get(row) != lowering or not low <= found[row] <= high:
                side = "on" if lowering else "off"
                raise Rejected(
                    f"{at}[{e}]: the gate is given, the side is not {side}, or it is not between {low} and {high}"
                )
            if any(wall.sample == self.leaders[row] for wall in self.leaf.walls):
                raise Rejected(f"{at}[{e}]: the sample has an inequality")
        return found

    def _pair(self, matrix: list[list[Fraction]], entry: object, at: str, cell: _Cell) -> Fraction:
        """Subtracts kappa (+-l_k) (+-p_i); a bound on its third derivative."""
        k, i, value = array(entry, at, 3)
        k, i = (integer(row, at, 0, len(self.given.rows) - 1) for row in (k, i))
        kappa = number(value, f"{at}[2]")
        if kappa < 0 or k not in cell.sides or i not in cell.gates:
            raise Rejected(f"{at} is negative, or not at a side and a gate that are given")
        self.paired.add(i)
        sign = (1 if cell.sides[k] else -1) * (1 if cell.gates[i] else -1)
        _add(matrix, [-sign * kappa * b for b in self.slopes[k]], [self.inputs[i][c] for c, _ in self.incoming])
        p1, p2, p3 = self.below[i]
        l1, l2, l3 = self.upper
        return kappa * (p1 * self.radius * l3 + 3 * p1 * l2 + 3 * p2 * l1 + p3 * l1 * self.radius)

    def _tangent(self, partner: int, at: str, gates: Mapping[int, Fraction | int]) -> Vector:
        """The block's part of the tangent of the rotation into the partner.  Raises Rejected."""
        layer, j = self.neuron
        turned = pairs(self.given.network, (layer, partner, j)) if partner != j else None
        if turned is None:
            raise Rejected(f"{at}: {self.place} cannot be turned into {neuron_name(partner)}")
        for i in self.leaf.used:
            gate = self.leaf.gates[i].get((layer, partner))
            if gate is None or gate != gates.get(i):
                raise Rejected(f"{at}: {neuron_name(partner)} has other gates than {self.place} in this cell")
        if (layer, partner) in [wall.hidden for wall in self.leaf.walls]:
            raise Rejected(f"{at}: {neuron_name(partner)} has an inequality of its own")
        # Pairs are (parameter of the partner, parameter of this neuron).
        of = {b: self.flat[a] for a, b in turned}
        return tuple(of[p] for _, p in (*self.incoming, *self.outgoing))


def _add(matrix: list[list[Fraction]], left: Sequence[Fraction], right: Sequence[Fraction]) -> None:
    for r, a in enumerate(left):
        if a:
            for c, b in enumerate(right):
                matrix[r][c] += a * b
