"""The hunt: Hypothesis draws instances from scratch until one refutes a claim, and shrinks it.

No known counterexample is ever suggested to it.  An instance counts only if the flow converges to one
limit, the claim speaks of it, and the exact checker accepts a proof that the conclusion is false.

Hypothesis shrinks towards the simplest sequence of choices, which is nearly but not quite the smallest
instance.  So the smallest violating instance of all that were seen is kept, in the order of
harness.report.reading.size (points, neurons, dimensions, then the numbers), and the search is
repeated inside its sizes for a smaller one until a whole round finds none.  All of it is bounded by
counts and follows from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample

import harness
from harness.claims import CLAIMS
from harness.harvest.finding import Finding
from harness.harvest.spaces import OPENINGS, SPACES, Sizes, space, within
from harness.instances import Instance
from harness.report.reading import size
from harness.report.words import counted

EXAMPLES = 2500
# Of each further run; one takes about 4 ms, drawing included.
ROUND_EXAMPLES = 800
ROUNDS = 12
_NOTICE_EVERY = 500


def hunt(
    claim: str,
    *,
    seed: int = 0,
    max_examples: int = EXAMPLES,
    mechanism: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
    found: Callable[[Finding], None] = lambda finding: None,
) -> Finding | None:
    """A small certified counterexample to a refuted claim, or None.

    claim: a key of SPACES.  max_examples: how many instances are drawn from each of OPENINGS for a first one.
    mechanism: only counterexamples of this mechanism count.
    found: told of every counterexample that is smaller than all before it, before anything else is done; it may not
    raise, for Hypothesis would take that for part of the search.
    """
    quarry = _Quarry(claim, mechanism, seed, progress, found)
    source = random.Random(seed)
    for sizes in OPENINGS:
        if quarry.best is None or not sizes.holds(quarry.best.instance):
            quarry.search(space(claim, sizes), max_examples, source)
    if quarry.best is None:
        return None
    barren: set[Sizes] = set()
    for _ in range(ROUNDS):
        assert quarry.best is not None
        for sizes in within(quarry.best.instance):
            if sizes in barren:
                continue
            if quarry.search(space(claim, sizes), ROUND_EXAMPLES, source):
                break
            barren.add(sizes)
        else:
            break
    return quarry.best


@dataclass
class _Quarry:
    """What has been seen of one claim: every instance once, and the smallest that violates it."""

    claim: str
    mechanism: str | None
    seed: int
    progress: Callable[[str], None]
    found: Callable[[Finding], None]
    best: Finding | None = None
    driven: int = 0
    seen: dict[Instance, bool] = field(default_factory=dict)

    def search(self, instances: Any, max_examples: int, source: random.Random) -> bool:
        """One run of Hypothesis; whether it found something smaller than the best before."""
        before = self.best
        try:
            find(
                instances,
                lambda instance: self._smaller(instance, before) and self._violates(instance),
                settings=settings(
                    max_examples=max_examples,
                    database=None,
                    derandomize=False,
                    deadline=None,
                    phases=(Phase.generate, Phase.shrink),
                ),
                random=random.Random(source.getrandbits(64)),
            )
        except NoSuchExample:
            return False
        return True

    @staticmethod
    def _smaller(instance: Instance, than: Finding | None) -> bool:
        return than is None or size(instance) < size(than.instance)

    def _violates(self, instance: Instance) -> bool:
        known = self.seen.get(instance)
        if known is None:
            known = self.seen[instance] = self._drive(instance)
        return known

    def _drive(self, instance: Instance) -> bool:
        claim = CLAIMS[self.claim]
        if not claim.applies(instance.network):
            return False
        self.driven += 1
        if self.driven % _NOTICE_EVERY == 0:
            self.progress(f"{self.driven} instances")
        # a violation must survive a flow that is followed until it is near its limit, as recorded ones are
        for record in (False, True):
            (limit,) = harness.drive([instance], record=record)
            if limit.status != "converged" or limit.doubt:
                return False
            verdicts = harness.decide(limit)
            if claim.judged(limit, verdicts) != "violated":
                return False
        verdict, mechanism = SPACES[self.claim].verdict(verdicts), verdicts.mechanism
        if not verdict.certified or verdict.certificate is None or verdict.certificate["kind"] != "better":
            return False
        if verdict.certificate["problem"] != "full":
            mechanism = "layer"
        elif verdict.certificate["scope"] == "global":
            mechanism = "global gap"
        if mechanism is None or self.mechanism not in (None, mechanism):
            return False
        if self._smaller(instance, self.best):
            self.best = Finding(self.claim, mechanism, limit, verdict.certificate, self.seed, self.driven)
            self.found(self.best)
            sizes = Sizes.of(instance)
            self.progress(
                f"{self.driven} instances, a counterexample with {counted(sizes.points, 'point')}, "
                f"{counted(sizes.neurons, 'neuron')}, {counted(sizes.dimensions, 'dimension')}"
            )
        return True
