"""A run of pytest on a property file of its own, seen from outside: what it counts, shows, fails on and keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.problem.instances import Instance

ROOT = Path(__file__).parents[2]

PROPERTY = '''
import harness
import numpy as np
import pytest
from harness.problem.limits import Limit
from harness.problem.points import Point
from hypothesis import given, settings
from strategies import fully_connected_networks, instances

def honest(problems, stretch=1.0, **_):
    """One neuron, one point in one dimension: w and v of norm |x|^(-1/2)."""
    (instance,) = problems
    if instance.loss == "logistic":
        return [Limit(instance, "undecided", "The flow is not unique.")]
    if not any(map(any, instance.theta0)):
        return [Limit(instance, "never_separates", "It stands still.")]
    x, y = instance.x_float[0, 0], instance.y_float[0]
    norm = abs(x) ** -0.5
    theta = (np.array([stretch * norm]), np.array([y * np.sign(x) * norm]))
    value, one = 0.5 * float(sum(u @ u for u in theta)), np.ones(1)
    signs = (np.sign([[x]]).astype(np.int8),)
    point = Point(instance.problem, theta, value, stretch * one, one / abs(x), 0.0, (), signs)
    return [Limit(instance, "converged", "", point)]

def anywhere(problems, **_):
    """Converged, whatever the problem is."""
    (instance,) = problems
    theta = tuple(np.ones(size) for size in instance.network.sizes)
    one, signs = np.ones(instance.n), (np.ones((instance.n, instance.network.widths[1]), np.int8),)
    return [Limit(instance, "converged", "", Point(instance.problem, theta, 1.0, one, one, 0.0, (), signs))]

def sabotaged(problems, **_):
    return honest(problems, stretch=2.0)

@pytest.fixture(autouse=True, scope="module")
def trainer():
    kept, harness.drive = harness.drive, {TRAINER}
    yield
    harness.drive = kept

ONE = instances(networks=fully_connected_networks("linear"), max_points=1, max_dimension=1, max_width=1)

@pytest.mark.claim("kkt", decided={DECIDED})
@settings(max_examples=25, derandomize=True, database=None)
@given(instance=ONE)
def test_kkt(check, instance):
    check(instance)

def test_other():
    pass
'''


def run(folder: Path, *options: str, trainer: str = "honest", decided: int = 1, more: str = "") -> tuple[int, str]:
    """The exit status and the output of pytest with the project's conftest.  more: goes at the end of the file."""
    text = PROPERTY.replace("{TRAINER}", trainer).replace("{DECIDED}", str(decided))
    (folder / "test_it.py").write_text(text + more, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_")) and k != "CI"}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", str(ROOT / "pyproject.toml"), *options, "."]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def table_row(output: str, claim: str) -> dict[str, int]:
    names = ("held", "violated", "undecided", "outside", "not unique", "not separating")
    (row,) = (line for line in output.splitlines() if line.startswith(f"{claim} ") and line.split()[1].isdigit())
    return dict(zip(names, map(int, row.split()[1:]), strict=True))


def test_a_run_counts_what_became_of_its_examples(tmp_path: Path):
    code, output = run(tmp_path)
    assert code == 0, output
    assert "device cpu, dtype float64, threads 1, profile dev" in output
    row = table_row(output, "kkt")
    assert sum(row.values()) == 25
    assert row["held"] > 0
    assert row["not unique"] > 0
    assert row["not separating"] > 0
    assert row["violated"] == row["undecided"] == row["outside"] == 0


def test_a_wrong_trainer_fails_by_the_claims_name(tmp_path: Path):
    """And with the minimal instance and what to run. On two workers: the counts come to the controller by report."""
    code, output = run(tmp_path, "-n", "2", trainer="sabotaged")
    assert code == 1
    assert "KktViolation: the claim kkt is violated" in output
    assert '"theta0": [["0"], ["1"]]}' in output
    assert "marginalia check FILE" in output
    assert table_row(output, "kkt")["violated"] > 0


def test_too_few_decided_examples_fail(tmp_path: Path):
    code, output = run(tmp_path, decided=26)
    assert code == 1
    assert "examples decided, fewer than 26" in output


CONJECTURE = """
from harness.testing.check import examples
from harness import Claim, register
from harness.claims.conclusions import Decision, Networks, locally_optimal
from hypothesis import strategies as st

register(Claim(
    "mine", "linear, depth 2", "", "CONCLUSION", "STATUS", "me",
    Decision(Networks("linear", NETWORKS), CONCLUDED),
))

@pytest.mark.claim("NAME", decided=LEAST)
@examples(30)
@given(data=st.data())
def test_mine(check, family, data):
    check(data.draw(instances(networks=family, max_points=2)))
"""
FALSE = "lambda limit, verdicts: limit.instance.n < 2"


def conjecture(
    folder: Path,
    status: str,
    concluded: str,
    *options: str,
    name: str = "mine",
    least: str = "1",
    networks: str = '"fully connected", (2, 2)',
) -> tuple[int, str]:
    """A run of a conjecture's property alone.  name, least: of its marker.  networks: it speaks of these."""
    text = CONJECTURE.replace("STATUS", status).replace("CONCLUDED", concluded).replace("CONCLUSION", "as I say")
    text = text.replace("NAME", name).replace("decided=LEAST", f"decided={least}" if least else "")
    return run(folder, "-k", "mine", *options, trainer="anywhere", more=text.replace("NETWORKS", networks))


def test_an_open_claim_that_is_violated_is_kept_and_fails_nothing(tmp_path: Path):
    """Shrunk: without the second point, it would hold."""
    code, output = conjecture(tmp_path, "open", FALSE, "--marginalia-reports", "kept")
    assert code == 0, output
    place = tmp_path / "kept" / "conjectures" / "mine" / "instance.json"
    assert "mine: open, and violated: kept/conjectures/mine/instance.json" in output
    kept = Instance.from_json(place.read_text(encoding="utf-8"))
    assert kept.n == 2
    assert table_row(output, "mine")["violated"] > 0


