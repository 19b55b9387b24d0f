"""All verdicts on one limit, each computed when it is asked for."""

from __future__ import annotations

from functools import cached_property

from harness.oracles.assumptions import NAMES, assumptions
from harness.oracles.depth2 import Point
from harness.oracles.general import General
from harness.oracles.layer_tree import decide_layer
from harness.oracles.layers import decide_first, decide_second, undecided
from harness.oracles.optimality import decide_global, decide_local
from harness.oracles.problems import full_problem
from harness.oracles.proofs import attested
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.oracles.vertices import decide_vertices
from harness.problem.limits import Limit


class Verdicts:
    """What holds at a converged limit.

    global_, local: Verdict on the margin problem.  layers: one LayerVerdicts a layer.
    assumptions: "nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs", each true, false or None (not known).
    mechanism: why the limit is not a local optimum, else None.
    """

    def __init__(self, limit: Limit, *, certify: bool = True) -> None:
        if limit.status != "converged" or limit.theta is None:
            raise ValueError(f"only a converged limit can be decided, and this one is {limit.status}")
        self.limit = limit
        self.certify = certify
        network = limit.instance.network
        self._value = 0.5 * sum(float(u @ u) for u in limit.theta)
        self._obstacle = limit.doubt or ""
        self._point = None if self._obstacle or network.depth != 2 or network.shared else Point(limit)

    @cached_property
    def local(self) -> Verdict:
        """Whether the limit is a local optimum."""
        point = self._point
        if self._obstacle:
            return Verdict("undecided", self._value, None, self._obstacle)
        if point is None:
            return self._other.local
        if point.dead and self._kink.status == "not_optimal":
            return self._kink
        return decide_local(full_problem(point), self.certify)

    @cached_property
    def _other(self) -> General:
        """The verdicts where neurons do not decouple: other depths, shared weights."""
        return General(self.limit, self.certify)

    @cached_property
    def _kink(self) -> Verdict:
        """The local verdict with the dead neurons held at zero; only its "not_optimal" is one on the limit itself."""
        point = self._point
        assert point is not None
        if not point.kinks:
            return Verdict("optimal", self._value, None, "no kinks")
        # A proof of optimality with the dead neurons left out is none the checker would take.
        verdict = decide_local(full_problem(point, dead=False), certify=False)
        return verdict if verdict.status != "not_optimal" else attested(point.instance, verdict, self.certify)

    @cached_property
    def global_(self) -> Verdict:
        """Whether the limit is a global optimum."""
        point = self._point
        if self._obstacle:
            return Verdict("undecided", self._value, None, self._obstacle)
        if point is None:
            return self._other.global_
        verdict = decide_global(full_problem(point), self.local, self.certify)
        if verdict.status == "undecided":
            return decide_vertices(self.limit, self.certify) or verdict
        return verdict

    @cached_property
    def layers(self) -> tuple[LayerVerdicts, ...]:
        """The verdicts on the problem over each layer."""
        point = self._point
        if point is None:
            theta = self.limit.theta or ()
            if self.limit.doubt:
                return tuple(undecided(0.5 * float(u @ u), self._obstacle) for u in theta)
            return tuple(decide_layer(self.limit, layer, self.certify) for layer in range(len(theta)))
        first, second = decide_first(point, self.certify), decide_second(point, self.certify)
        if first.global_.status == "undecided":
            first = LayerVerdicts(decide_layer(self.limit, 0, self.certify).global_, first.local)
        return first, second

    @cached_property
    def mechanism(self) -> str | None:
        """The first reason that applies: "kink", "zero weight" (linear), "dead neuron" (relu).

        Within the limit's own gates and zeros the problem is convex at depth 2, so there is no "saddle".  None
        where the limit is not known to be no local optimum, or where it is open whether the kinks alone do it.
        """
        point = self._point
        if point is None or self.local.status != "not_optimal":
            return self._other.mechanism if point is None and not self._obstacle else None
        if not point.relu:
            return "zero weight"
        if not point.dead:
            return "kink"
        return {"not_optimal": "kink", "optimal": "dead neuron"}.get(self._kink.status)

    @cached_property
    def assumptions(self) -> dict[str, bool | None]:
        """What the claims assume of the limit (assumptions.py)."""
        if self.limit.doubt or self.limit.signs is None:
            return dict.fromkeys(NAMES)
        return assumptions(self.limit)


def decide(limit: Limit, *, certify: bool = True) -> Verdicts:
    """The verdicts on a converged limit, computed lazily.

    With `certify` no verdict is "optimal" or "not_optimal" unless harness.certificates.check accepts its proof in
    exact arithmetic; without, the float verdict stands and `certified` is false.  Raises ValueError for a
    limit that is not converged.
    """
    return Verdicts(limit, certify=certify)
