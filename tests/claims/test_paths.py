"""The claims about the whole flow: a faithful path holds, and tampering is seen by the claim that it concerns."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from harness import drive
from harness.claims.table import CLAIMS
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import diagonal, fully_connected
from tests.claims.test_claims import ON_PATHS, verdicts

# Two diagonal paths: the flow uses both, and in the limit the first alone, which is better.
NETWORK = diagonal("linear", 2, 2)
START = Instance.of(NETWORK, "exponential", ((5, 1),), (1,), ((1, 2), (1, 2)))


@cache
def recorded(loss: str = "exponential") -> Limit:
    (limit,) = drive([dataclasses.replace(START, loss=loss)], record=True)
    assert limit.status == "converged"
    return limit


def judged(claim: str, limit: Limit) -> str:
    return CLAIMS[claim].judged(limit, verdicts("undecided"))


def tampered(limit: Limit, **path: np.ndarray) -> Limit:
    assert limit.path is not None
    return dataclasses.replace(limit, path={**limit.path, **path})


def elsewhere(limit: Limit, theta: tuple[np.ndarray, ...], value: float) -> Limit:
    """The same with another end."""
    assert limit.point is not None
    return dataclasses.replace(limit, point=dataclasses.replace(limit.point, theta=theta, value=value))


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("claim", ON_PATHS)
def test_a_faithful_flow_holds(claim: str, loss: str) -> None:
    assert judged(claim, recorded(loss)) == "holds"


def test_a_jump_to_a_worse_kkt_point_is_below_the_floor() -> None:
    """The second path alone is a KKT point too, at twice the cost."""
    worse = elsewhere(recorded(), (np.array([0.0, 1.0]), np.array([0.0, 1.0])), 1.0)
    assert judged("margin-floor", worse) == "violated"
    assert judged("sign-kept", worse) == "holds"


def test_a_jump_to_the_other_sign_is_seen() -> None:
    turned = elsewhere(recorded(), tuple(-u for u in recorded().theta or ()), recorded().value or 0.0)
    assert judged("sign-kept", turned) == "violated"
    assert judged("margin-floor", turned) == "holds"


def test_a_path_that_runs_backwards_loses_margin() -> None:
    path = recorded().path
    assert path is not None
    backwards = tampered(recorded(), direction=path["direction"][::-1].copy())
    assert judged("margin-grows", backwards) == "violated"


def test_a_layer_that_grows_faster_is_unbalanced() -> None:
    path = recorded().path
    assert path is not None
    direction = path["direction"] * np.where(np.arange(4) < 2, 1.05, 0.95)
    direction[0] = path["direction"][0]
    assert judged("balance", tampered(recorded(), direction=direction)) == "violated"


def test_sign_kept_speaks_of_starts_with_large_outgoing_weights() -> None:
    network = fully_connected("linear", (1, 1))
    small = Instance.of(network, "exponential", ((1,),), (1,), ((2,), (1,)))
    (limit,) = drive([small], record=True)
    assert judged("sign-kept", limit) == "outside"


def test_a_path_that_stops_early_keeps_its_loss() -> None:
    path = recorded().path
    assert path is not None
    early = {key: rows[:2] for key, rows in path.items()} | {"log_norm": path["log_norm"][:2] - 1.0}
    assert judged("loss-vanishes", dataclasses.replace(recorded(), path=early)) == "violated"


def test_a_path_that_turns_for_nothing_is_too_slow() -> None:
    """A shake that changes the margin to second order only: it still grows, but not for how far the direction goes."""
    path = recorded().path
    assert path is not None
    shake = 0.02 * (-1.0) ** np.arange(len(path["log_norm"]))
    direction = path["direction"] + shake[:, None] * np.array([1.0, 0.0, -1.0, 0.0])
    assert judged("margin-rate", tampered(recorded(), direction=direction)) == "violated"


def test_a_neuron_that_grows_by_itself_is_unbalanced() -> None:
    """The layers stay balanced if one neuron takes from its outgoing weight what another adds to its own."""
    path = recorded().path
    assert path is not None
    squares = path["direction"] ** 2
    moved = np.minimum(0.02, squares.min(axis=1))[:, None] * np.array([1.0, -1.0, 0.0, 0.0])
    moved[0] = 0.0
    direction = np.sign(path["direction"]) * np.sqrt(squares + moved)
    assert judged("balance", tampered(recorded(), direction=direction)) == "violated"
