"""Local and global verdicts on the margin problem and on the layers' problems, depth 2 without shared weights.

The order is cheapest first: the limit's own multipliers as one proof for all cells, then the cells that refute
them, then the best multipliers of all, then the joint cells one by one.  What none of them settles is undecided.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from harness.oracles.cells import Cell, Cells, Found, Pool, best_in, cell_of, descend, hopeless, joint_cells
from harness.oracles.multipliers import Relaxation, best_multipliers
from harness.oracles.programmes import Programme, global_regions, local_regions
from harness.oracles.proofs import (
    SAFE_GAP,
    attested,
    better_certificate,
    better_points,
    bound_certificate,
    face,
    structured,
)
from harness.oracles.regions import Region, Slope, climb
from harness.oracles.verdict import Verdict
from harness.problem.numbers import as_json

# Joint cells that are gone through, next to the limit and everywhere; the exact checker takes a third of a ms each.
# For a layer they are quadratic programmes, and as soon solved as checked.
MAX_CELLS = {
    ("full", "local"): 1024,
    ("full", "global"): 512,
    ("layer 1", "local"): 1024,
    ("layer 1", "global"): 2048,
}
# A gain smaller than this share of the value is not told from the error of the limit.
LEAST_GAIN = 1e-9


def decide_local(problem: Programme, certify: bool) -> Verdict:
    """Whether the limit is a local optimum."""
    regions = local_regions(problem)
    tried: set[str] = set()
    first = _opening(problem, "local", regions, certify)
    if isinstance(first, Verdict):
        if first.status == "optimal":
            return first
        # too many cases to list, but one direction in which a dead neuron pays is enough
        return _first_better(problem, "local", [_climbed_cells(problem, regions)], tried, certify) or first
    worst = _worst_cells(problem, first)
    verdict = _first_better(problem, "local", [worst], tried, certify)
    if verdict is not None:
        return verdict
    relaxed = best_multipliers(problem, regions, first)
    if relaxed is not None:
        if relaxed.bound >= problem.value * (1.0 - SAFE_GAP):
            return _optimal(problem, "local", relaxed.alpha, relaxed.slopes, relaxed.bound, certify)
        verdict = _first_better(problem, "local", _local_guesses(problem, relaxed, worst), tried, certify)
        if verdict is not None:
            return verdict
    if not problem.apart.kinked:
        return Verdict("undecided", problem.value, None, "neither multipliers nor a better point were found")
    return decide_cells(problem, "local", certify)


def decide_global(problem: Programme, local: Verdict, certify: bool, *, every_cell: bool = True) -> Verdict:
    """Whether the limit is a global optimum, given the local verdict; every_cell: as a last resort, one by one."""
    if local.status == "not_optimal" and local.certificate is not None:
        verdict = Verdict(
            "not_optimal",
            local.value,
            local.bound,
            "not even a local optimum: " + local.reason,
            {**local.certificate, "scope": "global"},
        )
        return attested(problem.apart.problem, verdict, certify)
    if not problem.apart.kinked:
        if local.status != "optimal" or local.certificate is None:
            return local
        verdict = Verdict("optimal", local.value, local.bound, local.reason, {**local.certificate, "scope": "global"})
        return attested(problem.apart.problem, verdict, certify)
    regions = global_regions(problem)
    first = _opening(problem, "global", regions, certify)
    if isinstance(first, Verdict):
        return first
    relaxed = best_multipliers(problem, regions, first)
    if relaxed is not None and relaxed.bound >= problem.value * (1.0 - SAFE_GAP):
        return _optimal(problem, "global", relaxed.alpha, relaxed.slopes, relaxed.bound, certify)
    best: Found | None = None
    for cells in _global_guesses(problem, relaxed, first):
        found = best_in(problem, cells)
        if found is None:
            continue
        found = descend(problem, found)
        if best is None or found.solution.value < best.solution.value:
            best = found
        if best.solution.value < problem.value * (1.0 - 1e-6):
            break
    if best is not None and best.solution.value < problem.value * (1.0 - LEAST_GAIN):
        verdict = _better(problem, "global", best, certify)
        if verdict is not None:
            return verdict
    if every_cell and joint_cells(problem, "global")[0] <= MAX_CELLS[problem.name, "global"]:
        return decide_cells(problem, "global", certify)
    known = f"; any width costs at least {relaxed.bound:.6g}" if relaxed is not None and problem.name == "full" else ""
    return Verdict("undecided", problem.value, None, f"no proof and no better point found{known}")


def _opening(
    problem: Programme, scope: str, regions: list[Region], certify: bool
) -> Verdict | list[tuple[Region, Slope]]:
    """The verdict if the limit's own multipliers prove it optimal, else their slopes."""
    alpha = problem.apart.alpha
    alpha = np.where(alpha > 1e-12 * alpha.max(initial=0.0), alpha, 0.0)
    slopes = problem.slopes(regions, alpha)
    if slopes is None:
        return Verdict("undecided", problem.value, None, "too many samples with a multiplier at a kink")
    bound = problem.bound(alpha, slopes)
    if bound >= problem.value * (1.0 - SAFE_GAP):
        return _optimal(problem, scope, alpha, slopes, bound, certify)
    return slopes


