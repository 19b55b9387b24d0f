"""What decides a claim on one limit: three-valued answers, None where the question is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from harness.problem.networks import Activation, Network

if TYPE_CHECKING:
    import numpy as np

    from harness.oracles import Verdict, Verdicts
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit

Assumption = Literal["nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs"]

# A residual between the two is neither a KKT point nor clearly none.
KKT_HOLDS = 1e-8
KKT_VIOLATED = 1e-6
# An angle between the two is neither rounding nor clearly one.
ALIGNED, SKEW = 1e-6, 1e-4
# A pre-activation below this, relative to the norms of its weights and inputs, is rounding, and its sign is what the
# limit says it is.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Networks:
    """The networks that a claim speaks of.

    activation: None for either. depths: the least and the most, None for no most.
    """

    activation: Activation | None = None
    weights: Literal["any", "shared", "unshared", "fully connected"] = "any"
    depths: tuple[int, int | None] = (1, None)

    def __contains__(self, network: Network) -> bool:
        least, most = self.depths
        weights = {
            "any": True,
            "shared": network.shared,
            "unshared": not network.shared,
            "fully connected": network.fully_connected,
        }
        return (
            self.activation in (None, network.activation)
            and least <= network.depth <= (most or network.depth)
            and weights[self.weights]
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
    """Whether the limit is an optimum of (P) in this scope, or every layer one of (P_l); None without certificates."""

    scope: Literal["local", "global"]
    layers: bool = False

    def __call__(self, limit: Limit, verdicts: Verdicts) -> bool | None:
        return _all([_answer(verdict.status, verdict.certified) for verdict in self.of(verdicts)])

    def of(self, verdicts: Verdicts) -> list[Verdict]:
        """The verdicts that it asks about."""
        parts = verdicts.layers if self.layers else [verdicts]
        return [part.local if self.scope == "local" else part.global_ for part in parts]


locally_optimal, globally_optimal = Optimal("local"), Optimal("global")
layers_locally_optimal, layers_globally_optimal = Optimal("local", layers=True), Optimal("global", layers=True)


def _all(answers: list[bool | None]) -> bool | None:
    """Whether all hold: one that does not settles it, one that is open leaves the rest open."""
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _answer(status: str, certified: bool) -> bool | None:
    if not certified:
        return None
    return {"optimal": True, "not_optimal": False}.get(status)


def kkt_point(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether the limit is a KKT point of (P), by its residual, which is computed anew and not taken from the limit.

    The residual is attained by the multipliers found, so a small one proves it up to rounding; these are the best
    ones, so a large one disproves it.
    """
    from harness.problem.kkt import kkt

    assert limit.theta is not None
    instance = limit.instance
    signs = checked_signs(limit)
    try:
        found = kkt(instance.network, instance.x_float, instance.y_float, limit.theta, signs)
    except ValueError:
        # A kink where the subdifferential has no independent coefficients.
        return None
    if found.residual <= KKT_HOLDS:
        return True
    return None if found.residual <= KKT_VIOLATED else False


def aligned(limit: Limit, verdicts: Verdicts) -> bool | None:
    """Whether every W^l has rank one, its direction is the next one's, and their product is the hard-margin SVM's.

    The largest of the angles between the directions, and of the matrices' other singular values relative to the first.
    """
    import numpy as np

    from harness.oracles.least_distance import least_norm

    assert limit.theta is not None
    instance = limit.instance
    svm = least_norm(instance.y_float[:, None] * instance.x_float, np.ones(instance.n))
    if svm is None or svm.z is None:
        return None
    matrices = [u[np.array(p)] for p, u in zip(instance.network.patterns, limit.theta, strict=True)]
    if any(not w.any() for w in matrices):
        return False
    factors = [np.linalg.svd(w) for w in matrices]
    off = [float(values[1:].max(initial=0.0) / values[0]) for _, values, _ in factors]
    # the direction that leaves a layer against the one that the next layer reads
    off += [_sine(left[:, 0], right[0]) for (left, _, _), (_, _, right) in pairwise(factors)]
    predictor = matrices[0]
    for w in matrices[1:]:
        predictor = w @ predictor
    off.append(_sine(predictor[0], svm.z) if predictor[0] @ svm.z > 0.0 else 1.0)
    worst = max(off)
    return None if ALIGNED < worst <= SKEW else worst <= ALIGNED


def _sine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angle between the lines of two vectors."""
    import numpy as np

    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.linalg.norm(a - (a @ b) * b))


def checked_signs(limit: Limit) -> list[np.ndarray] | None:
    """The limit's signs where its pre-activations are rounding, else the signs that these have.

    One int8 array (n, width) a hidden layer; None if the limit has no signs.
    """
    import numpy as np

    assert limit.theta is not None
    if limit.signs is None:
        return None
    network, h = limit.instance.network, limit.instance.x_float
    checked: list[np.ndarray] = []
    for pattern, u, stated in zip(network.patterns, limit.theta, limit.signs, strict=False):
        indices = np.array(pattern)
        matrix = np.where(indices >= 0, np.append(u, 0.0)[indices], 0.0)
        a = h @ matrix.T
        size = np.linalg.norm(h, axis=1)[:, None] * np.linalg.norm(matrix, axis=1)[None, :]
        checked.append(np.where(np.abs(a) <= ROUNDING * size, stated, np.sign(a)).astype(np.int8))
        h = np.where(checked[-1] > 0, a, 0.0) if network.activation == "relu" else a
    return checked
