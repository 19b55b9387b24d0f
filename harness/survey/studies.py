"""The surveys that are shipped under reports/surveys: what each of them asks, and its plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.claims.table import CLAIMS
from harness.optimisers.setups import Setup
from harness.survey.counts import GAPS, Counts, Rate, Tally
from harness.survey.laws import Cell, grid
from harness.survey.pages import Bounds, ClaimTable, Figure, Measure, Table, summary_line, with_tables
from harness.survey.plan import VERDICTS, Plan

PAGE, COUNTS, FIGURE = "README.md", "counts.csv", "figure.svg"
_SCALES = (0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Study:
    """name: its folder. question: a sentence. tables, figure: of its page. The others: of its plan; batch: instances a
    task, few where they are dear."""

    name: str
    question: str
    cells: tuple[Cell, ...]
    tables: tuple[Table | ClaimTable, ...]
    figure: Figure | Bounds
    claims: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = VERDICTS
    optimisers: tuple[Setup, ...] = ()
    batch: int = 1000

    def plan(self, instances: int, seed: int = 0, device: str = "cpu") -> Plan:
        return Plan(
            self.cells,
            instances,
            seed,
            self.claims,
            self.verdicts,
            self.features,
            self.optimisers,
            device,
            self.batch,
        )

    def blocks(self, counts: Counts) -> list[str]:
        """What stands between the marks of its page."""
        picture = f"![{self.figure.labels[1]}, by {self.figure.labels[0]}]({FIGURE})"
        return [picture, summary_line(counts), *(table.markdown(counts) for table in self.tables)]

    def report(self, counts: Counts, reports: Path) -> Path:
        """Write the counts, the figure and the tables of the page into a folder of the study's own; returns that."""
        folder = reports / self.name
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / PAGE
        text = page.read_text(encoding="utf-8") if page.exists() else f"# {self.question}\n"
        (folder / COUNTS).write_text(counts.csv(), encoding="utf-8")
        (folder / FIGURE).write_bytes(self.figure.svg(counts))
        page.write_text(with_tables(text, self.blocks(counts)), encoding="utf-8")
        return folder


# Those of the first paper: the ones around it assume data that no cell here has.
_REFUTED = tuple(c.id for c in CLAIMS.values() if c.status == "refuted" and c.source.startswith("VSS"))
# Settings of the refuted claims, small enough that nearly every verdict is decided.
_NETWORKS: tuple[dict[str, Any], ...] = (
    {"family": "fully connected", "activation": "relu", "width": 3, "d": 2},
    {"family": "diagonal", "activation": ("relu", "linear"), "d": 3, "labels": "network teacher"},
    {"family": "locally connected", "activation": "relu", "width": 3, "d": 3, "labels": "network teacher"},
    {"family": "convolutional", "activation": ("relu", "linear"), "d": 3, "labels": "network teacher"},
    {"family": "diagonal", "activation": ("relu", "linear"), "depth": 3, "d": 3, "labels": "network teacher"},
    {"family": "fully connected", "activation": "relu", "depth": 3, "width": 2, "d": 2},
)

