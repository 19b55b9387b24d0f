"""A point that somebody brings: what is decided of it, of the KKT point next to it, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness import Point, decide
from harness.certificates import check
from harness.cli import main
from harness.oracles import Verdict, brought
from harness.oracles.ascent import search
from harness.oracles.descent import NOT_KKT
from harness.problem.evaluation import Evaluation
from harness.problem.networks import convolutional, fully_connected
from harness.problem.points import NotSeparating
from tests.support.bad_inputs import BAD_TEXTS, good_object
from tests.support.modules import moons, trained, trained_together
from tests.support.points import active_global, as_limit, fc_relu_local, point


def assert_denied(verdict: Verdict, found: Point) -> None:
    """Not optimal, by a proof that the checker accepts once more, with a bound that some point attains."""
    assert (verdict.status, verdict.certified) == ("not_optimal", True), verdict.reason
    assert verdict.certificate is not None
    answer = check(found.problem, json.loads(json.dumps(verdict.certificate)))
    assert answer.accepted
    assert verdict.bound is not None
    assert verdict.bound == answer.bound
    assert verdict.bound < verdict.value


def test_fifty_trained_modules_are_not_optimal() -> None:
    """Whatever Adam leaves is far from a KKT point, and every one is proven to be no local optimum."""
    judged = 0
    for module, x, y in trained_together(58, 12, 10, 1000):
        try:
            found = Point.from_torch(module, x, y)
        except NotSeparating:
            continue
        if found.residual > 1e-2:
            judged += 1
            verdicts = decide(found)
            assert_denied(verdicts.local, found)
            assert verdicts.global_.status == "not_optimal"
            assert verdicts.mechanism == "not a KKT point"
    assert judged >= 50


def beside(found: Point, size: float, seed: int = 0) -> Point:
    """The point with its parameters moved by so much, relative to its norm."""
    rng = np.random.default_rng(seed)
    flat = found.problem.network.flat(found.theta)
    step = rng.standard_normal(len(flat))
    moved = flat + size * np.linalg.norm(flat) * step / np.linalg.norm(step)
    return Point.at(found.problem, [u.tolist() for u in found.problem.network.split(moved)])


@pytest.mark.parametrize("size", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_beside_a_local_optimum(size: float) -> None:
    """However near it is, the point is none itself; the KKT point next to it is reached, and is one."""
    optimum = active_global()
    for seed in range(3):
        found = beside(optimum, size, seed)
        assert found.residual > NOT_KKT
        verdicts = decide(found)
        assert_denied(verdicts.local, found)
        # the optimum costs less than what was found next to it
        assert verdicts.local.bound is not None
        assert verdicts.local.bound >= optimum.value * (1.0 - 1e-12)
        nearest = found.nearest_kkt()
        assert nearest is not None
        assert nearest.residual <= 1e-9
        assert found.distance_to(nearest) < 2.0 * size
        own = decide(nearest)
        assert (own.local.status, own.local.certified) == ("optimal", True)
        assert own.mechanism is None


def test_a_kkt_point_is_left_to_the_oracles() -> None:
    assert decide(active_global()).local.status == "optimal"
    verdicts = decide(fc_relu_local())
    assert verdicts.local.certificate is not None
    assert (verdicts.mechanism, verdicts.local.certificate["kind"]) == ("dead neuron", "better")


def test_a_limit_is_never_denied_by_a_descent() -> None:
    """Its floats round it: of a limit that is no KKT point nothing is known."""
    stray = point(fully_connected("relu", (2, 1)), [[1, 0]], [1], [[1.0, 0.5], [1.118]])
    assert decide(stray).mechanism == "not a KKT point"
    verdicts = decide(as_limit(stray))
    assert verdicts.local.status == "undecided"
    # a point that costs less is one, whatever the limit is
    assert verdicts.global_.certificate is not None
    assert verdicts.global_.certificate["kind"] == "cheaper"
    assert verdicts.mechanism is None


def test_doubt_comes_first() -> None:
    stray = point(fully_connected("relu", (2, 1)), [[1, 0]], [1], [[1.0, 0.5], [1.118]], "who knows")
    assert decide(stray).local.reason == "who knows"


@pytest.mark.parametrize("layer", [0, 1])
def test_layers_of_their_own(layer: int) -> None:
    """A layer that is not optimal with the others held is denied by a way that moves it alone."""
    stray = point(convolutional("relu", 3, 2), [[1, 2, 0], [0, 1, 3]], [1, 1], [[1, 2], [1, 3]])
    pair = decide(stray).trained_layers[layer]
    assert_denied(pair.local, stray)
    certificate: Any = pair.local.certificate
    assert certificate["problem"] == f"layer {layer + 1}"
    assert not any(certificate["d"][1 - layer])
    assert pair.local.value == pytest.approx(0.5 * float(stray.theta[layer] @ stray.theta[layer]))


def test_kinks_of_the_point_are_taken_into_account() -> None:
    """On a kink the gradient of one side is not enough: the margins have to hold whatever the gate becomes."""
    rng = np.random.default_rng(3)
    x = [[1, 0], [0, 1], [1, 1]]
    denied = 0
    for _ in range(40):
        first, second = rng.integers(-2, 3, (2, 2)), rng.integers(1, 3, 2)
        try:
            found = point(fully_connected("relu", (2, 2)), x, [1, 1, 1], [first.ravel().tolist(), second.tolist()])
        except NotSeparating:
            continue
        if found.residual > 1e-3 and any(found.multipliers[kink.place.sample] > 0.0 for kink in found.kinks):
            denied += 1
            assert_denied(decide(found).local, found)
    assert denied >= 3


# --- larger than exact proofs of optimality take ---


def large_module() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(50, 100), nn.ReLU(), nn.Linear(100, 1, bias=False))
    x, y = torch.randn(50, 50), torch.sign(torch.randn(50))
    return trained(module, x, y, 100), x, y


def test_a_large_module() -> None:
    found = Point.from_torch(*large_module())
    assert found.problem.network.size == 5200
    verdicts = decide(found)
    assert_denied(verdicts.local, found)
    assert verdicts.local.bound is not None
    assert verdicts.local.bound < 0.6 * found.value  # the search finds what one gradient does not
    for pair in verdicts.trained_layers:
        assert_denied(pair.local, found)
    assert found.nearest_kkt() is None
    assert len(str(found).splitlines()) <= 8


def test_a_convolutional_module() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(1, 6, 5, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 28, 1, bias=False))
    x, y = torch.randn(40, 1, 32), torch.sign(torch.randn(40))
    # a silent stretch: the inputs of neurons that see nothing else are zero, and no kink
    x[:, :, :6] = 0.0
    found = Point.from_torch(trained(module, x, y, 150), x, y)
    assert len(found.kinks) == 40 * 6 * 2
    assert_denied(decide(found).local, found)


def test_nothing_of_the_size_of_all_gradients_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 points, 100 neurons, 78,600 parameters: gradients come some parameters at a time."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 1, bias=False))
    x = torch.rand(100, 784)
    with torch.no_grad():
        y = torch.sign(module(x)[:, 0])
    sizes: list[int] = []
    in_parts = Evaluation.gradients_in_parts

    def noted(at: Evaluation, seeds: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for places, part in in_parts(at, seeds, most):
            sizes.append(part.size)
            yield places, part

    monkeypatch.setattr(Evaluation, "gradients_in_parts", noted)
    monkeypatch.delattr(Evaluation, "backward")
    found = Point.from_torch(module, x, y)
    assert sum(sizes) == 100 * 78_600
    assert max(sizes) <= 2**22
    assert 0.0 < found.residual < 1.0


def test_a_large_kkt_point_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where exact verdicts are out of reach a better point is a proof, and that none is found says nothing."""
    monkeypatch.setattr(brought, "MOST_PARAMETERS", 3)
    verdicts = decide(fc_relu_local())
    assert verdicts.local.status == "undecided"
    assert "8 starts within 0.03 of it, 300 steps" in verdicts.local.reason
    assert verdicts.mechanism is None
    assert_denied(verdicts.global_, fc_relu_local())
    optimum = point(fully_connected("relu", (2, 2)), [[1, 0]], [1], [[1, 0, 1, 0], [1, 1]])
    verdicts = decide(optimum)
    assert {verdicts.local.status, verdicts.global_.status} == {"undecided"}
    assert "none found" in verdicts.global_.reason
    assert verdicts.trained_layers[0].local.status == "undecided"


