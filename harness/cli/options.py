"""What may be given on the command line, and an example of every command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.cli import many, one
from harness.cli.optimiser import add_optimiser

_ABOUT = """Checks what is claimed of the limits of gradient flow on homogeneous networks: follows the flow of an
instance to its limit, decides whether that is an optimum of the max-margin problem, and hunts, proves and stores
counterexamples."""
_CODES = """marginalia COMMAND --help tells of one command. Exit codes: 0 done; 2 unreadable input, with one line that
says what; 3 verify rejected a file, or nightly saw a theorem violated; 1 a hunt found nothing, something could not
be written, or marginalia has a defect; 130 stopped by Ctrl-C."""

_ONE = "reports/fc-relu-local--dead-neuron--robust"
_EXAMPLES = {
    "check": (f"{_ONE}/instance.json", f"{_ONE}/instance.json --optimiser adam"),
    "judge": ("docs/point.json",),
    "harvest": ("--claim depth2-local --out found",),
    "verify": ("reports/*/counterexample.json",),
    "report": ("--out site", f"--figure {_ONE.partition('/')[2]} --out figure.pdf"),
    "claims": ("", "fc-relu-local"),
    "survey": ("--claim fc-relu-local --instances 1000 --out survey/relu", "--study relu-width --instances 1000"),
    "nightly": ("--minutes 10",),
    "tables": ("", "--run --group around-deep --share 0.01"),
}


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="marginalia", description=_ABOUT, epilog=_CODES, allow_abbrev=False)
    # The extra of pyproject.toml that brings what a command needs; none where the base is enough.
    whole.set_defaults(extra=None)
    whole.add_argument("--version", action=_Version, help="show the version and exit")
    plain: Any = partial(
        argparse.ArgumentParser, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND", parser_class=plain)

    check = _command(commands, "check", "follow the flow of one instance and decide about its limit")
    check.add_argument(
        "instance",
        metavar="INSTANCE.json",
        type=Path,
        help="an optimiser may be in it; or a counterexample.json",
    )
    check.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    check.add_argument("--device", default="cpu", metavar="D", help="a torch device, default cpu")
    check.add_argument("--steps", type=int, metavar="N", help="give up after so many steps")
    check.add_argument("--events", type=int, metavar="N", help="give up after so many events at kinks")
    check.add_argument("--seconds", type=float, metavar="S", help="give up after so many seconds: the clock decides")
    add_optimiser(check)
    check.set_defaults(command=one.check, extra="flow")

    judge = _command(commands, "judge", "decide about a point that is there already")
    judge.add_argument(
        "point", metavar="POINT.json", type=Path, help='an instance without "loss", "theta" for "theta0"'
    )
    judge.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    judge.set_defaults(command=one.judge, extra="flow")

    harvest = _command(commands, "harvest", "hunt counterexamples to the refuted claims; shrink, certify, store")
    hunted = harvest.add_mutually_exclusive_group()
    hunted.add_argument("--claim", action="append", metavar="ID", help="hunt for this claim; may be repeated")
    hunted.add_argument("--stored", action="store_true", help="hunt nothing; simplify the proofs of what is stored")
    _folder(harvest, "--out", "reports")
    _seed(harvest)
    harvest.set_defaults(command=many.harvest, extra="hunt")

    verify = _command(commands, "verify", "check stored counterexamples in exact arithmetic")
    verify.add_argument("files", nargs="+", metavar="FILE.json", type=Path)
    verify.set_defaults(command=one.verify)

    report = _command(commands, "report", "make a site of the stored counterexamples, or one figure")
    _folder(report, "--reports", "reports")
    report.add_argument("--out", type=Path, metavar="PATH", help="a folder, default site; a file with --figure")
    report.add_argument("--figure", metavar="ID", help="only the figure of this one: its folder's name, or its claim")
    report.set_defaults(command=many.report, extra="report")

    claims = _command(commands, "claims", "list the claims, or define one")
    claims.add_argument("id", nargs="?", metavar="ID", help="what it says, its words, what violates it, what is stored")
    _folder(claims, "--reports", "reports")
    claims.set_defaults(command=one.claims)

    _add_long_runs(commands)
    return whole


def _command(commands: Any, name: str, says: str) -> Any:
    """A command, what it does, and examples."""
    lines = "\n".join(f"  marginalia {name} {line}".rstrip() for line in _EXAMPLES[name])
    return commands.add_parser(name, help=says, description=says, epilog=f"examples, in a checkout:\n{lines}")


def _add_long_runs(commands: Any) -> None:
    """The commands that run for minutes or hours, and go on when they are called again."""
    survey = _command(commands, "survey", "count how often the limits of many random instances are no optimum")
    asked = survey.add_mutually_exclusive_group()
    asked.add_argument("--claim", action="append", default=[], metavar="ID", help="judge this claim; may be repeated")
    asked.add_argument("--study", metavar="NAME", help="one of those under reports/surveys, instead of a claim")
    survey.add_argument("--instances", required=True, type=int, metavar="N", help="how many are drawn in all")
    _seed(survey)
    survey.add_argument("--device", default="cpu", metavar="D", help="a torch device that screens, default cpu")
    survey.add_argument("--executor", default="local", metavar="E", help="local, dask, or dask:ADDRESS; default local")
    _processes(survey)
    _folder(survey, "--out", "survey")
    survey.add_argument("--report", type=Path, metavar="FOLDER", help="of a study: its counts, figure and tables")
    survey.add_argument("--hunt", type=Path, metavar="FOLDER", help="hunt from what violates a claim; store it there")
    survey.add_argument("--steps", type=int, metavar="N", help="of the optimiser, default 20000")
    add_optimiser(survey)
    survey.set_defaults(command=many.survey, extra="survey")

    nightly = _command(commands, "nightly", "replay what is known, then hunt in rounds until the time is up")
    nightly.add_argument(
        "--minutes", default=30.0, type=float, metavar="M", help="a round is started until then; default 30"
    )
    _folder(nightly, "--out", "reports")
    _folder(nightly, "--state", ".marginalia", "what outlasts it; ")
    nightly.set_defaults(command=many.nightly, extra="test")

    tables = _command(commands, "tables", "the tables of the claims, filled in from runs")
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
    _seed(tables)
    _processes(tables)
    _folder(tables, "--work", "survey/tables", "of the surveys, ")
    _folder(tables, "--reports", "reports")
    tables.set_defaults(command=many.tables, extra="survey")


def _folder(command: Any, option: str, default: str, says: str = "") -> None:
    command.add_argument(option, default=Path(default), type=Path, metavar="FOLDER", help=f"{says}default {default}")


def _seed(command: Any) -> None:
    command.add_argument("--seed", default=0, type=int, metavar="S", help="default 0")


def _processes(command: Any) -> None:
    command.add_argument("--processes", type=int, metavar="P", help="worker processes, default one a core")


class _Version(argparse.Action):
    """Looked up only where it is asked for: that reads the installed package's files."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from harness.tools.software import software

        print(f"marginalia {software(('marginalia',)).get('marginalia', 'that is not installed')}")
        parser.exit()
