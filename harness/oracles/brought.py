"""A point that somebody brings: what is decided of it at once, before the oracles for limits are asked.

The limit of a flow is a KKT point, known up to rounding, and the oracles decide about what it rounds.  A point that was
brought need not be one.  Then it is no local optimum, and its own numbers prove it (descent.py).  Its networks can be
larger than exact proofs of optimality take: then a search for a better point is all there is (ascent.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from harness.oracles.ascent import STARTS, Search, search
from harness.oracles.assumptions import NAMES
from harness.oracles.descent import MECHANISM, NOT_KKT, decide_descent
from harness.oracles.exact import feasible_points, header, stated
from harness.oracles.proofs import attested
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.problem.numbers import as_json
from harness.problem.points import Point

# Trained parameters, and weights times samples, up to which the oracles for limits are asked.
MOST_PARAMETERS, MOST_PRODUCTS = 2000, 200_000
# A share of the value that a point which the search finds has to save.
LEAST_GAIN = 1e-6


class Brought:
    """stray: whether it is no KKT point.  large: whether only the search is left for it."""

    def __init__(self, point: Point, certify: bool) -> None:
        self.point, self.certify = point, certify
        network = point.problem.network
        products = point.problem.n * max(table.size for table in network.tables)
        self.stray = point.residual > NOT_KKT
        self.large = network.size > MOST_PARAMETERS or products > MOST_PRODUCTS

    @cached_property
    def local(self) -> Verdict | None:
        """The local verdict; None where the oracles are to give it."""
        if self.stray:
            network = self.point.problem.network
            guess = network.flat(self._search.theta) if self.large and self._search.gain else None
            verdict = decide_descent(self.point, self.certify, guess=guess)
            if verdict.status == "not_optimal" or self.large:
                return verdict
        return self._undecided if self.large else None

    @cached_property
    def global_(self) -> Verdict | None:
        """The global verdict, likewise."""
        if self.local is not None and self.local.status == "not_optimal":
            # the checker's answer does not depend on the scope
            return replace(self.local, certificate={**(self.local.certificate or {}), "scope": "global"})
        return self._cheaper or self._undecided if self.large else None

    def layer(self, layer: int) -> LayerVerdicts | None:
        """Those of one layer's problem, likewise."""
        if self.stray:
            local = decide_descent(self.point, self.certify, layer)
            if local.status == "not_optimal":
                certificate = {**(local.certificate or {}), "scope": "global"}
                return LayerVerdicts(replace(local, certificate=certificate), local)
        if not self.large:
            return None
        u = self.point.theta[layer]
        open_ = Verdict("undecided", 0.5 * float(u @ u), None, "the network is too large for an exact verdict")
        return LayerVerdicts(open_, open_)

    @property
    def mechanism(self) -> str | None:
        """Why it is no local optimum, where that is decided here."""
        return MECHANISM if self.stray and self.local is not None and self.local.status == "not_optimal" else None

    @property
    def assumptions(self) -> dict[str, bool | None] | None:
        """Of the numbers as they are; None where the oracles are to say it."""
        if not self.stray and not self.large:
            return None
        network = self.point.problem.network
        weights = bool(network.flat(self.point.theta).all())
        matrices = network.matrices(self.point.theta)[:-1]
        vectors = all(bool((matrix != 0.0).any(axis=1).all()) for matrix in matrices)
        # an input that is zero up to rounding may be one
        inputs = True if all(bool(sign.all()) for sign in self.point.signs) else None
        return dict(zip(NAMES, (weights, vectors, inputs), strict=True))

    @cached_property
    def _search(self) -> Search:
        # from a point that is no KKT point itself the way up is clear
        return search(self.point, starts=1 if self.stray else STARTS)

    @property
    def _undecided(self) -> Verdict:
        found = f"the best one found at distance {self._search.distance:.1e}" if self._search.gain else "none found"
        reason = f"the network is too large for an exact verdict; a better point was looked for: {found}"
        return Verdict("undecided", self.point.value, None, f"{reason} ({self._search.told})")

    @property
    def _cheaper(self) -> Verdict | None:
        """The global verdict by a better point; None where none is better by enough."""
        point, network = self.point, self.point.problem.network
        for better, value in feasible_points(point.problem, self._search.theta, point.value * (1.0 - LEAST_GAIN)):
            certificate = {
                **header(stated(network, point.theta), "cheaper", "global"),
                "better": [[as_json(a) for a in u] for u in better],
            }
            reason = f"a better point at distance {self._search.distance:.1e}"
            verdict = Verdict("not_optimal", point.value, value, reason, certificate)
            verdict = attested(point.problem, verdict, self.certify)
            if verdict.status == "not_optimal":
                return verdict
        return None
