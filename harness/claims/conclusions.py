"""What decides a claim on one limit: three-valued answers, None where the question is open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from harness.problem.networks import Activation, Network

if TYPE_CHECKING:
    from harness.oracles import Verdict, Verdicts
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit

Assumption = Literal["nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs"]

# A residual between the two is neither a KKT point nor clearly none.
KKT_HOLDS = 1e-8
KKT_VIOLATED = 1e-6
# An angle between the two is neither rounding nor clearly one.
ALIGNED, SKEW = 1e-6, 1e-4


@dataclass(frozen=True)
class Networks:
    """The networks that a claim speaks of.

    activation: None for linear or relu.  depths: the least and the most, None for no most.
    trained: the layers that are; "hidden" are all but the last.  slopes: what the activation's lies strictly between.
    """

    activation: Activation | Literal["any"] | None = None
    weights: Literal["any", "shared", "unshared", "fully connected"] = "any"
    depths: tuple[int, int | None] = (1, None)
    trained: Literal["all", "hidden", "any"] = "all"
    outputs: Literal["one", "several", "any"] = "one"
    slopes: tuple[Fraction | int, Fraction | int] | None = None

    def __contains__(self, network: Network) -> bool:
        least, most = self.depths
        activations = {None: ("linear", "relu"), "any": (network.activation,)}
        trained = {
            "all": all(network.trained),
            "hidden": all(network.trained[:-1]) and not network.trained[-1],
            "any": True,
        }
        outputs = {"one": network.outputs == 1, "several": network.outputs > 1, "any": True}
        weights = {
            "any": True,
            "shared": network.shared,
            "unshared": not network.shared,
            "fully connected": network.fully_connected,
        }
        return (
            network.activation in activations.get(self.activation, (self.activation,))
            and least <= network.depth <= (most or network.depth)
            and weights[self.weights]
            and trained[self.trained]
            and outputs[self.outputs]
            and (self.slopes is None or self.slopes[0] < network.slope < self.slopes[1])
        )


@dataclass(frozen=True)
class Decision:
    """networks: those that the claim speaks of. concluded: whether its conclusion holds, None if open.

    assumptions: the keys of Verdicts.assumptions that the claim assumes, none if it assumes nothing.
    start: what it assumes of the instance. recorded: whether it is about the flow's recorded path.
    """

    networks: Networks
    concluded: Callable[[Limit, Verdicts], bool | None]
    assumptions: tuple[Assumption, ...] = ()
    start: Callable[[Instance], bool] | None = None
    recorded: bool = False

    def assumed(self, verdicts: Verdicts) -> bool | None:
        """Whether the assumption holds, None if not known."""
        return _all([verdicts.assumptions[name] for name in self.assumptions])


@dataclass(frozen=True)
class Optimal:
    """Whether the limit is an optimum of (P) in this scope, or every layer one of (P_l); None where it is open."""

    scope: Literal["local", "global"]
    layers: bool = False

    def __call__(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        return _all([_answer(verdict, verdicts.certify) for verdict in self.of(verdicts)])

    def of(self, verdicts: Verdicts) -> list[Verdict]:
        """The verdicts that it asks about; a fixed layer has none."""
        parts = [layer for layer in verdicts.layers if layer] if self.layers else [verdicts]
        return [part.local if self.scope == "local" else part.global_ for part in parts]

    def against(self, verdicts: Verdicts) -> Verdict | None:
        """The first of them that says "not optimal", of those that are certified if any is."""
        denying = [verdict for verdict in self.of(verdicts) if verdict.status == "not_optimal"]
        return next((verdict for verdict in denying if verdict.certified), denying[0] if denying else None)


locally_optimal, globally_optimal = Optimal("local"), Optimal("global")
layers_locally_optimal, layers_globally_optimal = Optimal("local", layers=True), Optimal("global", layers=True)


def _all(answers: list[bool | None]) -> bool | None:
    """Whether all hold: one that does not settles it, one that is open leaves the rest open."""
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _answer(verdict: Verdict, certify: bool) -> bool | None:
    """What a verdict says: on its certificate, or, where none was asked for, on its word."""
    if certify and not verdict.certified:
        return None
    return {"optimal": True, "not_optimal": False}.get(verdict.status)


def kkt_point(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the limit is a KKT point of (P), by its residual, which is computed anew and not taken from the limit."""
    from harness.oracles.residual import residual_of

    assert limit.point is not None
    return _small(residual_of(limit.point), KKT_HOLDS, KKT_VIOLATED)


def aligned(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether every W^l has rank one, its direction is the next one's, and their product is the hard-margin SVM's."""
    from harness.oracles.alignment import misalignment

    assert limit.point is not None
    return _small(misalignment(limit.point), ALIGNED, SKEW)


def _small(number: float | None, holds: float, violated: float) -> bool | None:
    """Whether it is at most the first; None where it is not known, or between the two."""
    if number is None or math.isnan(number) or holds < number <= violated:
        return None
    return number <= holds
