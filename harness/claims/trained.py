"""What decides a claim about an optimiser: what it made of an instance, three-valued, None where that is open.

A claim of the flow has none.  Where a claim is about a flow that an optimiser follows by small steps, it is also
trained with twice as many steps, four times, ..., and is open where that changes the answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.certificates.numbers import Rejected
from harness.optimisers.descents import Descent

if TYPE_CHECKING:
    from harness.optimisers import Training


@dataclass(frozen=True)
class Trained:
    """of: whether the claim is about this descent.  concluded: whether it holds of the trainings, None if open.

    halvings: how many trainings there are besides the first, each with twice the steps over the same length.
    """

    of: Callable[[Descent], bool]
    concluded: Callable[[Sequence[Training]], bool | None]
    halvings: int = 0

    def holds(self, trainings: Sequence[Training]) -> bool | None:
        """Whether it holds; open where a training left the floats, and so ended early, or what decides does."""
        if any(one.step[-1] < one.steps for one in trainings):
            return None
        try:
            return self.concluded(trainings)
        except (ArithmeticError, Rejected):
            return None


def descent_of(training: Training) -> Descent:
    """What was trained."""
    assert isinstance(training.instance, Descent)
    return training.instance


def trainings(descents: Sequence[Descent], halvings: int = 0) -> list[list[Training]]:
    """Every descent's, with every step kept: its own, and those with smaller steps over the same length."""
    from harness import optimisers

    found: list[list[Training]] = [[] for _ in descents]
    alike: dict[str, list[int]] = defaultdict(list)
    for place, descent in enumerate(descents):
        alike[repr(descent.setup)].append(place)
    for places in alike.values():
        setup = descents[places[0]].setup
        method: Any = setup.method
        for halving in range(halvings + 1):
            count = setup.steps * 2**halving
            # as many steps cover the same length as before: sum eta is of the order of size count^(1 - decay)
            size = method.steps.size / 2 ** (halving * (1.0 - method.steps.decay))
            smaller = replace(method, steps=optimisers.Steps(size, method.steps.decay))
            trained = optimisers.train([descents[k] for k in places], smaller, steps=count, at=range(count))
            for place, one in zip(places, trained, strict=True):
                found[place].append(one)
    return found
