"""What is proven of a counterexample, and what is evidence, in words."""

from __future__ import annotations

from typing import Any

from harness.certificates import check_flow
from harness.problem.places import neuron_name
from harness.records.record import Record, exact, value
from harness.report.words import plain, short
from harness.show.glossary import cited

LAST = "whatever the last digits of the limit are."


def is_global(record: Record) -> bool:
    """Whether the better point may be anywhere."""
    return record.data["certificate"]["scope"] == "global"


def proof(record: Record) -> str:
    """A paragraph on the proof, in words that fit its kind, and one on the flow."""
    limit = record.data["limit"]
    evidence = ""
    if limit.get("evidence"):
        log_norm, distance = limit["evidence"][-1]
        evidence = f" At log ||theta(t)|| = {short(log_norm)} its direction was within {float(distance):.1e} of it."
    proofs = {
        "statement": _proof_of_statement,
        "better": _proof_of_better,
        "curve": _proof_of_curve,
        "layer better": _proof_of_layer,
    }
    words = proofs.get(record.kind, _proof_of_cheaper)
    head = f"Proven, in exact arithmetic, by `marginalia verify`: {words(record)}\n\n"
    if record.proven:
        return head + _proof_of_flow(record)
    return head + f"Evidence, from the numerical flow: that it ends at a direction of this structure.{evidence}"


def _proof_of_flow(record: Record) -> str:
    """That the flow ends there, fact by fact."""
    found = check_flow(record.instance, record.data["flow"])
    facts = found.end.facts if found.end is not None else (f"this proof does not hold: {found.reason}",)
    steps = "\n".join(f"{number}. {fact[:1].upper()}{fact[1:]}." for number, fact in enumerate(facts, start=1))
    theorems = (
        "No theorem is needed for it."
        if record.data["flow"]["by"] == "ray"
        else "It uses that the direction converges (Ji & Telgarsky, arXiv:2006.06657) to a KKT point of (P) "
        "(Lyu & Li, arXiv:1906.05890)."
    )
    return (
        "Proven too, by the same command: every solution of the gradient flow from this start ends there. "
        f"{cited(theorems)}\n\n{steps}"
    )


def _proof_of_statement(record: Record) -> str:
    certificate = record.data["certificate"]
    where = ", ".join(_witness(name, value) for name, value in certificate["witness"].items())
    says = plain(certificate["says"])
    return (
        f"what the claim states is false ({says}; {where}) of every point within 1e-9 of the limit: on "
        f"that ball margins and inputs change by no more than their Lipschitz constants allow. So it is false {LAST} "
        "That the limit as stored is nearly a KKT point, to 1e-8, is proven too."
    )


def _witness(name: str, value: Any) -> str:
    """Neurons are numbered from 1 in all that is read, and from 0 in the file."""
    if name in ("neuron", "neurons"):
        return neuron_name(*([value] if isinstance(value, int) else value))
    return f"{plain(name)} {_said(value)}"


def _said(value: object) -> str:
    return " and ".join(map(_said, value)) if isinstance(value, list) else plain(value)


def _proof_of_better(record: Record) -> str:
    certificate = record.data["certificate"]
    problem, fixed = ("(P_1)", ", the v_j fixed as they are stored") if record.layer is not None else ("(P)", "")
    what = "cost of the first layer" if fixed else "value"
    better = record.objective(record.better)
    kinked = record.instance.network.kinked
    zeros = "the same neurons that are zero and the same signs of the v_j"
    structure = f"the same gates on every point, {zeros}" if kinked else zeros
    alpha = ", ".join(short(a) for a in exact([certificate["face"]["alpha"]])[0])
    if is_global(record):
        consequence = (
            f"The better point is feasible. So no point of that structure is a global optimum of {problem}, {LAST}"
        )
    else:
        terms = "With the v_j fixed" if record.layer is not None else "In terms of |v_j| w_j"
        consequence = (
            f"The better point is feasible, and lies in one closed cell with the whole structure. {terms} "
            "the problem is convex on that cell, so moving from such a point towards the better one lowers the cost "
            f"from the first step on. So no point of that structure is a local optimum of {problem}, {LAST}"
        )
    return (
        f"take any feasible point with the structure of the limit ({structure}){fixed}. It costs at least L, the lower "
        f"bound that the multipliers ({alpha}) give, and L is more than {short(better, digits=8)}, the {what} of the "
        f"better point. {consequence}"
    )


def _proof_of_curve(record: Record) -> str:
    first = record.data["certificate"]["order"] == 1
    order = "the margins to first order" if first else "the margins to second order, at a KKT point,"
    return (
        "take any feasible point within 1e-9 of the limit with its structure (the same signs of all inputs of neurons, "
        "the same zeros, the same points at margin 1). From it a curve theta + eps d + eps^2 e departs on which "
        f"{order} do not fall below 1 while the norm falls, for all small eps > 0. So no such point is a local optimum "
        f"of (P), {LAST}"
    )


def _proof_of_layer(record: Record) -> str:
    assert record.layer is not None
    certificate, number = record.data["certificate"], record.layer + 1
    alpha = ", ".join(short(a) for a in exact([certificate["alpha"]])[0])
    reached = short(value(record.better[record.layer : number]), digits=8)
    ends = (
        f"The better u^{number} is feasible. So none of them is a global optimum of (P_{number}), {LAST}"
        if is_global(record)
        else f"The better u^{number} is feasible, and in a closed cell with all of them, where the problem is convex. "
        f"So none of them is a local optimum of (P_{number}), {LAST}"
    )
    return (
        f"hold the other layers as they are stored, and take any feasible u^{number} with the signs of the limit. "
        f"It costs at least L, the lower bound that the multipliers ({alpha}) give, and L is more than {reached}, the "
        f"cost of the better u^{number}. {ends}"
    )


def _proof_of_cheaper(record: Record) -> str:
    return (
        f"the better point is feasible and costs {short(record.value(record.better), digits=8)}, less than every "
        f"point within 1e-9 of the limit. So none of these is a global optimum of (P), {LAST}"
    )
