"""Local and global verdicts of networks whose neurons do not decouple.

Depths other than 2, shared weights, several outputs.
"""

from __future__ import annotations

from functools import cached_property

from harness.oracles.balls import no_better_nearby
from harness.oracles.circulant import decide_circulant
from harness.oracles.curves import descending
from harness.oracles.expansion import Expansion
from harness.oracles.products import decide_product
from harness.oracles.proofs import attested
from harness.oracles.pulls import decide_pulls
from harness.oracles.verdict import Verdict
from harness.oracles.vertices import decide_vertices
from harness.problem.points import Point


class General:
    """The verdicts on one limit, each computed when it is asked for.

    Cheapest first: what proves the limit globally optimal, then what decides it locally.
    """

    def __init__(self, point: Point, certify: bool) -> None:
        self.point = point
        self.certify = certify
        self.linear = not point.problem.network.kinked

    @cached_property
    def _product(self) -> Verdict | None:
        return decide_product(self.point, self.certify) if self.linear else None

    @cached_property
    def local(self) -> Verdict:
        """Whether the limit is a local optimum."""
        if self._product is not None and self._product.status == "optimal":
            return self._moved(self._product, "local")
        pulled = self._pulled("local")
        if pulled is not None:
            return pulled
        if self._near.unclear:
            reason = "a margin is too close to 1 to tell whether it is active"
            return Verdict("undecided", self.point.value, None, reason)
        quick = no_better_nearby(self._near, self.certify, split=False)
        if quick.status == "optimal":
            return quick
        return self._curve[0] if self._curve is not None else no_better_nearby(self._near, self.certify)

    @cached_property
    def global_(self) -> Verdict:
        """Whether the limit is a global optimum."""
        if self._product is not None and self._product.status != "undecided":
            return self._product
        around = decide_circulant(self.point, self.certify)
        if around is not None and around.status != "undecided":
            return around
        pulled = self._pulled("global")
        if pulled is not None:
            return pulled
        if self.local.status == "not_optimal":
            return self._moved(self.local, "global")
        return decide_vertices(self.point, self.certify) or Verdict(
            "undecided", self.point.value, None, f"no oracle decides it{self._why}"
        )

    def _pulled(self, scope: str) -> Verdict | None:
        """What one neuron after the other proves, where there are several outputs."""
        if self.point.problem.network.outputs == 1:
            return None
        return decide_pulls(self.point, scope, self.certify)

    @property
    def _why(self) -> str:
        """What keeps the methods of simpler networks away."""
        network = self.point.problem.network
        if network.outputs > 1:
            return ": with several outputs the multipliers of the limit prove no bound"
        return ": several layers are trained, and others are not" if network.degree < network.depth else ""

    @property
    def mechanism(self) -> str | None:
        """Why the limit is not a local optimum: "saddle", "kink", "zero weight" or "dead neuron"."""
        if self.local.status != "not_optimal":
            return None
        return None if self._curve is None else self._curve[1]

    @cached_property
    def _near(self) -> Expansion:
        return Expansion(self.point)

    @cached_property
    def _curve(self) -> tuple[Verdict, str] | None:
        return None if self._near.unclear else descending(self._near, self.certify)

    def _moved(self, verdict: Verdict, scope: str) -> Verdict:
        """The same proof for another scope."""
        certificate = {**(verdict.certificate or {}), "scope": scope}
        moved = Verdict(verdict.status, verdict.value, verdict.bound, verdict.reason, certificate)
        return attested(self.point.problem, moved, self.certify)
