"""Kind "flow": where the gradient flow of an instance ends, proven from its start to its limit.

    {"kind": "flow", "by": "ray", "theta": ...}
    {"kind": "flow", "by": "gates", "theta": ..., "outgoing": [one of 1, -1, 0 a hidden neuron],
     "gates": [the same, one row a sample], "alpha": [one number a sample], "sizes": [one number a hidden neuron]}

What an accepted certificate proves, of EVERY solution of the flow from theta0, d theta/dt in -dL(theta) (Clarke):

    it separates the data, and its limit theta~ (the limit of theta(t)/|theta(t)|, scaled to least margin 1) is within
    `radius` of theta, at most 1e-9 |theta|; `signs` are the signs of theta~'s pre-activations, and `zeros` are
    parameters of theta~ that are zero, both exactly.

The facts on the way hold for more: -sum_i g_i h_i with any h_i whose coefficient at every kink is its own, between the
two slopes; -dL is part of that.

So no trainer has to be believed.  Two theorems are taken from the literature, for networks whose margins are locally
Lipschitz, homogeneous of one degree m > 0 in what is trained, and definable: once the loss is below loss(0),

    JT   the loss vanishes, |theta| diverges, theta/|theta| converges (Ji & Telgarsky, arXiv:2006.06657);
    LL   the limit, scaled to least margin 1, is a KKT point of the margin problem (Lyu & Li, arXiv:1906.05890).

"gates" (flow_gates.py, flow_ends.py): signs of weights and gates are shown to be kept for ever; with them the limit is
the solution of a convex problem, which is found to 1e-9.  Relu, depth 2, one output, no shared weights, all trained.
"ray" (flow_ray.py): the start, but for what gets no gradient, points along the limit.  Any network.

Everything is exact: the numbers of the instance are taken at their exact value, floats too.
"""

from __future__ import annotations

from fractions import Fraction

from harness.certificates.flow_ends import require_end
from harness.certificates.flow_gates import read_region, require_region
from harness.certificates.flow_ray import require_end_of_ray
from harness.certificates.flow_start import End, Flow
from harness.certificates.numbers import Rejected, choice, fields, vector
from harness.certificates.parameters import flat, read_theta
from harness.certificates.taylor import sqrt_up
from harness.problem.instances import Instance
from harness.problem.numbers import squared_norm

# How near to theta the limit has to be proven, relative to |theta|.
NEAR = Fraction(1, 10**9)
_OWN = {"gates": ("outgoing", "gates", "alpha", "sizes"), "ray": ()}


def check_flow(given: Instance, certificate: object) -> Flow:
    """Whether the certificate proves where the flow of this instance ends.

    certificate: the JSON object as Python data.  Raises FieldError, naming the field, where its shape is wrong; content
    that is false is not an error but a rejection.
    """
    at = "flow"
    try:
        by = choice(fields(certificate, at, ("kind", "by"), None)["by"], f"{at}.by", tuple(_OWN))
        found = fields(certificate, at, ("kind", "by", "theta", *_OWN[by]))
        choice(found["kind"], f"{at}.kind", ("flow",))
        theta = read_theta(found["theta"], f"{at}.theta", given.network)
        if by == "ray":
            end = require_end_of_ray(given, theta)
        else:
            region = require_region(given, *read_region(found, at, given))
            alpha = vector(found["alpha"], f"{at}.alpha", given.n)
            sizes = vector(found["sizes"], f"{at}.sizes", given.network.widths[1])
            end = require_end(given.problem, region, theta, alpha, sizes)
        _require_near(given, theta, end)
    except Rejected as rejection:
        return Flow(False, str(rejection))
    return Flow(True, f"every solution from the start ends within {float(end.radius):.1e} of the limit", end)


def _require_near(given: Instance, theta: tuple[tuple[Fraction, ...], ...], end: End) -> None:
    size = squared_norm(flat(given.network, theta))
    if end.radius**2 > NEAR**2 * size:
        raise Rejected(
            f"the limit is only known to be within {float(end.radius):.1e} of theta, "
            f"and |theta| = {float(sqrt_up(size)):.3g}"
        )
