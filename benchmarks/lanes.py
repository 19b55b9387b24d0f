"""What lockstep would gain: the bare arithmetic of a step of the trainer, of several flows of one shape at once.

    python -m benchmarks.lanes

A Rosenbrock step of fully connected relu networks of depth 2 (4 points, 2 dimensions, 3 neurons): six fields, one
Jacobian, one factorisation without pivots, six solves. The flow is the innermost index of every array, so that the
vector units work on several flows. What a true step does beside it, errors, events and their dense output, is left out.
"""

from __future__ import annotations

import time

import numpy as np
from numba import njit

POINTS, DIMENSIONS, NEURONS, STAGES = 4, 2, 3, 6
SIZE = NEURONS * (DIMENSIONS + 1)
H = 1e-3


def steps_of(lanes: int):
    """A compiled function that makes so many steps of `lanes` flows."""

    @njit(error_model="numpy")
    def field(x, theta, f, q, p, grad):
        for i in range(POINTS):
            for w in range(lanes):
                q[i, w] = 0.0
            for j in range(NEURONS):
                top = NEURONS * DIMENSIONS + j
                for w in range(lanes):
                    grad[i, top, w] = 0.0
                for c in range(DIMENSIONS):
                    for w in range(lanes):
                        grad[i, top, w] += theta[j * DIMENSIONS + c, w] * x[i, c, w]
                        grad[i, j * DIMENSIONS + c, w] = theta[top, w] * x[i, c, w]
                for w in range(lanes):
                    q[i, w] += grad[i, top, w] * theta[top, w]
        total = np.zeros(lanes)
        for i in range(POINTS):
            for w in range(lanes):
                p[i, w] = np.exp(q[0, w] - q[i, w])
                total[w] += p[i, w]
        f[:] = 0.0
        for i in range(POINTS):
            for w in range(lanes):
                p[i, w] /= total[w]
            for a in range(SIZE):
                for w in range(lanes):
                    f[a, w] += p[i, w] * grad[i, a, w]

    @njit(error_model="numpy")
    def jacobian(x, f, p, grad, matrix, rest):
        matrix[:] = 0.0
        for i in range(POINTS):
            for j in range(NEURONS):
                top = NEURONS * DIMENSIONS + j
                for c in range(DIMENSIONS):
                    for w in range(lanes):
                        value = H * p[i, w] * x[i, c, w]
                        matrix[j * DIMENSIONS + c, top, w] -= value
                        matrix[top, j * DIMENSIONS + c, w] -= value
            for a in range(SIZE):
                for w in range(lanes):
                    rest[a, w] = grad[i, a, w] - f[a, w]
            for a in range(SIZE):
                for b in range(SIZE):
                    for w in range(lanes):
                        matrix[a, b, w] += H * p[i, w] * grad[i, a, w] * rest[b, w]
        for a in range(SIZE):
            for w in range(lanes):
                matrix[a, a, w] += 1.0

    @njit(error_model="numpy")
    def factor(matrix):
        for a in range(SIZE):
            for r in range(a + 1, SIZE):
                for w in range(lanes):
                    matrix[r, a, w] /= matrix[a, a, w]
                for b in range(a + 1, SIZE):
                    for w in range(lanes):
                        matrix[r, b, w] -= matrix[r, a, w] * matrix[a, b, w]

    @njit(error_model="numpy")
    def solve(matrix, k):
        for a in range(SIZE):
            for b in range(a):
                for w in range(lanes):
                    k[a, w] -= matrix[a, b, w] * k[b, w]
        for a in range(SIZE - 1, -1, -1):
            for b in range(a + 1, SIZE):
                for w in range(lanes):
                    k[a, w] -= matrix[a, b, w] * k[b, w]
            for w in range(lanes):
                k[a, w] /= matrix[a, a, w]

    @njit(error_model="numpy")
    def steps(x, theta, count):
        f, rest = np.empty((SIZE, lanes)), np.empty((SIZE, lanes))
        q, p = np.empty((POINTS, lanes)), np.empty((POINTS, lanes))
        grad, matrix = np.empty((POINTS, SIZE, lanes)), np.empty((SIZE, SIZE, lanes))
        k = np.empty((STAGES, SIZE, lanes))
        for _ in range(count):
            field(x, theta, f, q, p, grad)
            jacobian(x, f, p, grad, matrix, rest)
            factor(matrix)
            for s in range(STAGES):
                rest[:] = theta
                for before in range(s):
                    for a in range(SIZE):
                        for w in range(lanes):
                            rest[a, w] += H * k[before, a, w]
                if s:
                    field(x, rest, f, q, p, grad)
                k[s] = f
                solve(matrix, k[s])
            for a in range(SIZE):
                for w in range(lanes):
                    theta[a, w] += H * k[0, a, w]

    return steps


def main() -> None:
    rng = np.random.default_rng(0)
    for lanes in (1, 4, 8, 16):
        steps = steps_of(lanes)
        x, theta = rng.standard_normal((POINTS, DIMENSIONS, lanes)), rng.standard_normal((SIZE, lanes))
        steps(x, theta.copy(), 1)
        count, took = 20_000 // lanes, []
        for _ in range(5):
            begin = time.process_time()
            steps(x, theta.copy(), count)
            took.append(time.process_time() - begin)
        print(f"{lanes:2} flows at once: {min(took) / count / lanes * 1e6:.2f} us a step and flow")


if __name__ == "__main__":
    main()
