"""Many flows at once: each of several processes follows a part of the list with the compiled trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from harness.flow.follow import follow
from harness.flow.run import Settings
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.tools.processes import pool

PART = 32  # instances at most that a process is given at once: their times differ by a factor of a hundred


def follow_all(instances: Sequence[Instance], settings: Settings, record: bool, workers: int) -> list[Limit]:
    """One Limit an instance, in order, the same as those that one process finds."""
    part = max(min(len(instances) // (4 * workers), PART), 1)
    # who begins with nothing compiled compiles once: the others would do the same work beside it
    first, rest = [follow(instance, settings, record) for instance in instances[:1]], instances[1:]
    if not rest:
        return first
    with pool(min(workers, len(rest))) as executor:
        found = list(executor.map(partial(follow, settings=settings, record=record), rest, chunksize=part))
    return first + [_of(limit, instance) for limit, instance in zip(found, rest, strict=True)]


def _of(limit: Limit, instance: Instance) -> Limit:
    """The limit with what it shares with its instance, of which another process sends a copy."""
    point = replace(limit.point, problem=instance.problem) if limit.point else None
    return replace(limit, instance=instance, point=point)
