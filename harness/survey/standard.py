"""The cells that are surveyed for a claim where none are named: small networks of every family, under every law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.survey.laws import Cell, grid

_BOTH = ("relu", "linear")
_NETWORKS: tuple[dict[str, Any], ...] = (
    {"family": "fully connected", "activation": _BOTH, "depth": 2, "width": (2, 4), "d": (2, 3)},
    {"family": "fully connected", "activation": _BOTH, "depth": 3, "width": 2, "d": 2},
    {"family": "locally connected", "activation": _BOTH, "depth": 2, "width": 3, "d": 3, "labels": "network teacher"},
    {"family": "diagonal", "activation": _BOTH, "depth": (2, 3), "d": (2, 3), "labels": "network teacher"},
    {"family": "convolutional", "activation": _BOTH, "d": 3, "labels": "network teacher"},
)
_LAWS: tuple[dict[str, Any], ...] = (
    {"n": (2, 4), "data": ("gaussian", "clustered"), "scale": (0.1, 1.0)},
    {"n": 2, "data": "near-orthogonal", "scale": (0.1, 1.0)},
    {"n": (2, 4), "data": "integer", "start": "integer"},
)


def cells(claims: Sequence[str]) -> list[Cell]:
    """The cells whose network one of the claims speaks of, or all if there are none. Raises FieldError."""
    for claim in claims:
        if claim not in CLAIMS:
            raise FieldError("claim", f"there is no claim {claim!r}")
    every = [cell for networks in _NETWORKS for law in _LAWS for cell in grid(**networks, **law)]
    if not claims:
        return every
    spoken_of = {cell.network: any(CLAIMS[claim].applies(cell.network) for claim in claims) for cell in every}
    return [cell for cell in every if spoken_of[cell.network]]
