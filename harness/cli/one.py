"""The commands about one instance, point or claim, and about files: check, judge, verify, claims."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.cli.codes import BAD_INPUT, OK, REJECTED
from harness.cli.meanwhile import Meanwhile
from harness.cli.optimiser import setup_of
from harness.cli.output import complain
from harness.problem.fields import FieldError
from harness.tools.progress import Progress

if TYPE_CHECKING:
    from harness.flow import Settings
    from harness.flow.run import Run
    from harness.optimisers import Setup
    from harness.problem.instances import Instance
    from harness.records.record import Record

T = TypeVar("T")
SMALL = 1000  # parameters times points, up to which a flow takes seconds also where nothing is compiled


def check(options: argparse.Namespace) -> int:
    from harness.optimisers.descents import Descent, read_any

    text = read_text(options.instance)
    record = stored_record(options.instance, text)
    instance = _read_as(read_any, options.instance, text) if record is None else record.instance
    setup = setup_of(options)
    if isinstance(instance, Descent):
        if setup is not None or options.steps is not None:
            raise FieldError("optimiser", f"{options.instance} has one of its own")
        setup = instance.setup

    def answer() -> str:
        return _flow(options, instance, record) if setup is None else _training(options, instance, setup)

    if options.json or options.seconds or instance.network.size * instance.n > SMALL:
        print(answer())
        return OK
    with Meanwhile(options.given) as meanwhile:
        meanwhile.settle(answer())
    return OK


def _flow(options: argparse.Namespace, instance: Instance, record: Record | None) -> str:
    """Where the flow ends, and what a stored record comes to."""
    # Only now: these take a second to load, and bad input needs none of it.
    from harness import decide, drive
    from harness.show.answers import check_object, check_text

    with Progress() as progress:
        (limit,) = drive([instance], device=options.device, settings=_settings(options, progress))
    verdicts = decide(limit) if limit.status == "converged" else None
    if options.json:
        return json.dumps(check_object(limit, verdicts), allow_nan=False)
    text = check_text(limit, verdicts)
    if record is None:
        return text
    from harness.records.replay import replay

    return f"{text}\n\nstored as a counterexample to {record.claim} ({record.mechanism}): {replay(record).reason}"


def _training(options: argparse.Namespace, instance: Instance, setup: Setup) -> str:
    """The end of a training; of the flow only its limit is told."""
    from harness import decide, drive
    from harness.optimisers import settle, train
    from harness.show.trained import trained_object, trained_text

    for name in ("events", "seconds"):
        if getattr(options, name) is not None:
            raise FieldError(name, "not of an optimiser")
    (flow,) = drive([instance], device=options.device)
    (training,) = train([instance], setup.method, steps=setup.steps, device=options.device)
    end = settle(training)
    # an end that is no KKT point is meant at its own numbers
    verdicts = None if end.point is None else decide(end.point)
    said = training, setup, end, verdicts, flow, decide(flow) if flow.point else None
    return json.dumps(trained_object(*said), allow_nan=False) if options.json else trained_text(*said)


def _settings(options: argparse.Namespace, progress: Progress) -> Settings | None:
    """The effort that was asked for; the flow tells where it is."""
    from dataclasses import replace

    from harness.flow import Settings

    asked = {name: getattr(options, name) for name in ("steps", "events", "seconds")}
    for name, value in asked.items():
        if value is not None and not value > 0:
            raise FieldError(name, "expected a number above 0")
    if options.device != "cpu":
        if any(value is not None for value in asked.values()):
            raise FieldError("device", "steps, events and seconds are for the CPU")
        return None
    settings = Settings(watch=_Telling(progress), events=options.events)
    if options.seconds:
        settings = replace(settings, deadline=time.monotonic() + options.seconds)
    if options.steps:
        settings = replace(
            settings,
            steps=options.steps,
            separation=min(settings.separation, options.steps),
            patience=min(settings.patience, options.steps),
        )
    return settings


class _Telling:
    """Says where a flow is, once it has taken some seconds."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._quiet = progress, time.monotonic() + 3.0

    def __call__(self, run: Run) -> None:
        if time.monotonic() >= self._quiet:
            self._progress(f"log-norm {run.log_norm:.4g}, {len(run.events)} events at kinks")


def judge(options: argparse.Namespace) -> int:
    from harness.problem.points import NotSeparating, Point, read_point

    problem, theta = _read_as(read_point, options.point, read_text(options.point))

    # Only now: these take a second to load, and bad input needs none of it.
    from harness import decide
    from harness.flow.nearest import nearest_kkt
    from harness.show.judged import judge_object, judge_text, refused_object

    try:
        point = Point.at(problem, theta)
    except ValueError as why:
        status = "not_separating" if isinstance(why, NotSeparating) else "undecided"
        print(json.dumps(refused_object(status, str(why))) if options.json else f"{status.replace('_', ' ')}: {why}")
        return OK
    with Progress() as progress:
        nearest = nearest_kkt(point, _Telling(progress))
    said = point, decide(point), nearest, None if nearest is None else decide(nearest)
    print(json.dumps(judge_object(*said), allow_nan=False) if options.json else judge_text(*said))
    return OK


def stored_record(path: Path, text: str) -> Record | None:
    """The stored counterexample that the text is, None if it is something else.  Raises FieldError."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or "certificate" not in data:
        return None
    from harness.records.record import load

    return load(path)


def verify(options: argparse.Namespace) -> int:
    from harness.certificates import verify_file

    codes = {OK}
    for path in options.files:
        try:
            verified = verify_file(path)
        except FieldError as error:
            # There may be several files: the line names this one too, and the others are still checked.
            complain(str(error) if error.field == str(path) else f"{path}: {error}")
            codes.add(BAD_INPUT)
            continue
        answer = "accepted" if verified.accepted else "rejected"
        print(f"{path}: {answer}: {verified.claim}: {verified.sentence}", flush=True)
        codes.add(OK if verified.accepted else REJECTED)
    # A rejected file weighs more than an unreadable one.
    return max(codes)


def claims(options: argparse.Namespace) -> int:
    from harness.claims.table import CLAIMS

    if options.id is None:
        for claim in CLAIMS.values():
            print(f"{claim.id}  ({claim.status})")
            assumption = f", if {claim.assumption}" if claim.assumption else ""
            print(f"    {claim.setting}{assumption}: {claim.conclusion}  [{claim.source or 'ours'}]")
        return OK
    if options.id not in CLAIMS:
        raise FieldError("claim", f"there is no claim {options.id!r}; marginalia claims lists them")
    from harness.records.record import RECORD, load
    from harness.show.definition import definition
    from harness.tables.measured import counted, read

    found = [path.parent for path in sorted(options.reports.glob(f"[!.]*/{RECORD}")) if load(path).claim == options.id]
    print(definition(CLAIMS[options.id], list(map(str, found)), counted(read(options.reports / "tables"), options.id)))
    return OK


def _read_as(read: Callable[[str], T], path: Path, text: str) -> T:
    """What a file's text says.  Raises FieldError; what is wrong with the whole is wrong with the file."""
    try:
        return read(text)
    except FieldError as error:
        raise FieldError(str(path), error.message) if error.field == "instance" else error from None


def read_text(path: Path) -> str:
    """A UTF-8 file.  Raises FieldError, which names the file, if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FieldError(str(path), error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise FieldError(str(path), "not UTF-8 text") from None
