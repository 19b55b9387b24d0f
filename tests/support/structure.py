"""What the reference trainer knows of an instance before it starts: patterns, names of kinks, what is conserved."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np

from harness.problem.instances import Instance
from tests.support.field import Net

Kink = tuple[int, int, int]  # sample (a margin), layer, neuron, from 0


def names(instance: Instance, first: int) -> dict[Kink, tuple[object, int]]:
    """Of each pre-activation what it is a multiple of whatever the weights, and with which sign.

    first: the first layer that is trained, whose inputs never change.
    """
    network, rows, found = instance.network, instance.problem.rows, dict[Kink, tuple[object, int]]()
    inputs = [layers(instance, point)[0][first] for point in range(instance.n)]
    for layer, pattern in enumerate(network.patterns[:-1]):
        for (i, (point, _)), (r, row) in product(enumerate(rows), enumerate(pattern)):
            name, sign = (layer, point, r), 1
            if layer == first:
                terms = [Fraction(0)] * network.sizes[layer]
                for k, a in zip(row, inputs[point], strict=True):
                    if k >= 0:
                        terms[k] += a
                leading = next((a for a in terms if a), Fraction(1))
                name, sign = (layer, *(a / leading for a in terms)), 1 if leading > 0 else -1
            elif sum(k >= 0 for k in row) == 1 and not network.slope:
                # one input of one sign
                name = (layer, r)
            found[i, layer, r] = name, sign
    return found


def packed(instance: Instance) -> Net:
    network, problem = instance.network, instance.problem
    width = max(network.widths)
    patterns = np.full((network.depth, width, width), -1)
    fixed = np.zeros(patterns.shape)
    offset = 0
    for layer, (pattern, size) in enumerate(zip(network.patterns, network.sizes, strict=True)):
        array = np.array(pattern)
        place = (layer, slice(array.shape[0]), slice(array.shape[1]))
        if network.trained[layer]:
            patterns[place] = np.where(array >= 0, array + offset, -1)
            offset += size
        else:
            fixed[place] = np.append(instance.theta0_float[layer], 0.0)[array]
    shape = np.array([(len(pattern), len(pattern[0])) for pattern in network.patterns])
    return Net(
        patterns, fixed, shape, problem.inputs.copy(), problem.seeds.copy(), float(network.slope),
        network.activation != "linear", network.degree, max(network.outputs - 1, 1),
    )  # fmt: skip


def groups(instance: Instance) -> np.ndarray:
    """What a parameter's error is relative to: a neuron's weights on the input, and every later weight by itself."""
    labels = list(range(instance.network.size))
    for row in instance.network.patterns[instance.network.trained.index(True)]:
        used = {labels[k] for k in row if k >= 0}
        labels = [min(used) if label in used else label for label in labels]
    return np.unique(labels, return_inverse=True)[1]


def balances(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Parts of theta whose squares differ by what the flow conserves: 1 on the smaller, 2 on the larger; the gaps.

    Of every neuron the weights into and out of it at depth 2, with shared weights the layers; of every coordinate of a
    diagonal network its least weight, or those to the outputs, and each other.  None in others, nor beside a layer that
    is fixed.
    """
    network = instance.network
    sizes = np.cumsum([0, *network.sizes])
    theta = [a for row in instance.theta0 for a in row]
    last = [[int(sizes[-2]) + k for k in column if k >= 0] for column in zip(*network.patterns[-1], strict=True)]
    pairs: list[tuple[list[int], list[int]]] = []
    if network.degree < network.depth:
        return np.zeros((0, network.size), dtype=np.int64), np.zeros(0)
    if network.depth == 2 and network.shared:
        pairs = [(list(range(sizes[1])), list(range(sizes[1], sizes[2])))]
    elif network.depth == 2:
        pairs = [([k for k in row if k >= 0], out) for row, out in zip(network.patterns[0], last, strict=True) if out]
    elif all(sum(k >= 0 for k in row) == 1 for pattern in network.patterns[:-1] for row in pattern):
        for r in range(network.widths[-2]):
            chain, at = [last[r]], r
            for layer in range(network.depth - 2, -1, -1):
                row = network.patterns[layer][at]
                at = next(c for c, k in enumerate(row) if k >= 0)
                chain.append([int(sizes[layer]) + row[at]])
            least = min(chain, key=lambda part: sum(theta[k] ** 2 for k in part))
            pairs += [(least, part) for part in chain if part is not least]
    marks, gaps = np.zeros((len(pairs), len(theta)), dtype=np.int64), np.zeros(len(pairs))
    for b, parts in enumerate(pairs):
        small, large = sorted(parts, key=lambda part: sum(theta[k] ** 2 for k in part))
        marks[b, small], marks[b, large] = 1, 2
        gaps[b] = float(sum(theta[k] ** 2 for k in large) - sum(theta[k] ** 2 for k in small))
    return marks, gaps


def layers(instance: Instance, point: int) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """What each layer is given at the start, and the pre-activations that it makes of it, in exact numbers."""
    slope = instance.network.slope if instance.network.activation != "linear" else Fraction(1)
    inputs, made = [list(instance.x[point])], list[list[Fraction]]()
    for pattern, u in zip(instance.network.patterns, instance.theta0, strict=True):
        made.append(
            [sum((u[k] * a for k, a in zip(r, inputs[-1], strict=True) if k >= 0), Fraction(0)) for r in pattern]
        )
        inputs.append([a if a > 0 else slope * a for a in made[-1]])
    return inputs, made


def exact_signs(instance: Instance) -> dict[Kink, Fraction]:
    """The pre-activations of the start, in exact numbers."""
    made = [layers(instance, point)[1][:-1] for point in range(instance.n)]
    return {
        (i, layer, r): a
        for i, (point, _) in enumerate(instance.problem.rows)
        for layer, row in enumerate(made[point])
        for r, a in enumerate(row)
    }