def test_the_search_keeps_the_norm_and_the_fixed_layers() -> None:
    network = fully_connected("relu", (2, 2), fixed={2: [1, 1]})
    stray = point(network, [[1, 0], [0, 1]], [1, 1], [[2, 0, 0, 1], [1, 1]])
    found = search(stray, steps=200)
    assert found.theta[1].tolist() == [1.0, 1.0]
    assert float(found.theta[0] @ found.theta[0]) == pytest.approx(float(stray.theta[0] @ stray.theta[0]))
    # the best is w = (a, a) twice, with 4 a^2 = 5, where both margins are 2 a
    assert found.gain == pytest.approx(5.0**0.5 - 1.0, rel=1e-3)


# --- what a point says of itself ---


def test_dead_neurons_norms_and_near_kinks() -> None:
    theta = [[2, 0, -1, 2, 0, 0, 1, "1/1000"], [1, 1, 1, 0]]
    exact = [[Fraction(a) for a in u] for u in theta]
    found = point(fully_connected("relu", (2, 4)), [[1, 0], [1, "1/2"]], [1, 1], exact)  # type: ignore[arg-type]
    # off or at its edge everywhere, no weights in, none out
    assert found.idle == [(0, 1), (0, 2), (0, 3)]
    assert found.norms == pytest.approx([(4 + 1 + 4 + 1 + 1e-6) / 2, 3 / 2])
    near = point(fully_connected("relu", (2, 2)), [[1, 0], [0, 1]], [1, 1], [[1, 1e-3, 1, 1], [1, 1]])
    assert near.close_kinks(1) == [(pytest.approx(1e-3, rel=1e-5), (1, 0, 0))]


