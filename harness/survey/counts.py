"""What a survey found: counts a cell, and rates with their Wilson intervals."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.survey.laws import USUAL, Cell

# How much more than need be a limit costs, at least: value / bound - 1 for the better point that is known.
GAPS = ((0.01, "under 1 %"), (0.1, "1 to 10 %"), (1.0, "10 to 100 %"), (math.inf, "over 100 %"))
# The columns that are counted value by value.
_COUNTED = {
    "outcome": "outcomes", "local": "local", "mechanism": "mechanisms", "global": "global_", "agreement": "agreement",
}  # fmt: skip
_FLAGS = {"separated": "separated", "doubt": "doubts", "held": "held", "suspect": "suspects", "audited": "audited"}


@dataclass(frozen=True)
class Rate:
    """k of n, with Wilson's interval. level: z, the quantile of the normal law; 1.96 is 95 %."""

    k: int
    n: int
    z: float = 1.959964

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval; all of [0, 1] for n = 0."""
        if not self.n:
            return 0.0, 1.0
        p, q = self.value, self.z * self.z / self.n
        middle = (p + q / 2) / (1 + q)
        half = math.sqrt(q * (p * (1 - p) + q / 4)) / (1 + q)
        low, high = middle - half, middle + half
        return (0.0 if self.k == 0 else low), (1.0 if self.k == self.n else high)

    def __str__(self) -> str:
        if not self.n:
            return "-"
        low, high = (f"{100 * end:.2f}" for end in self.interval)
        return f"{100 * self.value:.2f} % [{low}, {high}]"


@dataclass
class Tally:
    """Counts of some instances.

    outcomes: of work.Ending. separated: flows known to separate the data. local, global_: the verdicts on the
    converged limits; mechanisms: of the limits that are no local optimum. claims: the outcomes of each claim.
    agreement: of the float verdicts with the exact ones, where both were asked for. doubts: converged limits whose
    zeros cannot be told. gaps: limits with a better point known, by how much more than it they cost (GAPS), summed, and
    the most. features: the values of each, by "name:key". beside: by "label:key", how optimisers end beside the flow.
    """

    instances: int = 0
    separated: int = 0
    doubts: int = 0
    held: int = 0
    suspects: int = 0
    audited: int = 0
    gap_sum: float = 0.0
    gap_most: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)
    mechanisms: Counter[str] = field(default_factory=Counter)
    global_: Counter[str] = field(default_factory=Counter)
    agreement: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    claims: dict[str, Counter[str]] = field(default_factory=dict)
    features: dict[str, Counter[str]] = field(default_factory=dict)
    beside: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        for part in fields(self):
            mine, theirs = getattr(self, part.name), getattr(other, part.name)
            if part.name == "gap_most":
                self.gap_most = max(mine, theirs)
            elif part.name in ("claims", "features", "beside"):
                for name, counted in theirs.items():
                    mine.setdefault(name, Counter()).update(counted)
            elif isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, part.name, mine + theirs)

    @property
    def nonlocal_rate(self) -> Rate:
        """The share of limits that are no local optimum, of those that are decided."""
        return Rate(self.local["not_optimal"], self.local["optimal"] + self.local["not_optimal"])

    @property
    def nonglobal_rate(self) -> Rate:
        """The share of limits that are no global optimum, of those that are decided."""
        return Rate(self.global_["not_optimal"], self.global_["optimal"] + self.global_["not_optimal"])

    def violated_rate(self, claim: str) -> Rate:
        """The share of instances that violate the claim, of those that it speaks of and that are decided."""
        outcomes = self.claims.get(claim, Counter())
        return Rate(outcomes["violated"], outcomes["violated"] + outcomes["holds"])

    def mechanism_rate(self, mechanism: str) -> Rate:
        return Rate(self.mechanisms[mechanism], self.local["optimal"] + self.local["not_optimal"])


@dataclass(frozen=True)
class Counts:
    """A tally a cell, in the order of the plan."""

    cells: tuple[tuple[Cell, Tally], ...]

    @property
    def total(self) -> Tally:
        return merged(tally for _, tally in self.cells)

    def by(self, *axes: str) -> dict[tuple[Any, ...], Tally]:
        """The tallies of all cells with the same values on these axes, which are fields of Cell or its kind."""
        groups: dict[tuple[Any, ...], Tally] = {}
        for cell, tally in self.cells:
            groups.setdefault(tuple(getattr(cell, axis) for axis in axes), Tally()).add(tally)
        return groups

    def csv(self) -> str:
        """One line a cell: its axes, then every count. read_csv reads it.

        Counts that no cell has are left out, and so are the axes of USUAL where every cell is usual.
        """
        flat = [asdict(cell) | _flat(tally) for cell, tally in self.cells]
        usual = {name for name, value in USUAL.items() if all(line[name] == value for line in flat)}
        flat = [{name: value for name, value in line.items() if name not in usual} for line in flat]
        names = list(dict.fromkeys(name for line in flat for name in line))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval=0, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        return text.getvalue()


def read_csv(text: str) -> Counts:
    """The counts of which this is the table."""
    kinds = {axis.name: axis.type for axis in fields(Cell)}
    cells: list[tuple[Cell, Tally]] = []
    for line in csv.DictReader(io.StringIO(text)):
        axes = {name: _axis(kinds[name], line[name]) for name in kinds if name in line}
        cells.append((Cell(**axes), _unflat({name: value for name, value in line.items() if name not in kinds})))
    return Counts(tuple(cells))


def merged(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def count(out: Path) -> Counts:
    """The counts of what is in the folder of a survey, finished or not. Raises FieldError."""
    from harness.survey.shards import Folder

    folder = Folder(out)
    plan = folder.plan()
    tallies = [Tally(claims={claim: Counter() for claim in plan.claims}) for _ in plan.cells]
    for table in folder.tables():
        _count(table, tallies)
    return Counts(tuple(zip(plan.cells, tallies, strict=True)))


def _count(table: pa.Table, tallies: list[Tally]) -> None:
    def grouped(name: str) -> Iterable[tuple[int, Any, int]]:
        found = pa.table({"cell": table["cell"], "value": pc.cast(table[name], _plain(table[name].type))})
        return zip(*found.group_by(["cell", "value"]).aggregate([([], "count_all")]).to_pydict().values(), strict=True)

    for name in table.column_names:
        prefix, _, rest = name.partition(":")
        if name not in _COUNTED and not rest:
            continue
        for cell, value, times in grouped(name):
            if value is not None:
                tally = tallies[cell]
                if prefix == "claim":
                    tally.claims[rest][value] += times
                elif prefix == "beside":
                    tally.beside.setdefault(rest, Counter())[value] += times
                elif rest:
                    tally.features.setdefault(name, Counter())[f"{value:g}"] += times
                else:
                    getattr(tally, _COUNTED[name])[value] += times
    for name, attribute in _FLAGS.items():
        for cell, value, times in grouped(name):
            tally = tallies[cell]
            if value:
                setattr(tally, attribute, getattr(tally, attribute) + times)
    for cell in table["cell"].to_numpy():
        tallies[cell].instances += 1
    if "global" not in table.column_names:
        return
    columns = (table[name].to_pylist() for name in ("cell", "global", "value", "bound"))
    for cell, status, value, bound in zip(*columns, strict=True):
        if status == "not_optimal" and bound is not None:
            tally, gap = tallies[cell], value / bound - 1.0
            tally.gaps[next(name for most, name in GAPS if gap < most)] += 1
            tally.gap_sum += gap
            tally.gap_most = max(tally.gap_most, gap)


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _flat(tally: Tally) -> dict[str, Any]:
    """A column a count: "outcomes: converged", "claims: kkt: holds"."""
    flat: dict[str, Any] = {}
    for part in fields(tally):
        value = getattr(tally, part.name)
        if isinstance(value, Counter):
            flat |= {f"{part.name}: {name}": times for name, times in sorted(value.items())}
        elif isinstance(value, dict):
            # the ends of optimisers are many, and not every cell has all
            named = sorted(value.items()) if part.name == "beside" else value.items()
            flat |= {f"{part.name}: {name}: {v}": times for name, c in named for v, times in sorted(c.items())}
        else:
            flat[part.name] = value
    return flat


def _unflat(line: Mapping[str, str]) -> Tally:
    tally = Tally()
    for column, text in line.items():
        name, *keys = column.split(": ")
        if not keys:
            setattr(tally, name, float(text) if "." in text or "e" in text else int(text))
        elif int(text):
            *outer, inner = keys
            counter = getattr(tally, name)
            (counter.setdefault(outer[0], Counter()) if outer else counter)[inner] = int(text)
    return tally


def _axis(kind: Any, text: str) -> Any:
    if not text:
        return None
    return int(text) if "int" in kind else float(text) if "float" in kind else text
