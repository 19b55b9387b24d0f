"""A rigorous upper bound on the KKT residual of a stored limit.

At a point theta of a depth 2 network without shared weights, for multipliers lambda_i >= 0 and Clarke coefficients
c_ij in [0, 1] at the kinks, g_i has the components

    sigma(w_j . x_i^(j)) for v_j,      v_j a_ij x_i^(j) for w_j,      a_ij = 1 (on, or linear), 0 (off), c_ij (kink),

and the residual is the least over lambda and c of

    |theta - sum_i lambda_i y_i g_i| / |theta| + sum_i lambda_i (q_i - 1) / |theta|^2   at min q = 1.

Any lambda and c give an upper bound; those of the file are used.  Scaling theta to min q = 1 leaves the first term as
it is (g_i has degree 1), and turns the second into sum_i lambda_i (q_i - min q) / |theta|^2: no roots are needed but
the one of the first term, and the comparison with a tolerance does without.

The point is the one of structures.settle, which has its kinks exactly: there the subdifferential is all of these g_i,
since the kinks of one sample belong to different neurons with weights of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.numbers import Rejected, Vector, array, dot, fields, float_up, number, squared_norm
from harness.certificates.problems import Neuron, Theta
from harness.certificates.structures import Structure
from harness.instances import Instance
from harness.networks import FieldError

# (sample from 0, neuron from 0) -> coefficient
Coefficients = dict[tuple[int, int], Fraction]


@dataclass(frozen=True)
class Residual:
    """squared: the square of the first term.  slack: the second term; both exact."""

    squared: Fraction
    slack: Fraction

    def at_most(self, tolerance: Fraction) -> bool:
        """sqrt(squared) + slack <= tolerance."""
        rest = tolerance - self.slack
        return rest >= 0 and self.squared <= rest**2

    def as_float(self) -> float:
        """The residual in floats, for messages only."""
        return float_up(self.squared) ** 0.5 + float_up(self.slack)


def read_coefficients(value: object, field: str, n: int, width: int) -> Coefficients:
    """The kinks of a limit, {"sample", "layer", "neuron", "coefficient"} each.  Raises FieldError."""
    found: Coefficients = {}
    for k, kink in enumerate(array(value, field)):
        place = f"{field}[{k}]"
        known = fields(kink, place, ("sample", "layer", "neuron", "coefficient"))
        sample = _index(known["sample"], f"{place}.sample", 0, n - 1)
        _index(known["layer"], f"{place}.layer", 1, 1)
        neuron = _index(known["neuron"], f"{place}.neuron", 1, width) - 1
        if (sample, neuron) in found:
            raise FieldError(place, "this kink occurs twice")
        found[sample, neuron] = number(known["coefficient"], f"{place}.coefficient")
    return found


def _index(value: object, field: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FieldError(field, f"expected an integer from {low} to {high}")
    return value


def residual(
    instance: Instance,
    neurons: list[Neuron],
    structure: Structure,
    theta: Theta,
    multipliers: Vector,
    coefficients: Coefficients,
) -> Residual:
    """The residual at theta, which has the structure exactly, with these multipliers and coefficients.

    A kink without a coefficient has 0; at a zero patch or a zero neuron it makes no difference.  Raises
    Rejected where a multiplier is negative, a coefficient is outside [0, 1] or is not at a kink.
    """
    for i, a in enumerate(multipliers):
        if a < 0:
            raise Rejected(f"the multiplier of sample {i} is negative")
    for (i, j), c in coefficients.items():
        if structure.gates is not None and structure.gates[i][j] != 0:
            raise Rejected(f"neuron {j + 1} has no kink on sample {i}")
        if not 0 <= c <= 1:
            raise Rejected(f"the coefficient of neuron {j + 1} on sample {i} is not between 0 and 1")
    margins = instance.margins(theta)
    size = sum((squared_norm(u) for u in theta), start=Fraction(0))
    slack = sum((a * (q - min(margins)) for a, q in zip(multipliers, margins, strict=True)), start=Fraction(0)) / size
    weights = [a * label for a, label in zip(multipliers, instance.y, strict=True)]
    rest = [list(u) for u in theta]
    for neuron in neurons:
        w, v = neuron.w(theta), neuron.v(theta)
        for i, patch in enumerate(neuron.patches):
            gate = _gate(structure, neuron, i, coefficients)
            # On a kink the input is zero, so the gate's coefficient times it is the activation everywhere.
            rest[1][neuron.outgoing] -= weights[i] * gate * dot(w, patch)
            for k, a in zip(neuron.incoming, patch, strict=True):
                rest[0][k] -= weights[i] * v * gate * a
    return Residual(sum((squared_norm(u) for u in rest), start=Fraction(0)) / size, slack)


def _gate(structure: Structure, neuron: Neuron, sample: int, coefficients: Coefficients) -> Fraction:
    """a_ij."""
    if structure.gates is None:
        return Fraction(1)
    g = structure.gate(sample, neuron)
    return coefficients.get((sample, neuron.index), Fraction(0)) if g == 0 else Fraction(1 if g == 1 else 0)
