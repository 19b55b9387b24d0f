"""What a survey's page shows: tables of rates in Markdown, and a figure of rates as SVG.

The same counts give the same bytes. A page's prose is written by a person; its tables stand between two marks and
are replaced from the counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.survey.counts import Counts, Rate, Tally

Measure = Callable[[Tally], Rate]
Axes = Mapping[str, Any]

_BEGIN, _END = "<!-- tables: made by marginalia survey --report -->", "<!-- end of the tables -->"
# Colours and marks that are told apart by every common form of colour blindness (Okabe & Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A8A")
_MARKS = "osD^v<>P"
_STYLE: Any = {"svg.hashsalt": "marginalia", "svg.fonttype": "path", "font.size": 10.0}


@dataclass(frozen=True)
class Table:
    """Rates of groups of cells, a row for every value of the axes `rows` and every measure.

    columns: the axis across; None for a column a measure.
    """

    caption: str
    rows: tuple[str, ...]
    columns: str | None
    measures: Mapping[str, Measure]

    def markdown(self, counts: Counts) -> str:
        """The table, its caption above it."""
        if self.columns is None:
            head = [*self.rows, *self.measures]
            body = [
                [*map(_name, group), *(rate(measure(tally)) for measure in self.measures.values())]
                for group, tally in counts.by(*self.rows).items()
            ]
        else:
            across = list(counts.by(self.columns))
            groups = counts.by(*self.rows, self.columns)
            named = list(self.measures) != [""]
            head = [*self.rows, *([""] if named else []), *(f"{self.columns} {_name(value)}" for (value,) in across)]
            body = [
                [
                    *map(_name, group),
                    *([label] if named else []),
                    *(rate(measure(groups.get((*group, *value), Tally()))) for value in across),
                ]
                for group in counts.by(*self.rows)
                for label, measure in self.measures.items()
            ]
        return _captioned(self.caption, head, body)


@dataclass(frozen=True)
class ClaimTable:
    """A row a claim: how many limits it was held against, and what bounds its violations."""

    caption: str
    claims: tuple[str, ...]

    def markdown(self, counts: Counts) -> str:
        """The table, its caption above it."""
        total, rows = counts.total, []
        for claim in self.claims:
            found, violated = total.claims[claim], total.violated_rate(claim)
            numbers = (found.total() - found["outside"], violated.n, violated.k)
            rows.append((f"`{claim}`", *(f"{n:,}" for n in numbers), f"{_percent(violated.interval[1])} %"))
        return _captioned(self.caption, ("claim", "spoken of", "decided", "violated", "at most, 95 %"), rows)


@dataclass(frozen=True)
class Bounds:
    """A figure of what is known of how often claims are violated: a line from nothing to the upper bound for each."""

    claims: tuple[str, ...]
    labels: tuple[str, str] = ("claim", "violated")

    def svg(self, counts: Counts) -> bytes:
        """The figure as SVG."""
        with _canvas(7.0, 1.2 + 0.36 * len(self.claims)) as canvas:
            place, total = canvas.subplots(), counts.total
            for row, claim in enumerate(self.claims):
                found = total.violated_rate(claim)
                low, high = (100.0 * end for end in found.interval)
                place.plot([max(low, 1e-4), high], [row, row], color=_COLOURS[0], linewidth=2.0, solid_capstyle="butt")
                place.plot([high], [row], marker="|", markersize=9.0, color=_COLOURS[0])
                if found.k:
                    place.plot([100.0 * found.value], [row], marker="o", markersize=4.5, color=_COLOURS[1])
            place.set_yticks(range(len(self.claims)), self.claims)
            place.invert_yaxis()
            place.set_xscale("log")
            place.set_xlim(left=1e-4)
            place.set_xlabel("of the limits decided, % (dot: violated; line: 95 % interval)")
            return _saved(canvas)


@dataclass(frozen=True)
class Figure:
    """Rates with their intervals. axes: what cells are grouped by; a group's values say its panel, line and place.

    measure: of the line, or one for each line by its name, and `line` is then not asked.
    """

    axes: tuple[str, ...]
    panel: Callable[[Axes], str]
    line: Callable[[Axes], str]
    x: Callable[[Axes], float]
    measure: Measure | Mapping[str, Measure]
    labels: tuple[str, str]
    logarithmic: bool = False

    def svg(self, counts: Counts) -> bytes:
        """The figure as SVG."""
        panels: dict[str, dict[str, list[tuple[float, Rate]]]] = {}
        for group, tally in counts.by(*self.axes).items():
            axes = dict(zip(self.axes, group, strict=True))
            panel = panels.setdefault(self.panel(axes), {})
            for line, measure in self._measures(axes).items():
                panel.setdefault(line, []).append((self.x(axes), measure(tally)))
        names = list(dict.fromkeys(line for lines in panels.values() for line in lines))
        with _canvas(1.0 + 3.2 * len(panels), 4.6) as canvas:
            drawn = canvas.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
            for place, (title, lines) in zip(drawn, panels.items(), strict=True):
                place.set_title(title, fontsize=11)
                for line, points in lines.items():
                    _draw(place, names.index(line), line, sorted(points, key=lambda point: point[0]))
                place.set_xlabel(self.labels[0])
                if self.logarithmic:
                    place.set_xscale("log")
            drawn[0].set_ylabel(f"{self.labels[1]}, %")
            drawn[0].set_ylim(bottom=0.0)
            handles, texts = drawn[0].get_legend_handles_labels()
            canvas.legend(handles, texts, loc="outside lower center", ncols=min(len(texts), 3), frameon=False)
            return _saved(canvas)

    def _measures(self, axes: Axes) -> Mapping[str, Measure]:
        return self.measure if isinstance(self.measure, Mapping) else {self.line(axes): self.measure}


@contextmanager
def _canvas(width: float, height: float) -> Generator[Any]:
    """A matplotlib figure of this size in inches, under our style."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(canvas)
        yield canvas


