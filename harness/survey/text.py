"""What a survey found, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from harness.survey.counts import Counts, Tally


def summary(counts: Counts) -> str:
    """Every kind of network on its own, then all together; rates with Wilson intervals of 95 %."""
    groups = counts.by("kind")
    lines: list[str] = []
    for (kind,), tally in groups.items():
        lines += [kind, *(f"    {line}" for line in _lines(tally))]
    if len(groups) > 1:
        lines += ["all", *(f"    {line}" for line in _lines(counts.total))]
    return "\n".join(lines)


def _lines(tally: Tally) -> Iterator[str]:
    outcomes = ", ".join(f"{times} {name}" for name, times in tally.outcomes.most_common())
    yield f"{tally.instances} instances: {outcomes}"
    if tally.local:
        mechanisms = ", ".join(f"{times} by {name}" for name, times in tally.mechanisms.most_common())
        yield (
            f"not locally optimal: {tally.nonlocal_rate} of those decided"
            f"{f' ({mechanisms})' if mechanisms else ''}, {tally.local['undecided']} undecided"
        )
    if tally.global_:
        yield f"not globally optimal: {tally.nonglobal_rate} of those decided, {tally.global_['undecided']} undecided"
        if tally.gaps:
            mean, most = (f"{100 * gap:.3g} %" for gap in (tally.gap_sum / tally.gaps.total(), tally.gap_most))
            yield f"    they cost at least {mean} more than need be on average, {most} at most"
    for claim, outcomes in tally.claims.items():
        if outcomes["holds"] + outcomes["violated"]:
            yield f"{claim} violated: {tally.violated_rate(claim)} of those decided, {outcomes['undecided']} undecided"
    for name, counted in tally.beside.items():
        label, _, key = name.rpartition(":")
        if key == "end":
            yield f"{label} ends: " + ", ".join(f"{n} {kind}" for kind, n in counted.most_common())
        elif any(" -> " in value for value in counted):
            yield f"    {key}, the flow's first: " + ", ".join(f"{n} {pair}" for pair, n in counted.most_common())
        elif key in ("reached", "value"):
            where = "costs at its end" if key == "value" else "costs after its steps"
            yield f"    {where}, beside the flow's limit: " + ", ".join(
                f"{n} {cost}" for cost, n in counted.most_common()
            )
    if tally.agreement:
        yield "float verdicts beside exact ones: " + ", ".join(
            f"{n} {name}" for name, n in tally.agreement.most_common()
        )
