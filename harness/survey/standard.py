"""The cells that are surveyed for a claim where none are named: small networks of every family, under every law.

A claim that assumes something of the data or the start has the cells in which some of the first instances meet it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from harness.claims.table import CLAIMS, Claim
from harness.problem.fields import FieldError
from harness.survey.laws import Cell, drawn, grid

_BOTH = ("relu", "linear")
_NETWORKS: tuple[dict[str, Any], ...] = (
    {"family": "fully connected", "activation": _BOTH, "depth": 2, "width": (2, 4), "d": (2, 3)},
    {"family": "fully connected", "activation": _BOTH, "depth": 3, "width": 2, "d": 2},
    {"family": "locally connected", "activation": _BOTH, "depth": 2, "width": 3, "d": 3, "labels": "network teacher"},
    {"family": "diagonal", "activation": _BOTH, "depth": (2, 3), "d": (2, 3), "labels": "network teacher"},
    {"family": "convolutional", "activation": _BOTH, "d": 3, "labels": "network teacher"},
)
_LEAKY: dict[str, Any] = {"activation": "leaky_relu", "slope": 0.5}
# Those that only claims around the paper speak of, which are left out where no claim is named.
_BEYOND: tuple[dict[str, Any], ...] = (
    {**_LEAKY, "width": (2, 4), "d": (2, 3)},
    {**_LEAKY, "width": (2, 4), "d": (2, 3), "fixed": 2},
    {"activation": "relu", "width": 4, "d": 2, "fixed": 2},
    {"family": ("circulant", "scalar"), "activation": "linear", "d": (2, 3)},
    {"family": "diagonal", "activation": "linear", "d": (2, 3), "outgoing": 1.0},
    {"activation": "linear", "width": (2, 3), "d": (2, 3), "outputs": (2, 3)},
    {"activation": "linear", "depth": 1, "d": (2, 3), "outputs": (2, 3)},
)
_LAWS: tuple[dict[str, Any], ...] = (
    {"n": (2, 4), "data": ("gaussian", "clustered"), "scale": (0.1, 1.0)},
    {"n": 2, "data": "near-orthogonal", "scale": (0.1, 1.0)},
    {"n": (2, 4), "data": "integer", "start": "integer"},
)
# Data that claims assume, on networks of one output but for the last.
_DATA: tuple[dict[str, Any], ...] = (
    {"n": (2, 4), "data": "orthogonally separable", "labels": "sum"},
    {"n": (2, 4), "data": "mirrored", "labels": "linear teacher"},
    {"n": 4, "d": 2, "data": "hidden bias", "labels": "start"},
    {"n": 3, "d": 3, "data": "basis", "labels": "random"},
)
_FIRST = 20


def cells(claims: Sequence[str]) -> list[Cell]:
    """The cells whose network one of the claims speaks of, or all if there are none. Raises FieldError."""
    for claim in claims:
        if claim not in CLAIMS:
            raise FieldError("claim", f"there is no claim {claim!r}")
    if not claims:
        return [cell for networks in _NETWORKS for law in _LAWS for cell in grid(**networks, **law)]
    every = [
        cell
        for networks in (*_NETWORKS, *_BEYOND)
        for law in (*_LAWS, *_DATA)
        for cell in _sensible({**networks, **law})
    ]
    return [cell for cell in every if any(_spoken_of(CLAIMS[claim], cell) for claim in claims)]


def _sensible(axes: dict[str, Any]) -> list[Cell]:
    """The cells of a grid; none where a law does not go with the networks."""
    with suppress(FieldError):
        return grid(**axes)
    return []


def _spoken_of(claim: Claim, cell: Cell) -> bool:
    if not claim.applies(cell.network):
        return False
    decision = claim.decided_by
    if decision.data is None and decision.start is None:
        return True
    return any(claim.speaks_of(drawn(cell, 0, index)[0]) for index in range(_FIRST))
