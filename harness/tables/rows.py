"""The cells of the two tables: which claim each is about, and which random instances are drawn for it.

And the claims around the paper, one row each, on instances of kinds that they speak of.

Vardi, Shamir & Srebro, arXiv:2110.02732, sections 3 to 5.  Depth 2, and deep networks with the problems of single
layers; columns linear and relu; a row is an architecture with what is assumed of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.claims.table import CLAIMS
from harness.problem.networks import Activation
from harness.survey.laws import Cell, grid

COLUMNS: tuple[Activation, ...] = ("linear", "relu")


@dataclass(frozen=True)
class Entry:
    """One answer in one cell.

    table: "depth 2" or "deep".  row: the architecture and what is assumed.  claim: its id.  depth: of the networks
    that are drawn.
    """

    table: str
    row: str
    activation: Activation
    claim: str
    depth: int = 2

    @property
    def answer(self) -> str:
        """What the paper says: "global", "local", "not global" or "not local"."""
        scope = "global" if "global" in CLAIMS[self.claim].conclusion else "local"
        return scope if CLAIMS[self.claim].status == "theorem" else f"not {scope}"

    def speaks_of(self, cell: Cell) -> bool:
        """Whether instances of the cell are drawn for this entry."""
        return (
            cell.activation == self.activation and cell.depth == self.depth and CLAIMS[self.claim].applies(cell.network)
        )


_D2, _DEEP = "depth 2", "deep"

ENTRIES = (
    Entry(_D2, "fully connected", "linear", "fc-linear-global"),
    Entry(_D2, "fully connected", "relu", "fc-relu-local"),
    Entry(_D2, "no shared weights", "linear", "depth2-local"),
    Entry(_D2, "no shared weights", "relu", "depth2-local"),
    Entry(_D2, "no shared weights, nonzero weight vectors", "linear", "depth2-linear-nonzero-global"),
    Entry(_D2, "no shared weights, nonzero weight vectors", "relu", "depth2-relu-nonzero-local"),
    Entry(_D2, "no shared weights, nonzero inputs", "relu", "depth2-relu-active-local"),
    Entry(_D2, "no shared weights, nonzero inputs", "relu", "depth2-relu-active-global"),
    Entry(_D2, "shared weights, nonzero weight vectors and inputs", "linear", "shared-local"),
    Entry(_D2, "shared weights, nonzero weight vectors and inputs", "relu", "shared-local"),
    Entry(_D2, "each layer", "linear", "linear-layerwise-global"),
    Entry(_D2, "each layer", "relu", "relu-layerwise-local"),
    Entry(_D2, "each layer, nonzero inputs", "relu", "relu-active-layerwise-local"),
    Entry(_D2, "each layer, nonzero inputs", "relu", "relu-active-layerwise-global"),
    Entry(_DEEP, "fully connected", "linear", "fc-linear-global", 3),
    Entry(_DEEP, "fully connected", "relu", "fc-relu-local", 3),
    Entry(_DEEP, "no shared weights, nonzero weights and inputs", "linear", "deep-local", 3),
    Entry(_DEEP, "no shared weights, nonzero weights and inputs", "relu", "deep-local", 3),
    Entry(_DEEP, "each layer", "linear", "linear-layerwise-global", 3),
    Entry(_DEEP, "each layer, nonzero inputs", "relu", "relu-active-layerwise-local", 3),
    Entry(_DEEP, "each layer, nonzero inputs", "relu", "relu-active-layerwise-global", 3),
)

# What is drawn: small networks of every family, starts and data of floats and of small integers, in which zeros, ties
# and right angles are common; labels are those of the start's own output, so that most flows separate the data.
_LAWS: tuple[dict[str, Any], ...] = (
    {"data": "gaussian", "start": "gaussian"},
    {"data": "integer", "start": "integer"},
    {"data": "integer", "start": "gaussian"},
)
_FAMILIES: dict[int, tuple[dict[str, Any], ...]] = {
    2: (
        {"family": "fully connected", "width": (1, 2), "d": 2, "n": (1, 2, 3)},
        {"family": "diagonal", "d": 2, "n": (1, 2)},
        {"family": "locally connected", "width": 2, "d": 3, "n": (1, 2)},
        {"family": "convolutional", "d": (2, 3), "n": (1, 2)},
    ),
    3: (
        {"family": "fully connected", "width": (1, 2), "d": 2, "n": (1, 2)},
        {"family": "diagonal", "d": (1, 2), "n": (1, 2)},
        {"family": "locally connected", "width": 2, "d": 2, "n": (1, 2)},
    ),
}


@dataclass(frozen=True)
class Group:
    """Entries that are judged on the same limits.  instances: how many are drawn in a full run."""

    activation: Activation
    depth: int
    instances: int

    @property
    def name(self) -> str:
        return f"{self.activation}-{self.depth}"

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(e for e in ENTRIES if e.activation == self.activation and self.depth == e.depth)

    @property
    def claims(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.claim for entry in self.entries))

    def speaks_of(self, claim: str, cell: Cell) -> bool:
        """Whether instances of the cell are drawn for this claim."""
        return any(entry.claim == claim and entry.speaks_of(cell) for entry in self.entries)

    @property
    def cells(self) -> tuple[Cell, ...]:
        return _cells(self.activation, self.depth)


@dataclass(frozen=True)
class Around:
    """Claims around the paper that are judged on the same limits.

    kinds: axes of the cells, each a grid.  instances: how many are drawn in a full run.
    """

    kind: str
    claims: tuple[str, ...]
    kinds: tuple[dict[str, Any], ...]
    instances: int
    entries: tuple[Entry, ...] = ()

    @property
    def name(self) -> str:
        return f"around-{self.kind}"

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(cell for axes in self.kinds for cell in grid(**axes))

    def speaks_of(self, claim: str, cell: Cell) -> bool:
        """Whether instances of the cell are drawn for this claim."""
        return CLAIMS[claim].applies(cell.network)


_GENTLE = {"activation": "leaky_relu", "slope": (0.1, 0.5)}
_SIGNS = {**_GENTLE, "fixed": 2, "width": (2, 4)}
_NEAR = {"data": "near-orthogonal", "n": (2, 3), "d": (3, 6)}
_APART = {"data": "orthogonally separable", "labels": "sum", "n": (2, 4), "d": (2, 3)}
_SCALES = {"scale": (0.1, 1.0)}
_ANYTHING: tuple[dict[str, Any], ...] = ({"data": "gaussian"}, {"data": "integer", "start": "integer"})

AROUND = (
    Around(
        "kinked",
        (
            "pattern-collapse",
            "depth2-concave-kinks-local",
            "dead-local-global",
            "dead-local-global-any",
            "depth2-relu-generic-local",
            "depth2-inner-kinks-local",
            "fc-leaky-local",
            "fc-leaky-started-local",
            "leaky-nonzero-local",
        ),
        tuple(
            {**network, **law, "width": 3, "d": 2, "n": (2, 3), "labels": "start"}
            for network in ({"activation": "relu"}, _GENTLE)
            for law in _ANYTHING
        ),
        100_000,
    ),
    Around("paths", ("multi-margin",), ({"activation": ("relu", "linear"), "depth": (2, 3), "width": 2},), 20_000),
    Around("apart", ("orthsep-global",), ({"width": (2, 4), **_APART, **_SCALES},), 20_000),
    Around("deep", ("orthsep-deep",), ({"depth": 3, "width": 3, **_APART},), 40_000),
    Around(
        "near",
        ("nearorth-equal", "nearorth-adversarial", "linear-all-support"),
        ({"activation": ("relu", "linear"), "width": 4, **_NEAR, **_SCALES},),
        80_000,
    ),
    Around(
        "near-leaky",
        ("leaky-equal", "leaky-nearorth", "leaky-nearorth-sharp", "leaky-linear-margin"),
        ({**_GENTLE, "width": 4, **_NEAR}, {**_SIGNS, **_NEAR}),
        160_000,
    ),
    Around(
        "mirrored",
        ("sym-floor", "sym-global"),
        tuple(
            {**network, "data": "mirrored", "width": (3, 4), "n": (2, 4), "d": (2, 3), **_SCALES}
            for network in ({"activation": "relu"}, _GENTLE)
        ),
        60_000,
    ),
    Around(
        "hidden-bias",
        ("univariate-two-breaks",),
        ({"data": "hidden bias", "labels": "start", "width": (6, 10), "n": (3, 4), "d": 2},),
        60_000,
    ),
    Around(
        "diagonal",
        ("diag2-unbalanced-global", "diag2-balanced-orthant"),
        tuple(
            {"family": "diagonal", "activation": "linear", "d": (2, 3), "n": (1, 2), "outgoing": ratio, **_SCALES}
            for ratio in (None, 1.0)
        ),
        60_000,
    ),
    Around(
        "filters",
        ("conv-full-nonzero-global", "conv-full-global", "conv-scalar-global"),
        tuple(
            {"family": ("circulant", "scalar"), "activation": "linear", "d": (2, 3, 4), "n": (1, 2), **law}
            for law in _ANYTHING
        ),
        120_000,
    ),
    Around(
        "generic",
        ("linear-generic-local",),
        (
            {"activation": "linear", "width": 2, "depth": (2, 3), "d": 2, "n": (1, 2)},
            {"family": ("diagonal", "convolutional"), "activation": "linear", "d": (2, 3), "n": (1, 2)},
        ),
        40_000,
    ),
    Around(
        "fixed",
        ("leaky-nearorth-any", "leaky-separable-separates", "leaky-orthsep", "frozen-concave-kinks-local"),
        (
            {**_SIGNS, "d": 2, "n": (2, 3)},
            {**_SIGNS, **_APART},
            {"activation": "relu", "fixed": 2, "width": 4, "d": 2, "n": (2, 3), "labels": "start"},
        ),
        80_000,
    ),
    Around(
        "classes",
        ("mc-depth1-global", "mc-seli-floor", "mc-linear2-global", "mc-linear2-generic-global"),
        (
            {"activation": "linear", "depth": 1, "outputs": (2, 3), "n": (3, 4), "d": (2, 3)},
            {
                "activation": "linear",
                "width": (2, 3),
                "outputs": 3,
                "data": "basis",
                "labels": "random",
                "n": 3,
                "d": 3,
            },
            {"activation": "linear", "width": (2, 3), "outputs": (2, 3), "n": (2, 3), "d": 2, "start": "integer"},
        ),
        100_000,
    ),
)
GROUPS: tuple[Group | Around, ...] = (
    Group("linear", 2, 200_000),
    Group("relu", 2, 520_000),
    Group("linear", 3, 150_000),
    Group("relu", 3, 130_000),
    *AROUND,
)


@cache
def _cells(activation: Activation, depth: int) -> tuple[Cell, ...]:
    return tuple(
        cell
        for family in _FAMILIES[depth]
        for law in _LAWS
        for cell in grid(activation=activation, depth=depth, labels="start", **family, **law)
    )
