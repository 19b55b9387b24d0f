"""The best multipliers for given regions, by adding the violated cases one round after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.oracles.cone import Case, solve_multipliers
from harness.oracles.programmes import Programme
from harness.oracles.regions import Region, Slope

ROUNDS = 12


@dataclass(frozen=True)
class Relaxation:
    """alpha: (n,), sum unscaled.  slopes: of every region at alpha.  bound: what they prove, in floats.

    atoms: (region, u): the neurons of the relaxation, in which every neuron may be split over the cells of its
    region; those with a norm worth the name, longest first.
    """

    alpha: np.ndarray
    slopes: list[tuple[Region, Slope]]
    bound: float
    atoms: list[tuple[Region, np.ndarray]]


def best_multipliers(
    problem: Programme, regions: list[Region], slopes: list[tuple[Region, Slope]]
) -> Relaxation | None:
    """Maximise the bound over alpha, starting from the cases that are worst in `slopes`."""
    apart = problem.apart
    cases: dict[tuple[int, frozenset[int]], Case] = {}
    best: Relaxation | None = None
    quadratic = problem.name == "layer 1"
    # The limit is feasible, so no alpha that satisfies all cases has a larger sum (half the sum in layer 1).  While
    # cases are missing the sum would be unbounded without this.
    cap = problem.value * (2.02 if quadratic else 1.01)
    for _ in range(ROUNDS):
        before = len(cases)
        for r, (region, found) in enumerate(slopes):
            for worst in np.argsort(-found.norms)[:2].tolist():
                taken = frozenset(i for i, on in zip(found.convex, found.subsets[worst], strict=True) if on)
                if (r, taken) not in cases:
                    cases[r, taken] = _case(problem, r, region, taken)
        if len(cases) == before:
            break
        keys = list(cases)
        solved = solve_multipliers(list(cases.values()), len(regions), apart.n, cap, quadratic)
        if solved is None:
            break
        top = float(solved.alpha.max(initial=0.0))
        alpha = np.where(solved.alpha > 1e-9 * top, solved.alpha, 0.0)
        new = problem.slopes(regions, alpha)
        if new is None or not top > 0.0:
            break
        slopes, bound = new, problem.bound(alpha, new)
        atoms = [(regions[r], u) for (r, _), u in zip(keys, solved.atoms, strict=True)]
        longest = max(float(np.linalg.norm(u)) for _, u in atoms)
        atoms = [(r, u) for r, u in atoms if np.linalg.norm(u) > 1e-6 * longest]
        atoms.sort(key=lambda atom: -float(np.linalg.norm(atom[1])))
        settled = best is not None and bound <= best.bound * (1.0 + 1e-11)
        if best is None or bound > best.bound:
            best = Relaxation(alpha, new, bound, atoms)
        else:
            # The latest atoms belong to the fullest list of cases, whatever rounding did to the bound.
            best = Relaxation(best.alpha, best.slopes, best.bound, atoms)
        if settled and bound >= problem.value * (1.0 - 1e-10):
            break
    return best


def _case(problem: Programme, r: int, region: Region, taken: frozenset[int]) -> Case:
    y = problem.apart.y
    z = (y * region.sign)[:, None] * region.patch
    activity, bend = region.start, region.bend(y)
    activity[list(taken)] = 1.0
    concave = [i for i in region.free if bend[i] < 0]
    weight = sum(problem.weight(j) ** 2 for j in region.owners) ** 0.5 if problem.name == "layer 1" else 1.0
    return Case(r, weight, activity[:, None] * z, concave, (1.0 - region.below) * z[concave])
