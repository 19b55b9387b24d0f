"""A rigorous upper bound on the KKT residual of a stored limit, for any network.

The residual is the least over lambda >= 0 and g_i in the Clarke subdifferential of Phi(.; x_i) of

    |theta - sum_i lambda_i g_i| / |theta| + sum_i lambda_i (q_i - 1) / |theta|^2   at min q = 1,

over all margins q_i, with theta and the subdifferential in the trained parameters (with one output g_i is y_i times
an element of that of Phi(.; x_i)).

The subdifferential is the convex hull of the gradients over the gate patterns next to theta: a pre-activation that is
not zero keeps its gate, a kink may have either slope.  Any lambda and g_i of the hull give an upper bound.  Here g_i is
the gradient with the coefficients of the file, between the two slopes, as gates of the kinks: gradients are affine in
each gate, so this is the mean over patterns with independent gates, and in the hull if all patterns occur next to
theta.  They do where the kinks that are heard have linearly independent normals under every pattern (implicit function
theorem), which is checked; at depth 2 without shared weights it is always so.

Scaling theta to min q = 1 leaves the first term as it is (g_i has one degree less than q_i, lambda_i the degree 2 less
that of q_i), and turns the second into sum_i lambda_i (q_i - min q) / |theta|^2: no roots are needed but the one of the
first term, and the comparison with a tolerance does without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from harness.certificates.definite import least_eigenvalue
from harness.certificates.gradients import gate_of, gradient, heard, kinks_of, sign_gates, unit
from harness.certificates.numbers import Rejected, array, fields, float_up, integer, number
from harness.certificates.parameters import flat
from harness.certificates.places import read_neuron
from harness.certificates.signs import Signs, Theta
from harness.problem.fields import FieldError
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import HiddenNeuron, Place, neuron_name
from harness.problem.problems import Problem

Coefficients = Mapping[Place, Fraction]
"""By the row of the margin, layer and neuron."""

# Kinks of one sample whose patterns are gone through.
MAX_KINKS = 8
# How far an inner coefficient is from the slopes, of their distance.
INNER = Fraction(1, 10**6)
# Normals with a least eigenvalue of their Gram matrix below this share of the largest diagonal are dependent.
INDEPENDENT = Fraction(1, 10**12)


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


def read_coefficients(value: object, field: str, given: Problem) -> dict[Place, Fraction]:
    """The kinks of a limit, {"sample", "layer", "neuron", "coefficient"} each.  Raises FieldError."""
    found: dict[Place, Fraction] = {}
    for k, kink in enumerate(array(value, field)):
        at = f"{field}[{k}]"
        known = fields(kink, at, ("sample", "layer", "neuron", "coefficient"))
        sample = integer(known["sample"], f"{at}.sample", 0, len(given.rows) - 1)
        neuron = read_neuron(known["layer"], known["neuron"], f"{at}.layer", f"{at}.neuron", given.network)
        place = Place(sample, *neuron)
        if place in found:
            raise FieldError(at, "this kink occurs twice")
        found[place] = number(known["coefficient"], f"{at}.coefficient")
    return found


def residual(
    given: Problem, signs: Signs | None, theta: Theta, multipliers: Vector, coefficients: Coefficients
) -> Residual:
    """The residual at theta, which has the signs, with these multipliers and coefficients.

    A kink without a coefficient has the slope of its negative side.  Raises Rejected where a multiplier is negative, a
    coefficient is not between the slopes or is not at a kink, or the patterns of a sample's kinks are not known.
    """
    network = given.network
    low, high = sorted((network.slope, Fraction(1)))
    for i, a in enumerate(multipliers):
        if a < 0:
            raise Rejected(f"the multiplier of sample {i} is negative")
    for (i, layer, j), c in coefficients.items():
        if signs is not None and signs[layer][i][j] != 0:
            raise Rejected(f"{HiddenNeuron(layer, j)} has no kink on sample {i}")
        if not low <= c <= high:
            raise Rejected(f"the coefficient of {neuron_name(j)} on sample {i} is not between {low} and {high}")
    margins = given.margins(theta)
    own = flat(network, theta)
    size = squared_norm(own)
    slack = sum((a * (q - min(margins)) for a, q in zip(multipliers, margins, strict=True)), start=Fraction(0)) / size
    rest = own
    for i, (a, (sample, seed)) in enumerate(zip(multipliers, given.rows, strict=True)):
        if not a:
            continue
        require_every_pattern(given, theta, signs, i)
        gates: dict[tuple[int, int], Fraction | int] = sign_gates(network, signs, i)
        gates |= {(layer, j): coefficients.get(Place(i, layer, j), network.slope) for layer, j in kinks_of(signs, i)}
        slope = gradient(network, theta, given.x[sample], gates, network.depth - 1, seed)
        rest = tuple(r - a * s for r, s in zip(rest, slope, strict=True))
    return Residual(squared_norm(rest) / size, slack)


def require_inner(given: Problem, signs: Signs | None, multipliers: Vector, coefficients: Coefficients) -> None:
    """Whether every kink of a margin with a multiplier has a coefficient clear of both slopes.  Raises Rejected."""
    slope = given.network.slope
    low, high = sorted((slope, Fraction(1)))
    room = INNER * (high - low)
    for i, a in enumerate(multipliers):
        for layer, j in kinks_of(signs, i) if a else ():
            if not low + room < coefficients.get(Place(i, layer, j), slope) < high - room:
                raise Rejected(f"the coefficient of {HiddenNeuron(layer, j)} on sample {i} is at an end")


def require_every_pattern(given: Problem, theta: Theta, signs: Signs | None, row: int) -> None:
    """Whether every choice of gates at the margin's kinks that are heard occurs next to theta.  Raises Rejected."""
    network = given.network
    if network.depth == 2 and not network.shared:
        return
    sample = given.rows[row][0]
    paths = heard(network, theta, signs, row)
    kinks = [(layer, j) for layer, j in kinks_of(signs, row) if paths[layer][j]]
    if len(kinks) > MAX_KINKS:
        raise Rejected(f"sample {sample} has more than {MAX_KINKS} kinks")
    for choice in product((True, False), repeat=len(kinks)):
        gates = sign_gates(network, signs, row) | dict.fromkeys(kinks_of(signs, row), network.slope)
        gates |= {kink: gate_of(network, on) for kink, on in zip(kinks, choice, strict=True)}
        normals = [gradient(network, theta, given.x[sample], gates, kink[0], unit(network, kink)) for kink in kinks]
        # A pre-activation that nothing reaches stays zero, and its gate makes no difference.
        normals = [normal for normal in normals if any(normal)]
        gram = [[dot(a, b) for b in normals] for a in normals]
        if normals and least_eigenvalue(gram) < INDEPENDENT * max(gram[r][r] for r in range(len(gram))):
            raise Rejected(f"the normals of the kinks of sample {sample} are linearly dependent")
