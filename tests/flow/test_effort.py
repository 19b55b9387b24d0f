"""What a person may ask of the trainer: to give up sooner, to be told where it is, to refuse what does not fit."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import Instance, drive
from harness.cli import main
from harness.flow import Settings
from harness.flow.run import Run
from harness.problem.networks import fully_connected


def instance(d: int, width: int, n: int, seed: int = 2) -> Instance:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)).tolist(), rng.choice([-1, 1], n).tolist()
    theta0 = [rng.standard_normal(width * d).tolist(), rng.standard_normal(width).tolist()]
    return Instance.of(fully_connected("relu", (d, width)), "exponential", x, y, theta0)


def test_a_flow_that_is_watched_is_the_same_to_the_bit() -> None:
    looks: list[tuple[float, int]] = []

    def watch(run: Run) -> None:
        looks.append((run.log_norm, len(run.events)))

    given = instance(2, 3, 3)
    (alone,), (watched,) = drive([given]), drive([given], settings=Settings(watch=watch))
    assert len(looks) > 2
    assert alone.status == watched.status == "converged"
    assert alone == replace(watched, point=alone.point)
    assert alone.theta is not None
    assert watched.theta is not None
    for one, other in zip(alone.theta, watched.theta, strict=True):
        assert np.array_equal(one, other)


def test_the_clock_decides_where_it_is_asked_to() -> None:
    (limit,) = drive([instance(2, 3, 3)], settings=Settings(deadline=-math.inf))
    assert limit.status == "undecided"
    assert "the time that was asked for is over" in limit.reason.lower()


def test_fewer_events() -> None:
    (limit,) = drive([instance(2, 3, 3)], settings=Settings(events=1))
    assert limit.status == "undecided"
    assert "after 1 events at kinks" in limit.reason


def test_what_does_not_fit_in_memory_is_refused_at_once() -> None:
    patterns = fully_connected("relu", (784, 400))
    rng = np.random.default_rng(0)
    x, theta0 = rng.integers(1, 9, (20, 784)).tolist(), [[1] * 784 * 400, [1] * 400]
    (limit,) = drive([Instance.of(patterns, "exponential", x, [1] * 20, theta0)])
    assert limit.status == "undecided"
    assert "GiB of memory" in limit.reason


@pytest.mark.parametrize("option", ["--steps", "--events", "--seconds"])
def test_bad_effort(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "instance.json"
    file.write_text(instance(2, 2, 2).to_json())
    assert main(["check", str(file), option, "0"]) == 2
    assert capsys.readouterr().err == f"marginalia: {option[2:]}: expected a number above 0\n"


def test_check_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "instance.json"
    file.write_text(instance(2, 3, 3).to_json())
    assert main(["check", str(file), "--json", "--steps", "5", "--events", "7", "--seconds", "600"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["reason"]) == ("undecided", "Not separated after 5 steps.")
