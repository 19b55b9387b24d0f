"""What decides a claim on one limit: three-valued answers, None where the question is open.

What is said of data and start is True or False, exactly (harness.problem.predicates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from harness.claims.stated import Stated
from harness.problem.networks import Activation, Network
from harness.problem.predicates import Data, Start, is_circulant, is_diagonal, is_scalar, outputs_are_signs

if TYPE_CHECKING:
    from harness.claims.trained import Trained
    from harness.oracles import Verdict, Verdicts
    from harness.problem.limits import Limit

Assumption = Literal["nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs"]

# A residual between the two is neither a KKT point nor clearly none.
KKT_HOLDS = 1e-8
KKT_VIOLATED = 1e-6
# An angle between the two is neither rounding nor clearly one.
ALIGNED, SKEW = 1e-6, 1e-4


_WEIGHTS: dict[str, Callable[[Network], bool]] = {
    "any": lambda network: True,
    "shared": lambda network: network.shared,
    "unshared": lambda network: not network.shared,
    "fully connected": lambda network: network.fully_connected,
    "diagonal": is_diagonal,
    "circulant": is_circulant,
    "scalar": is_scalar,
}


@dataclass(frozen=True)
class Networks:
    """The networks that a claim speaks of.

    activation: None for linear or relu.  depths: the least and the most, None for no most.
    weights: "circulant" and "scalar" are shared: a filter as wide as the input, moved around it, and a single number.
    trained: the layers that are; "hidden" are all but the last, "hidden, signs" if its numbers are 1 and -1.
    slopes: what the activation's lies strictly between.
    """

    activation: Activation | Literal["any"] | None = None
    weights: Literal["any", "shared", "unshared", "fully connected", "diagonal", "circulant", "scalar"] = "any"
    depths: tuple[int, int | None] = (1, None)
    trained: Literal["all", "hidden", "hidden, signs", "all or hidden, signs", "any"] = "all"
    outputs: Literal["one", "several", "any"] = "one"
    slopes: tuple[Fraction | int, Fraction | int] | None = None

    def __contains__(self, network: Network) -> bool:
        least, most = self.depths
        activations = {None: ("linear", "relu"), "any": (network.activation,)}
        hidden = all(network.trained[:-1]) and not network.trained[-1]
        trained = {
            "all": all(network.trained),
            "hidden": hidden,
            "hidden, signs": hidden and outputs_are_signs(network),
            "all or hidden, signs": all(network.trained) or (hidden and outputs_are_signs(network)),
            "any": True,
        }
        outputs = {"one": network.outputs == 1, "several": network.outputs > 1, "any": True}
        return (
            network.activation in activations.get(self.activation, (self.activation,))
            and least <= network.depth <= (most or network.depth)
            and _WEIGHTS[self.weights](network)
            and trained[self.trained]
            and outputs[self.outputs]
            and (self.slopes is None or self.slopes[0] < network.slope < self.slopes[1])
        )


Condition = Callable[["Limit", "Verdicts"], "bool | None"]


@dataclass(frozen=True)
class Decision:
    """networks: those that the claim speaks of. concluded: whether its conclusion holds, None if open.

    assumptions: of the limit, keys of Verdicts.assumptions or functions (assumed.py).
    data, start: what is assumed of these; recorded: whether the claim is about the flow's recorded path.
    separates: for a claim about that, whether the flow from an instance is said to separate the data.
    trained: what decides a claim that is about an optimiser and not about the flow.
    """

    networks: Networks
    concluded: Condition
    assumptions: tuple[Assumption | Condition, ...] = ()
    data: Data | None = None
    start: Start | None = None
    recorded: bool = False
    separates: Start | None = None
    trained: Trained | None = None

    def assumed(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        """Whether the assumptions on the limit hold, None if not known."""
        return every(
            verdicts.assumptions[one] if isinstance(one, str) else one(limit, verdicts) for one in self.assumptions
        )


@dataclass(frozen=True)
class Optimal:
    """Whether the limit is an optimum of (P) in this scope, or every layer one of (P_l); None where it is open."""

    scope: Literal["local", "global"]
    layers: bool = False

    def __call__(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        return every(answer(verdict, verdicts.certify) for verdict in self.of(verdicts))

    def of(self, verdicts: Verdicts) -> list[Verdict]:
        """The verdicts that it asks about; a fixed layer has none."""
        parts = [layer for layer in verdicts.layers if layer] if self.layers else [verdicts]
        return [part.local if self.scope == "local" else part.global_ for part in parts]

    def against(self, limit: Limit, verdicts: Verdicts) -> Verdict | None:
        """The first of them that says "not optimal", of those that are certified if any is."""
        denying = [verdict for verdict in self.of(verdicts) if verdict.status == "not_optimal"]
        return next((verdict for verdict in denying if verdict.certified), denying[0] if denying else None)


locally_optimal, globally_optimal = Optimal("local"), Optimal("global")
layers_locally_optimal, layers_globally_optimal = Optimal("local", layers=True), Optimal("global", layers=True)


@dataclass(frozen=True)
class All:
    """Whether all parts of a conclusion hold, each Optimal or Stated."""

    parts: tuple[Optimal | Stated, ...]

    def __call__(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        return every(part(limit, verdicts) for part in self.parts)

    def against(self, limit: Limit, verdicts: Verdicts) -> Verdict | None:
        """The first denial of a part that there is."""
        return next((denial for part in self.parts if (denial := part.against(limit, verdicts)) is not None), None)


def is_proven(concluded: object) -> bool:
    """Whether certificates decide it, where there are any."""
    return isinstance(concluded, Optimal | Stated | All)


def every(answers: Iterable[bool | None]) -> bool | None:
    """Whether all hold: one that does not settles it, one that is open leaves the rest open."""
    found: bool | None = True
    for each in answers:
        if each is False:
            return False
        found = found if each else None
    return found


def answer(verdict: Verdict, certify: bool) -> bool | None:
    """What a verdict says: on its certificate, or, where none was asked for, on its word."""
    if certify and not verdict.certified:
        return None
    return {"optimal": True, "not_optimal": False}.get(verdict.status)


def separated(limit: Limit, verdicts: Verdicts) -> bool | None:
    """That the flow separates the data: it has, where it has a limit."""
    return True


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