def _saved(canvas: Any) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "marginalia"}, bbox_inches="tight")
    return buffer.getvalue()


def _draw(place: Any, number: int, label: str, points: Sequence[tuple[float, Rate]]) -> None:
    points = [(x, found) for x, found in points if found.n]
    values = [100.0 * found.value for _, found in points]
    ends = [[100.0 * abs(found.value - found.interval[k]) for _, found in points] for k in (0, 1)]
    place.errorbar(
        [x for x, _ in points],
        values,
        ends,
        label=label,
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKS[number % len(_MARKS)],
        markersize=4.5,
        linestyle="-" if number < len(_COLOURS) else "--",
        linewidth=1.2,
        capsize=2.5,
    )


def _captioned(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # the room loads matplotlib, which counting does without
    from harness.report.words import table

    return f"{caption}:\n\n{table(head, rows)}"


def rate(found: Rate) -> str:
    """A rate in percent with its interval; where it is none or all, of how many."""
    if not found.n:
        return "-"
    if found.k in (0, found.n):
        return f"{'none' if found.k == 0 else 'all'} of {found.n:,}"
    low, high = (_percent(end) for end in found.interval)
    return f"{_percent(found.value)} % ({low} to {high})"


def _percent(share: float) -> str:
    """Two digits that count, three places at most."""
    percent = 100.0 * share
    return f"{percent:.1f}" if percent >= 1.0 else f"{percent:.2g}" if percent >= 0.001 else "<0.001"


def _name(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def summary_line(counts: Counts) -> str:
    """How many there were, and how the float verdicts stood beside the exact ones."""
    total = counts.total
    agreement = ", ".join(f"{times:,} {name}" for name, times in sorted(total.agreement.items()))
    return (
        f"{total.instances:,} instances in {len(counts.cells)} cells; {total.outcomes['converged']:,} limits; "
        f"{total.suspects:,} suspects and a random hundredth decided again in exact arithmetic: {agreement}. "
        "Intervals are Wilson's, 95 %."
    )


def with_tables(page: str, blocks: Sequence[str]) -> str:
    """The page with these blocks between its marks, which are put at its end if it has none."""
    before, mark, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2] if mark else "\n"
    return before.rstrip("\n") + "\n\n" + "\n\n".join((_BEGIN, *blocks, _END)) + after
