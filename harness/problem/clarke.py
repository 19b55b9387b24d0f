"""The gate patterns next to a point, and the gradients of one margin under each of them.

The Clarke subdifferential of Phi(.; x_i) at theta is the convex hull of the gradients over the adjacent gate patterns
that can be realised.  A kink is a hidden pre-activation a_r that is zero at theta; on the other side of a small step
it is on its positive or its negative side.  Its normal is the gradient of a_r, given the pattern of the layers below.

- A kink whose neuron is not heard (no path of weights and slopes that are not zero leads to the output) or whose normal
  is zero changes no gradient; it is left off.
- Where the normals of the remaining kinks are linearly independent, every pattern is realised, by the implicit
  function theorem.
- Where they are dependent, a direction d with s_r (normal_r . d) > 0 for all r realises the signs s.  In the first
  layer pre-activations are linear in theta, so that nothing else does; in deeper layers the signs then depend on
  terms of second order, and the pattern is not known: ValueError.

Source: docs/statements.md, section 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from harness.problem.networks import Network
from harness.problem.places import layer_name

# Gate patterns of one sample beyond which they are not listed.
MAX_PATTERNS = 256
# A normal, or a singular value of normals of length 1, below this is rounding.
_TINY = 1e-9


@dataclass(frozen=True)
class Hull:
    """The gradients of one q_i next to a point.

    kinks: (layer from 0, neuron from 0) of every kink.  gates: (S, len(kinks)) of 0 and 1, one row a pattern.
    gradients: (S, P), dq_i/dtheta under each pattern.
    """

    kinks: tuple[tuple[int, int], ...]
    gates: np.ndarray
    gradients: np.ndarray


@dataclass(frozen=True)
class _Branch:
    """A choice of gates for the lowest layers: gates, inputs h and dh/dtheta of what lies above, normals with sides."""

    gates: tuple[np.ndarray, ...]
    h: np.ndarray
    slopes: np.ndarray
    normals: tuple[np.ndarray, ...]
    sides: tuple[int, ...]


def hull(
    network: Network, x: np.ndarray, seed: np.ndarray, theta: Sequence[np.ndarray], signs: Sequence[np.ndarray]
) -> Hull:
    """The hull of one margin.

    x: (d,).  seed: (K,), what the outputs are multiplied by.  theta: one vector a layer.
    signs: for every hidden layer (width,) of -1, 0, 1.
    Raises ValueError where the patterns next to theta are too many or not known.
    """
    offsets, matrices = network.offsets, network.matrices(theta)
    below = float(network.slope)
    heard = _heard(matrices, signs, below)
    # Not by evaluate(): the gates of a layer branch on what the layers below make of it.
    branches = [_Branch((), np.asarray(x, float), np.zeros((len(x), offsets[-1])), (), ())]
    for layer, sign in enumerate(signs):
        grown: list[_Branch] = []
        for branch in branches:
            a = matrices[layer] @ branch.h
            normals = _normals(network, matrices[layer], branch, layer, offsets[layer])
            kinks = [
                j
                for j in np.flatnonzero((np.asarray(sign) == 0) & heard[layer]).tolist()
                if np.abs(normals[j]).max() > _TINY * max(1.0, np.abs(matrices[layer][j]).max())
            ]
            # a kink's own pre-activation is zero but for rounding
            on = np.where(np.asarray(sign) > 0, 1.0, np.where(np.asarray(sign) < 0, below, 0.0))
            for choice in _choices(branch, [normals[j] for j in kinks], layer, MAX_PATTERNS - len(grown)):
                gate = (np.asarray(sign) > 0).astype(int)
                gate[kinks] = choice
                sides = tuple(2 * c - 1 for c in choice)
                grown.append(
                    _Branch(
                        (*branch.gates, gate),
                        a * on,
                        normals * np.where(gate, 1.0, below)[:, None],
                        (*branch.normals, *(normals[j] for j in kinks)),
                        branch.sides + sides,
                    )
                )
        branches = grown
    gradients = []
    for branch in branches:
        top = _normals(network, matrices[-1], branch, network.depth - 1, offsets[-2])
        gradients.append(seed @ top)
    every = tuple(
        (layer, j) for layer, sign in enumerate(signs) for j in np.flatnonzero(np.asarray(sign) == 0).tolist()
    )
    gates = [[branch.gates[layer][j] for layer, j in every] for branch in branches]
    return Hull(every, np.array(gates, dtype=float).reshape(len(branches), len(every)), np.array(gradients))


def single(signs: Sequence[np.ndarray], sample: int, gradient: np.ndarray) -> Hull:
    """That of a sample with one gradient next to the point; its kinks, if there are any, are off."""
    kinks = tuple((layer, j) for layer, sign in enumerate(signs) for j in np.flatnonzero(sign[sample] == 0).tolist())
    return Hull(kinks, np.zeros((1, len(kinks))), gradient[None, :])


def with_patterns(
    network: Network, inputs: Sequence[np.ndarray], matrices: Sequence[np.ndarray], signs: Sequence[np.ndarray]
) -> np.ndarray:
    """The samples with a kink that is heard and can move, (n,) of bool; the others have one gradient next to the point.

    inputs: h^0 .. h^(m-1), (n, width) each.  signs: a hidden layer each, (n, width).
    """
    found = np.zeros(len(inputs[0]), dtype=bool)
    moves = np.zeros(inputs[0].shape, dtype=bool)
    passing = np.ones(inputs[0].shape, dtype=bool)
    for layer, sign in enumerate(signs):
        present = network.tables[layer] >= 0
        moves = (moves & passing).astype(float) @ (matrices[layer] != 0.0).T.astype(float) > 0.0
        if network.trained[layer]:
            moves |= (inputs[layer] != 0.0).astype(float) @ present.T.astype(float) > 0.0
        passing = np.ones(sign.shape, dtype=bool) if network.slope else np.asarray(sign) >= 0
        for i in np.flatnonzero(((np.asarray(sign) == 0) & moves).any(axis=1) & ~found).tolist():
            heard = _heard(matrices, [own[i] for own in signs], float(network.slope))[layer]
            found[i] = bool(((np.asarray(sign)[i] == 0) & moves[i] & heard).any())
    return found


def _heard(matrices: Sequence[np.ndarray], signs: Sequence[np.ndarray], below: float) -> list[np.ndarray]:
    """For every hidden layer, which neurons have a path to the output through weights that are not zero."""
    heard = [np.ones(len(matrices[-1]), dtype=bool)]
    for layer in range(len(matrices) - 1, 0, -1):
        above = heard[0]
        if layer < len(signs) and not below:
            above = above & (np.asarray(signs[layer]) >= 0)
        heard.insert(0, (matrices[layer][above] != 0.0).any(axis=0))
    return heard[: len(signs)]


def _normals(network: Network, matrix: np.ndarray, branch: _Branch, layer: int, offset: int) -> np.ndarray:
    """d(pre-activation)/dtheta of a layer, (width, P)."""
    out = matrix @ branch.slopes
    if not network.trained[layer]:
        return out
    for r, row in enumerate(network.patterns[layer]):
        for c, k in enumerate(row):
            if k >= 0:
                out[r, offset + k] += branch.h[c]
    return out


def _choices(branch: _Branch, normals: list[np.ndarray], layer: int, most: int) -> Iterator[tuple[int, ...]]:
    """The gates that these kinks can take above the branch.  Raises ValueError."""
    if most < 1:
        raise ValueError(f"a sample has more than {MAX_PATTERNS} gate patterns next to the point")
    if not normals:
        yield ()
        return
    directions = np.array([v / np.linalg.norm(v) for v in (*branch.normals, *normals)])
    if np.linalg.svd(directions, compute_uv=False)[-1] > _TINY and len(directions) <= directions.shape[1]:
        if 2 ** len(normals) > most:
            raise ValueError(f"a sample has more than {MAX_PATTERNS} gate patterns next to the point")
        yield from itertools.product((0, 1), repeat=len(normals))
        return
    done = len(branch.normals)
    partial: list[tuple[int, ...]] = [()]
    for count in range(1, len(normals) + 1):
        longer = [(*gates, gate) for gates in partial for gate in (0, 1)]
        partial = [
            gates
            for gates in longer
            if _realised(directions[: done + count], (*branch.sides, *(2 * g - 1 for g in gates)))
        ]
        if layer and len(partial) < len(longer):
            raise ValueError(f"the normals of the kinks of a sample in {layer_name(layer)} are linearly dependent")
        if len(partial) > most:
            raise ValueError(f"a sample has more than {MAX_PATTERNS} gate patterns next to the point")
    yield from partial


def _realised(directions: np.ndarray, sides: tuple[int, ...]) -> bool:
    """Whether some d has side_r (direction_r . d) > 0 for all r.  directions: (R, P), of length 1."""
    signed = np.array(sides)[:, None] * directions
    used = np.abs(signed).max(axis=0) > 0.0
    signed = signed[:, used]
    rows, columns = signed.shape
    # maximise t subject to signed @ d >= t, -1 <= d <= 1
    solution = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([-signed, np.ones((rows, 1))]),
        b_ub=np.zeros(rows),
        bounds=[(-1.0, 1.0)] * columns + [(0.0, 1.0)],
    )
    return bool(solution.success and solution.x[-1] > _TINY)
