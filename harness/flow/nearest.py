"""The KKT point next to a given point: the polish of the trainer, from there and not from a flow.

Newton's method on the KKT system finds the KKT point of the gates of the point, for a guess at the active margins.  A
flow has its softmax for that; here several sharpnesses of it are tried, and the nearest KKT point that lies in the cell
of the gates is taken.  Whether it is a saddle does not matter.  Where there is none the flow is followed from the
point, once it has been scaled up so that the least margins lead, and its limit is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from harness.flow.compiled.field import no_slides
from harness.flow.compiled.kernel import wiring
from harness.flow.folding import Folded, fold
from harness.flow.follow import follow
from harness.flow.kinks.gates import Gates
from harness.flow.run import BELIEVED, Run, Settings
from harness.flow.settling.directions import spanned_by
from harness.flow.settling.polish import FAILED, SOLVED, polish
from harness.flow.settling.settle import settle
from harness.flow.undecided import Undecided
from harness.problem.evaluation import evaluate
from harness.problem.instances import Instance
from harness.problem.numbers import exact_rows
from harness.problem.points import Point

# The polish solves dense systems in all parameters and margins: seconds up to here.
MOST = 400
# The least margin that the softmax sees: the larger, the fewer of the other margins count as active.
LED = 8.0
HELD, BESIDE = 6, 0.05  # kinks at most that are held, and how near: the input relative to the norms that bound it
DEPENDENT = 1e-9  # of the largest singular value of some normals: those of dependent ones
_SHARPNESS = (2e4, 2e3, 200.0, 60.0, 20.0, 8.0)


def nearest_kkt(point: Point, watch: Callable[[Run], None] | None = None) -> Point | None:
    """The nearest KKT point that is reached from the point; None where none is.

    None also where the network is too large for it.  watch: told now and then how far the flow from the point is.
    """
    network = point.problem.network
    if network.size + len(point.problem.rows) > MOST:
        return None
    found = _polished(fold(_instance(point, 1.0)))
    if found:
        return min(found, key=point.distance_to)
    return follow(_instance(point, LED), Settings(watch=watch)).point


def steady_kkt(point: Point) -> Point | None:
    """The nearest KKT point within the gates of the point that no direction within these gates leaves, if any.

    It may lie on the nearest kinks of the first trained layer: they are held, one more at a time, where there is none
    without.  None also where the network is too large for it.
    """
    network = point.problem.network
    if network.size + len(point.problem.rows) > MOST:
        return None
    folded = fold(_instance(point, 1.0))
    for basis in _faces(folded.instance) if folded.instance is not None else ():
        if found := _polished(folded, basis, saddles=False):
            return min(found, key=point.distance_to)
    return None


def _faces(instance: Instance) -> Iterator[np.ndarray]:
    """Orthonormal bases (N, r): of everything, then of what leaves the nearest kink, the nearest two, ... as it is."""
    network = instance.network
    yield np.eye(network.size)
    if not network.kinked:
        return
    gates, at = Gates(instance, wiring(network)), evaluate(network, instance.theta0_float, instance.problem.inputs)
    lengths = np.linalg.norm(at.inputs[0], axis=1)[:, None] * np.linalg.norm(at.matrices[0], axis=1)[None, :]
    near = np.abs(at.preactivations[0]) / np.where(lengths > 0.0, lengths, np.nan)
    normals = list[np.ndarray]()
    for place in np.argsort(near, axis=None, kind="stable")[:HELD]:
        row, unit = divmod(int(place), near.shape[1])
        if not near[row, unit] <= BESIDE:
            return
        normals.append(np.array([float(a) for a in gates.normals.normal(row, gates.first[unit])]))
        _, sizes, directions = np.linalg.svd(np.array(normals))
        yield directions[np.count_nonzero(sizes > DEPENDENT * sizes[0]) :].T.copy()


def _instance(point: Point, sharpness: float) -> Instance:
    """The flow that starts at the point with this least margin."""
    theta = point.problem.network.scaled(point.theta, sharpness ** (1.0 / point.problem.network.degree))
    return Instance(point.problem, "exponential", exact_rows([u.tolist() for u in theta], "theta"))


def _polished(folded: Folded, basis: np.ndarray | None = None, saddles: bool = True) -> list[Point]:
    """KKT points within the gates of the start.  Where one of its pre-activations is zero, the gate is off.

    basis: orthonormal (N, r), the directions in which they are sought, all if it is None.
    """
    instance, found = folded.instance, list[Point]()
    if instance is None:
        return found
    network = instance.network
    gates = Gates(instance, wiring(network))
    if gates.kinked:
        gates.start()
    directions = spanned_by(np.eye(network.size) if basis is None else basis)
    curved = no_slides(network.size).curved
    for sharpness in _SHARPNESS:
        theta = network.flat(instance.theta0_float) * sharpness ** (1.0 / network.degree)
        q, multipliers = np.empty((2, len(gates.gates)))
        code, _ = polish(gates.cell, theta, directions, curved, q, multipliers)
        if code == FAILED or (code != SOLVED and not saddles):
            continue
        try:
            settled = settle(instance, theta, multipliers, gates)
        except Undecided:
            continue
        if settled is not None and settled.residual <= BELIEVED:
            found.append(folded.unfold(settled))
    return found
