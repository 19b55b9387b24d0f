"""The multipliers that Newton's method starts from, compiled."""

from __future__ import annotations

import numpy as np

from harness.flow.compiled.compiling import part
from harness.flow.compiled.kernel import lu_factor, lu_solve

RIDGE = 1e-6  # of the largest squared gradient: dependent gradients get multipliers of least norm, refined afterwards
REFINED = 20  # times


@part
def first_multipliers(target, grad, active):
    """Ridge least squares of target (r,) over the active rows of grad (n + t, r).

    The softmax weights would do in exact arithmetic, but at a large inverse temperature they carry the
    integrator's error.
    """
    count = grad.shape[0]
    gram = grad @ grad.T
    right = grad @ target
    top = 0.0
    for i in range(count):
        top = max(top, gram[i, i])
    for i in range(count):
        if not active[i]:
            gram[i, :] = 0.0
            gram[:, i] = 0.0
            right[i] = 0.0
    factors = gram.copy()
    for i in range(count):
        factors[i, i] += RIDGE * top
    piv = np.empty(count, dtype=np.int64)
    found = np.zeros(count)
    if lu_factor(factors, piv):
        # refined, since nearly dependent gradients have less than the ridge between them
        for _ in range(REFINED):
            step = right - gram @ found
            lu_solve(factors, piv, step)
            before = found.copy()
            found += step
            if np.all(found == before):
                break
    return found
