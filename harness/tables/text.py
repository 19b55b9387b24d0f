"""The measured tables as Markdown: in every cell the answer, what was counted, and the smallest counterexample.

Of the claims around the paper a row each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from harness.claims.table import CLAIMS
from harness.records.record import PAGE, Record
from harness.report.words import table
from harness.tables.rows import AROUND, COLUMNS, ENTRIES, Around, Entry

NOTE = (
    "Points x neurons x dimensions; robust counterexamples survive small changes of the start and of the data. Drawn: "
    "small random networks, two thirds of them on points of small integers. Assumed: not known to be outside, that is "
    "the flow may separate the data and the limit may be as the row assumes. Decided: with an answer; the others are "
    "undecided, most of them for a flow that is not unique or not known to separate the data. Violations are proven in "
    "exact arithmetic, as is one in a hundred of the other answers."
)


def markdown(measured: dict[str, Any] | None, records: Sequence[Record], folder: str) -> str:
    """Both tables, and that of the claims around the paper.

    measured: as harness.tables.measured.read returns it.  records: the stored counterexamples, in `folder` as links go.
    """
    blocks = []
    for name in dict.fromkeys(entry.table for entry in ENTRIES):
        entries = [entry for entry in ENTRIES if entry.table == name]
        lines = [
            (row, *(_cell((e for e in entries if (e.row, e.activation) == (row, a)), measured, records, folder)
                    for a in COLUMNS))
            for row in dict.fromkeys(entry.row for entry in entries)
        ]  # fmt: skip
        blocks.append(table((f"{name} (limit of the flow)", *COLUMNS), lines))
    around = [_row(claim, group, measured) for group in AROUND for claim in group.claims]
    blocks.append(table(("claim", "status", *_COUNTED), around))
    return "\n\n".join([*blocks, " ".join([NOTE, *_again(measured)])])


_COUNTED = ("drawn", "assumed", "decided", "violated", "bound")


def _row(claim: str, group: Around, measured: dict[str, Any] | None) -> tuple[str, ...]:
    found = ((measured or {}).get("groups") or {}).get(group.name)
    counts = found and found["claims"].get(claim)
    if not counts:
        return claim, CLAIMS[claim].status, *("not measured", *[""] * 4)
    decided, violated = counts["holds"] + counts["violated"], counts["violated"]
    bound = f"1 in {max(1, decided // 3):,}" if decided and not violated else ""
    numbers = (counts["drawn"], counts["drawn"] - counts["outside"], decided, violated)
    return claim, CLAIMS[claim].status, *(f"{number:,}" for number in numbers), bound


def _again(measured: dict[str, Any] | None) -> list[str]:
    """How often the exact answer, on a flow that was followed further, was not that of the floats."""
    agreement: Counter[str] = Counter()
    for group in ((measured or {}).get("groups") or {}).values():
        agreement.update(group.get("agreement", {}))
    if not agreement:
        return []
    other, open_ = agreement["contradict"], agreement["unproven"]
    return [
        f"Of {agreement.total():,} limits that were followed further and decided exactly, "
        f"{other:,} had another answer, and {open_:,} none that is proven."
    ]


def _cell(entries: Iterable[Entry], measured: dict[str, Any] | None, records: Sequence[Record], folder: str) -> str:
    parts = []
    for entry in entries:
        parts += [f"**{entry.answer}** ({entry.claim})", _counts(entry, measured)]
        if entry.answer.startswith("not"):
            parts.append(_smallest(entry, records, folder))
    return "<br>".join(parts)


def _counts(entry: Entry, measured: dict[str, Any] | None) -> str:
    group = ((measured or {}).get("groups") or {}).get(f"{entry.activation}-{entry.depth}")
    counts = group and group["claims"].get(entry.claim)
    if not counts:
        return "not measured"
    decided = counts["holds"] + counts["violated"]
    text = (
        f"{counts['drawn']:,} drawn, {counts['drawn'] - counts['outside']:,} assumed, {decided:,} decided, "
        f"{counts['violated']:,} violated"
    )
    if decided and not counts["violated"]:
        # The rule of three: with probability 95 % the rate is lower.
        text += f": at most 1 in {max(1, decided // 3):,}"
    return text


def _smallest(entry: Entry, records: Sequence[Record], folder: str) -> str:
    """The smallest robust counterexample and the smallest one that is not, of those stored."""
    mine = sorted(
        (
            record
            for record in records
            if record.claim == entry.claim
            and (record.instance.network.activation, record.instance.network.depth) == (entry.activation, entry.depth)
        ),
        key=lambda record: record.rank,
    )
    found = []
    for kind, name in ((True, "robust"), (False, "fragile"), (None, "smallest")):
        of_kind = [record for record in mine if record.robust is kind]
        if of_kind:
            record = of_kind[0]
            instance = record.instance
            sizes = f"{instance.n} x {max(instance.network.widths[1:-1])} x {instance.d}"
            found.append(f"{name} [{sizes}, {record.mechanism}]({folder}/{record.folder}/{PAGE})")
    return "; ".join(found) or "none is stored"
