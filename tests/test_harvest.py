"""Storing counterexamples, the strategy of the hunts, and a whole harvest."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import harness
from harness.certificates import verify_file
from harness.harvest import Rejected, huntable, rebuild, run_harvest, store
from harness.harvest import folders as folders_module
from harness.harvest import search as search_module
from harness.harvest.finding import record_text
from harness.harvest.folders import tidy
from harness.harvest.integers import integer_instances
from harness.harvest.search import hunt
from harness.harvest.spaces import SPACES, Sizes, space, within
from harness.instances import Instance
from harness.limits import Limit
from harness.networks import FieldError
from harness.report import FIGURE, INSTANCE, PAGE, RECORD, Record, page, stored
from strategies import Architecture
from tests.counterexamples import ALL, depth2_local, fc_relu_local

REPORTS = Path(__file__).parent.parent / "reports"
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def everything(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forged() -> Record:
    """The better point is not feasible."""
    data = copy.deepcopy(depth2_local().data)
    data["certificate"]["better"] = [[0, "1/3"], [0, "1/3"]]
    return Record(data)


# --- the store ---


@every
def test_what_is_stored_is_complete_and_verifies(make: Callable[[], Record], tmp_path: Path) -> None:
    record = make()
    put = store(record, tmp_path)
    assert put.written
    assert put.path == tmp_path / record.folder
    assert {path.name for path in put.path.iterdir()} == {RECORD, INSTANCE, PAGE, FIGURE}
    assert verify_file(put.path / RECORD).accepted
    assert [path.name for path in tmp_path.iterdir()] == [record.folder]
    assert json.loads((put.path / RECORD).read_text()) == record.data


def test_storing_twice_changes_nothing(tmp_path: Path) -> None:
    store(fc_relu_local(), tmp_path)
    before = everything(tmp_path)
    assert not store(fc_relu_local(), tmp_path).written
    assert everything(tmp_path) == before


def test_a_smaller_one_replaces_and_a_larger_one_does_not(tmp_path: Path) -> None:
    small, large = depth2_local(2), depth2_local(3)
    assert store(large, tmp_path).written
    assert store(small, tmp_path).written
    kept = everything(tmp_path)
    assert json.loads(kept[f"{small.folder}/{RECORD}"]) == small.data
    assert not store(large, tmp_path).written
    assert everything(tmp_path) == kept


def test_another_mechanism_has_its_own_place(tmp_path: Path) -> None:
    for make in ALL.values():
        store(make(), tmp_path)
    assert len(stored(tmp_path)) == len(ALL)


def test_a_rejected_one_is_never_left_behind(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        store(forged(), tmp_path)
    assert everything(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    store(depth2_local(3), tmp_path)
    before = everything(tmp_path)
    with pytest.raises(Rejected):
        store(forged(), tmp_path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("broken", ["", json.dumps(forged().data), "[]"])
def test_what_is_stored_but_does_not_verify_is_replaced(broken: str, tmp_path: Path) -> None:
    record = depth2_local(3)
    path = store(record, tmp_path).path / RECORD
    path.write_text(broken)
    assert store(record, tmp_path).written
    assert verify_file(path).accepted


@pytest.mark.parametrize("failing", ["pages", "verify_file"])
def test_a_failure_on_the_way_leaves_what_was_there(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(depth2_local(3), tmp_path)
    before = everything(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(folders_module, failing, fail)
    with pytest.raises(OSError, match="no space"):
        store(depth2_local(2), tmp_path)
    assert everything(tmp_path) == before


def test_a_failing_rename_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(depth2_local(3), tmp_path)
    before = everything(tmp_path)
    rename, calls = os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("interrupted")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OSError, match="interrupted"):
        store(depth2_local(2), tmp_path)
    assert len(calls) == 3
    assert everything(tmp_path) == before


def test_tidy_puts_back_what_a_killed_run_had_moved_aside(tmp_path: Path) -> None:
    place = store(depth2_local(), tmp_path).path
    before = everything(tmp_path)
    place.rename(tmp_path / f".old-{place.name}-17")
    (tmp_path / f".new-{place.name}-17").mkdir()
    assert stored(tmp_path) == []
    tidy(tmp_path)
    assert everything(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_rebuild_makes_pages_and_index_from_the_records_alone(tmp_path: Path) -> None:
    for make in ALL.values():
        store(make(), tmp_path)
    rebuild(tmp_path)
    before = everything(tmp_path)
    assert "README.md" in before
    for path in tmp_path.rglob(f"*/{PAGE}"):
        path.write_text("stale")
    (tmp_path / "README.md").unlink()
    rebuild(tmp_path)
    assert everything(tmp_path) == before


@every
def test_record_text_is_json_and_readable(make: Callable[[], Record]) -> None:
    record = make()
    text = record_text(record)
    assert json.loads(text) == record.data
    assert max(map(len, text.splitlines())) < 200
    assert len(text.splitlines()) < 80


# --- the strategy of the hunts ---


def minimal(condition: Callable[[Instance], bool], **arguments: Any) -> Instance:
    sizes: dict[str, Any] = {"max_points": 3, "max_width": 3, "max_dimension": 3} | arguments
    relu = st.just(Architecture("fully connected", "relu"))
    return find(integer_instances(relu, **sizes), condition, settings=settings(max_examples=2000, database=None))


def test_the_smallest_integer_instance() -> None:
    found = minimal(lambda instance: True)
    assert (found.x, found.y, found.theta0) == (((1,),), (1,), ((0,), (0,)))


def test_points_neurons_and_coordinates_are_dropped_while_shrinking() -> None:
    found = minimal(lambda instance: any(a == -2 for a in instance.theta0[0]) and any(-3 in row for row in instance.x))
    assert (found.n, found.network.widths) == (1, (1, 1, 1))
    assert found.x == ((-3,),)
    assert found.theta0[0] == (-2,)


def test_two_points_at_right_angles() -> None:
    found = minimal(
        lambda instance: (
            instance.n == 2 and all(map(all, instance.x)) and not sum(a * b for a, b in zip(*instance.x, strict=True))
        )
    )
    assert [[abs(a) for a in row] for row in found.x] == [[1, 1], [1, 1]]


@pytest.mark.parametrize("claim", SPACES)
def test_the_space_of_a_claim_has_only_what_it_speaks_of(claim: str) -> None:
    from harness.claims import CLAIMS

    sizes, kinds = Sizes(2, 3, 2), set[str]()

    @settings(max_examples=150, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(space(claim, sizes))
    def check(instance: Instance) -> None:
        assert CLAIMS[claim].applies(instance.network)
        assert sizes.holds(instance) or instance.network.widths[1] <= max(sizes.neurons, sizes.dimensions)
        assert all(a.denominator == 1 for rows in (instance.x, instance.theta0) for row in rows for a in row)
        kinds.add(instance.network.activation)

    check()
    assert kinds == ({"linear", "relu"} if claim == "depth2-local" else {"relu"})


def test_within_takes_one_away_at_a_time() -> None:
    assert list(within(fc_relu_local().instance)) == [Sizes(1, 2, 2), Sizes(2, 1, 2), Sizes(2, 2, 1), Sizes(2, 2, 2)]
    assert list(within(depth2_local().instance)) == [Sizes(1, 1, 2), Sizes(1, 2, 1), Sizes(1, 2, 2)]


# --- the hunt believes nobody ---


def test_a_trainer_that_never_converges_yields_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(instances: list[Instance], **_: Any) -> list[Limit]:
        return [Limit(instance, "undecided", "out of order") for instance in instances]

    monkeypatch.setattr(harness, "drive", never, raising=False)
    assert hunt("depth2-local", max_examples=100) is None


def test_a_verdict_without_a_certificate_yields_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.margin import decide

    monkeypatch.setattr(harness, "decide", lambda limit: decide(limit, certify=False), raising=False)
    assert hunt("depth2-local", max_examples=300) is None


# --- a whole harvest ---


@pytest.mark.parametrize("claim", ["no-such-claim", "kkt", "deep-local", ""])
def test_claims_that_cannot_be_hunted(claim: str, tmp_path: Path) -> None:
    with pytest.raises(FieldError) as caught:
        run_harvest(["depth2-local", claim], tmp_path / "reports")
    assert caught.value.field == "claim"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("")
    for out in (path, path / "below"):
        with pytest.raises(FieldError) as caught:
            run_harvest(None, out)
        assert caught.value.field == "out"


def test_every_claim_there_is_a_hunt_for_is_refuted() -> None:
    assert huntable() == [
        *("fc-relu-local", "depth2-local", "depth2-relu-nonzero-local", "depth2-relu-active-global"),
        *("relu-layerwise-local", "relu-active-layerwise-global"),
    ]


def test_a_claim_without_a_counterexample_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.harvest.search.hunt", lambda *_, **__: None)
    (result,) = run_harvest(["depth2-local"], tmp_path, processes=1)
    assert (result.claim, result.found, result.path, result.written) == ("depth2-local", False, None, False)


def test_harvest_in_processes(tmp_path: Path) -> None:
    lines: list[str] = []
    results = run_harvest(["depth2-local"], tmp_path, 0, lines.append, processes=2)
    assert [(result.claim, result.found, result.written) for result in results] == [("depth2-local", True, True)] * 2
    assert {record.mechanism for record in stored(tmp_path)} == {"zero weight", "dead neuron"}
    assert any(line.startswith("depth2-local, zero weight: ") and "a counterexample with" in line for line in lines)


def test_the_same_harvest_twice_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As much searching as it takes to find something, and little more.
    monkeypatch.setattr(search_module, "ROUNDS", 1)
    monkeypatch.setattr(search_module, "ROUND_EXAMPLES", 20)
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        assert all(result.written for result in run_harvest(["depth2-local"], out, 0, processes=1))
    assert len(everything(first)) == 9
    assert everything(first) == everything(second)
    assert not any(result.written for result in run_harvest(["depth2-local"], first, 0, processes=1))
    assert everything(first) == everything(second)


# --- what is in reports/ ---


def test_reports_verify_and_their_pages_are_those_of_their_records() -> None:
    records = stored(REPORTS)
    assert {record.claim for record in records} >= set(huntable())
    for record in records:
        folder = REPORTS / record.folder
        assert verify_file(folder / RECORD).accepted
        assert (folder / PAGE).read_text(encoding="utf-8") == page(record)
        assert Instance.from_json((folder / INSTANCE).read_text()) == record.instance
        assert f"]({record.folder}/{PAGE})" in (REPORTS / "README.md").read_text(encoding="utf-8")
