"""Running a survey: the batches that are missing, a few at a time, each stored as it comes back.

Nothing but the batches in hand is kept in memory, and nothing else is lost if the survey is killed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path

from harness.problem.fields import FieldError
from harness.survey.counts import Counts, count
from harness.survey.engines import engine, has_died
from harness.survey.plan import Plan, fingerprint
from harness.survey.shards import Folder
from harness.survey.work import work

Progress = Callable[[str], None]


def run(
    plan: Plan,
    out: Path,
    *,
    executor: Executor | str = "local",
    workers: int | None = None,
    progress: Progress = lambda line: None,
) -> Counts:
    """Do what is missing of a survey in the folder `out`, and count all of it.

    executor: any concurrent.futures.Executor, whose workers can import this package, or the name of one
    (engines.engine). workers: how many batches it works on at once; one a core, if None. The counts depend on none
    of them. Raises FieldError for a folder of another survey, and where a worker process died: the same call goes on.
    """
    if isinstance(executor, str):
        with engine(executor, workers) as (started, count_of):
            return run(plan, out, executor=started, workers=count_of, progress=progress)
    folder = Folder.opened(out, plan)
    todo = folder.missing(plan)
    clock = _Clock(plan, todo, progress)
    code, batches = fingerprint(), iter(todo)
    # one more than there are workers, so that none waits for this process
    running: dict[Future[bytes], int] = {
        executor.submit(work, plan, batch, code): batch for batch in itertools.islice(batches, (workers or 1) + 1)
    }
    try:
        while running:
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                batch = running.pop(future)
                folder.put(batch, future.result())
                clock.took(len(plan.indices(batch)))
                for following in itertools.islice(batches, 1):
                    running[executor.submit(work, plan, following, code)] = following
    except Exception as error:
        if not has_died(error):
            raise
        raise FieldError("executor", "a worker process died; the same command goes on from here") from None
    finally:
        for future in running:
            future.cancel()
    return count(out)


class _Clock:
    """How far a survey has come, its rate in this run, and the time left."""

    def __init__(self, plan: Plan, todo: list[int], progress: Progress) -> None:
        self.total = plan.instances
        self.left = sum(len(plan.indices(batch)) for batch in todo)
        self.done, self.began, self.progress = 0, time.monotonic(), progress
        progress(f"{self.total - self.left} of {self.total} instances are there")

    def took(self, instances: int) -> None:
        self.done += instances
        self.left -= instances
        rate = self.done / max(time.monotonic() - self.began, 1e-9)
        self.progress(
            f"{self.total - self.left} of {self.total} instances, {rate:.0f} a second, {_span(self.left / rate)} left"
        )


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
