"""The commands about many: harvest, survey, tables, nightly, and report, which shows what they found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.codes import DEFECT, OK
from harness.cli.optimiser import setup_of
from harness.cli.output import complain
from harness.problem.fields import FieldError
from harness.tools.progress import Progress

if TYPE_CHECKING:
    from harness.harvest import Harvested


def harvest(options: argparse.Namespace) -> int:
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


def survey(options: argparse.Namespace) -> int:
    from harness.harvest.run import PAGES
    from harness.records.folders import make_writable
    from harness.survey import Plan, run
    from harness.survey.standard import cells
    from harness.survey.studies import STUDIES
    from harness.survey.text import summary

    if options.study not in (None, *STUDIES):
        raise FieldError("study", f"there is no {options.study!r}, but {', '.join(STUDIES)}")
    if options.report and options.study is None:
        raise FieldError("report", "only a study has one")
    if options.hunt:
        make_writable(options.hunt, "hunt")
    study = STUDIES[options.study] if options.study else None
    setup = setup_of(options, "steps")
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


def tables(options: argparse.Namespace) -> int:
    from harness.records.record import stored
    from harness.tables.measured import read
    from harness.tables.text import markdown

    out = options.reports / "tables"
    for name, given in (("group", options.group), ("share", options.share != 1.0), ("processes", options.processes)):
        if given and not options.run:
            raise FieldError(name, "only with --run")
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


def nightly(options: argparse.Namespace) -> int:
    from harness.nightly.night import Night

    if not options.minutes >= 0:
        raise FieldError("minutes", "expected a number that is not negative")
    with Progress() as progress:
        night = Night(options.out, options.state, progress)
        code = night.run(options.minutes)
    print(night.summary.markdown(), end="")
    return code


def report(options: argparse.Namespace) -> int:
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
        complain(f"{path} is not trusted and not shown: {why}")
    print(first)
    return OK