def test_a_claim_of_ones_own_is_in_the_table_of_a_process_that_does_not_know_it(tmp_path: Path):
    """With workers the controller imports no tests."""
    code, output = conjecture(tmp_path, "theorem", "lambda limit, verdicts: True", "-n", "2")
    assert code == 0, output
    assert table_row(output, "mine")["held"] > 0
    assert "held: 1 of 1 claims" in output


def test_an_open_claim_that_was_violated_fails_nothing_when_it_is_replayed(tmp_path: Path):
    """The database's example comes first and ends the run, with fewer decided than are asked for elsewhere."""
    outputs = []
    for _ in range(2):
        code, output = conjecture(tmp_path, "open", FALSE, "--hypothesis-profile=dev", least="25")
        assert code == 0, output
        assert "mine: open, and violated: reports/conjectures/mine/instance.json" in output
        outputs.append(output)
    row = table_row(outputs[1], "mine")
    assert 0 < row["held"] + row["violated"] < 25


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ({"name": "mien"}, "test_mine: there is no claim 'mien': do you mean 'mine'?"),
        ({"name": "quite another"}, "test_mine: there is no claim 'quite another'"),
        ({"least": ""}, "test_mine: the marker of mine needs decided=, a number of examples"),
        (
            {"networks": '"shared", (4, 4)'},
            "test_mine: mine speaks of no network that strategies/families.py can draw",
        ),
    ],
)
def test_a_marker_that_means_nothing_is_told_in_one_line(tmp_path: Path, marker: dict[str, str], said: str):
    code, output = conjecture(tmp_path, "open", FALSE, **marker)
    assert code == 2, output
    assert said in output.splitlines()
    assert "Traceback" not in output
    assert "KeyError" not in output


def test_the_smaller_instance_is_kept(tmp_path: Path):
    from harness.claims.table import CLAIMS
    from harness.harvest.conjectures import keep

    small = Instance.from_json(
        '{"format": 1, "network": {"activation": "linear", "patterns": [[[0]], [[0]]]}, '
        '"loss": "exponential", "x": [["1"]], "y": [1], "theta0": [["1"], ["1"]]}'
    )
    large = Instance.of(small.network, small.loss, ((2,),), (1,), ((3,), (2,)))
    place = keep(CLAIMS["kkt"], large, tmp_path / "new")
    assert Instance.from_json(place.read_text(encoding="utf-8")) == large
    for offered in (small, large):
        assert keep(CLAIMS["kkt"], offered, tmp_path / "new") == place
        assert Instance.from_json(place.read_text(encoding="utf-8")) == small
    place.write_text("not an instance", encoding="utf-8")
    keep(CLAIMS["kkt"], large, tmp_path / "new")
    assert Instance.from_json(place.read_text(encoding="utf-8")) == large


def test_an_open_claim_that_the_checker_knows_is_stored_with_its_proof(tmp_path: Path):
    """A zero pair in a diagonal network: the example by hand, which seeds nothing."""
    from dataclasses import replace

    from harness.certificates import verify_file
    from harness.claims.table import CLAIMS
    from harness.harvest.conjectures import keep
    from harness.problem.networks import diagonal

    zero_pair = Instance.of(diagonal("linear", 2, 2), "exponential", ((1, 2),), (1,), ((1, 0), (1, 0)))
    place = keep(replace(CLAIMS["depth2-local"], status="open"), zero_pair, tmp_path)
    assert verify_file(place / "counterexample.json").accepted


def test_a_theorem_that_is_violated_fails(tmp_path: Path):
    code, output = conjecture(tmp_path, "theorem", FALSE)
    assert code == 1
    assert "MineViolation: the claim mine is violated: the limit is not as it says, as I say" in output


def test_an_open_claim_of_which_nothing_is_decided_fails(tmp_path: Path):
    code, output = conjecture(tmp_path, "open", "lambda limit, verdicts: None")
    assert code == 1
    assert "mine: 0 examples decided, fewer than 1" in output


def test_a_longer_profile_has_more_time(tmp_path: Path):
    asks = "\ndef test_time(request):\n    assert request.node.get_closest_marker('timeout').args == (60.0,)\n"
    code, output = run(tmp_path, "-k", "time", "-o", "timeout=3", "--hypothesis-profile=nightly-hunt", more=asks)
    assert code == 0, output


@pytest.mark.parametrize("profile", ["dev", "ci", "nightly-replay", "nightly-hunt"])
def test_profiles_say_what_matters(profile: str):
    from hypothesis import Phase, settings

    found = settings.get_profile(profile)
    assert found.deadline is None
    assert found.derandomize is (profile == "ci")
    assert (found.database is None) is (profile == "ci")
    phases = set(found.phases)
    assert (Phase.reuse in phases) is (profile != "nightly-hunt")
    assert (Phase.generate in phases) is (profile != "nightly-replay")
    assert Phase.shrink in phases


def test_a_replay_runs_what_was_found_and_needs_nothing_decided(tmp_path: Path):
    """Found in one run, kept in the database, found again by the replay, which draws nothing."""
    assert conjecture(tmp_path, "theorem", FALSE, "--hypothesis-profile=dev")[0] == 1
    code, output = conjecture(tmp_path, "theorem", FALSE, "--hypothesis-profile=nightly-replay")
    assert code == 1
    assert "profile nightly-replay" in output
    assert "MineViolation" in output
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    code, output = conjecture(fresh, "theorem", FALSE, "--hypothesis-profile=nightly-replay")
    assert code == 0, output
