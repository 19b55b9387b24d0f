"""The commands: exit codes, what goes to standard output, and one line on standard error for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.records.record import RECORD
from tests.support.bad_inputs import BAD_TEXTS, good_object
from tests.support.counterexamples import depth2_local


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def instance_file(folder: Path, **changes: Any) -> Path:
    path = folder / "instance.json"
    path.write_text(json.dumps(good_object() | changes))
    return path


FC_RELU_LOCAL = {
    "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
    "x": [["1", "1/4"], ["-1", "1/4"]],
    "y": [1, 1],
    "theta0": [["0", "3", "0", "-2"], ["3", "0"]],
}
DEPTH2_LOCAL = {
    "network": {"activation": "linear", "patterns": [[[0, -1], [-1, 1]], [[0, 1]]]},
    "x": [[1, 2]],
    "y": [1],
    "theta0": [[1, 0], [1, 0]],
}
NEVER_SEPARATES = {
    "network": {"activation": "linear", "patterns": [[[0]]]},
    "x": [[1], [1]],
    "y": [1, -1],
    "theta0": [[0]],
}

# --- bad input: exit 2, nothing on standard output, one line that names the field ---


def assert_refused(outcome: tuple[int, str, str], field: str) -> None:
    code, out, err = outcome
    assert code == 2
    assert out == ""
    assert err.startswith(f"marginalia: {field}: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("text", "field"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_check_refuses_bad_instances(text: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")
    # What is wrong with the whole is wrong with the file.
    assert_refused(run(capsys, "check", path, "--json"), str(path) if field == "instance" else field)


@pytest.mark.parametrize("command", ["check", "verify"])
def test_files_that_cannot_be_read(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing, binary = tmp_path / "missing.json", tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (missing, tmp_path, binary):
        code, out, err = run(capsys, command, path)
        assert (code, out) == (2, "")
        assert err.startswith("marginalia: ")
        assert str(path) in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:99", "cpu:x", "no\nsuch"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(run(capsys, "check", instance_file(tmp_path), "--device", device), "device")


def test_the_program_itself_exits_with_the_code(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text("[")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from harness.cli import main; sys.exit(main())", "check", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["dance"], ["check"], ["verify"], ["harvest", "--seed", "x"]])
def test_wrong_arguments_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


# --- check ---


def check(capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, Any]:
    code, out, err = run(capsys, "check", path, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_check_says_what_the_example_of_fc_relu_local_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(capsys, instance_file(tmp_path, **FC_RELU_LOCAL))
    assert list(found) == ["status", "reason", "limit", "kkt", "assumptions", "verdicts", "mechanism"]
    assert found["status"] == "converged"
    assert list(found["limit"]) == ["theta", "value", "margins", "kinks", "zeros", "proven"]
    assert found["limit"]["value"] == pytest.approx(4)
    assert found["limit"]["theta"] == [pytest.approx([0, 2, 0, 0]), pytest.approx([2, 0])]
    assert found["limit"]["margins"] == pytest.approx([1, 1])
    assert found["limit"]["zeros"] == [[0, 2, 3], [1]]
    assert {kink["neuron"] for kink in found["limit"]["kinks"]} == {2}
    assert list(found["limit"]["kinks"][0]) == ["sample", "layer", "neuron", "coefficient"]
    assert found["kkt"]["residual"] < 1e-8
    assert sum(found["kkt"]["multipliers"]) == pytest.approx(4)
    assert found["assumptions"] == {"nonzero_weights": False, "nonzero_weight_vectors": False, "nonzero_inputs": False}
    assert list(found["verdicts"]) == ["global", "local", "layers"]
    for verdict in (found["verdicts"]["global"], found["verdicts"]["local"]):
        assert list(verdict) == ["status", "certified", "value", "bound", "reason"]
        assert (verdict["status"], verdict["certified"]) == ("not_optimal", True)
        assert verdict["bound"] < verdict["value"] == pytest.approx(4)
    assert [list(layer) for layer in found["verdicts"]["layers"]] == [["global", "local"]] * 2
    assert found["mechanism"] == "dead neuron"


def test_check_says_what_the_example_of_depth2_local_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(capsys, instance_file(tmp_path, **DEPTH2_LOCAL))
    assert found["limit"]["theta"] == [pytest.approx([1, 0]), pytest.approx([1, 0])]
    assert found["verdicts"]["local"]["status"] == "not_optimal"
    assert found["mechanism"] == "zero weight"


def test_check_of_a_flow_that_never_separates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = instance_file(tmp_path, **NEVER_SEPARATES)
    found = check(capsys, path)
    assert found["status"] == "never_separates"
    assert found["reason"]
    assert [found[key] for key in ("limit", "kkt", "assumptions", "verdicts", "mechanism")] == [None] * 5
    code, out, err = run(capsys, "check", path)
    assert (code, err) == (0, "")
    assert "never separates" in out


def test_check_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", instance_file(tmp_path, **FC_RELU_LOCAL))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "relu network, fully connected, widths 2-2-1; 2 points; exponential loss"
    assert any(line.startswith("converged: ") for line in lines)
    assert "value 1/2 |theta|^2 = 4" in out
    assert any(line.startswith("local optimum of (P)") and " no, certified" in line for line in lines)
    assert "What improves it nearby (dead neuron):" in lines


def test_a_defect_is_not_taken_for_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("harness.drive", broken)
    with pytest.raises(ZeroDivisionError):
        run(capsys, "check", instance_file(tmp_path))


# --- verify ---


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """The record of a true counterexample to depth2-local."""
    from harness import Instance, decide, drive
    from harness.harvest import Finding
    from harness.records.record import record_text

    instance = Instance.from_json(json.dumps(good_object() | DEPTH2_LOCAL))
    (limit,) = drive([instance])
    verdicts = decide(limit)
    assert verdicts.mechanism is not None
    assert verdicts.local.certificate is not None
    finding = Finding("depth2-local", verdicts.mechanism, limit, verdicts.local.certificate, seed=0, examples=1)
    return json.loads(record_text(finding.record()))


def test_verify_accepts_a_true_counterexample(
    stored: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counterexample.json"
    path.write_text(json.dumps(stored))
    code, out, err = run(capsys, "verify", path, path)
    assert (code, err) == (0, "")
    assert [line.startswith(f"{path}: accepted: depth2-local: ") for line in out.splitlines()] == [True, True]


def test_verify_rejects_a_forged_one_and_still_reads_the_others(
    stored: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, forged, bad = (tmp_path / name for name in ("good.json", "forged.json", "bad.json"))
    good.write_text(json.dumps(stored))
    # Half the better point has a quarter of its margins: it is no longer feasible.
    certificate = stored["certificate"]
    better = [[str(Fraction(a) / 2) for a in row] for row in certificate["better"]]
    forged.write_text(json.dumps(stored | {"certificate": certificate | {"better": better}}))
    bad.write_text(json.dumps(stored | {"claim": "no-such-claim"}))

    code, out, err = run(capsys, "verify", forged, good)
    assert (code, err) == (3, "")
    first, second = out.splitlines()
    assert first.startswith(f"{forged}: rejected: depth2-local: ")
    assert second.startswith(f"{good}: accepted: ")

    code, out, err = run(capsys, "verify", bad, good)
    assert code == 2
    assert out.startswith(f"{good}: accepted: ")
    assert err.startswith(f"marginalia: {bad}: claim: ")
    assert len(err.splitlines()) == 1

    assert run(capsys, "verify", bad, forged)[0] == 3


# --- harvest ---


@pytest.mark.parametrize("claim", ["no-such-claim", "kkt", ""])
def test_harvest_of_what_cannot_be_hunted(claim: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(run(capsys, "harvest", "--claim", claim, "--out", tmp_path / "reports"), "claim")
    assert list(tmp_path.iterdir()) == []


def test_harvest_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "taken"
    path.write_text("")
    assert_refused(run(capsys, "harvest", "--out", path), "out")
    assert path.read_text() == ""


@pytest.mark.parametrize(("found", "expected"), [(True, 0), (False, 1)])
def test_harvest_says_what_became_of_each_claim(
    found: bool,
    expected: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    record = depth2_local()

    def harvested(claims: object, out: Path, seed: int, progress: Any) -> list[Any]:
        from harness.harvest import Harvested

        asked.append((claims, out, seed))
        progress("at work")
        place = out / record.folder
        place.mkdir()
        (place / RECORD).write_text(json.dumps(record.data))
        first = Harvested("depth2-local", True, place, True, "stored", (place,))
        second = Harvested("fc-relu-local", found, place if found else None, False, "a reason")
        return [first, second]

    monkeypatch.setattr("harness.harvest.run_harvest", harvested)
    arguments = ("harvest", "--claim", "fc-relu-local", "--claim", "depth2-local", "--out", tmp_path, "--seed", "7")
    code, out, err = run(capsys, *arguments)
    assert code == expected
    assert asked == [(["fc-relu-local", "depth2-local"], tmp_path, 7)]
    shown = [
        "    linear network, no shared weights, widths 2-2-1; 1 point; value 1, a better point 0.25; flow computed",
        f"    {tmp_path / record.folder}",
    ]
    assert out.splitlines() == [
        *("depth2-local: stored", *shown, "fc-relu-local: a reason", *(shown if found else ())),
        f"{1 + found} of 2 hunts found a counterexample; new: 1",
    ]
    assert err.endswith("at work\n")


# --- claims ---


def test_claims_lists_every_claim_once(capsys: pytest.CaptureFixture[str]) -> None:
    from harness.claims.table import CLAIMS

    code, out, err = run(capsys, "claims")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if line and not line.startswith(" ")] == list(CLAIMS)
    assert "depth2-relu-active-local" in out


def test_a_claim_is_defined_with_what_is_stored_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "claims", "fc-relu-local")
    assert (code, err) == (0, "")
    assert out.startswith("fc-relu-local  (refuted)\n\nTake a network")
    stored = sorted(str(path) for path in Path("reports").glob("fc-relu-local--*"))
    assert re.findall(r"reports/\S+", out) == stored
    assert re.search(r"counted +relu-2: [0-9,]+ drawn, [0-9,]+ decided, [0-9,]+ violated\n", out)


def test_where_nothing_is_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "claims", "fc-relu-local", "--reports", tmp_path)
    assert code == 0
    assert "none is stored here" in out
    assert "\ncounted" not in out


def test_a_claim_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(run(capsys, "claims", "fc-relu"), "claim")


# --- what a person reads ---


def test_help_says_what_it_is_and_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "limits of gradient flow" in out
    assert "Exit codes: 0 done; 2 " in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"marginalia {version('marginalia')}\n")


def test_check_refuses_a_counterexample_to_a_claim_that_does_not_exist(
    stored: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counterexample.json"
    path.write_text(json.dumps(stored | {"claim": "no-such-claim"}))
    assert_refused(run(capsys, "check", path), str(path))


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--processes", "0", "processes"),
        ("--processes", "-1", "processes"),
        ("--executor", "abacus", "executor"),
        ("--claim", "no-such-claim", "claim"),
    ],
)
def test_survey_refuses(
    option: str, value: str, field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "survey", "--instances", 2, "--out", tmp_path / "survey", option, value)
    assert (code, out) == (2, "")
    assert f"marginalia: {field}: " in err


def test_a_device_that_only_a_worker_finds_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("survey", "--instances", 2, "--out", tmp_path / "survey", "--processes", 1, "--device", "nonsense")
    code, out, err = run(capsys, *given)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("marginalia: device: 'nonsense' is not available: ")


@pytest.mark.parametrize("command", ["report", "tables"])
def test_counterexamples_where_there_is_no_folder(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(run(capsys, command, "--reports", tmp_path / "none"), "reports")


def test_ctrl_c_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.drive", interrupted)
    assert run(capsys, "check", instance_file(tmp_path)) == (130, "", "marginalia: stopped; what was stored stays\n")
