"""All verdicts on one limit, each computed when it is asked for."""

from __future__ import annotations

from functools import cached_property

from harness.oracles.apart import Apart
from harness.oracles.assumptions import NAMES, assumptions
from harness.oracles.general import General
from harness.oracles.layer_tree import decide_layer
from harness.oracles.layers import decide_first, decide_second, undecided
from harness.oracles.optimality import decide_global, decide_local
from harness.oracles.programmes import full_problem
from harness.oracles.proofs import attested
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.oracles.vertices import decide_vertices
from harness.problem.limits import Limit
from harness.problem.points import Point


class Verdicts:
    """What holds at a point.

    global_, local: Verdict on the margin problem.  layers: one LayerVerdicts a layer.
    assumptions: "nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs", each true, false or None (not known).
    mechanism: why it is not a local optimum, else None.
    """

    def __init__(self, point: Point, *, certify: bool = True) -> None:
        self.point = point
        self.certify = certify
        network = point.problem.network
        self._value = 0.5 * sum(float(u @ u) for u in point.theta)
        self._obstacle = point.doubt
        self._apart = None if self._obstacle or network.depth != 2 or network.shared else Apart(point)

    @cached_property
    def local(self) -> Verdict:
        """Whether the limit is a local optimum."""
        apart = self._apart
        if self._obstacle:
            return Verdict("undecided", self._value, None, self._obstacle)
        if apart is None:
            return self._other.local
        if apart.dead and self._kink.status == "not_optimal":
            return self._kink
        return decide_local(full_problem(apart), self.certify)

    @cached_property
    def _other(self) -> General:
        """The verdicts where neurons do not decouple: other depths, shared weights."""
        return General(self.point, self.certify)

    @cached_property
    def _kink(self) -> Verdict:
        """The local verdict with the dead neurons held at zero; only its "not_optimal" is one on the limit itself."""
        apart = self._apart
        assert apart is not None
        if not apart.kinks:
            return Verdict("optimal", self._value, None, "no kinks")
        # A proof of optimality with the dead neurons left out is none the checker would take.
        verdict = decide_local(full_problem(apart, dead=False), certify=False)
        return verdict if verdict.status != "not_optimal" else attested(apart.problem, verdict, self.certify)

    @cached_property
    def global_(self) -> Verdict:
        """Whether the limit is a global optimum."""
        apart = self._apart
        if self._obstacle:
            return Verdict("undecided", self._value, None, self._obstacle)
        if apart is None:
            return self._other.global_
        verdict = decide_global(full_problem(apart), self.local, self.certify)
        if verdict.status == "undecided":
            return decide_vertices(self.point, self.certify) or verdict
        return verdict

    @cached_property
    def layers(self) -> tuple[LayerVerdicts, ...]:
        """The verdicts on the problem over each layer."""
        apart = self._apart
        if apart is None:
            theta = self.point.theta
            if self.point.doubt:
                return tuple(undecided(0.5 * float(u @ u), self._obstacle) for u in theta)
            return tuple(decide_layer(self.point, layer, self.certify) for layer in range(len(theta)))
        first, second = decide_first(apart, self.certify), decide_second(apart, self.certify)
        if first.global_.status == "undecided":
            first = LayerVerdicts(decide_layer(self.point, 0, self.certify).global_, first.local)
        return first, second

    @cached_property
    def mechanism(self) -> str | None:
        """The first reason that applies: "kink", "zero weight" (linear), "dead neuron" (relu).

        Within the limit's own gates and zeros the problem is convex at depth 2, so there is no "saddle".  None
        where the limit is not known to be no local optimum, or where it is open whether the kinks alone do it.
        """
        apart = self._apart
        if apart is None or self.local.status != "not_optimal":
            return self._other.mechanism if apart is None and not self._obstacle else None
        if not apart.relu:
            return "zero weight"
        if not apart.dead:
            return "kink"
        return {"not_optimal": "kink", "optimal": "dead neuron"}.get(self._kink.status)

    @cached_property
    def assumptions(self) -> dict[str, bool | None]:
        """What the claims assume of the limit (assumptions.py)."""
        if self.point.doubt:
            return dict.fromkeys(NAMES)
        return assumptions(self.point)


def decide(of: Limit | Point, *, certify: bool = True) -> Verdicts:
    """The verdicts on a point, or on a converged limit's, computed lazily.

    With `certify` no verdict is "optimal" or "not_optimal" unless harness.certificates.check accepts its proof in
    exact arithmetic; without, the float verdict stands and `certified` is false.  Raises ValueError for a
    limit that is not converged.
    """
    point = of.point if isinstance(of, Limit) else of
    if point is None:
        raise ValueError("only a converged limit can be decided, and this one is not")
    return Verdicts(point, certify=certify)