# Those that no paper and no proof of ours has decided.
_OPEN = tuple(c.id for c in CLAIMS.values() if c.status == "open" and c.decided_by.trained is None)
_ANY: tuple[dict[str, Any], ...] = (
    {"scale": (0.1, 1.0)},
    {"data": "integer"},
    {"data": "integer", "start": "integer"},
)
_EITHER = ({}, _ANY[-1])
_SOFT: dict[str, Any] = {"activation": "leaky_relu", "slope": (0.1, 0.5)}
# Data at the edge of what a claim assumes are in "oblique" and "integer"; coincidences, in integer starts.
_AROUND_OPEN: tuple[dict[str, Any], ...] = (
    *({"labels": "start", "width": (2, 3), "n": (2, 3), "d": (2, 3), **law} for law in _ANY),
    *({**_SOFT, "labels": "start", "width": (2, 3), "n": (2, 3), **law} for law in _EITHER),
    *(
        {**_SOFT, "fixed": 2, "width": 4, "d": 3, "n": (2, 3), **law}
        for law in ({"data": "near-orthogonal"}, {"data": "oblique"}, {"data": "integer", "start": "integer"})
    ),
    *(
        {**_SOFT, "slope": (0.5, 0.9), "fixed": 2, "width": (2, 4), "d": 6, "n": (2, 3), "data": data}
        for data in ("near-orthogonal", "oblique")
    ),
    *(
        {"data": "mirrored", "width": (3, 4), "n": (2, 4), "d": (2, 3), **law}
        for law in ({"scale": (0.1, 1.0)}, {"start": "integer"})
    ),
    *({"activation": "linear", "width": 2, "depth": (2, 3), "n": (1, 2), **law} for law in _EITHER),
    *({"family": ("diagonal", "convolutional"), "activation": "linear", "n": 2, "d": (2, 3), **law} for law in _EITHER),
    *(
        {"activation": "linear", "width": (2, 3), "outputs": (2, 3), "n": (2, 3), "start": start}
        for start in ("gaussian", "integer")
    ),
    {"depth": 3, "width": (3, 4), "n": (2, 4), "d": (2, 3), "data": "orthogonally separable", "labels": "sum"},
)
# The dearest, some tens of seconds a flow, from one scale alone.
_WIDE = tuple(
    cell
    for width, n, scale in (
        *((width, n, (0.1, 0.3, 1.0)) for width in (10, 20) for n in (10, 20)),
        (10, 50, (0.1, 0.3, 1.0)),
        (20, 50, 0.3),
    )
    for cell in grid(width=width, n=n, d=(2, 5, 10), labels="random", scale=scale)
)


def _nonlocal(tally: Tally) -> Rate:
    return tally.nonlocal_rate


def _nonglobal(tally: Tally) -> Rate:
    return tally.nonglobal_rate


def _feature(name: str, value: str) -> Measure:
    def share(tally: Tally) -> Rate:
        counted = tally.features.get(name, {})
        return Rate(counted.get(value, 0), sum(counted.values()))

    return share


def _outcome(name: str) -> Measure:
    return lambda tally: Rate(tally.outcomes[name], tally.instances)


def _mechanism(name: str) -> Measure:
    return lambda tally: tally.mechanism_rate(name)


def _no_mechanism(tally: Tally) -> Rate:
    named = sum(tally.mechanisms[name] for name in ("dead neuron", "kink"))
    return Rate(tally.local["not_optimal"] - named, tally.nonlocal_rate.n)


def _violated(claim: str) -> Measure:
    return lambda tally: tally.violated_rate(claim)


def _gap(name: str) -> Measure:
    return lambda tally: Rate(tally.gaps[name], tally.nonglobal_rate.n)


def _beside(setup: Setup, key: str, *values: str) -> Measure:
    """The share of these, of how a setup ends (beside.py)."""

    def share(tally: Tally) -> Rate:
        counted = tally.beside.get(f"{setup.label}:{key}", {})
        return Rate(sum(counted.get(value, 0) for value in values), sum(counted.values()))

    return share


def _changed(setup: Setup, key: str) -> Measure:
    """The share of answers that are not the flow's, of those that are decided of both."""

    def share(tally: Tally) -> Rate:
        counted = tally.beside.get(f"{setup.label}:{key}", {})
        decided = {pair: n for pair, n in counted.items() if not {"undecided", "outside"} & {*pair.split(" -> ")}}
        changed = sum(n for pair, n in decided.items() if len({*pair.split(" -> ")}) > 1)
        return Rate(changed, sum(decided.values()))

    return share


_STEPS = 10_000
_TRAINED = (
    *(Setup(name, _STEPS) for name in ("gd", "momentum", "l2", "linf", "spectral", "adam")),
    Setup("adam", _STEPS, options={"beta2": 0.9, "eps": 0.0}),
)
_KINDS = {"KKT point": ("KKT point",), "no KKT point": ("no KKT point",), "on its way": ("on its way",),
          "not separated, or beyond the floats": ("not separated", "left the floats")}  # fmt: skip
_COMPARED = ("kkt", "fc-linear-global", "fc-relu-local", "depth2-relu-nonzero-local")
_OUTCOMES: dict[str, Measure] = {
    "converged": _outcome("converged"),
    "not separated": lambda tally: Rate(
        tally.outcomes["not separated"] + tally.outcomes["never separates"], tally.instances
    ),
    "not unique": _outcome("not unique"),
    "undecided": _outcome("undecided"),
}
_VERDICTS: dict[str, Measure] = {
    name: lambda tally, status=status: Rate(tally.local[status], tally.local.total())
    for name, status in (("local optimum", "optimal"), ("no local optimum", "not_optimal"), ("undecided", "undecided"))
}
_VERTEX = {
    "the largest at the start": _feature("vertex:largest", "1"),
    "the fastest at the start": _feature("vertex:fastest", "1"),
    "the fastest, and no other": _feature("vertex:alone", "1"),
}
_KIND = ("family", "activation", "depth")

