"""Several processes find what one finds, in the same order."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.families import suite
from harness import drive
from harness.problem.fields import FieldError


def test_two_processes_find_what_one_does() -> None:
    draws = [*suite(17, 24, "generic"), *suite(17, 16, "integer")]
    alone, together = drive(draws, record=True), drive(draws, record=True, workers=2)
    assert {limit.status for limit in alone} >= {"converged", "undecided"}
    for instance, one, other in zip(draws, alone, together, strict=True):
        assert other.instance is instance
        told = ("status", "reason", "value", "log_norm", "events", "evidence", "held")
        assert [getattr(one, name) for name in told] == [getattr(other, name) for name in told]
        assert (one.path is None) == (other.path is None)
        for name, rows in (one.path or {}).items():
            np.testing.assert_array_equal(rows, (other.path or {})[name])
        if one.point and other.point:
            assert other.point.problem is instance.problem
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
