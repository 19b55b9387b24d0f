"""LSODA (scipy) for a field that takes many states at once: the Jacobian by central differences, all in one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp

Array = np.ndarray
RTOL = 1e-7
MOST_EVALUATIONS = 4000  # of the field, in one piece
SMALLEST = 1e-6  # of the largest reach: differences are not taken closer, for their rounding


class _TooFar(Exception):
    pass


def follow(
    rates: Callable[[Array], Array], start: Array, length: float, sizes: Array, reach: Array | None = None
) -> Array | None:
    """The states (T, D) of state' = rates(state) from start (D,) over a length; None where they take too long.

    rates: (B, D) to (B, D).  sizes (D,): what an error of each is small against.  reach (D,): how far each moves what
    the field rounds; the sizes if not given.
    """
    evaluations = 0
    reach = sizes if reach is None else reach
    steps = np.diag(3e-9 * sizes * np.maximum(1.0, SMALLEST * reach.max() / reach))

    def counted(states: Array) -> Array:
        nonlocal evaluations
        evaluations += 1
        if evaluations > MOST_EVALUATIONS:
            raise _TooFar
        return rates(states)

    def jacobian(_: float, state: Array) -> Array:
        moved = counted(np.vstack([state + steps, state - steps]))
        return ((moved[: len(state)] - moved[len(state) :]) / (2.0 * np.diag(steps))[:, None]).T

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LSODA's, about steps that the status reports too
            solution = solve_ivp(
                lambda _, state: counted(state[None])[0], (0.0, length), start,
                method="LSODA", rtol=RTOL, atol=0.1 * RTOL * sizes, jac=jacobian,
            )  # fmt: skip
    except _TooFar:
        return None
    return solution.y.T if solution.status == 0 and np.isfinite(solution.y).all() else None
