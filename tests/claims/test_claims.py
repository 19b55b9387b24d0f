"""The registry of claims, what it makes of one limit, and what a run of the properties reports."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness import Claim, register
from harness.claims.beyond import BEYOND
from harness.claims.conclusions import Decision, Networks, Optimal, kkt_point
from harness.claims.table import CLAIMS, Violation
from harness.cli import main
from harness.oracles import Verdict
from harness.oracles.verdict import LayerVerdicts
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Activation, Network, convolutional, diagonal, fully_connected
from harness.problem.points import Point
from strategies import families


def instance(network: Network, x: Any = ((1, 0), (0, 1)), y: Any = (1, 1)) -> Instance:
    return Instance.of(network, "exponential", x, y, tuple((Fraction(1),) * size for size in network.sizes))


def limit(network: Network, **changes: Any) -> Limit:
    start = instance(network)
    ones, theta = np.ones(start.n), tuple(np.ones(size) for size in network.sizes)
    signs = tuple(np.ones((start.n, width), dtype=np.int8) for width in network.widths[1:-1])
    point = Point(start.problem, theta, 1.0, ones, ones, 0.0, (), signs, changes.pop("doubt", ""))
    if changes.get("status", "converged") != "converged":
        changes["point"] = None
    return dataclasses.replace(Limit(start, "converged", "", point), **changes)


def verdicts(status: str, *, certified: bool = True, assumed: bool | None = True) -> Any:
    """Stands for Verdicts: every question has this answer."""
    verdict = Verdict(status, 1.0, certified=certified)  # pyright: ignore[reportArgumentType]
    names = ("nonzero_weights", "nonzero_weight_vectors", "nonzero_inputs")
    layers = (LayerVerdicts(verdict, verdict),) * 2
    assumptions = dict.fromkeys(names, assumed)
    return SimpleNamespace(local=verdict, global_=verdict, layers=layers, assumptions=assumptions, certify=True)


def spoken_of(claim: str) -> Network:
    """A small network that the claim speaks of, of two inputs."""
    least, _ = CLAIMS[claim].decided_by.networks.depths
    activations: tuple[Activation, ...] = ("relu", "linear")
    members = [
        *(fully_connected(activation, (2,) * least) for activation in activations),
        *(convolutional(activation, 2, 1) for activation in activations),
    ]
    return next(network for network in members if CLAIMS[claim].applies(network))


# Those around the paper are in test_beyond.py.
OF_THE_PAPER = [i for i in CLAIMS if i not in {claim.id for claim in BEYOND}]
BY_VERDICTS = [i for i in OF_THE_PAPER if isinstance(CLAIMS[i].decided_by.concluded, Optimal)]
FROM_LIMITS = ["kkt", "fc-linear-aligned"]
ON_PATHS = [i for i, claim in CLAIMS.items() if claim.recorded]


def test_the_table_is_complete():
    """Whoever adds a claim changes nothing here; whoever loses one does."""
    statuses = Counter(claim.status for claim in CLAIMS.values())
    assert statuses >= Counter({"theorem": 13, "refuted": 8, "check": 1})
    assert all(claim.id == key and claim.setting and claim.conclusion for key, claim in CLAIMS.items())
    assert len(BY_VERDICTS) >= 13
    assert len(ON_PATHS) >= 7
    assert {*FROM_LIMITS} <= {*CLAIMS} - {*BY_VERDICTS, *ON_PATHS}


def test_every_claim_has_an_exception_of_its_own():
    classes = {claim.exception for claim in CLAIMS.values()}
    assert len(classes) == len(CLAIMS)
    assert all(issubclass(c, Violation) for c in classes)
    assert CLAIMS["fc-relu-local"].exception.__name__ == "FcReluLocalViolation"
    assert CLAIMS["kkt"].exception is CLAIMS["kkt"].exception


def relu(width: int = 2) -> Network:
    return fully_connected("relu", (2, width))


@pytest.mark.parametrize(
    ("claim", "speaks", "does_not"),
    [
        ("kkt", [relu(), convolutional("linear", 3, 2), fully_connected("linear", (2,))], []),
        ("fc-relu-local", [relu(), fully_connected("relu", (2, 2, 2))], [diagonal("relu", 2, 2)]),
        ("fc-relu-local", [], [fully_connected("linear", (2, 2)), fully_connected("relu", (2,))]),
        ("depth2-local", [relu(), diagonal("linear", 2, 2)], [convolutional("relu", 3, 2), diagonal("relu", 2, 3)]),
        ("depth2-linear-nonzero-global", [diagonal("linear", 2, 2)], [relu(), convolutional("linear", 3, 2)]),
        ("depth2-relu-nonzero-local", [relu(), diagonal("relu", 2, 2)], [diagonal("linear", 2, 2)]),
        ("depth2-relu-active-local", [relu(), diagonal("relu", 2, 2)], [diagonal("linear", 2, 2)]),
        ("fc-linear-global", [fully_connected("linear", (2, 2, 2))], [relu(), diagonal("linear", 2, 2)]),
        ("shared-local", [convolutional("linear", 3, 2)], [relu(), diagonal("linear", 2, 3)]),
        ("deep-local", [diagonal("linear", 2, 3)], [relu(), convolutional("relu", 3, 2)]),
        ("linear-layerwise-global", [convolutional("linear", 3, 2), diagonal("linear", 2, 3)], [relu()]),
        ("relu-layerwise-local", [relu(), convolutional("relu", 3, 2)], [diagonal("relu", 2, 3)]),
        ("relu-active-layerwise-local", [relu(), diagonal("relu", 2, 3)], [diagonal("linear", 2, 3)]),
    ],
)
def test_what_a_claim_speaks_of(claim: str, speaks: list[Network], does_not: list[Network]):
    assert all(CLAIMS[claim].applies(network) for network in speaks)
    assert not any(CLAIMS[claim].applies(network) for network in does_not)


LEAKY = fully_connected("leaky_relu", (2, 2), negative_slope=Fraction(1, 2))
FIXED = fully_connected("relu", (2, 2), fixed={2: (1, -1)})
CLASSES = fully_connected("linear", (2, 2), outputs=3)


@pytest.mark.parametrize("network", [LEAKY, FIXED, CLASSES], ids=["leaky", "fixed", "classes"])
def test_only_claims_on_every_flow_speak_of_other_networks(network: Network):
    speaking = {name for name in OF_THE_PAPER if CLAIMS[name].applies(network)}
    flows = {"loss-vanishes", "margin-grows", "margin-rate", "margin-floor", "balance", "follows-flow"}
    assert speaking == {"kkt", *flows}


@pytest.mark.parametrize(
    ("networks", "speaks", "does_not"),
    [
        (Networks("leaky_relu"), [LEAKY], [relu(), FIXED, CLASSES]),
        (Networks("leaky_relu", slopes=(0, 1)), [LEAKY], [fully_connected("leaky_relu", (2, 2), negative_slope=-1)]),
        (Networks("any", slopes=(-1, 1)), [LEAKY, relu()], [fully_connected("linear", (2, 2))]),
        (Networks(trained="hidden"), [FIXED], [relu(), fully_connected("relu", (2, 2), fixed={1: (1, 0, 0, 1)})]),
        (Networks(trained="any"), [FIXED, relu()], [LEAKY]),
        (Networks(outputs="several"), [CLASSES], [relu()]),
        (Networks(outputs="any"), [CLASSES, relu()], [FIXED]),
    ],
)
def test_a_claim_can_speak_of_slopes_layers_and_outputs(
    networks: Networks, speaks: list[Network], does_not: list[Network]
):
    assert all(network in networks for network in speaks)
    assert not any(network in networks for network in does_not)


@pytest.mark.parametrize("claim", BY_VERDICTS)
def test_verdicts_become_outcomes(claim: str):
    found = limit(spoken_of(claim))
    judged = CLAIMS[claim].judged
    assert judged(found, verdicts("optimal")) == "holds"
    assert judged(found, verdicts("not_optimal")) == "violated"
    assert judged(found, verdicts("undecided")) == "undecided"


@pytest.mark.parametrize("claim", BY_VERDICTS)
@pytest.mark.parametrize("status", ["optimal", "not_optimal"])
def test_a_verdict_without_certificate_decides_nothing(claim: str, status: str):
    found = limit(spoken_of(claim))
    assert CLAIMS[claim].judged(found, verdicts(status, certified=False)) == "undecided"


def test_verdicts_in_floats_count_for_whoever_says_so_alone() -> None:
    found, said = limit(relu()), verdicts("not_optimal", certified=False)
    said.certify = False
    assert CLAIMS["depth2-local"].judged(found, said) == "undecided"
    assert CLAIMS["depth2-local"].judged(found, said, on_their_word=True) == "violated"


def test_a_limit_has_a_point_if_and_only_if_it_converged() -> None:
    with pytest.raises(ValueError, match="if and only if"):
        dataclasses.replace(limit(relu()), status="undecided")
    with pytest.raises(ValueError, match="if and only if"):
        dataclasses.replace(limit(relu()), point=None)


def test_assumptions_come_before_conclusions():
    judged = CLAIMS["depth2-relu-active-local"].judged
    assert judged(limit(relu()), verdicts("not_optimal", assumed=False)) == "outside"
    assert judged(limit(relu()), verdicts("not_optimal", assumed=None)) == "undecided"
    # fc-relu-local assumes nothing.
    assert CLAIMS["fc-relu-local"].judged(limit(relu()), verdicts("not_optimal", assumed=None)) == "violated"


def test_runs_that_do_not_converge():
    judged = CLAIMS["depth2-local"].judged
    assert judged(limit(relu(), status="never_separates"), None) == "outside"
    assert judged(limit(relu(), status="undecided", reason="The flow is not unique."), None) == "undecided"
    assert judged(limit(relu(), doubt="a zero or a tiny number"), verdicts("not_optimal")) == "undecided"
    assert judged(limit(convolutional("relu", 2, 1)), verdicts("not_optimal")) == "outside"


def test_adding_a_claim_as_the_document_says_breaks_nothing(tmp_path: Path):
    """The claim that it registers goes into the table of a copy, whose tests of the table then run."""
    root = Path(__file__).parents[2]
    document = (root / "docs" / "adding-a-claim.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"register\(\n( +Claim\(\n.*?^ {12}\))\n", document, re.MULTILINE | re.DOTALL)
    for name in ("harness", "strategies", "tests", "benchmarks"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    table = tmp_path / "harness" / "claims" / "table.py"
    head, tail = table.read_text(encoding="utf-8").split("\n)\n\nCLAIMS = ")
    table.write_text(f"{head}\n{entry},\n)\n\nCLAIMS = {tail}", encoding="utf-8")
    tests = ["tests/claims/test_claims.py", "tests/claims/test_families.py", "tests/tables/test_tables.py"]
    # Those that follow flows would compile the trainer once more.
    left_out = "not adding_a_claim and not filling"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", left_out, *tests],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def mine() -> Iterator[Claim]:
    """A claim of one's own, registered."""
    networks = Networks("linear", depths=(2, 2))
    yield register(Claim("mine", "linear", "", "as I say", "open", "me", Decision(networks, kkt_point)))
    del CLAIMS["mine"]


