"""The verdicts on the depth 2 examples of docs/statements.md, section 6, found by hand there."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import harness.oracles.layer_tree as layer_tree
import harness.oracles.optimality as optimality
from harness.certificates import check
from harness.oracles import Verdict, decide
from harness.oracles.apart import Apart
from harness.oracles.multipliers import best_multipliers
from harness.oracles.programmes import full_problem, global_regions
from harness.problem.networks import Network, convolutional, diagonal, fully_connected
from harness.problem.points import Point
from tests.support.points import active_global, as_limit, depth2_local, fc_relu_local, nonzero_local, point

BEST_OF_TWO_POINTS = 8.0 / 17.0**0.5
FALSE = {"nonzero_weights": False, "nonzero_weight_vectors": False, "nonzero_inputs": False}


def is_certified(verdict: Verdict, found: Point) -> bool:
    """The checker's word, asked for once more."""
    assert verdict.certificate is not None
    return verdict.certified and check(found.problem, verdict.certificate).accepted


def test_fc_relu_local() -> None:
    found = fc_relu_local()
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.mechanism) == ("not_optimal", "dead neuron")
    assert verdicts.local.value == pytest.approx(4.0, abs=1e-12)
    assert verdicts.local.bound is not None
    assert BEST_OF_TWO_POINTS <= verdicts.local.bound < 4.0
    assert is_certified(verdicts.local, found)
    assert verdicts.global_.status == "not_optimal"
    assert is_certified(verdicts.global_, found)
    assert verdicts.assumptions == FALSE


def test_fc_relu_local_by_layer() -> None:
    # With v = (2, 0) only neuron 1 counts, and it must be on for both points: cost 2 is the least in layer 1.
    found = fc_relu_local()
    first, second = decide(found).trained_layers
    for verdict in (first.global_, first.local, second.global_, second.local):
        assert verdict.status == "optimal"
        assert verdict.value == pytest.approx(2.0)
        assert is_certified(verdict, found)
    assert first.global_.certificate is not None
    assert first.global_.certificate["kind"] == "layer tree"


@pytest.mark.parametrize(("activation", "mechanism"), [("linear", "zero weight"), ("relu", "dead neuron")])
def test_depth2_local(activation: str, mechanism: str) -> None:
    found = depth2_local(activation)
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.mechanism) == ("not_optimal", mechanism)
    assert verdicts.local.value == pytest.approx(1.0)
    assert verdicts.local.bound is not None
    assert 0.5 <= verdicts.local.bound < 0.6
    assert is_certified(verdicts.local, found)
    assert verdicts.assumptions == FALSE


def test_nonzero_local() -> None:
    found = nonzero_local()
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.mechanism) == ("not_optimal", "kink")
    assert verdicts.local.value == pytest.approx(2.0)
    assert verdicts.local.bound is not None
    assert 2.0**0.5 <= verdicts.local.bound < 1.5
    assert is_certified(verdicts.local, found)
    assert verdicts.assumptions == {**FALSE, "nonzero_weight_vectors": True}
    first, second = verdicts.trained_layers
    assert first.local.status == "not_optimal"
    assert is_certified(first.local, found)
    assert second.global_.status == "optimal"


def test_active_global() -> None:
    found = active_global()
    verdicts = decide(found)
    assert (verdicts.local.status, verdicts.global_.status) == ("optimal", "not_optimal")
    assert verdicts.mechanism is None
    assert is_certified(verdicts.local, found)
    assert is_certified(verdicts.global_, found)
    assert verdicts.global_.bound is not None
    assert BEST_OF_TWO_POINTS <= verdicts.global_.bound < BEST_OF_TWO_POINTS * 1.1
    assert verdicts.assumptions["nonzero_inputs"] is True
    first, second = verdicts.trained_layers
    assert (first.local.status, first.global_.status) == ("optimal", "not_optimal")
    assert is_certified(first.global_, found)
    assert second.global_.status == second.local.status == "optimal"


def test_one_neuron_a_point_is_global() -> None:
    root = (4.0 / 17.0**0.5) ** 0.5  # |u_j| = 1/|x_j| = 4/sqrt(17)
    unit = (4.0 / 17.0**0.5, 1.0 / 17.0**0.5)
    theta = [[root * unit[0], root * unit[1], -root * unit[0], root * unit[1]], [root, root]]
    found = point(fully_connected("relu", (2, 2)), [["1", "1/4"], ["-1", "1/4"]], [1, 1], theta)
    verdicts = decide(found)
    assert verdicts.global_.status == "optimal"
    assert verdicts.global_.value == pytest.approx(BEST_OF_TWO_POINTS)
    assert is_certified(verdicts.global_, found)


