"""Certificates of kind "better": the limit is not optimal, whatever its last bits are.

    {"kind": "better", "problem": P, "scope": S, "theta": ..., "structure": ...,
     "better": [[numbers of u^1], [numbers of u^2]],
     "face": {"alpha": [n numbers], "nu": [[one number a hidden neuron] a sample]}}

Two facts are checked, both exactly.

1. "better" is feasible: q_i >= 1 for all i, by the exact forward pass.

2. EVERY feasible point with the structure costs at least L, and L > objective(better).  The points with the structure
   are the face: dead neurons are zero; where g_ij = 1, z . p_ij >= 0 and the slope a_ij is 1; where g_ij = -1,
   z . p_ij <= 0 and it is that of the negative side; where g_ij = 0, z . p_ij = 0 and a_ij is put to 0.  For
   nu_ij >= 0 where g_ij is 1 or -1, and of any sign where it is 0,

       psi_j(z) <= z . (sum_i a_ij alpha_i y_i t_j p_ij + sum_i nu_ij e_ij p_ij),   e_ij = -1 if g_ij = -1, else 1,

   so D_j is the norm of that vector, and L follows as in bounds.py.  nu may be null (all zero) and is null
   for linear networks and for layer 2.

So no feasible point with the structure, theta~ among them, is a global optimum.  For scope "local" more is checked:

3. "better" lies in a closed cell that contains every point with the structure: w'_j . x_i^(j) >= 0 where g_ij = 1, <= 0
   where g_ij = -1, s_j v'_j >= 0; dead neurons anywhere.  On that cell, in the variables u_j = |v_j| w_j (or
   w_j, for layer 1), the q_i are linear and the objective is convex, so the segment from a point with the structure
   to "better" is feasible and the objective falls along it at once.  A segment in u becomes a curve in (w, v) with
   |w_j| = |v_j|.  It starts at the point itself where that is balanced; where it is not, balancing alone lowers the
   objective.  Hence no feasible point with the structure is a local optimum.  For linear networks, and in layer 2, the
   cell is everything.

For a layer, "better" must have theta's other layer; L and the objective are then those of the layer problem at theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.bounds import LowerBound, combined, linear_slope, lower_bound
from harness.certificates.numbers import Rejected, fields, rows, vector
from harness.certificates.problems import Block, Name, Neuron, Theta, objective
from harness.certificates.structures import Structure
from harness.problem.numbers import Vector, dot
from harness.problem.places import neuron_name
from harness.problem.problems import Problem


@dataclass(frozen=True)
class Face:
    """alpha: (n,).  nu: one row a sample, one number a hidden neuron; None for all zero."""

    alpha: Vector
    nu: tuple[Vector, ...] | None


def read_face(value: object, field: str, width: int, n: int) -> Face:
    """Raises FieldError."""
    found = fields(value, field, ("alpha",), ("nu",))
    nu = found.get("nu")
    return Face(
        vector(found["alpha"], f"{field}.alpha", n), None if nu is None else rows(nu, f"{field}.nu", [width] * n)
    )


def face_bound(given: Problem, problem: Name, blocks: Sequence[Block], structure: Structure, face: Face) -> LowerBound:
    """L: what every feasible point with the structure costs at least.  Raises Rejected.

    blocks: those of the neurons that are not dead.
    """
    slopes = [_slope(given, block, structure, face) for block in blocks]
    return lower_bound(problem, face.alpha, slopes)


def _slope(given: Problem, block: Block, structure: Structure, face: Face) -> Fraction:
    j = block.neuron.index
    b = [a * label * structure.outgoing[j] * block.scale for a, label in zip(face.alpha, given.y, strict=True)]
    if not block.gated:
        if face.nu is not None and any(row[j] for row in face.nu):
            raise Rejected("nu has no place where there are no gates")
        return linear_slope(block, b)
    weights: dict[int, Fraction] = {}
    for i, a in enumerate(b):
        g = structure.gate(i, block.neuron)
        nu = Fraction(0) if face.nu is None else face.nu[i][j]
        if g and nu < 0:
            raise Rejected(f"nu of sample {i}, {neuron_name(j)} is negative")
        weights[i] = (a if g == 1 else given.network.slope * a if g == -1 else 0) + (-nu if g == -1 else nu)
    return combined(block, weights)


def require_better(
    given: Problem,
    problem: Name,
    scope: str,
    neurons: Sequence[Neuron],
    structure: Structure,
    theta: Theta,
    better: Theta,
    bound: LowerBound,
) -> Fraction:
    """objective(better), once it is shown to be feasible, cheaper than the bound, and in the cell.  Raises Rejected."""
    if problem != "full" and better[kept := 1 if problem == "layer 1" else 0] != theta[kept]:
        raise Rejected("the better point changes the layer that is held fixed")
    for i, q in enumerate(given.margins(better)):
        if q < 1:
            raise Rejected(f"the better point is not feasible: its margin on sample {i} is below 1")
    found = objective(better, problem)
    if not bound.more_than(found):
        raise Rejected("the better point does not cost less than every point with the structure")
    if scope == "local" and problem != "layer 2" and structure.gates is not None:
        for neuron in neurons:
            _require_in_cell(neuron, structure, better)
    return found


def _require_in_cell(neuron: Neuron, structure: Structure, better: Theta) -> None:
    if structure.dead(neuron):
        return
    j = neuron.index
    if neuron.v(better) * structure.outgoing[j] < 0:
        raise Rejected(f"the better point leaves the cell: the outgoing weight of {neuron_name(j)} changes its sign")
    w = neuron.w(better)
    for i, patch in enumerate(neuron.patches):
        if dot(w, patch) * structure.gate(i, neuron) < 0:
            raise Rejected(f"the better point leaves the cell: {neuron_name(j)} on sample {i}")