def test_a_claim_of_ones_own_is_known(mine: Claim, capsys: pytest.CaptureFixture[str]):
    assert CLAIMS["mine"] is mine
    assert families(mine).keys() == {
        f"{kind} linear, depth 2" for kind in ("fully connected", "diagonal", "sparse", "convolutional")
    }
    assert main(["claims"]) == 0
    assert "mine  (open)\n    linear: as I say  [me]\n" in capsys.readouterr().out


@pytest.mark.parametrize("taken", ["mine", "kkt"])
def test_an_id_that_is_taken_is_refused_in_one_line(mine: Claim, taken: str):
    before = CLAIMS[taken]
    with pytest.raises(FieldError) as caught:
        register(dataclasses.replace(mine, id=taken))
    assert str(caught.value) == f"{taken}: there is a claim of this id already"
    assert CLAIMS[taken] is before


# --- kkt: x = (1, 0), (0, 1), one neuron a point, each with a zero input on the other's ---

TWO = ((1.0, 0.0, 0.0, 1.0), (1.0, 1.0))
SIGNS = (np.array([[1, 0], [0, 1]], np.int8),)


def kkt_limit(theta: Any, signs: Any = SIGNS) -> Limit:
    found = limit(relu())
    assert found.point is not None
    point = dataclasses.replace(found.point, theta=tuple(map(np.array, theta)), signs=signs)
    return dataclasses.replace(found, point=point)


