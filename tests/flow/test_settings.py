"""The default tolerances against much tighter ones: the same status and the same predictor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.families import FAMILIES, Kind, draw
from harness.flow import Settings, follow
from harness.problem.limits import Limit
from tests.support.draws import first

TIGHT = Settings(rtol=1e-9, freeze=1e7, steps=40000)
PER_FAMILY = 8
# Eight of 33 converge in the family in which fewest do.
DRAWS = 330


def converged(family: str, kind: Kind) -> list[tuple[Limit, Limit]]:
    rng = np.random.default_rng([81, list(FAMILIES).index(family)])
    limits = (follow(draw(rng, family, kind)) for _ in range(DRAWS))
    defaults = first(PER_FAMILY, (limit for limit in limits if limit.status == "converged"))
    return [(default, follow(default.instance, TIGHT)) for default in defaults]


@pytest.mark.parametrize("family", FAMILIES)
def test_generic_draws_have_the_same_predictor(family: str) -> None:
    for default, tight in converged(family, "generic"):
        assert tight.status == "converged", f"{tight.reason}\n{default.instance.to_json()}"
        assert default.point is not None
        assert tight.point is not None
        assert default.value == pytest.approx(tight.value, rel=1e-8)
        np.testing.assert_allclose(
            default.point.margins, tight.point.margins, rtol=1e-8, err_msg=default.instance.to_json()
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_integer_draws_have_the_same_value_and_support_vectors(family: str) -> None:
    """Small integers may leave a whole face of KKT points of one value; where on it the flow ends is then known only as
    well as its path is."""
    for default, tight in converged(family, "integer"):
        assert tight.status == "converged", f"{tight.reason}\n{default.instance.to_json()}"
        assert default.point is not None
        assert tight.point is not None
        assert default.value == pytest.approx(tight.value, rel=1e-8)
        np.testing.assert_allclose(
            default.point.margins, tight.point.margins, rtol=3e-5, err_msg=default.instance.to_json()
        )
        active = default.point.margins < 1.0 + 1e-7
        np.testing.assert_allclose(tight.point.margins[active], 1.0, rtol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["generic", "integer"])
def test_a_start_nearby_has_the_same_limit_unless_an_invariance_holds_it(family: str, kind: Kind) -> None:
    rng = np.random.default_rng([82, list(FAMILIES).index(family)])
    compared = 0
    for _ in range(160):
        limit = follow(draw(rng, family, kind))
        if limit.point is None or limit.held or compared >= PER_FAMILY:
            continue
        instance = limit.instance
        near = [u * (1 + 1e-9 * rng.standard_normal(len(u))) for u in instance.theta0_float]
        near = [np.where(u == 0.0, 1e-9 * rng.standard_normal(len(u)), u) for u in near]
        moved = follow(dataclasses.replace(instance, theta0=tuple(tuple(u.tolist()) for u in near)))
        if limit.point.doubt or moved.status != "converged":
            # a dead neuron at zero may wake, and come to another end
            continue
        assert limit.point is not None
        assert moved.point is not None
        compared += 1
        assert limit.value == pytest.approx(moved.value, rel=1e-7), instance.to_json()
    assert compared >= PER_FAMILY - 3
