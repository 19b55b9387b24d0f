"""Stated: a conclusion about the limit itself, decided in floats, and denied in exact arithmetic or not at all.

A measure (measures.py) says how far the limit is from what is stated, and where it is farthest.  What is off by less
than HOLDS is rounding.  What is off by more than DENIED is denied by a certificate of kind "statement", which speaks of
every point within 1e-9 of the limit, or it is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.oracles import Verdict, Verdicts
    from harness.problem.limits import Limit

HOLDS, DENIED = 1e-7, 1e-6


@dataclass(frozen=True)
class Measured:
    """off: how far from what is stated, relatively; at most 0 where it holds.  witness: of the certificate, where."""

    off: float
    witness: dict[str, Any]


# None where it is not known.  The limit is given for the start and the instance that it has; most read its point alone.
Measure = Callable[["Limit"], "Measured | None"]


@dataclass(frozen=True)
class Stated:
    """says: which statement of harness.certificates.statements.  measure: how far the limit is from it."""

    says: str
    measure: Measure

    def __call__(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        """Whether it holds, None where it is open.  On the word of the floats where the verdicts are."""
        measured = self.measure(limit)
        if measured is None or HOLDS < measured.off <= DENIED:
            return None
        if measured.off <= HOLDS:
            return True
        return None if self._denial(limit, measured, verdicts.certify) is None else False

    def against(self, limit: Limit, verdicts: Verdicts) -> Verdict | None:
        """Its denial as a verdict on the point, None where there is none."""
        measured = self.measure(limit)
        return None if measured is None or measured.off <= DENIED else self._denial(limit, measured, verdicts.certify)

    def _denial(self, limit: Limit, measured: Measured, certify: bool) -> Verdict | None:
        from harness.oracles.exact import header, stated
        from harness.oracles.proofs import attested
        from harness.oracles.verdict import Verdict

        point = limit.point
        assert point is not None
        head = header(stated(point.problem.network, point.theta), "statement", "limit")
        certificate = {**head, "says": self.says, "witness": measured.witness}
        denial = Verdict("not_optimal", point.value, None, f"not as stated: {self.says}", certificate)
        denial = attested(point.problem, denial, certify)
        return None if denial.status == "undecided" else denial