def _optimal(
    problem: Programme, scope: str, alpha: np.ndarray, slopes: list[tuple[Region, Slope]], bound: float, certify: bool
) -> Verdict:
    certificate = bound_certificate(problem, scope, alpha, slopes)
    reason = "multipliers prove a lower bound that equals the value"
    return attested(problem.apart.problem, Verdict("optimal", problem.value, bound, reason, certificate), certify)


def _better(problem: Programme, scope: str, found: Found, certify: bool) -> Verdict | None:
    """The verdict that a cheaper point proves; None where it cannot be made exact."""
    apart = problem.apart
    proof, low = face(problem)
    low = min(low, problem.value) * (1.0 - LEAST_GAIN)
    u, sign = found.u, found.sign
    blends = (0.0, 1e-6, 1e-3, 0.1) if scope == "local" and apart.kinked else (0.0,)
    for blend in blends:
        if blend:
            # Towards the limit, off the walls on which rounding may put the point on the wrong side.
            scale = 1.0 if problem.name == "layer 1" else np.abs(apart.v)
            own = [s * w for s, w in zip(np.broadcast_to(scale, apart.k), apart.w, strict=True)]
            u = [(1.0 - blend) * a + blend * b for a, b in zip(found.u, own, strict=True)]
        for theta, value in better_points(problem, u, sign, low):
            if scope == "local" and apart.kinked and not _same_side(problem, theta):
                continue
            reason = f"a point at cost {float(value):.6g} is better"
            verdict = Verdict(
                "not_optimal",
                problem.value,
                float(value),
                reason,
                better_certificate(problem, scope, theta, proof),
            )
            verdict = attested(apart.problem, verdict, certify)
            if verdict.status == "not_optimal":
                return verdict
    return None


def _same_side(problem: Programme, theta: Sequence[Sequence[Fraction]]) -> bool:
    """Whether every gate that is not zero in the limit is kept, exactly."""
    apart = problem.apart
    x = apart.problem.x
    for j in apart.live:
        neuron = apart.neurons[j]
        if not apart.sign[j]:
            continue
        w = [theta[0][k] for k in neuron.incoming.tolist()]
        for i in np.flatnonzero(apart.gates[:, j]).tolist():
            if apart.gates[i, j] * sum(a * x[i][c] for a, c in zip(w, neuron.inputs, strict=True)) < 0:
                return False
    return True


def _first_better(
    problem: Programme, scope: str, guesses: Iterable[Cells], tried: set[str], certify: bool
) -> Verdict | None:
    """The first of these joint cells that holds a better point."""
    for cells in guesses:
        key = repr(sorted(cells.items()))
        if key in tried:
            continue
        tried.add(key)
        found = best_in(problem, cells)
        if found is not None and found.solution.value < problem.value * (1.0 - LEAST_GAIN):
            verdict = _better(problem, scope, found, certify)
            if verdict is not None:
                return verdict
    return None


def _worst_cells(problem: Programme, slopes: list[tuple[Region, Slope]]) -> Cells:
    """For every neuron the cell in which psi is steepest."""
    cells: Cells = {}
    for region, found in sorted(slopes, key=lambda item: item[1].largest):
        for j in region.owners:
            cells[j] = cell_of(problem, j, region.sign, found.direction, local=True)
    return {j: cells[j] for j in problem.active}


def _climbed_cells(problem: Programme, regions: list[Region]) -> Cells:
    """The same as far as an ascent finds it."""
    cells: Cells = {}
    climbed = [(*climb(region, problem.apart.alpha, problem.apart.y), region) for region in regions]
    for _, direction, region in sorted(climbed, key=lambda item: item[0]):
        for j in region.owners:
            cells[j] = cell_of(problem, j, region.sign, direction, local=True)
    return {j: cells[j] for j in problem.active}


def _local_guesses(problem: Programme, relaxed: Relaxation, worst: Cells) -> Iterator[Cells]:
    """Joint cells from the relaxation's own neurons: up to two cells each, the longest atoms first."""
    options: dict[int, list[Cell]] = {j: [] for j in problem.active}
    for region, u in relaxed.atoms:
        for position, j in enumerate(region.owners):
            cell = cell_of(problem, j, region.sign, u, local=True)
            if cell not in options[j]:
                # Neurons with one region take different atoms first.
                options[j].insert(position % (len(options[j]) + 1), cell)
    choices = [options[j][:2] or [worst[j]] for j in problem.active]
    for cells in itertools.islice(itertools.product(*choices), 32):
        yield dict(zip(problem.active, cells, strict=True))


