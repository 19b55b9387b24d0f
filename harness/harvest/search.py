"""The hunt: Hypothesis draws instances from scratch until some refute a claim, and they are shrunk.

No known counterexample is ever suggested to it.  An instance counts only if the flow converges to one
limit, the claim speaks of it, and the exact checker accepts a proof that the conclusion is false.

Two kinds are looked for: robust counterexamples, which survive small changes of the start and of the data, and the
smaller ones that do not (harness.harvest.robustness).  Of each the smallest is kept, in the order of
harness.problem.sizes.rank: points, neurons, dimensions, whether the flow is proven to end there, then the numbers.  A
few thousand draws find one, it is shrunk (harness.harvest.shrink), and then instances with one point, neuron or
dimension less are drawn, also of sizes in which nothing was found at first, and as many; what is found there is shrunk
again.  All of it is bounded by counts and follows from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from harness.certificates import verify
from harness.claims.judge import judge
from harness.claims.table import CLAIMS
from harness.harvest.finding import Finding, mechanism_of
from harness.harvest.rays import rays, varied
from harness.harvest.robustness import glance, measure
from harness.harvest.shrink import shrink
from harness.harvest.spaces import ANYTHING, SPACES, Quarry, space, within
from harness.problem.instances import Instance
from harness.problem.sizes import Sizes, rank
from harness.show.lines import count

ROUNDS = 12
# Instances in one example of Hypothesis, which has as much to do for one as for ten.
BATCH = 10
_NOTICE_EVERY = 500
# Many draws in one are large, and slow, on purpose.
_NO_HEALTH_CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


def hunt(
    claim: str,
    *,
    seed: int = 0,
    max_examples: int | None = None,
    quarry: Quarry = ANYTHING,
    progress: Callable[[str], None] = lambda line: None,
    found: Callable[[Finding], None] = lambda finding: None,
    opening: SearchStrategy[list[Instance]] | None = None,
) -> Finding | None:
    """The smallest robust counterexample to a refuted claim that was found, else the smallest of all, or None.

    claim: a key of SPACES.  max_examples: how many instances of each sizes are drawn for a first one, the quarry's
    patience unless given.
    quarry: only such counterexamples count.
    found: told of every counterexample, shrunk, that is the smallest of its kind so far; what it raises ends
    the hunt.
    opening: lists of instances among which the first one is looked for, instead of everywhere.
    """
    hunter = Hunter(claim, quarry, seed, progress, found)
    max_examples = max_examples or quarry.patience[0]
    if opening is None:
        hunter.open(max_examples)
    else:
        hunter.look(opening, max_examples, None)
    hunter.descend()
    return hunter.best.get(True, hunter.best.get(False))


@dataclass
class Hunter:
    """What has been seen of one claim: every instance once, and the smallest counterexample of either kind.

    best: by whether it is robust.  barren: how many draws of which sizes found nothing, and what was wanted there.
    """

    claim: str
    quarry: Quarry
    seed: int
    progress: Callable[[str], None]
    found: Callable[[Finding], None]
    best: dict[bool, Finding] = field(default_factory=dict)
    driven: int = 0
    barren: set[tuple[Sizes, int, bool | None]] = field(default_factory=set)
    seen: dict[Instance, Finding | None] = field(default_factory=dict)
    kinds: dict[Instance, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)

    def open(self, max_examples: int) -> None:
        """Look for a first counterexample, and for one of the other kind: a robust one may be a little larger."""
        openings = SPACES[self.claim].openings
        for opened, sizes in enumerate(openings):
            first = self.search(sizes, max_examples, None)
            if first is None:
                continue
            for larger in openings[opened : opened + (1 if first else 2)]:
                if self.search(larger, max_examples, not first) is not None:
                    break
            return

    def search(self, sizes: Sizes, max_examples: int, wanted: bool | None) -> bool | None:
        """Look among instances of these sizes, unless just that was done in vain before."""
        if (sizes, max_examples, wanted) in self.barren:
            return None
        kind = self.look(space(self.claim, self.quarry, sizes, BATCH), max_examples, wanted)
        if kind is None:
            self.barren.add((sizes, max_examples, wanted))
        return kind

    def look(self, instances: SearchStrategy[list[Instance]], max_examples: int, wanted: bool | None) -> bool | None:
        """One run of Hypothesis, for a robust one, one that is not, or either; and shrinking, if it finds one.

        Returns the kind of what was found, smaller than the best of its kind before, or None.
        """
        try:
            batch = find(
                instances,
                lambda batch: any(self._counts(instance, wanted) for instance in self._and_rays(batch)),
                settings=settings(
                    max_examples=-(-max_examples // BATCH),
                    database=None,
                    derandomize=False,
                    deadline=None,
                    phases=(Phase.generate,),
                    suppress_health_check=_NO_HEALTH_CHECKS,
                ),
                random=random.Random(self.source.getrandbits(64)),
            )
        except NoSuchExample:
            return None
        instance = next(one for one in self._and_rays(batch) if self._counts(one, wanted))
        glanced = self._robust(instance)
        instance = self._shrunk(instance, glanced)
        finding = self._judged(instance)
        assert finding is not None
        measured = replace(finding.simplified(), robustness=measure(self.claim, instance))
        assert measured.robustness is not None
        kind = self.kinds[instance] = bool(measured.robustness["robust"])
        if kind is not glanced and not self._smaller(instance, kind, finding.flow is not None):
            return None
        self.best[kind] = measured
        self.found(measured)
        its = Sizes.of(instance)
        self.progress(
            f"{self.driven} instances, a {'robust' if kind else 'fragile'} counterexample with "
            f"{count(its.points, 'point')}, {count(its.neurons, 'neuron')}, {count(its.dimensions, 'dimension')}"
            f"{', its flow proven' if measured.flow is not None else ''}"
        )
        return kind

    def descend(self) -> None:
        """Look among fewer points, neurons or dimensions than the best of a kind has, until there is none."""
        for _ in range(ROUNDS):
            instances = [finding.instance for finding in self.best.values()]
            for sizes in dict.fromkeys(sizes for instance in instances for sizes in within(instance)):
                if self.search(sizes, self.quarry.patience[1], None) is not None:
                    break
            else:
                return

    def _counts(self, instance: Instance, wanted: bool | None) -> bool:
        """Whether it is a counterexample of the kind that is wanted, and smaller than the best of that kind."""
        kinds = (True, False) if wanted is None else (wanted,)
        if not any(self._smaller(instance, kind, True) for kind in kinds):
            return False
        finding = self._judged(instance)
        return (
            finding is not None
            and self._robust(instance) in kinds
            and self._smaller(instance, self._robust(instance), finding.flow is not None)
        )

    def _smaller(self, instance: Instance, kind: bool, proven: bool) -> bool:
        if kind not in self.best:
            return True
        best = self.best[kind]
        return rank(instance, proven) < rank(best.instance, best.flow is not None)

    def _and_rays(self, instances: Iterable[Instance]) -> Iterator[Instance]:
        """The instances, and starts on the way to the limits of those that fail, so that the flow can be proven."""
        for instance in instances:
            yield instance
            finding = self.seen.get(instance)
            if finding is not None and finding.flow is None:
                yield from rays(finding.limit)

    def _shrunk(self, instance: Instance, kind: bool) -> Instance:
        """The smallest one next to it of the same kind; with a proof of its flow, if one has it that is as small."""

        def proven(smaller: Instance) -> bool:
            finding = self._judged(smaller) if self._counts(smaller, kind) else None
            return finding is not None and finding.flow is not None

        least = shrink(instance, lambda smaller: self._counts(smaller, kind), SPACES[self.claim].shrinks)
        found = self._judged(least)
        # a claim on starts of its own speaks of none that point along a limit
        if SPACES[self.claim].drawn is not None or (found is not None and found.flow is not None):
            return least
        for start in self._and_rays(chain([least, instance], varied(least))):
            if proven(start):
                least_proven = shrink(start, proven, SPACES[self.claim].shrinks)
                return min(least, least_proven, key=lambda one: rank(one, one is least_proven))
        return least

    def _robust(self, instance: Instance) -> bool:
        known = self.kinds.get(instance)
        if known is None:
            known = self.kinds[instance] = glance(instance, self._fails)
        return known

    def _judged(self, instance: Instance) -> Finding | None:
        """The certified counterexample that the instance is, or None."""
        if instance not in self.seen:
            self.seen[instance] = self._certified(instance) if self._fails(instance) else None
        return self.seen[instance]

    def _fails(self, instance: Instance) -> bool:
        """Whether it seems to be a counterexample: without a certificate, at a fraction of the cost."""
        claim = CLAIMS[self.claim]
        if not claim.applies(instance.network) or instance.network not in self.quarry:
            return False
        self.driven += 1
        if self.driven % _NOTICE_EVERY == 0:
            self.progress(f"{self.driven} instances")
        found = judge(claim, instance, certify="never")
        if found.outcome != "violated" or found.verdicts is None:
            return False
        verdict = claim.against(found.limit, found.verdicts)
        return verdict is not None and self._sought(mechanism_of(found.verdicts, verdict))

    def _sought(self, mechanism: str | None) -> bool:
        return self.quarry.mechanism in (None, mechanism)

    def _certified(self, instance: Instance) -> Finding | None:
        claim = CLAIMS[self.claim]
        found = judge(claim, instance, certify="always")
        if found.outcome != "violated" or found.verdicts is None:
            return None
        verdict = claim.against(found.limit, found.verdicts)
        mechanism = mechanism_of(found.verdicts, verdict) if verdict is not None else None
        if verdict is None or not verdict.certified or verdict.certificate is None or mechanism is None:
            return None
        if not self._sought(mechanism):
            return None
        finding = Finding(self.claim, mechanism, found.limit, verdict.certificate, self.seed, self.driven)
        return finding.flowing() if verify(finding.record().data).accepted else None
