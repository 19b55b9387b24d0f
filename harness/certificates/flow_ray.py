"""A flow whose direction never changes, but for parameters that get no gradient; networks of any kind.

The gates at theta0 are the signs of its pre-activations.  On one sample a parameter is REACHED if a chain of weights,
whatever their values, leads through it from a coordinate of x that is not zero to an output, through gates whose slope
is not 0.  Let F be the trained parameters that no sample reaches, mu the others at theta0.  With these gates every
margin is a polynomial of mu alone, homogeneous of degree m.  Consider the curve theta(r) = (r mu, F as at the start),
r >= 1.  Checked:

1. Along it the gates stay: every pre-activation is a polynomial in r whose coefficients, those that are not zero, have
   the sign of the gate.  It may be zero where no neuron below it passes anything on (its gates being off, which is
   strict), and where the neuron is DEAD: all its weights, in and out, are zero, and not reached through it.
2. q > 0 for all margins at theta0, and grad q, summed over each set of margins that are equal at theta0, is a multiple
         of
   mu.  (Equal ones stay equal, q_i = r^m q_i(theta0), and have equal factors g_i.  With several outputs the factors
   depend on all margins of the sample: then every margin is a set of its own, or all are equal.)

So theta(r), at a speed dr/dt > 0, solves the flow.  It is the only solution: next to the curve the margins are smooth
but for the kinks of dead neurons, whose subgradients are at most C |their weights|, so that the difference of two
solutions e satisfies |e|' <= C |e|.  Since q_i grows, the loss falls to zero, and the limit is mu / (min
q(theta0))^(1/m), zero on F: to be compared with theta.  No theorem is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.flow_start import End
from harness.certificates.gradients import Gates, gate_of, gradient
from harness.certificates.numbers import Rejected, root_down, root_up
from harness.certificates.parameters import flat
from harness.certificates.signs import Theta
from harness.certificates.taylor import sqrt_up
from harness.problem.instances import Instance
from harness.problem.networks import Network, preactivations
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.places import HiddenNeuron, layer_name

Reached = set[tuple[int, int]]
# One pre-activation along the curve: coefficients of 1, r, r^2, ...
Poly = list[Fraction]


@dataclass(frozen=True)
class Ray:
    """mu, fixed layers as they are; what is reached; the margins of the start."""

    mu: Theta
    reached: Reached
    q: Sequence[Fraction]


def require_end_of_ray(given: Instance, theta: Theta) -> End:
    """Raises Rejected."""
    network, ray = given.network, require_ray(given)
    mu = flat(network, ray.mu)
    radius = _radius(flat(network, theta), mu, min(ray.q), network.degree)
    layers = [(layer, u) for layer, u in enumerate(ray.mu) if network.trained[layer]]
    zeros = frozenset((layer, k) for layer, u in layers for k, a in enumerate(u) if not a)
    return End(radius, _signs(given, ray.mu), zeros, _facts(given, ray, radius))


def require_ray(given: Instance) -> Ray:
    """Whether the direction never changes.  Raises Rejected."""
    network, theta0 = given.network, given.theta0
    reached: Reached = set()
    gates: list[Gates] = []
    for i, x in enumerate(given.x):
        own = _gates(network, theta0, x)
        known = {place: gate or 0 for place, gate in own.items()}
        fed, through = _reached(network, known, x)
        for (layer, j), gate in own.items():
            if gate is None and (layer, j) in fed and not _dead(network, theta0, layer, j):
                raise Rejected(f"{HiddenNeuron(layer, j)} starts on a kink of sample {i}")
        reached |= through
        gates.append(known)
    for i, (x, own) in enumerate(zip(given.x, gates, strict=True)):
        _require_gates(network, theta0, reached, x, own, i)
    mu = _moving(network, theta0, reached)
    q = given.problem.margins(theta0)
    if min(q) <= 0:
        raise Rejected("some margin at the start is not positive")
    _require_along(given, gates, flat(network, mu), q)
    return Ray(mu, reached, q)


def _gates(network: Network, theta: Theta, x: Vector) -> dict[tuple[int, int], Fraction | int | None]:
    """Of every hidden neuron; None where there is a kink."""
    return {
        (layer, j): 1 if not network.kinked else gate_of(network, a > 0) if a else None
        for layer, row in enumerate(preactivations(network, theta, x)[:-1])
        for j, a in enumerate(row)
    }


def _reached(network: Network, gates: Gates, x: Vector) -> tuple[set[tuple[int, int]], Reached]:
    """The hidden neurons that something may come to, and (layer, parameter) of the parameters that are reached."""
    fed: set[tuple[int, int]] = set()
    below = [bool(a) for a in x]
    inputs = [below]
    for layer, pattern in enumerate(network.patterns[:-1]):
        comes = [any(k >= 0 and below[c] for c, k in enumerate(row)) for row in pattern]
        fed |= {(layer, j) for j, ok in enumerate(comes) if ok}
        below = [ok and bool(gates[layer, j]) for j, ok in enumerate(comes)]
        inputs.append(below)
    used = [True] * network.outputs
    through: Reached = set()
    for layer in range(network.depth - 1, -1, -1):
        pattern, comes = network.patterns[layer], inputs[layer]
        through |= {
            (layer, k) for r, row in enumerate(pattern) if used[r] for c, k in enumerate(row) if k >= 0 and comes[c]
        }
        if layer:
            columns = range(len(pattern[0]))
            leads = [any(used[r] and row[c] >= 0 for r, row in enumerate(pattern)) for c in columns]
            used = [ok and bool(gates[layer - 1, c]) for c, ok in enumerate(leads)]
    return fed, through


def _dead(network: Network, theta: Theta, layer: int, j: int) -> bool:
    incoming, outgoing = network.incoming(layer, j), network.outgoing(layer, j)
    return not any(theta[layer][k] for k in incoming) and not any(theta[layer + 1][k] for k in outgoing)


def _require_gates(network: Network, theta: Theta, reached: Reached, x: Vector, gates: Gates, sample: int) -> None:
    """Whether no pre-activation changes its sign along the curve.  Raises Rejected."""
    below: list[Poly] = [[a] for a in x]
    for layer, pattern in enumerate(network.patterns[:-1]):
        above: list[Poly] = []
        for j, row in enumerate(pattern):
            poly = [Fraction(0)] * (layer + 2)
            for k, h in zip(row, below, strict=True):
                grows = network.trained[layer] and (layer, k) in reached
                for power, a in enumerate(h if k >= 0 else ()):
                    poly[power + grows] += theta[layer][k] * a
            on = sum(poly, Fraction(0)) > 0
            if network.kinked and any(a and (a > 0) != on for a in poly):
                raise Rejected(f"the gate of {HiddenNeuron(layer, j)} may change on sample {sample}")
            above.append([gates[layer, j] * a for a in poly])
        below = above


def _moving(network: Network, theta: Theta, reached: Reached) -> Theta:
    """theta where it is reached, or fixed by the network; 0 elsewhere."""
    return tuple(
        tuple(a if not trained or (layer, k) in reached else Fraction(0) for k, a in enumerate(u))
        for layer, (u, trained) in enumerate(zip(theta, network.trained, strict=True))
    )


def _require_along(given: Instance, gates: Sequence[Gates], mu: Vector, q: Sequence[Fraction]) -> None:
    """Whether the gradients of equal margins sum to a multiple of mu.  Raises Rejected."""
    network = given.network
    apart = network.outputs > 1 and len(set(q)) > 1
    sums: dict[object, Vector] = {}
    for row, (sample, seed) in enumerate(given.problem.rows):
        own = gradient(network, given.theta0, given.x[sample], gates[sample], network.depth - 1, seed)
        key = row if apart else q[row]
        sums[key] = tuple(a + b for a, b in zip(sums.get(key, (Fraction(0),) * len(mu)), own, strict=True))
    for total in sums.values():
        factor = dot(total, mu) / squared_norm(mu)
        if any(a != factor * b for a, b in zip(total, mu, strict=True)):
            raise Rejected("the gradient at the start does not point along it")


def _radius(theta: Vector, mu: Vector, lowest: Fraction, degree: int) -> Fraction:
    """|theta - mu / lowest^(1/degree)| at most."""
    low, high = 1 / root_up(lowest, degree), 1 / root_down(lowest, degree)
    return sqrt_up(squared_norm([a - low * b for a, b in zip(theta, mu, strict=True)])) + (high - low) * sqrt_up(
        squared_norm(mu)
    )


def _signs(given: Instance, mu: Theta) -> tuple[tuple[tuple[int, ...], ...], ...] | None:
    """Of the pre-activations of the limit: those of mu, exactly."""
    network = given.network
    if not network.kinked:
        return None
    inputs = [preactivations(network, mu, given.x[sample])[:-1] for sample, _ in given.problem.rows]
    return tuple(
        tuple(tuple((a > 0) - (a < 0) for a in row[layer]) for row in inputs) for layer in range(network.depth - 1)
    )


def _facts(given: Instance, ray: Ray, radius: Fraction) -> tuple[str, ...]:
    network, q = given.network, ray.q
    still = [
        f"{_named(layer, k)} = {given.theta0[layer][k]}"
        for layer, size in enumerate(network.sizes)
        for k in range(size)
        if network.trained[layer] and (layer, k) not in ray.reached and given.theta0[layer][k]
    ]
    facts = []
    if still:
        facts.append(f"no sample reaches {', '.join(still)}: they stay what they are, and are zero in the limit")
    if network.kinked:
        facts.append("the gates at the start are strict, and stay what they are while the other weights grow together")
    several = ", summed over the margins that are equal," if len(q) > 1 else ""
    facts.append(f"the gradient{several} points along the start itself, so that its direction never changes")
    said = f"margins, {', '.join(map(str, q))}" if len(q) > 1 else f"margin, {q[0]}"
    facts.append(f"the {said} at the start, grow{'' if len(q) > 1 else 's'}, so that the flow separates the data")
    facts.append(f"the limit is the start scaled to least margin 1, within {float(radius):.1e} of the stored numbers")
    return tuple(facts)


def _named(layer: int, k: int) -> str:
    """A parameter, for messages."""
    return f"u_{k} of {layer_name(layer)}"