_ALL = (
    Study(
        "relu-width",
        "Fully connected relu networks of depth 2: how often is the limit no local optimum, by width, number of "
        "points and scale of the start?",
        tuple(
            cell
            for width, points in ((2, (2, 3, 4)), (3, (2, 3, 4)), (4, (2, 3, 4)), (6, (2,)))
            for cell in grid(width=width, n=points, d=2, scale=_SCALES)
        ),
        (
            Table("What became of the flows", ("width",), None, _OUTCOMES),
            Table("Not a local optimum, of the limits decided", ("width", "n"), "scale", {"": _nonlocal}),
            Table("The same, all scales", ("width",), "n", {"": _nonlocal}),
            Table("Not a global optimum, of the limits decided, all scales", ("width",), "n", {"": _nonglobal}),
            Table(
                "All widths and n together",
                (),
                "scale",
                {
                    "not local": _nonlocal,
                    "by a dead neuron": _mechanism("dead neuron"),
                    "by a kink": _mechanism("kink"),
                    "not global": _nonglobal,
                },
            ),
            Table(
                "Neurons that are zero in the limit",
                (),
                "scale",
                {
                    "limits that are local optima: none is zero": _feature("neurons:dead, local", "0"),
                    "limits that are not: none is zero": _feature("neurons:dead, not local", "0"),
                },
            ),
        ),
        Figure(
            ("scale", "n", "width"),
            panel=lambda axes: f"scale {axes['scale']:g}",
            line=lambda axes: f"n = {axes['n']}",
            x=lambda axes: axes["width"] / axes["n"],
            measure=_nonlocal,
            labels=("width / n", "not a local optimum"),
        ),
        ("fc-relu-local", "depth2-relu-nonzero-local"),
        ("neurons",),
    ),
    Study(
        "diagonal-vertex",
        "Diagonal linear networks of depth 3: which vertex does the flow choose, and what does it cost beside the "
        "cheapest?",
        tuple(
            cell
            for n, d in ((1, 2), (2, 2), (1, 4), (2, 4), (3, 4))
            for cell in grid(
                family="diagonal", activation="linear", depth=3, n=n, d=d, scale=_SCALES, outgoing=(None, 1.0)
            )
        ),
        (
            Table("What became of the flows", ("outgoing",), None, _OUTCOMES),
            Table("Not a global optimum, of the limits decided", ("n", "d", "outgoing"), "scale", {"": _nonglobal}),
            Table(
                "Costs more than the cheapest vertex, of the limits decided",
                ("n", "d", "outgoing"),
                None,
                {name: _gap(name) for _, name in GAPS},
            ),
            Table(
                "How many coordinates the limit has",
                ("n", "d", "outgoing"),
                None,
                {f"{k}": _feature("vertex:support", f"{k}") for k in (1, 2, 3)},
            ),
            Table("Which coordinate is in the limit", ("n", "d", "outgoing"), None, _VERTEX),
            Table("The same by scale", ("outgoing",), "scale", _VERTEX),
        ),
        Figure(
            ("outgoing", "n", "d", "scale"),
            panel=lambda axes: "independent weights" if axes["outgoing"] is None else "balanced weights",
            line=lambda axes: f"n = {axes['n']}, d = {axes['d']}",
            x=lambda axes: axes["scale"],
            measure=_nonglobal,
            labels=("scale of the start", "not a global optimum"),
            logarithmic=True,
        ),
        ("deep-local",),
        ("vertex",),
    ),
    Study(
        "robustness",
        "All refuted claims: what share of normal starts has a limit that violates them?",
        tuple(
            cell for axes in _NETWORKS for cell in grid(n=(2, 3), data=("gaussian", "integer"), scale=_SCALES, **axes)
        ),
        (
            Table("What became of the flows", _KIND, None, _OUTCOMES),
            Table("Not a local optimum, of the limits decided", _KIND, "scale", {"": _nonlocal}),
            Table(
                "The same by mechanism, all scales",
                _KIND,
                None,
                {name: _mechanism(name) for name in ("dead neuron", "kink", "zero weight", "saddle")},
            ),
            Table(
                "Violations of each refuted claim, of the limits that it speaks of and that are decided",
                (),
                "scale",
                {claim: _violated(claim) for claim in _REFUTED},
            ),
            Table("The same by data, all scales", (), "data", {claim: _violated(claim) for claim in _REFUTED}),
        ),
        Figure(
            ("data", *_KIND, "scale"),
            panel=lambda axes: f"{axes['data']} data",
            line=lambda axes: f"{axes['family']} {axes['activation']}, depth {axes['depth']}",
            x=lambda axes: axes["scale"],
            measure=_nonlocal,
            labels=("scale of the start", "not a local optimum"),
            logarithmic=True,
        ),
        _REFUTED,
    ),
    Study(
        "open",
        "The open claims: is any violated?",
        tuple(cell for axes in _AROUND_OPEN for cell in grid(**axes)),
        (
            ClaimTable("Limits that each claim speaks of", _OPEN),
            Table("What became of the flows", _KIND, None, _OUTCOMES),
        ),
        Bounds(_OPEN),
        _OPEN,
        verdicts=(),
    ),
    Study(
        "wide",
        "Wide relu networks of depth 2: how often is the limit no local optimum, by dimension, width and number of "
        "points?",
        _WIDE,
        (
            Table("What became of the flows", ("width", "d", "n"), None, _OUTCOMES),
            Table("The verdicts on the limits", ("width", "d", "n"), None, _VERDICTS),
            Table("Not a local optimum, of the limits decided", ("width", "d"), "n", {"": _nonlocal}),
            Table("The same by scale", ("width", "n"), "scale", {"": _nonlocal}),
            Table(
                "By mechanism, of the limits decided",
                ("width", "n"),
                None,
                {
                    "by a dead neuron": _mechanism("dead neuron"),
                    "by a kink": _mechanism("kink"),
                    "other": _no_mechanism,
                },
            ),
        ),
        Figure(
            ("width", "d", "n"),
            panel=lambda axes: f"width {axes['width']}",
            line=lambda axes: f"d = {axes['d']}",
            x=lambda axes: axes["n"],
            measure=_nonlocal,
            labels=("number of points", "not a local optimum"),
        ),
        verdicts=("local",),
        batch=12,
    ),
    Study(
        "optimisers",
        "Fully connected networks of depth 2, trained by optimisers: do they end where the flow does?",
        tuple(grid(activation=("relu", "linear"), width=3, n=3, d=2, scale=(0.01, 0.1, 1.0))),
        (
            Table("What became of the flows", ("activation",), None, _OUTCOMES),
            Table(
                "The direction after the last step costs at most 1 % more than the limit of the flow, or less",
                ("activation",),
                "scale",
                {s.label: _beside(s, "reached", "cheaper", "within 1 %") for s in _TRAINED},
            ),
            Table(
                "Where the training ends, as far as its direction settles",
                (),
                "activation",
                {f"{s.label}: {name}": _beside(s, "end", *kinds) for s in _TRAINED for name, kinds in _KINDS.items()},
            ),
            Table(
                "Another cost than the limit of the flow, of the ends that settled",
                (),
                "activation",
                {s.label: _beside(s, "value", "cheaper", "dearer") for s in _TRAINED},
            ),
            Table(
                "Another verdict than on the limit of the flow, of those decided on both",
                (),
                "activation",
                {f"{s.label}, {key} optimum": _changed(s, key) for s in _TRAINED for key in ("local", "global")},
            ),
            Table(
                "The same by claim",
                (),
                "activation",
                {f"{claim}, {s.label}": _changed(s, claim) for claim in _COMPARED for s in _TRAINED},
            ),
        ),
        Figure(
            ("activation", "scale"),
            panel=lambda axes: f"{axes['activation']} networks",
            line=lambda axes: "",
            x=lambda axes: axes["scale"],
            measure={s.label: _beside(s, "reached", "cheaper", "within 1 %") for s in _TRAINED},
            labels=("scale of the start", "within 1 % of the limit of the flow"),
            logarithmic=True,
        ),
        _COMPARED,
        optimisers=_TRAINED,
    ),
)
STUDIES = {study.name: study for study in _ALL}
