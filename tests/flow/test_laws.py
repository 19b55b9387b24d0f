"""What every gradient flow of a homogeneous network keeps, along every recorded path.

Balance (Du, Hu & Lee 2018), the growth of the normalised margin and its rate (Lyu & Li, arXiv:1906.05890), and what
follows for the limit.  Margins at large norms are taken from the direction, in logarithms.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.families import FAMILIES, Kind, draw
from harness.flow import Settings, follow
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from tests.support.draws import first
from tests.support.integrations import margins_and_gradients

# The integrator's error along a path may add up to this many times its rtol: 3 are seen.
DRIFT = 10.0
RTOLS = (1e-5, 1e-8)
# Above this margin the softmax stays that of margins FREEZE; the direction is then off by 1 / FREEZE times a logarithm.
FREEZE = 1e5
# Eight of 24 converge in the family in which fewest do.
DRAWS = 240
CASES = [(family, kind) for family in FAMILIES for kind in ("generic", "integer")]


@cache
def paths(family: str, kind: Kind, rtol: float) -> list[Limit]:
    """Converged flows with their paths."""
    settings = Settings(rtol=rtol, steps=20000, freeze=FREEZE)
    rng = np.random.default_rng([61, list(FAMILIES).index(family)])
    limits = (follow(draw(rng, family, kind), settings, record=True) for _ in range(DRAWS))
    return first(8, (limit for limit in limits if limit.status == "converged"))


def steps(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """log-norm (T,) and direction (T, N) of the rows that move on."""
    assert limit.path is not None
    new = np.append(True, np.diff(limit.path["sigma"]) > 0.0)
    return limit.path["log_norm"][new], limit.path["direction"][new]


@pytest.mark.parametrize("rtol", RTOLS)
@pytest.mark.parametrize(("family", "kind"), CASES)
def test_layers_stay_balanced(family: str, kind: Kind, rtol: float) -> None:
    for limit in paths(family, kind, rtol):
        log_norm, direction = steps(limit)
        squares = [np.sum(u**2, axis=1) for u in limit.instance.network.split(direction)]
        for below, above in pairwise(squares):
            _assert_conserved(limit.instance, log_norm, below - above, rtol)


@pytest.mark.parametrize("rtol", RTOLS)
@pytest.mark.parametrize(("family", "kind"), [c for c in CASES if "depth 2" in c[0] and "convolutional" not in c[0]])
def test_neurons_stay_balanced(family: str, kind: Kind, rtol: float) -> None:
    for limit in paths(family, kind, rtol):
        log_norm, direction = steps(limit)
        hidden, output = limit.instance.network.split(direction)
        patterns = limit.instance.network.patterns
        for row, k in zip(patterns[0], patterns[1][0], strict=True):
            incoming = np.sum(hidden[:, [j for j in row if j >= 0]] ** 2, axis=1)
            _assert_conserved(limit.instance, log_norm, incoming - output[:, k] ** 2, rtol)


def _assert_conserved(instance: Instance, log_norm: np.ndarray, difference: np.ndarray, rtol: float) -> None:
    """difference (T,) of squares, divided by norm^2, of which the product with norm^2 is conserved."""
    error = np.abs(difference - difference[0] * np.exp(2.0 * (log_norm[0] - log_norm))).max()
    assert error <= DRIFT * rtol, f"{error:.1e}\n{instance.to_json()}"


def log_margin(instance: Instance, log_norm: float, direction: np.ndarray) -> float:
    """log(loss^-1(L) / norm^m), minus infinity before the data are separated.

    With q = norm^m q(direction): loss^-1(L) is norm^m min q(direction) less a correction that only the differences
    of the margins enter.
    """
    q = margins_and_gradients(instance, direction)[0]
    m = instance.network.depth
    if m * log_norm > 600.0:
        return float(np.log(q.min())) if q.min() > 0.0 else -np.inf
    scale = np.exp(m * log_norm)
    if instance.loss == "exponential":
        inverse = scale * q.min() - np.log(np.sum(np.exp(-scale * (q - q.min()))))
    else:
        # log(1 + exp(-q)), and log(exp(L) - 1), where exp(-q) is below every float
        logs = np.array([-v if v > 30.0 else np.log(np.logaddexp(0.0, -v)) for v in scale * q])
        log_loss = logs.max() + np.log(np.sum(np.exp(logs - logs.max())))
        inverse = -log_loss if log_loss < -30.0 else -np.log(np.expm1(np.exp(log_loss)))
    return float(np.log(inverse) - m * log_norm) if inverse > 0.0 else -np.inf


@pytest.mark.parametrize("rtol", RTOLS)
@pytest.mark.parametrize(("family", "kind"), CASES)
def test_the_normalised_margin_grows_at_its_rate(family: str, kind: Kind, rtol: float) -> None:
    """d log margin / d log norm >= m |d direction / d log norm|^2.

    Over a step, by the Cauchy-Schwarz inequality: the margin's logarithm grows by at least
    m |change of direction|^2 / (change of log norm).
    """
    for limit in paths(family, kind, rtol):
        instance = limit.instance
        log_norm, direction = steps(limit)
        logs = np.array([log_margin(instance, s, u) for s, u in zip(log_norm, direction, strict=True)])
        separated = np.flatnonzero(np.isfinite(logs))
        assert len(separated)
        first = int(separated[0])
        assert np.isfinite(logs[first:]).all(), "once separated, always separated"
        growth = np.diff(logs[first:])
        stride = np.diff(log_norm[first:])
        assert (stride > 0.0).all(), "the norm grows"
        least = instance.network.depth * np.sum(np.diff(direction[first:], axis=0) ** 2, axis=1) / stride
        frozen = _smallest_margins(instance, log_norm, direction)[first + 1 :] > FREEZE
        excess = least - growth - DRIFT * rtol - np.where(frozen, 2.0 / FREEZE, 0.0)
        assert excess.max(initial=-1.0) <= 0.0, f"{excess.max():.1e}\n{instance.to_json()}"
        # margin-floor: what has been reached, the limit has at least
        assert limit.value is not None
        reached = -0.5 * instance.network.depth * np.log(2.0 * limit.value)
        assert reached >= logs.max() - DRIFT * rtol - 2.0 / FREEZE, instance.to_json()


def _smallest_margins(instance: Instance, log_norm: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """min q (T,) at the norms themselves, infinite beyond the floats."""
    low = np.array([margins_and_gradients(instance, u)[0].min() for u in direction])
    with np.errstate(over="ignore"):
        return low * np.exp(instance.network.depth * log_norm)
