"""The integrator's state of one flow: an array, since compiled code cannot write to a named tuple, and its places."""

from __future__ import annotations

import math

import numpy as np

# Log-norm booked; sigma; size of the next step; whether the data are separated, 0 or 1; attempted steps; rows of the
# record written; norm at the start; log-norm of the last kink grazed, -inf if none.
BOOKED, SIGMA, STEP_SIZE, SEPARATED, ATTEMPTS, ROWS, FIRST_NORM, GRAZED = range(8)
FIRST_STEP = 1e-2  # in sigma, at the start and after an event: the error control finds the right one within a few steps


def at_start(norm: float) -> np.ndarray:
    """The state (8,) of a flow that starts at this norm."""
    state = np.zeros(8)
    state[STEP_SIZE], state[FIRST_NORM], state[GRAZED] = FIRST_STEP, norm, -math.inf
    return state