def judged_kkt(found: Limit, **changes: Any) -> str:
    assert found.point is not None
    changed = dataclasses.replace(found, point=dataclasses.replace(found.point, **changes))
    return CLAIMS["kkt"].judged(changed, verdicts("undecided"))


def test_a_kkt_point_is_one():
    assert judged_kkt(kkt_limit(TWO)) == "holds"


def test_the_residual_is_not_taken_from_the_limit():
    wrong = kkt_limit(((1.0, 0.3, 0.0, 1.0), (1.0, 1.0)), signs=(np.array([[1, 0], [1, 1]], np.int8),))
    assert judged_kkt(wrong, residual=0.0) == "violated"
    assert judged_kkt(kkt_limit(TWO), residual=1.0) == "holds"


def test_signs_are_believed_only_where_the_input_is_rounding():
    """Neuron 1 is on at both points; calling the second a kink would leave its coefficient free."""
    theta = ((1.0, 0.25, 0.0, 1.0), (1.0, 1.0))
    assert judged_kkt(kkt_limit(theta)) == "violated"
    nearly = ((1.0, 1e-16, 0.0, 1.0), (1.0, 1.0))
    assert judged_kkt(kkt_limit(nearly)) == "holds"
    # and there they are believed: were it on, its coefficient would be 1
    on = (np.array([[1, 0], [1, 1]], np.int8),)
    assert judged_kkt(kkt_limit(nearly, signs=on)) == "violated"


@pytest.mark.parametrize(("change", "outcome"), [(1e-10, "holds"), (3e-7, "undecided"), (1e-4, "violated")])
def test_a_residual_in_between_is_undecided(change: float, outcome: str):
    theta = ((1.0 + change, 0.0, 0.0, 1.0), (1.0, 1.0))
    # Unbalanced by the change: multipliers cannot fit both layers.
    assert judged_kkt(kkt_limit(theta)) == outcome


def test_coefficients_of_shared_kinks_are_sought_too():
    """At w = 1 on the patches 1 and 0, no coefficient of the second, an empty patch, makes up for v != w."""
    network = convolutional("relu", 2, 1)
    start, one = instance(network, x=((1, 0),), y=(1,)), np.ones(1)
    theta, signs = tuple(np.ones(size) for size in network.sizes), (np.array([[1, 0]], np.int8),)
    found = Limit(start, "converged", "", Point(start.problem, theta, 1.0, one, one, 0.0, (), signs))
    assert kkt_point(found, verdicts("undecided")) is False