def _own_cells(problem: Programme) -> Cells:
    """The limit's own cells, kinks off; dead neurons with everything off."""
    apart = problem.apart
    return {j: (int(apart.sign[j]) or 1, tuple((apart.gates[:, j] > 0).astype(int).tolist())) for j in problem.active}


def _global_guesses(
    problem: Programme, relaxed: Relaxation | None, slopes: list[tuple[Region, Slope]]
) -> Iterator[Cells]:
    """Starting cells of the global search, the most promising first."""
    own = _own_cells(problem)
    per_group: dict[tuple[int, ...], list[Cell]] = {}
    for region, u in relaxed.atoms if relaxed is not None else []:
        cell = cell_of(problem, region.owners[0], region.sign, u, local=False)
        group = per_group.setdefault(region.owners, [])
        if cell not in group:
            group.append(cell)
    owners = {j: group for group in per_group for j in group}
    picks = [
        itertools.islice(itertools.combinations(cells, min(len(group), len(cells))), 6)
        for group, cells in per_group.items()
    ]
    for choice in itertools.islice(itertools.product(*picks), 12):
        guess = dict(own)
        for group, cells in zip(per_group, choice, strict=True):
            guess.update(zip(group, cells, strict=False))
        yield {j: guess[j] for j in problem.active}
    # One neuron moved to where psi is steepest.
    for region, found in slopes:
        for j in owners.get(region.owners[0], region.owners):
            if problem.name == "full" or region.sign == problem.apart.sign[j]:
                yield {**own, j: cell_of(problem, j, region.sign, found.direction, local=False)}
    generator = np.random.default_rng(0)
    for _ in range(8):
        guess = {}
        for j in problem.active:
            direction = generator.standard_normal(len(problem.apart.neurons[j].inputs))
            sign = int(generator.choice((-1, 1))) if problem.name == "full" else own[j][0]
            guess[j] = cell_of(problem, j, sign, direction, local=False)
        yield guess


def decide_cells(problem: Programme, scope: str, certify: bool) -> Verdict:
    """All joint cells of the scope: a better point in one, or a proof in each."""
    count, cells = joint_cells(problem, scope)
    if count > MAX_CELLS[problem.name, scope]:
        return Verdict("undecided", problem.value, None, f"{count} joint cells are too many to go through")
    proofs, lowest = [], problem.value
    pool = Pool(problem)
    for joint in cells:
        glance = hopeless(problem, joint)
        if glance is not None:
            proofs.append(_cell_proof(problem, joint, *glance))
            continue
        again = pool.proof(joint, problem.value * (1.0 - SAFE_GAP))
        if again is not None:
            proofs.append(_cell_proof(problem, joint, *again))
            continue
        found = best_in(problem, joint)
        if found is None:
            return Verdict("undecided", problem.value, None, "the solver failed in a joint cell")
        if found.solution.value < problem.value * (1.0 - LEAST_GAIN):
            verdict = _better(problem, scope, found, certify)
            if verdict is not None:
                return verdict
        if found.solution.bound < problem.value * (1.0 - SAFE_GAP):
            return Verdict("undecided", problem.value, None, "a joint cell has neither a proof nor a better point")
        nu = {j: dict(enumerate(values.tolist())) for j, values in zip(joint, found.solution.nu, strict=True)}
        proofs.append(_cell_proof(problem, joint, found.solution.alpha, nu))
        pool.add(found.solution.alpha)
        lowest = min(lowest, found.solution.bound)
    certificate = {**structured(problem.apart, "cells", problem.name, scope), "cells": proofs}
    reason = "multipliers of every joint cell prove a lower bound that equals the value"
    return attested(problem.apart.problem, Verdict("optimal", problem.value, lowest, reason, certificate), certify)


def _cell_proof(problem: Programme, cells: Cells, alpha: np.ndarray, nu: dict[int, dict[int, float]]) -> dict[str, Any]:
    """The multipliers of one joint cell: alpha, and per neuron its sign, the samples that are on, and nu."""
    neurons: list[dict[str, Any] | None] = [None] * problem.apart.k
    for j, (sign, gates) in cells.items():
        neurons[j] = {
            "sign": sign,
            "on": [i for i, gate in enumerate(gates) if gate],
            "nu": {str(i): as_json(value) for i, value in nu.get(j, {}).items() if value},
        }
    return {"alpha": [as_json(a) for a in alpha.tolist()], "neurons": neurons}
