"""Why a limit is not a local optimum, in plain words with the neurons' numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.problem.places import Kink, neuron_name
from harness.records.record import Neuron, Record
from harness.report.inequality import saved
from harness.report.words import margin_of

_WAKING = (
    "Using {woken} pays at once: a small |v_j| w_j adds its norm to the cost, and saves the other neurons more than "
    "that, because it serves a point for which they pay more."
)
_DEAD = (
    "No gradient reaches a neuron with w_j = 0 and v_j = 0, nor one that is inactive on every point and has v_j = 0; "
    "and one that stands still is nothing beside those that grow without bound."
)
_DEAD_WITH_A_SLOPE = "No gradient reaches a neuron with w_j = 0 and v_j = 0."
_SENTENCES = {
    "dead neuron": "{zero} zero in the limit. {dead} The flow cannot see what the neuron could do. " + _WAKING,
    "zero weight": (
        "{zero} zero in the limit: gradient flow keeps a pair w_j = 0, v_j = 0 at zero for ever, and cannot see what "
        "the neuron could do. " + _WAKING
    ),
    "kink": (
        "In the limit {kinks} exactly zero: {on_the_edge} on the edge between acting on that point and not. Both "
        "sides are equally near, but the flow came along one side, or slid along the edge, and never tried the other. "
        "{changed}"
    ),
    "global gap": "A point elsewhere is better: the flow goes where its start sends it, and never compares.",
    "layer": (
        "The outgoing weights v_j stay as they are in the limit, and the incoming weights w_j alone are changed. What "
        "is optimal for them depends on gates that the flow has fixed: {kinks_or_gates}"
    ),
    "slack margin": (
        "A point is served by what the neurons learn from others, with more than the least margin. It has no "
        "multiplier, and nothing is learnt from it: the points are not orthogonal enough for each to need its own."
    ),
    "unequal neurons": (
        "A neuron learns from a point in proportion to its slope there. Neurons whose outgoing weights have one sign "
        "are on at different points, so that they end in different directions."
    ),
    "saddle": (
        "With the same gates and the same zeros there is a better point: the flow stayed in an invariant subspace "
        "on which the limit is the best, by a symmetry of the start, and the better point lies outside it."
    ),
}
_OTHER_GATES = (
    "Every input of every neuron is nonzero in the limit, so nearby the gates do not change. With other gates "
    "something is better: the flow chose the gates at its start, and never compares."
)
_ON_A_CURVE = (
    "The limit is not even a local optimum: on a curve that begins there all margins stay at least 1 while the norm "
    "falls. No gradient along the flow points to it."
)


def explain(record: Record) -> str:
    """The mechanism as a paragraph.  One that is not known is only named."""
    sentence = _of_a_gap(record) if record.mechanism == "global gap" else _SENTENCES.get(record.mechanism)
    if sentence is None:
        return f"Mechanism: {record.mechanism}."
    if not record.apart:
        return _without_neurons(record, sentence)
    before, after = record.neurons(record.limit), record.neurons(record.better)
    zero = [n for n in before if n.zero]
    woken = [n for n in zero if not after[n.index].zero]
    kinks = [kink.place for kink in live_kinks(record)]
    edges = [(neuron_name(j), i) for i, _, j in kinks]
    now_on = [f"{neuron_name(j)} acts on x_{i}" for i, _, j in kinks if not after[j].zero and after[j].inputs[i] > 0]
    return sentence.format(
        zero=_capital(_names(zero) + (" is" if len(zero) == 1 else " are")),
        woken=_names(woken),
        dead=_DEAD_WITH_A_SLOPE if record.instance.network.slope else _DEAD,
        kinks=_edges([f"the input of {name} on x_{i}" for name, i in edges]),
        on_the_edge=_on_the_edge(len(edges)),
        kinks_or_gates=_kinks_or_gates([f"the input of {name} on x_{i}" for name, i in edges], "w_j"),
        changed=f"At the better point {_join(now_on)}." if now_on else "",
    ).rstrip()


def _of_a_gap(record: Record) -> str:
    """The sentence for a limit that is not the global optimum: what is better may begin next to it."""
    if record.kind == "curve":
        return _ON_A_CURVE
    kinked = record.instance.network.kinked
    if record.apart:
        zero, after = [n.index for n in record.neurons(record.limit) if n.zero], record.neurons(record.better)
        if any(sum(saved(record, after[j])) > 1.0 for j in zero if not after[j].zero):
            return _SENTENCES["dead neuron" if kinked else "zero weight"]
        if kinked and not zero and not record.kinks:
            return _OTHER_GATES
    return _SENTENCES["global gap"]


def live_kinks(record: Record) -> list[Kink]:
    """Those of the limit, without those of neurons that are zero there."""
    zero = {n.index for n in record.neurons(record.limit) if n.zero} if record.apart else set()
    return [kink for kink in record.kinks if kink.place.neuron not in zero]


def _without_neurons(record: Record, sentence: str) -> str:
    """For networks that cannot be taken apart into neurons."""
    if record.mechanism in ("dead neuron", "zero weight"):
        return (
            "The flow keeps at zero the weights that are zero in the limit, and cannot see what they could do; moving "
            "them a little pays more in margin than it costs in norm."
        )
    if record.mechanism == "layer":
        sentence = (
            "The other layers stay as they are in the limit. What is optimal for this one depends on gates that the "
            "flow has fixed: {kinks_or_gates}"
        )
    places = [kink.place for kink in record.kinks]
    edges = [f"the input of {place.hidden} on {margin_of(record, place.sample)}" for place in places]
    return sentence.format(
        kinks=_edges(edges),
        on_the_edge=_on_the_edge(len(edges)),
        kinks_or_gates=_kinks_or_gates(edges, "its weights"),
        changed="",
    ).rstrip()


def _edges(edges: list[str]) -> str:
    return _join(edges) + (" is" if len(edges) == 1 else " are")


def _on_the_edge(count: int) -> str:
    return "the neuron is" if count == 1 else "the neurons are"


def _kinks_or_gates(edges: list[str], weights: str) -> str:
    if not edges:
        return "with other gates the same margins cost less."
    return f"in the limit {_edges(edges)} exactly zero, and tilting {weights} to the other side of an edge pays."


def _names(neurons: Sequence[Neuron]) -> str:
    return neuron_name(*(n.index for n in neurons)) if neurons else "no neuron"


def _join(parts: Iterable[str]) -> str:
    *first, last = [*parts] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