def test_best_multipliers_over_any_width() -> None:
    # The limit's own multipliers, 2 and 2, prove 4/2.06155 already, and two neurons attain it.
    problem = full_problem(Apart(active_global()))
    regions = global_regions(problem)
    slopes = problem.slopes(regions, problem.apart.alpha)
    assert slopes is not None
    assert problem.bound(problem.apart.alpha, slopes) == pytest.approx(BEST_OF_TWO_POINTS)
    for start in ([1.0, 0.0], [0.0, 0.0], [1.0, 3.0]):
        opening = problem.slopes(regions, np.array(start))
        assert opening is not None
        relaxed = best_multipliers(problem, regions, opening)
        assert relaxed is not None
        assert relaxed.bound == pytest.approx(BEST_OF_TWO_POINTS)


def test_a_better_point_is_what_it_says() -> None:
    found = fc_relu_local()
    certificate = decide(found).local.certificate
    assert certificate is not None
    better = [[Fraction(a) for a in u] for u in certificate["better"]]
    assert min(found.problem.margins(better)) >= 1
    assert sum(a * a for u in better for a in u) / 2 < 4


def test_without_certificates_nothing_is_certified() -> None:
    verdicts = decide(nonzero_local(), certify=False)
    assert verdicts.local.status == "not_optimal"
    assert not verdicts.local.certified


# --- what must not be decided ---


def test_not_converged_is_an_error() -> None:
    found = replace(as_limit(fc_relu_local()), status="undecided", point=None)
    with pytest.raises(ValueError, match="converged"):
        decide(found)


def test_doubt_leaves_everything_open() -> None:
    verdicts = decide(replace(fc_relu_local(), doubt="an input of 1e-9 may be zero"))
    open_ = [
        verdicts.local,
        verdicts.global_,
        *(v for pair in verdicts.trained_layers for v in (pair.local, pair.global_)),
    ]
    assert {v.status for v in open_} == {"undecided"}
    assert verdicts.local.reason == "an input of 1e-9 may be zero"
    assert set(verdicts.assumptions.values()) == {None}
    assert verdicts.mechanism is None


def test_two_equal_diagonal_paths_of_depth_3_are_a_saddle() -> None:
    """Moving weight from one product of three to the other pays, though each layer by itself is optimal."""
    verdicts = decide(point(diagonal("linear", 2, 3), [[1, 1]], [1], [[1.0, 1.0]] * 3))
    assert verdicts.local.status == "not_optimal"
    assert verdicts.local.certified
    assert [pair.global_.status for pair in verdicts.trained_layers] == ["optimal"] * 3


def test_a_point_without_multipliers_is_left_open() -> None:
    """Not a KKT point, and said to be a limit: shared weights whose gradient is nowhere along theta."""
    verdicts = decide(as_limit(point(convolutional("linear", 2, 1), [[2, 1]], [1], [[1.0], [1.0, 1.0]])))
    assert verdicts.local.status == "undecided"
    assert "multipliers" in verdicts.local.reason
    assert len(verdicts.trained_layers) == 2


def test_a_point_that_is_not_kkt_is_not_called_optimal() -> None:
    # Feasible and even in the right cells, but 10 % longer than it needs to be in one direction.
    found = point(fully_connected("relu", (2, 1)), [[1, 0]], [1], [[1.0, 0.5], [1.118]])
    verdicts = decide(as_limit(found))
    assert verdicts.local.status == "undecided"
    # one neuron along x costs less
    assert (verdicts.global_.status, verdicts.global_.certified) == ("not_optimal", True)


def test_wrong_multipliers_are_not_believed() -> None:
    good = active_global()
    assert good is not None
    verdicts = decide(replace(good, multipliers=good.multipliers * [1.0, 0.0]))
    # The oracle may find the right ones by itself; what it says must carry a proof.
    assert verdicts.local.status == "undecided" or is_certified(verdicts.local, good)


def test_too_many_cells_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide(fc_relu_local()).trained_layers[0].global_.status == "optimal"
    monkeypatch.setattr(optimality, "MAX_CELLS", 2)
    monkeypatch.setattr(layer_tree, "MAX_NODES", 2)
    assert decide(fc_relu_local()).trained_layers[0].global_.status == "undecided"


def test_neurons_that_cannot_contribute() -> None:
    # Neuron 2 sees nothing and neuron 3 is not heard; neuron 1 alone is the whole network.
    network = Network("relu", (((0, 1), (-1, -1), (2, 3)), ((0, 1, -1),)))
    found = point(network, [[1, 0]], [1], [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0]])
    verdicts = decide(found)
    assert verdicts.global_.status == "optimal"
    assert is_certified(verdicts.global_, found)
    assert verdicts.assumptions == FALSE


def test_a_zero_patch_makes_the_assumptions_false() -> None:
    # The point (0, 1) is invisible to neuron 1, and both weight vectors are nonzero.
    found = point(diagonal("linear", 2, 2), [[1, 0], [0, 1]], [1, 1], [[1.0, 1.0], [1.0, 1.0]])
    verdicts = decide(found)
    assert verdicts.local.status == "optimal"
    assert verdicts.assumptions == FALSE
