"""Several processes find what one finds, in the same order."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.families import suite
from harness import drive
from harness.problem.fields import FieldError

TOLD = ("status", "reason", "value", "log_norm", "events", "evidence", "held")


def test_two_processes_find_what_three_do() -> None:
    """To the bit, but for the first, which this process follows: one that compiles has other last places."""
    draws = [*suite(17, 24, "generic"), *suite(17, 16, "integer")]
    alone = drive(draws)
    two, three = (drive(draws, record=True, workers=workers) for workers in (2, 3))
    assert {limit.status for limit in alone} >= {"converged", "undecided"}
    for instance, here, one, other in list(zip(draws, alone, two, three, strict=True))[1:]:
        assert one.instance is other.instance is instance
        assert here.status == one.status
        assert one.value is None or here.value == pytest.approx(one.value, rel=1e-9)
        assert [getattr(one, name) for name in TOLD] == [getattr(other, name) for name in TOLD]
        assert (one.path is None) == (other.path is None)
        for name, rows in (one.path or {}).items():
            np.testing.assert_array_equal(rows, (other.path or {})[name])
        if one.point and other.point:
            assert one.point.problem is other.point.problem is instance.problem
            np.testing.assert_array_equal(np.concatenate(one.point.theta), np.concatenate(other.point.theta))
            np.testing.assert_array_equal(one.point.multipliers, other.point.multipliers)


def test_less_than_a_list_needs_no_other_process() -> None:
    assert drive([], workers=3) == []
    (limit,) = drive(suite(17, 1, "generic"), workers=3)
    assert limit.status


@pytest.mark.parametrize(("workers", "device"), [(0, "cpu"), (-1, "cpu"), (2, "cuda"), (0, "cuda")])
def test_a_number_of_workers_that_is_not_supported(workers: int, device: str) -> None:
    with pytest.raises(FieldError, match="workers"):
        drive([], workers=workers, device=device)
