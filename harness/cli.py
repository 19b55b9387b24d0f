"""The command line.

Exit codes: 0 done (for check: an answer, whatever it is); 2 unreadable input, with one line on
standard error that names the field; 3 verify rejected a file, or nightly saw a theorem violated; 1 a
defect of the harness, a hunt that came back without its counterexample, or something that could not be
written; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import io
import json
import logging
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from harness.problem.fields import FieldError
from harness.tools.progress import Progress

if TYPE_CHECKING:
    from harness.flow import Settings
    from harness.flow.run import Run
    from harness.harvest import Harvested
    from harness.optimisers import Setup
    from harness.problem.instances import Instance
    from harness.records.record import Record

# The commands import what they need themselves: `marginalia claims` need not wait for torch.

OK, DEFECT, BAD_INPUT, REJECTED, STOPPED = 0, 1, 2, 3, 130

_ABOUT = """Checks what is claimed of the limits of gradient flow on homogeneous networks: follows the flow of an
instance to its limit, decides whether that is an optimum of the max-margin problem, and hunts, proves and stores
counterexamples."""
_CODES = """marginalia COMMAND --help tells of one command. Exit codes: 0 done; 2 unreadable input, with one line that
says what; 3 verify rejected a file, or nightly saw a theorem violated; 1 a hunt found nothing, something could not
be written, or marginalia has a defect; 130 stopped by Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is returned.  Defects of the harness come out as exceptions."""
    try:
        with redirect_stdout(_Output(sys.stdout)), _log_to_stderr():
            return _run(arguments)
    except FieldError as error:
        _complain(str(error))
        return BAD_INPUT
    except BrokenPipeError:
        # The reader of a pipe, say head, has seen enough.
        _give_up(sys.stdout)
        return OK
    except OSError as error:
        # A full disk, say.
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        if error.filename == _Output.NAME:
            _give_up(sys.stdout)
        return DEFECT
    except KeyboardInterrupt:
        _complain("stopped; what was stored stays")
        return STOPPED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit:
        # After --help, say.
        sys.stdout.flush()
        raise
    try:
        code: int = options.command(options)
    except ModuleNotFoundError as error:
        raise _lacking(options.extra, error) from error
    sys.stdout.flush()
    return code


def _lacking(extra: str | None, error: ModuleNotFoundError) -> Exception:
    """Names the extra of a command that lacks a package; the error itself where no extra brings the module."""
    package = (error.name or "").partition(".")[0]
    if extra is None or package in {"", "harness", "strategies", *sys.stdlib_module_names}:
        return error
    return FieldError(package, f"not installed; this command needs pip install 'marginalia[{extra}]'")


class _Output(io.TextIOBase):
    """Standard output; an error of it says so in its file name."""

    NAME = "standard output"

    def __init__(self, stream: TextIO | None) -> None:
        # None if it was closed before the program began.
        self._stream = stream
        # argparse passes over what it cannot print.
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        with self._named() as stream:
            return stream.write(text)

    def flush(self) -> None:
        with self._named() as stream:
            stream.flush()

    @contextmanager
    def _named(self) -> Generator[TextIO]:
        try:
            if self._error is not None:
                raise self._error
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            yield self._stream
        except OSError as error:
            error.filename = self.NAME
            self._error = error
            raise


def _give_up(stream: TextIO | None) -> None:
    """What is still to be written goes nowhere; Python would complain once more on exit."""
    if stream is not None:
        with suppress(io.UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="marginalia", description=_ABOUT, epilog=_CODES, allow_abbrev=False)
    # The extra of pyproject.toml that brings what a command needs; none where the base is enough.
    parser.set_defaults(extra=None)
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    unabbreviated: Any = partial(argparse.ArgumentParser, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=unabbreviated)

    check = commands.add_parser("check", help="follow the flow of one instance and decide about its limit")
    check.add_argument("instance", metavar="INSTANCE.json", type=Path, help="or a stored counterexample.json")
    check.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    check.add_argument("--device", default="cpu", metavar="D", help="a torch device, default cpu")
    check.add_argument("--steps", type=int, metavar="N", help="give up after so many steps")
    check.add_argument("--events", type=int, metavar="N", help="give up after so many events at kinks")
    check.add_argument("--seconds", type=float, metavar="S", help="give up after so many seconds: the clock decides")
    _add_optimiser(check)
    check.set_defaults(command=_check, extra="flow")

    judge = commands.add_parser("judge", help="decide about a point that is there already")
    judge.add_argument(
        "point", metavar="POINT.json", type=Path, help='an instance without "loss", "theta" for "theta0"'
    )
    judge.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    judge.set_defaults(command=_judge, extra="flow")

    harvest = commands.add_parser("harvest", help="hunt counterexamples to the refuted claims; shrink, certify, store")
    hunted = harvest.add_mutually_exclusive_group()
    hunted.add_argument("--claim", action="append", metavar="ID", help="hunt for this claim; may be repeated")
    hunted.add_argument("--stored", action="store_true", help="hunt nothing; simplify the proofs of what is stored")
    harvest.add_argument("--out", default=Path("reports"), type=Path, metavar="FOLDER", help="default reports")
    harvest.add_argument("--seed", default=0, type=int, metavar="S", help="default 0")
    harvest.set_defaults(command=_harvest, extra="hunt")

    verify = commands.add_parser("verify", help="check stored counterexamples in exact arithmetic")
    verify.add_argument("files", nargs="+", metavar="FILE.json", type=Path)
    verify.set_defaults(command=_verify)

    report = commands.add_parser("report", help="make a site of the stored counterexamples, or one figure")
    report.add_argument("--reports", default=Path("reports"), type=Path, metavar="FOLDER", help="default reports")
    report.add_argument("--out", type=Path, metavar="PATH", help="a folder, default site; a file with --figure")
    report.add_argument("--figure", metavar="ID", help="only the figure of this one: its folder's name, or its claim")
    report.set_defaults(command=_report, extra="report")

    claims = commands.add_parser("claims", help="list the claims")
    claims.set_defaults(command=_claims)

    _add_long_runs(commands)
    return parser


def _add_optimiser(command: Any) -> None:
    """What is trained by, beside the flow; None is as usual (harness/optimisers/setups.py)."""
    trained = command.add_argument_group("what is trained by an optimiser, too")
    trained.add_argument("--optimiser", metavar="NAME", help="gd, l2, linf, momentum, adam, ...: docs/optimisers.md")
    trained.add_argument("--step-size", type=float, metavar="S", help="default 0.1 or 0.01")
    trained.add_argument("--decay", type=float, metavar="A", help="step t is of size S (t + 2)^-A; default 0")
    for name in ("beta", "beta1", "beta2", "eps", "p"):
        trained.add_argument(f"--{name}", type=float, metavar="V")


def _setup(options: argparse.Namespace) -> Setup | None:
    """The optimiser that was asked for.  Raises FieldError."""
    from harness.optimisers.setups import OPTIONS, Setup

    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    if options.optimiser is None:
        for name in ("step_size", "decay", *given, *(("steps",) if options.command is _survey else ())):
            if name in given or getattr(options, name) is not None:
                raise FieldError(name.replace("_", "-"), "only with --optimiser")
        return None
    steps = {} if options.steps is None else {"steps": options.steps}
    setup = Setup(options.optimiser, step_size=options.step_size, decay=options.decay or 0.0, options=given, **steps)
    return setup.checked()


def _add_long_runs(commands: Any) -> None:
    """The commands that run for minutes or hours, and go on when they are called again."""
    survey = commands.add_parser("survey", help="count how often the limits of many random instances are no optimum")
    asked = survey.add_mutually_exclusive_group()
    asked.add_argument("--claim", action="append", default=[], metavar="ID", help="judge this claim; may be repeated")
    asked.add_argument("--study", metavar="NAME", help="one of those under reports/surveys, instead of a claim")
    survey.add_argument("--instances", required=True, type=int, metavar="N", help="how many are drawn in all")
    survey.add_argument("--seed", default=0, type=int, metavar="S", help="default 0")
    survey.add_argument("--device", default="cpu", metavar="D", help="a torch device that screens, default cpu")
    survey.add_argument("--executor", default="local", metavar="E", help="local, dask, or dask:ADDRESS; default local")
    survey.add_argument("--processes", type=int, metavar="P", help="worker processes, default one a core")
    survey.add_argument("--out", default=Path("survey"), type=Path, metavar="FOLDER", help="default survey")
    survey.add_argument("--report", type=Path, metavar="FOLDER", help="of a study: its counts, figure and tables")
    survey.add_argument("--hunt", type=Path, metavar="FOLDER", help="hunt from what violates a claim; store it there")
    survey.add_argument("--steps", type=int, metavar="N", help="of the optimiser, default 20000")
    _add_optimiser(survey)
    survey.set_defaults(command=_survey, extra="survey")

    nightly = commands.add_parser("nightly", help="replay what is known, then hunt in rounds until the time is up")
    nightly.add_argument(
        "--minutes", default=30.0, type=float, metavar="M", help="a round is started until then; default 30"
    )
    nightly.add_argument("--out", default=Path("reports"), type=Path, metavar="FOLDER", help="default reports")
    nightly.add_argument(
        "--state",
        default=Path(".marginalia"),
        type=Path,
        metavar="FOLDER",
        help="what outlasts it; default .marginalia",
    )
    nightly.set_defaults(command=_nightly, extra="test")

    tables = commands.add_parser("tables", help="the tables of the claims, filled in from runs")
    tables.add_argument("--run", action="store_true", help="run what fills them, or go on with it; print them then")
    tables.add_argument(
        "--group",
        default=[],
        action="append",
        metavar="NAME",
        help="run this one; may be repeated; all, if none is given",
    )
    tables.add_argument(
        "--share", default=1.0, type=float, metavar="F", help="of the instances of a full run, default 1"
    )
    tables.add_argument("--seed", default=0, type=int, metavar="S", help="default 0")
    tables.add_argument("--processes", type=int, metavar="P", help="worker processes, default one a core")
    tables.add_argument(
        "--work",
        default=Path("survey/tables"),
        type=Path,
        metavar="FOLDER",
        help="of the surveys, default survey/tables",
    )
    tables.add_argument("--reports", default=Path("reports"), type=Path, metavar="FOLDER", help="default reports")
    tables.set_defaults(command=_tables, extra="survey")


class _Version(argparse.Action):
    """Looked up only where it is asked for: that reads the installed package's files."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"marginalia {version('marginalia')}")
        parser.exit()


