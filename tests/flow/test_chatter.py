"""A flow that meets one kink again and again: none does in truth, but by what a landing and rounding leave."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.wide import draw
from harness.flow import Settings, follow
from harness.flow.compiled.field import no_slides, slides_of, solve_gram
from harness.flow.compiled.state import ATTEMPTS
from harness.flow.run import STANDS_STILL, Run


def test_a_flow_that_has_landed_beyond_a_kink_comes_back_without_meeting_it_again() -> None:
    """A steep step lands 2e-11 beyond a kink that it only touches: it was met 200 times on the way back."""
    limit = follow(draw((2, 6, 6), 113))
    met = Counter((event["sample"], event["neuron"]) for event in limit.events)
    assert max(met.values()) <= 4
    assert limit.status == "converged"
    assert limit.value == pytest.approx(170.418810161863, rel=1e-12)


def test_a_flow_that_rounding_alone_moves_is_not_followed_on() -> None:
    """Between slides that its rounding ends and begins it used to go on for all of 3000 steps."""
    steps = [0]

    def watch(run: Run) -> None:
        steps.append(int(run.state[ATTEMPTS]))

    limit = follow(draw((2, 6, 6), 11), Settings(watch=watch))
    assert limit.reason.rstrip(".").lower() == STANDS_STILL
    assert steps[-1] < 1000


@pytest.mark.parametrize("seed", range(4))
def test_slides_of_several_neurons_are_solved_as_all_together(seed: int) -> None:
    """Lines in blocks that share no parameters, one of them dependent on two others: the velocity is tangent to all."""
    rng = np.random.default_rng(seed)
    size, spans = 12, [(8, 12), (8, 12), (0, 3), (3, 8), (3, 8), (3, 8), (3, 8)]
    normals = np.zeros((len(spans), size))
    for row, (begin, end) in zip(normals, spans, strict=True):
        row[begin:end] = rng.standard_normal(end - begin)
    normals[-1] = normals[-2] - normals[-3]
    places = np.arange(len(spans))
    slides = slides_of(normals, no_slides(size).curved, places, places, places, np.ones(len(spans)))
    assert slides.blocks.tolist() == [0, 2, 3, 7]
    f = rng.standard_normal(size)
    omega = -normals @ f
    solve_gram(slides, omega)
    basis = np.linalg.svd(normals)[2][np.linalg.matrix_rank(normals) :]
    np.testing.assert_allclose(f + omega @ normals, basis.T @ (basis @ f), atol=1e-9)
