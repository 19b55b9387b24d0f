"""Kind "descent": this very point is no local optimum, since along a direction the margins hold and the norm falls.

    {"kind": "descent", "problem": "full" or "layer l", "scope": S, "theta": [one array a layer],
     "d": [one array a layer]}

What is claimed is about theta itself, at the exact value of its numbers, and about no point next to it: so it says
nothing of a limit that theta only rounds, and cannot stand in a counterexample.

Every q_i is homogeneous of degree m in the parameters u that move: the trained layers, or one of them ("layer l", m =
1; d is zero elsewhere).  So theta scaled to least margin 1 costs 1/2 (|u|^m / min_i q_i)^(2/m), and it is a local
optimum only if min_i q_i / |u|^m has a local maximum there.  Checked, exactly:

1. Along d.  Let A be the margins that are exactly the least, q.  For i in A the one-sided derivative of q_i along d,
   kinks included (integers.py), is greater than m q (u . d) / |u|^2: then q_i / |u|^m grows.  The other margins are
   greater than q.  So min_i q_i / |u|^m is greater at theta + s d for all small s > 0, and theta is no local optimum.

2. At theta + d.  min_i q_i / |u|^m is greater there than at theta, so that it costs less once it is scaled.  Nothing
   rests on this: it says how much is gained.
"""

from __future__ import annotations

from fractions import Fraction

from harness.certificates.answer import Checked
from harness.certificates.integers import margins, rates
from harness.certificates.numbers import Rejected, choice, fields, float_up, least_positive, root_up
from harness.certificates.parameters import read_motion, read_theta
from harness.certificates.signs import Theta
from harness.problem.networks import Network
from harness.problem.numbers import dot, squared_norm
from harness.problem.places import layer_name
from harness.problem.problems import Problem


def check_descent(given: Problem, certificate: object) -> Checked:
    """Raises FieldError on a wrong shape; Rejected where it proves nothing."""
    network = given.network
    found = fields(certificate, "certificate", ("kind", "problem", "scope", "theta", "d"))
    layers = [layer_name(layer) for layer, own in enumerate(network.trained) if own]
    problem = choice(found["problem"], "certificate.problem", ("full", *layers))
    choice(found["scope"], "certificate.scope", ("local", "global"))
    theta = read_theta(found["theta"], "certificate.theta", network)
    d = _by_layer(network, found["d"])
    moving = [k for k, own in enumerate(network.trained) if own]
    if problem != "full":
        moving = [int(problem.split()[1]) - 1]
        if any(v for k, row in enumerate(d) if k not in moving for v in row):
            raise Rejected("d moves another layer than the one that the problem is over")
    degree = len(moving)

    here = margins(given, theta)
    least = least_positive(here)
    size = sum((squared_norm(theta[k]) for k in moving), start=Fraction(0))
    falling = sum((dot(theta[k], d[k]) for k in moving), start=Fraction(0))
    active = [i for i, q in enumerate(here) if q == least]
    for i, rate in zip(active, rates(given, theta, d, active), strict=True):
        if rate * size <= degree * least * falling:
            raise Rejected(
                f"the least margin, of sample {given.rows[i][0]}, does not grow along d, relative to the norm"
            )

    better = tuple(tuple(a + b for a, b in zip(u, v, strict=True)) for u, v in zip(theta, d, strict=True))
    reached = min(margins(given, better))
    moved = sum((squared_norm(better[k]) for k in moving), start=Fraction(0))
    if reached <= 0 or reached**2 * size**degree <= least**2 * moved**degree:
        raise Rejected("theta + d does not cost less than theta")
    value, above = (float_up(_cost(q, norm, degree)) for q, norm in ((least, size), (reached, moved)))
    reason = f"along d the margins hold and the norm falls, from {value:.9g} to {above:.9g} at theta + d"
    return Checked(True, reason, value, above, max(0.0, 1.0 - above / value))


def _by_layer(network: Network, value: object) -> Theta:
    """A motion, a row a layer.  Raises FieldError, Rejected where it moves a fixed layer."""
    flat = read_motion(value, "certificate.d", network)
    return tuple(
        flat[start:end] if own else (Fraction(0),) * size
        for start, end, own, size in zip(
            network.offsets[:-1], network.offsets[1:], network.trained, network.sizes, strict=True
        )
    )


def _cost(least: Fraction, size: Fraction, degree: int) -> Fraction:
    """At least 1/2 |u|^2 once u is scaled to least margin 1, and hardly more."""
    # |u|^2 / least^(2/m), and no root where that is rational
    if degree <= 2:
        return size / least ** (2 // degree) / 2
    return root_up(size**degree / least**2, degree) / 2
