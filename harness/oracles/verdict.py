"""What is said about a limit, as plain data: three-valued verdicts, each with its proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["optimal", "not_optimal", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """One question (global or local, the whole problem or one layer) about one limit.

    value: the limit's, 1/2 ||theta~||^2 or 1/2 ||u^l||^2.
    bound: for "optimal" a lower bound of the problem, for "not_optimal" the value of a better point, else None.
    reason: a sentence.  certificate: the proof, JSON-able, in the format of harness.certificates.
    certified: whether the exact checker accepted the certificate; without it the status is a claim in floats.
    """

    status: Status
    value: float
    bound: float | None = None
    reason: str = ""
    certificate: dict[str, Any] | None = None
    certified: bool = False


@dataclass(frozen=True)
class LayerVerdicts:
    """The verdicts on the problem over one layer's parameters, the other layers held fixed."""

    global_: Verdict
    local: Verdict
