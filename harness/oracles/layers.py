"""The problem over one layer at depth 2 without shared weights, the other layer held at the limit's values.

Layer 1 is decided like the whole problem (programmes.py).  Layer 2 is a convex quadratic program with kinks too,

    min 1/2 ||v||^2   s.t.   y_i sum_j h_ij v_j >= 1,   h_ij = sigma(w_j . x_i^(j)),

so local and global are the same, and any alpha >= 0 proves 1/2 sum(alpha)^2 / sum_j (sum_i alpha_i y_i h_ij)^2.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.oracles.apart import Apart
from harness.oracles.optimality import decide_global, decide_local
from harness.oracles.programmes import layer_problem
from harness.oracles.proofs import SAFE_GAP, attested, structured
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.problem.numbers import as_json


def decide_first(apart: Apart, certify: bool) -> LayerVerdicts:
    """The verdicts on the first layer's problem."""
    problem = layer_problem(apart)
    local = decide_local(problem, certify)
    # What a tree over gates (layer_tree.py) may settle needs no list of cells; where the layer is all there is, neurons
    # of one output are interchangeable, and the list is the shorter one.
    every_cell = not apart.problem.network.trained[1]
    return LayerVerdicts(decide_global(problem, local, certify, every_cell=every_cell), local)


def decide_second(apart: Apart, certify: bool) -> LayerVerdicts:
    """The verdicts on the last layer's problem."""
    value = 0.5 * float(apart.theta[1] @ apart.theta[1])
    pulls = []
    for j in apart.live:
        a = apart.neurons[j].patch @ apart.w[j]
        gates = apart.gates[:, j]
        h = np.where(gates > 0, a, np.where(gates < 0, apart.slope * a, 0.0)) if apart.kinked else a
        pulls.append(float((apart.alpha * apart.y) @ h))
    square = sum(pull * pull for pull in pulls)
    bound = 0.5 * float(apart.alpha.sum()) ** 2 / square if square > 0.0 else 0.0
    if bound < value * (1.0 - SAFE_GAP):
        verdict = Verdict("undecided", value, None, "the limit's multipliers do not prove it optimal")
        return LayerVerdicts(verdict, verdict)
    reason = "multipliers prove a lower bound that equals the value"
    out = []
    stated = {**structured(apart, "bound", "layer 2", "global"), "alpha": [as_json(a) for a in apart.alpha.tolist()]}
    for scope in ("global", "local"):
        verdict = Verdict("optimal", value, bound, reason, {**stated, "scope": scope})
        out.append(attested(apart.problem, verdict, certify))
    return LayerVerdicts(*out)


def undecided(value: float, reason: str) -> LayerVerdicts:
    """Both verdicts open."""
    verdict = Verdict("undecided", value, None, reason)
    return LayerVerdicts(verdict, dataclasses.replace(verdict))