def test_moons_from_module_to_verdict_in_five_lines() -> None:
    x, y = moons(8, 0)
    module = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1, bias=False))
    trained(module, x, y, 300, 3e-2)
    verdict = decide(Point.from_torch(module, x, y)).local
    assert (verdict.status, verdict.certified) == ("not_optimal", True)


# --- the command ---


def text_of(**changes: Any) -> str:
    document: dict[str, Any] = {
        "format": 1,
        "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
        "x": [["1", "1/4"], ["-1", "1/4"]],
        "y": [1, 1],
        "theta": [["0", "3", "1/2", "-2"], ["3", "1"]],
    }
    return json.dumps(document | changes)


def run(capsys: pytest.CaptureFixture[str], folder: Path, text: str, *options: str) -> tuple[int, str, str]:
    path = folder / "point.json"
    path.write_text(text)
    code = main(["judge", str(path), *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_judge_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, tmp_path, text_of(), "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    keys = ["status", "reason", "point", "kkt", "assumptions", "verdicts", "mechanism", "nearest"]
    assert list(found) == keys
    assert (found["status"], found["mechanism"]) == ("judged", "not a KKT point")
    keys = ["theta", "value", "margins", "kinks", "zeros", "distance_to_kkt", "norms", "dead", "close_kinks"]
    assert list(found["point"]) == keys
    assert found["point"]["value"] == pytest.approx(31 / 6)
    assert found["verdicts"]["local"]["status"] == "not_optimal"
    assert found["verdicts"]["local"]["certified"] is True
    # next to it is the point of fc-relu-local, and its verdicts are its own
    nearest = found["nearest"]
    assert nearest["point"]["theta"] == [pytest.approx([0, 2, 0, 0]), pytest.approx([2, 0])]
    assert nearest["mechanism"] == "dead neuron"
    assert found["point"]["distance_to_kkt"] == pytest.approx(
        (4 / 9 + 1 / 9 + 16 / 9) ** 0.5 / (31 / 3) ** 0.5, rel=0.02
    )


def test_judge_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, tmp_path, text_of())
    assert (code, err) == (0, "")
    own, near = out.split("The KKT point next to it")
    assert "What improves it nearby (not a KKT point):" in own
    assert "What improves it nearby (dead neuron):" in near
    assert max(map(len, own.splitlines())) < 300


@pytest.mark.parametrize("options", [["--json"], []])
def test_judge_where_the_data_are_not_separated(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, tmp_path, text_of(theta=[[0, 3, 0, 0], [-3, 0]]), *options)
    assert (code, err) == (0, "")
    if options:
        found = json.loads(out)
        assert found["status"] == "not_separating"
        assert {v for key, v in found.items() if key not in ("status", "reason")} == {None}
    assert "the least margin is -2.25, of point 0" in out


@pytest.mark.parametrize(
    "change",
    [
        {"theta": [[1e300, 3, 0, 0], [3, 0]]},
        {"theta": [[1e100, 3, 0, 0], [1e100, 0]]},
        {"x": [[1e300, 1], [1, 1]]},
        {"x": [[1e150, 1], [1, 1]]},
    ],
)
def test_judge_beyond_the_floats(change: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A square that overflows would make every pre-activation look like zero, and the data not separated."""
    code, out, err = run(capsys, tmp_path, text_of(**change), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["status"] == "undecided"
    assert "theta or a point is beyond the floats" in out


# Those of an instance that a point has too.
SAME = {name: bad for name, bad in BAD_TEXTS.items() if not bad[1].startswith(("loss", "theta0", "instance", "seed"))}


@pytest.mark.parametrize(("text", "field"), SAME.values(), ids=SAME.keys())
def test_judge_refuses_bad_points(text: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = text.replace('"theta0"', '"theta"').replace('"loss": "exponential", ', "")
    code, out, err = run(capsys, tmp_path, renamed, "--json")
    assert (code, out) == (2, "")
    assert err.startswith(f"marginalia: {field}: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "point.json"),
        (json.dumps(good_object()), "loss"),
        (text_of(theta0=[[0]]), "theta0"),
        (text_of(theta=[[0, 3, 1], [3, 1]]), "theta[0]"),
        (text_of(theta=[[0, 3, 1, True], [3, 1]]), "theta[0][3]"),
        (text_of(theta=[[0, 3, 1, "1/0"], [3, 1]]), "theta[0][3]"),
        (text_of(format=2), "format"),
    ],
)
def test_judge_refuses_what_is_no_point(
    text: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, tmp_path, text)
    assert (code, out) == (2, "")
    assert f"{field}: " in err
    assert len(err.splitlines()) == 1


def test_a_point_of_several_outputs_and_fixed_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1], [2, 3]]], "fixed": [2]}
    text = text_of(network=network, y=[0, 1], x=[[1, 0], [0, 1]], theta=[[2, 0, 0, 1], [1, 0, 0, 1]])
    code, out, _ = run(capsys, tmp_path, text, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["verdicts"]["layers"][1] is None
    assert found["verdicts"]["local"]["certified"]
    assert [len(row) for row in found["point"]["margins"]] == [1, 1]


def test_a_proof_is_not_taken_for_another_point() -> None:
    """The sabotage that the checker has to see: a descent of a point that is scaled in one layer."""
    found = beside(active_global(), 1e-2)
    certificate = decide(found).local.certificate
    assert certificate is not None
    other = replace(found, theta=(found.theta[0] * 1.01, found.theta[1]))
    forged = {
        **certificate,
        "theta": [u.tolist() for u in other.theta],
        "d": [u.tolist() for u in other.theta],
    }
    assert not check(found.problem, forged).accepted


def test_a_point_whose_scaled_weights_are_beyond_the_floats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "point.json"
    network = '{"activation":"linear","patterns":[[[0,-1],[-1,1]],[[0,1]]]}'
    data = '"x":[["1","0"],["0","1"]],"y":[1,1],"theta":[[1e-320,1],[1,1]]'
    file.write_text(f'{{"format":1,"network":{network},{data}}}')
    assert main(["judge", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "undecided"