def read_text(path: Path) -> str:
    """A UTF-8 file.  Raises FieldError, which names the file, if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FieldError(str(path), error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise FieldError(str(path), "not UTF-8 text") from None


def _check(options: argparse.Namespace) -> int:
    from harness.problem.instances import Instance

    text = read_text(options.instance)
    record = stored_record(options.instance, text)
    try:
        instance = Instance.from_json(text) if record is None else record.instance
    except FieldError as error:
        # What is wrong with the whole is wrong with the file.
        raise FieldError(str(options.instance), error.message) if error.field == "instance" else error from None

    setup = _setup(options)
    if setup is not None:
        return _check_trained(options, instance, setup)

    # Only now: these take a second to load, and bad input needs none of it.
    from harness import decide, drive
    from harness.show.answers import check_object, check_text

    with Progress() as progress:
        (limit,) = drive([instance], device=options.device, settings=_settings(options, progress))
    verdicts = decide(limit) if limit.status == "converged" else None
    if options.json:
        print(json.dumps(check_object(limit, verdicts), allow_nan=False))
    else:
        print(check_text(limit, verdicts))
    if record is not None and not options.json:
        from harness.records.replay import replay

        print(f"\nstored as a counterexample to {record.claim} ({record.mechanism}): {replay(record).reason}")
    return OK


def _check_trained(options: argparse.Namespace, instance: Instance, setup: Setup) -> int:
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
    print(json.dumps(trained_object(*said), allow_nan=False) if options.json else trained_text(*said))
    return OK


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


def _judge(options: argparse.Namespace) -> int:
    from harness.problem.points import NotSeparating, Point, read_point

    try:
        problem, theta = read_point(read_text(options.point))
    except FieldError as error:
        raise FieldError(str(options.point), error.message) if error.field == "instance" else error from None

    # Only now: these take a second to load, and bad input needs none of it.
    from harness import decide
    from harness.show.judged import judge_object, judge_text, refused_object

    try:
        point = Point.at(problem, theta)
    except ValueError as why:
        status = "not_separating" if isinstance(why, NotSeparating) else "undecided"
        print(json.dumps(refused_object(status, str(why))) if options.json else f"{status.replace('_', ' ')}: {why}")
        return OK
    nearest = point.nearest_kkt()
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


def _harvest(options: argparse.Namespace) -> int:
    from harness.harvest import renew, run_harvest
    from harness.harvest.run import PAGES
    from harness.records.record import RECORD, load
    from harness.show.found import found_line, harvest_line

    with Progress() as progress:
        if options.stored:
            results = renew(options.out, progress)
        else:
            results = run_harvest(options.claim, options.out, options.seed, progress)
    for result in results:
        print(f"{result.claim}: {result.reason}")
        if result.path is not None:
            print(f"    {found_line(load(result.path / RECORD))}\n    {result.path}")
    hunts = [result for result in results if result.claim != PAGES]
    if not options.stored:
        print(harvest_line([hunt.found for hunt in hunts], [path for hunt in hunts for path in hunt.new]))
    return OK if all(result.path is not None for result in results) else DEFECT


def _survey(options: argparse.Namespace) -> int:
    from harness.harvest.run import PAGES
    from harness.survey import Plan, run
    from harness.survey.standard import cells
    from harness.survey.studies import STUDIES
    from harness.survey.text import summary

    if options.study not in (None, *STUDIES):
        raise FieldError("study", f"there is no {options.study!r}, but {', '.join(STUDIES)}")
    if options.report and options.study is None:
        raise FieldError("report", "only a study has one")
    study = STUDIES[options.study] if options.study else None
    setup = _setup(options)
    if study and setup:
        raise FieldError("optimiser", "a study has its own")
    if study:
        plan = study.plan(options.instances, options.seed, options.device)
    else:
        claims, trained = tuple(options.claim), (setup,) if setup else ()
        plan = Plan(
            tuple(cells(claims)), options.instances, options.seed, claims, optimisers=trained, device=options.device
        )
    with Progress() as progress:
        counts = run(plan, options.out, executor=options.executor, workers=options.processes, progress=progress)
        hunted = _hunted(options, plan.claims, progress) if options.hunt else []
    print(summary(counts))
    for result in hunted:
        print(f"{result.claim}: {result.reason}{f' ({result.path})' if result.path else ''}")
    if study and options.report:
        print(study.report(counts, options.report))
    return DEFECT if any(result.claim == PAGES for result in hunted) else OK


def _hunted(options: argparse.Namespace, claims: Sequence[str], progress: Progress) -> list[Harvested]:
    from harness.harvest import huntable
    from harness.survey.suspects import pursue

    known = huntable()
    wanted = [claim for claim in claims if claim in known]
    return [found for claim in wanted for found in pursue(options.out, claim, options.hunt, options.seed, progress)]


def _verify(options: argparse.Namespace) -> int:
    from harness.certificates import verify_file

    codes = {OK}
    for path in options.files:
        try:
            verified = verify_file(path)
        except FieldError as error:
            # There may be several files: the line names this one too, and the others are still checked.
            _complain(str(error) if error.field == str(path) else f"{path}: {error}")
            codes.add(BAD_INPUT)
            continue
        answer = "accepted" if verified.accepted else "rejected"
        print(f"{path}: {answer}: {verified.claim}: {verified.sentence}", flush=True)
        codes.add(OK if verified.accepted else REJECTED)
    # A rejected file weighs more than an unreadable one.
    return max(codes)


def _report(options: argparse.Namespace) -> int:
    from harness.records.folders import trusted
    from harness.report.build import build_site, write_figure

    if not options.reports.is_dir():
        raise FieldError("reports", f"{options.reports} is no folder")
    records, refused = trusted(options.reports)
    if options.figure is not None:
        first = write_figure(records, options.figure, options.out)
    else:
        from harness.tables.measured import read
        from harness.tables.text import markdown

        measured = markdown(read(options.reports / "tables"), records, ".")
        first = build_site(records, measured, options.out or Path("site"), options.reports / "surveys")
    for path, why in refused:
        _complain(f"{path} is not trusted and not shown: {why}")
    print(first)
    return OK


def _nightly(options: argparse.Namespace) -> int:
    from harness.nightly.night import Night

    if not options.minutes >= 0:
        raise FieldError("minutes", "expected a number that is not negative")
    with Progress() as progress:
        night = Night(options.out, options.state, progress)
        code = night.run(options.minutes)
    print(night.summary.markdown(), end="")
    return code


def _tables(options: argparse.Namespace) -> int:
    from harness.records.record import stored
    from harness.tables.measured import read
    from harness.tables.text import markdown

    out = options.reports / "tables"
    if not options.run and not options.reports.is_dir():
        raise FieldError("reports", f"{options.reports} is no folder")
    if options.run:
        from harness.tables.fill import fill

        with Progress() as progress:
            fill(
                options.work,
                out,
                groups=options.group,
                share=options.share,
                seed=options.seed,
                processes=options.processes,
                progress=progress,
            )
    measured = read(out)
    print(markdown(measured, stored(options.reports), str(options.reports)))
    return OK


def _claims(options: argparse.Namespace) -> int:
    from harness.claims.table import CLAIMS

    for claim in CLAIMS.values():
        print(f"{claim.id}  ({claim.status})")
        assumption = f", if {claim.assumption}" if claim.assumption else ""
        print(f"    {claim.setting}{assumption}: {claim.conclusion}  [{claim.source or 'ours'}]")
    return OK


def _complain(message: str) -> None:
    # Where standard error cannot be written either, the exit code has to do; print takes None for standard output.
    if cast("TextIO | None", sys.stderr) is not None:
        with suppress(OSError):
            print("marginalia:", " ".join(message.split()), file=sys.stderr, flush=True)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _complain(record.getMessage())


@contextmanager
def _log_to_stderr() -> Generator[None]:
    """What the program says of its own running, a line each."""
    log, lines = logging.getLogger("harness"), _Lines()
    before = log.level
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)


if __name__ == "__main__":
    sys.exit(main())
