"""`proof_of_flow`: a certificate of kind "flow" that says where the flow of an instance ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from harness.certificates.flow import check_flow
from harness.certificates.flow_start import End
from harness.problem.instances import Instance
from harness.problem.numbers import as_json
from harness.proofs.gates import regions
from harness.proofs.sizes import refined

Certificate = dict[str, Any]
# Parameters times points, up to which everything in exact numbers takes a fraction of a second.
LARGEST = 1000


def proof_of_flow(
    given: Instance, theta: Sequence[Iterable[float]], multipliers: Iterable[float]
) -> tuple[Certificate, End] | None:
    """The first certificate that the checker accepts, and what it proves; None where there is none, or it is
    not looked for since the instance is large.

    theta, multipliers: where the flow is thought to end, scaled to least margin 1.
    """
    if given.network.size * given.n > LARGEST:
        return None
    written = [[float(a) for a in u] for u in theta]
    for own in _tried(given, written, [float(a) for a in multipliers]):
        certificate = {"kind": "flow", **own, "theta": written}
        found = check_flow(given, certificate)
        if found.end is not None:
            return certificate, found.end
    return None


def _tried(given: Instance, theta: list[list[float]], multipliers: list[float]) -> Iterator[Certificate]:
    yield {"by": "ray"}
    for region, outgoing, gates in regions(given):
        live = [(unit.neuron, unit.on) for unit in region.live]
        # u_j and the multipliers of the convex problem: the weights above are a factor of the margins.
        above = prod(a for u in theta[2:] for a in u)
        start = [above * theta[1][unit.neuron.outgoing] ** 2 for unit in region.live]
        found = refined(live, [above * a for a in multipliers], start) if min(start) > 0.0 else None
        if found is not None:
            sizes: list[int | str] = [0] * given.network.widths[1]
            for unit, size in zip(region.live, found[1], strict=True):
                sizes[unit.neuron.index] = as_json(size)
            alpha = [as_json(a) for a in found[0]]
            yield {"by": "gates", "outgoing": outgoing, "gates": gates, "alpha": alpha, "sizes": sizes}
