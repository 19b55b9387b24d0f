"""All verdicts on one limit, each computed when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Literal

from harness.oracles.apart import Apart, are_apart
from harness.oracles.assumptions import NAMES, assumptions
from harness.oracles.brought import Brought
from harness.oracles.general import General
from harness.oracles.halves import decide_halves
from harness.oracles.layer_tree import decide_layer
from harness.oracles.layers import decide_first, decide_second, undecided
from harness.oracles.optimality import decide_global, decide_local
from harness.oracles.programmes import full_problem
from harness.oracles.proofs import attested
from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.oracles.vertices import decide_vertices
from harness.problem.later import later
from harness.problem.limits import Limit
from harness.problem.points import Point


class Verdicts:
    """What holds at a point.

    global_, local: Verdict on the margin problem.  layers: one LayerVerdicts a layer, None for one that is fixed.
    assumptions: "nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs", each true, false or None (not known).
    mechanism: why it is not a local optimum, else None.
    """

    def __init__(self, point: Point, *, certify: bool = True, brought: bool = False) -> None:
        """brought: whether the point is meant at its own numbers; a limit's are rounded."""
        self.point = point
        self.certify = certify
        network = point.problem.network
        self._value = point.value
        self._obstacle = point.doubt
        self._apart = Apart(point) if not self._obstacle and are_apart(network) else None
        self._brought = Brought(point, certify) if brought and not self._obstacle else None
        # With one layer trained the margin problem is that layer's; at depth 1 that says nothing new.
        self._only = network.trained.index(True) if network.degree == 1 and network.depth > 1 else None

    def __str__(self) -> str:
        return later("harness.show.people", "verdicts_text", self)

    def _repr_html_(self) -> str:
        return later("harness.show.notebook", "verdicts_html", self)

    @cached_property
    def local(self) -> Verdict:
        """Whether the limit is a local optimum."""
        apart, before = self._apart, self._at_once("local")
        if before is not None or apart is None:
            return before or self._other.local
        if apart.dead and self._kink.status == "not_optimal":
            return self._kink
        return decide_local(full_problem(apart), self.certify)

    def _at_once(self, scope: Literal["local", "global_"]) -> Verdict | None:
        """What is known of the margin problem without its neurons; None where they are to be looked at."""
        if self._obstacle:
            return Verdict("undecided", self._value, None, self._obstacle)
        brought: Verdict | None = getattr(self._brought, scope, None)
        if brought is None and self._only is not None:
            return self._whole.local if scope == "local" else self._whole.global_
        return brought

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
        apart, before = self._apart, self._at_once("global_")
        if before is not None or apart is None:
            return before or self._other.global_
        halves = decide_halves(self.point, self.certify)
        if halves is not None and halves.status != "undecided":
            return halves
        verdict = decide_global(full_problem(apart), self.local, self.certify)
        if verdict.status == "undecided":
            return decide_vertices(self.point, self.certify) or verdict
        return verdict

    @cached_property
    def _whole(self) -> LayerVerdicts:
        """The verdicts on the only layer that is trained, as verdicts on the margin problem."""
        assert self._only is not None
        pair = self.layers[self._only]
        assert pair is not None
        return LayerVerdicts(self._named_full(pair.global_), self._named_full(pair.local))

    def _named_full(self, verdict: Verdict) -> Verdict:
        if verdict.certificate is None:
            return verdict
        named = replace(verdict, certificate={**verdict.certificate, "problem": "full"}, certified=False)
        return attested(self.point.problem, named, self.certify)

    @cached_property
    def layers(self) -> tuple[LayerVerdicts | None, ...]:
        """The verdicts on the problem over each layer; None for a layer that is fixed."""
        trained = self.point.problem.network.trained
        return tuple(self._layer(layer) if own else None for layer, own in enumerate(trained))

    def _layer(self, layer: int) -> LayerVerdicts:
        if self._obstacle:
            u = self.point.theta[layer]
            return undecided(0.5 * float(u @ u), self._obstacle)
        at_once = self._brought.layer(layer) if self._brought is not None else None
        if at_once is not None:
            return at_once
        if self._apart is None:
            return decide_layer(self.point, layer, self.certify)
        if layer == 1:
            return decide_second(self._apart, self.certify)
        found = decide_first(self._apart, self.certify)
        if "undecided" not in (found.global_.status, found.local.status):
            return found
        other = decide_layer(self.point, layer, self.certify)
        pairs = ((found.global_, other.global_), (found.local, other.local))
        return LayerVerdicts(*(own if own.status != "undecided" else second for own, second in pairs))

    @property
    def trained_layers(self) -> tuple[LayerVerdicts, ...]:
        """Those of the layers that have a problem."""
        return tuple(pair for pair in self.layers if pair is not None)

    @cached_property
    def mechanism(self) -> str | None:
        """The first reason that applies: "not a KKT point", "kink", "zero weight" (linear), "dead neuron", "saddle".

        The first only of a point that was brought.  The last only of deeper networks and shared weights: at depth 2
        the problem is convex within the limit's own gates and zeros.  None where the limit is not known to be no local
        optimum, or where it is open whether the kinks alone do it.
        """
        apart = self._apart
        if self._brought is not None and (self._brought.mechanism or self._brought.large):
            return self._brought.mechanism
        if self._only is not None:
            # Convex within the gates, and no neuron has weights of its own on both sides.
            return "kink" if self.local.status == "not_optimal" and self.point.problem.network.kinked else None
        if apart is None or self.local.status != "not_optimal":
            return self._other.mechanism if apart is None and not self._obstacle else None
        if not apart.kinked:
            return "zero weight"
        if not apart.dead:
            return "kink"
        return {"not_optimal": "kink", "optimal": "dead neuron"}.get(self._kink.status)

    @cached_property
    def assumptions(self) -> dict[str, bool | None]:
        """What the claims assume of the limit (assumptions.py)."""
        if self.point.doubt:
            return dict.fromkeys(NAMES)
        at_once = self._brought.assumptions if self._brought is not None else None
        return assumptions(self.point) if at_once is None else at_once


def decide(of: Limit | Point, *, certify: bool = True) -> Verdicts:
    """The verdicts on a point, or on a converged limit's, computed lazily.

    With `certify` no verdict is "optimal" or "not_optimal" unless harness.certificates.check accepts its proof in
    exact arithmetic; without, the float verdict stands and `certified` is false.  Raises ValueError for a
    limit that is not converged.

    A limit's numbers are rounded, and the verdicts are about what they round.  A point is meant as it is where it is no
    KKT point: then it is no local optimum, and the mechanism is "not a KKT point".
    """
    point = of.point if isinstance(of, Limit) else of
    if point is None:
        raise ValueError("only a converged limit can be decided, and this one is not")
    return Verdicts(point, certify=certify, brought=isinstance(of, Point))
