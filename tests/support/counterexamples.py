"""Counterexamples made by hand, as records, each with its certificate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal, fully_connected
from harness.records.record import Record


def depth2_local(root: int = 2) -> Record:
    """x = (1, root^2): the second coordinate, which is better, starts at zero and stays there."""
    network = diagonal("linear", 2, 2)
    instance = Instance.of(network, "exponential", _rows([[1, root**2]]), (1,), _rows([[1, 0], [1, 0]]))
    better = [[0, f"1/{root}"], [0, f"1/{root}"]]
    structure = {"outgoing": [1, 0], "gates": None}
    return _record("depth2-local", "zero weight", instance, [[1, 0], [1, 0]], [1], [], structure, better)


def fc_relu_local() -> Record:
    """The curve of docs/statements.md, section 6, at s = 3/10; neuron 2 is dead."""
    s = Fraction(3, 10)
    start = _rows([[0, 3, 0, -2], [3, 0]])
    instance = Instance.of(_square(), "exponential", _rows([[1, "1/4"], [-1, "1/4"]]), (1, 1), start)
    better = [[str(a) for a in (s**2, 2 - 4 * s**2, -2 * s, 0)], ["2", str(2 * s)]]
    structure = {"outgoing": [1, 0], "gates": [[1, 0], [1, 0]]}
    theta = [[0, 2, 0, 0], [2, 0]]
    return _record("fc-relu-local", "dead neuron", instance, theta, [2, 2], [(0, 2), (1, 2)], structure, better)


def depth2_relu_nonzero_local(signs: Sequence[int] = (1, 1)) -> Record:
    """Each neuron on its own point, exactly at right angles to the other; signs: of the labels and of v."""
    start = _rows([[1, -1, -1, 1], signs])
    instance = Instance.of(_square(), "exponential", _rows([[1, 0], [0, 1]]), tuple(signs), start)
    better = [["21/25", "21/25", 0, 0], [str(signs[0] * Fraction(6, 5)), 0]]
    structure = {"outgoing": list(signs), "gates": [[1, 0], [0, 1]]}
    theta = [[1, 0, 0, 1], list(signs)]
    return _record("depth2-relu-nonzero-local", "kink", instance, theta, [1, 1], [(1, 1), (0, 2)], structure, better)


ALL = {"depth2-local": depth2_local, "fc-relu-local": fc_relu_local, "nonzero-local": depth2_relu_nonzero_local}


def _square() -> Network:
    return fully_connected("relu", (2, 2))


def _rows(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Fraction, ...], ...]:
    return tuple(tuple(Fraction(a) for a in row) for row in rows)


def _record(
    claim: str,
    mechanism: str,
    instance: Instance,
    theta: list[list[int]],
    multipliers: list[int],
    kinks: list[tuple[int, int]],
    structure: dict[str, Any],
    better: list[list[Any]],
) -> Record:
    width = instance.network.widths[1]
    nu = None if instance.network.activation == "linear" else [[0] * width for _ in range(instance.n)]
    return Record(
        {
            "format": 1,
            "claim": claim,
            "mechanism": mechanism,
            "instance": json.loads(instance.to_json()),
            "limit": {
                "theta": theta,
                "value": sum(a * a for row in theta for a in row) / 2,
                "margins": [float(q) for q in instance.problem.margins(_rows(theta))],
                "multipliers": multipliers,
                "kkt_residual": 0.0,
                "kinks": [{"sample": i, "layer": 1, "neuron": j, "coefficient": 0.0} for i, j in kinks],
                "evidence": [[2.0, 0.01], [3.0, 0.001]],
            },
            "structure": structure,
            "certificate": {
                "kind": "better",
                "problem": "full",
                "scope": "local",
                "theta": theta,
                "structure": structure,
                "better": better,
                "face": {"alpha": multipliers, "nu": nu},
            },
            "replay": {"verify": f"marginalia verify reports/{claim}/counterexample.json"},
            "found": {"seed": 0, "software": {"python": "3.11"}},
        }
    )
