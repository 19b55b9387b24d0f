"""Linear algebra modulo a prime of 31 bits, compiled: the closure of a subspace under the gradients of the network.

Everywhere: cell is the network and its margins (Residues); v (N,) residues, gates (n, units) those of the slopes.
blocks (n,): a number a sample, the same for samples whose q_i are equal on the subspace, below n.  What is found here
is a guess until harness.flow.invariants.proving has seen it: a number may be divisible by the prime.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from harness.flow.compiled.compiling import compiled, part
from harness.flow.compiled.kernel import Wiring


class Residues(NamedTuple):
    """The network and its margins modulo a prime of 31 bits.

    value (E,): the entries of layers that are not trained.  x (n, d).  seeds (n, K): what the outputs are multiplied
    by, -1, 0 or 1.  group: how many margins a point has if their weights answer to each other, else 1.
    """

    net: Wiring
    value: np.ndarray
    x: np.ndarray
    seeds: np.ndarray
    group: int
    prime: int


def residues(values: Sequence[Fraction], prime: int) -> np.ndarray:
    """Exact rationals modulo a prime, shape (len(values),).

    Raises ZeroDivisionError where the prime divides a denominator, or a number that is not zero.
    """
    out = np.empty(len(values), dtype=np.int64)
    for k, v in enumerate(values):
        numerator, denominator = v.as_integer_ratio()
        out[k] = numerator % prime if denominator == 1 else numerator * _reciprocal(denominator, prime) % prime
        if numerator and not out[k]:
            raise ZeroDivisionError(f"a numerator is divisible by {prime}")
    return out


@lru_cache(maxsize=4096)
def _reciprocal(denominator: int, prime: int) -> int:
    if denominator % prime == 0:
        raise ZeroDivisionError(f"a denominator is divisible by {prime}")
    return pow(denominator, -1, prime)


@compiled
def _inverse(a, prime):
    result = 1
    exponent = prime - 2
    base = a % prime
    while exponent > 0:
        if exponent & 1:
            result = result * base % prime
        base = base * base % prime
        exponent >>= 1
    return result


@compiled
def _entries_of(cell, v):
    w = np.empty(cell.value.shape[0], dtype=np.int64)
    for e in range(w.shape[0]):
        w[e] = v[cell.net.par[e]] if cell.net.par[e] >= 0 else cell.value[e]
    return w


@compiled
def _forward(cell, w, sample, gates):
    """What every unit gives, (units,); the outputs last."""
    net, prime = cell.net, cell.prime
    h = np.zeros(gates.shape[0], dtype=np.int64)
    h[: cell.x.shape[1]] = cell.x[sample]
    for layer in range(net.ptr.shape[0] - 1):
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            a = net.row[e]
            h[a] = (h[a] + w[e] * h[net.col[e]]) % prime
        for u in range(net.uptr[layer + 1], net.uptr[layer + 2]):
            if gates[u] != 1:
                h[u] = h[u] * gates[u] % prime
    return h


@compiled
def _gradient(cell, v, sample, gates, unit):
    """The gradient (N,) at v of the pre-activation of a hidden unit for one sample, of q_i where unit is negative."""
    net, prime = cell.net, cell.prime
    w = _entries_of(cell, v)
    h = _forward(cell, w, sample, gates)
    units, outputs = gates.shape[0], cell.seeds.shape[1]
    back = np.zeros(units, dtype=np.int64)
    out = np.zeros(v.shape[0], dtype=np.int64)
    if unit >= 0:
        back[unit] = 1
    else:
        for k in range(outputs):
            back[units - outputs + k] = cell.seeds[sample, k] % prime
    for layer in range(net.ptr.shape[0] - 2, -1, -1):
        for u in range(net.uptr[layer + 1], net.uptr[layer + 2]):
            if gates[u] != 1 and u != unit:
                back[u] = back[u] * gates[u] % prime
        for e in range(net.ptr[layer], net.ptr[layer + 1]):
            a, b, p = net.row[e], net.col[e], net.par[e]
            if back[a] != 0:
                if p >= 0:
                    out[p] = (out[p] + back[a] * h[b]) % prime
                back[b] = (back[b] + back[a] * w[e]) % prime
    return out


@compiled
def flat_normals(net, x, pairs, size, prime):
    """The gradients (s, N) of pre-activations of the first layer, pairs (s, 2) of (sample, unit), modulo the prime."""
    out = np.zeros((pairs.shape[0], size), dtype=np.int64)
    for h in range(pairs.shape[0]):
        sample, unit = pairs[h]
        for e in range(net.ptr[0], net.ptr[1]):
            if net.row[e] == unit:
                p = net.par[e]
                out[h, p] = (out[h, p] + x[sample, net.col[e]]) % prime
    return out


@compiled
def _insert(basis, pivots, count, v, prime):
    """Add v to the reduced row echelon basis (in place); the new number of rows."""
    size = v.shape[0]
    for r in range(count):
        factor = v[pivots[r]]
        if factor != 0:
            for k in range(size):
                v[k] = (v[k] - factor * basis[r, k]) % prime
    pivot = -1
    for k in range(size):
        if v[k] != 0:
            pivot = k
            break
    if pivot < 0:
        return count
    inverse = _inverse(v[pivot], prime)
    for k in range(size):
        v[k] = v[k] * inverse % prime
    for r in range(count):
        factor = basis[r, pivot]
        if factor != 0:
            for k in range(size):
                basis[r, k] = (basis[r, k] - factor * v[k]) % prime
    basis[count] = v
    pivots[count] = pivot
    return count + 1


@compiled
def _project(v, normals, gram_inverse, prime):
    """v minus its orthogonal projection on the normals (s, N), all modulo the prime."""
    s = normals.shape[0]
    inner = np.zeros(s, dtype=np.int64)
    for a in range(s):
        for k in range(v.shape[0]):
            inner[a] = (inner[a] + normals[a, k] * v[k]) % prime
    for a in range(s):
        w = 0
        for b in range(s):
            w = (w + gram_inverse[a, b] * inner[b]) % prime
        for k in range(v.shape[0]):
            v[k] = (v[k] - w * normals[a, k]) % prime


@compiled
def _matrix_inverse(a, prime):
    """The inverse modulo the prime by Gauss-Jordan; an empty matrix when singular."""
    s = a.shape[0]
    work = np.zeros((s, 2 * s), dtype=np.int64)
    work[:, :s] = a
    for i in range(s):
        work[i, s + i] = 1
    for i in range(s):
        p = -1
        for j in range(i, s):
            if work[j, i] != 0:
                p = j
                break
        if p < 0:
            return np.zeros((0, 0), dtype=np.int64)
        for k in range(2 * s):
            work[i, k], work[p, k] = work[p, k], work[i, k]
        inverse = _inverse(work[i, i], prime)
        for k in range(2 * s):
            work[i, k] = work[i, k] * inverse % prime
        for j in range(s):
            if j != i and work[j, i] != 0:
                factor = work[j, i]
                for k in range(2 * s):
                    work[j, k] = (work[j, k] - factor * work[i, k]) % prime
    return work[:, s:].copy()


@compiled
def _next(seed):
    """The next state of a generator modulo 2^64 (Knuth's MMIX), which integers of 64 bits take by themselves.

    Its modulus must be no prime that is used here: modulo it the numbers would be a geometric sequence, and random
    elements all of one plane.
    """
    return seed * 6364136223846793005 + 1442695040888963407


@compiled
def _number(seed, prime):
    """A residue, from the upper bits: the lower ones repeat soon."""
    return ((seed >> 33) & 0x7FFFFFFF) % prime


@compiled
def _random_element(basis, count, seed, prime):
    """A random element (N,) of the span of the first rows, and the next seed."""
    v = np.zeros(basis.shape[1], dtype=np.int64)
    for r in range(count):
        seed = _next(seed)
        factor = _number(seed, prime)
        for k in range(v.shape[0]):
            v[k] = (v[k] + factor * basis[r, k]) % prime
    return v, seed


@compiled
def outputs(cell, v, gates):
    """q_i(v) under the gates, (n,) residues."""
    n, units = gates.shape
    out = np.zeros(n, dtype=np.int64)
    w = _entries_of(cell, v)
    for i in range(n):
        h = _forward(cell, w, i, gates[i])
        for k in range(cell.seeds.shape[1]):
            out[i] = (out[i] + cell.seeds[i, k] * h[units - cell.seeds.shape[1] + k]) % cell.prime
    return out


@compiled
def split(blocks, values, group):
    """The blocks, split where values (n,) differ within one; a block is named by its first sample.

    Where the margins of a point answer to each other, also where those of their points lie in different blocks.
    """
    out = np.empty_like(blocks)
    for i in range(blocks.shape[0]):
        out[i] = i
        for j in range(i):
            if out[j] == j and blocks[j] == blocks[i] and values[j] == values[i]:
                out[i] = j
                break
    if group == 1:
        return out
    while True:
        finer = np.empty_like(out)
        for i in range(out.shape[0]):
            finer[i] = i
            for j in range(i):
                if finer[j] == j and out[j] == out[i] and _beside(out, i, group) == _beside(out, j, group):
                    finer[i] = j
                    break
        if np.array_equal(finer, out):
            return out
        out = finer


@compiled
def _beside(blocks, i, group):
    """The blocks of the margins of the same point, in order."""
    first = i // group * group
    return list(np.sort(blocks[first : first + group]))


@compiled
def _block_gradients(cell, v, gates, blocks, constant):
    """The gradients at v of the sums of q_i over each block, (n, N); the row of a block is that of its name."""
    n = gates.shape[0]
    out = np.zeros((n, v.shape[0]), dtype=np.int64)
    for i in range(n):
        w = _gradient(cell, v, i, gates[i], -1)
        for k in range(v.shape[0]):
            if not constant[k]:
                out[blocks[i], k] = (out[blocks[i], k] + w[k]) % cell.prime
    return out


@part
def _closed_under(cell, basis, pivots, count, gates, blocks, normals, gram_inverse, curved, constant, seed):
    """Close the reduced basis in place for the given blocks; the new number of rows, and the next seed."""
    quiet = 0
    free = basis.shape[1] - constant.sum()
    n, prime = gates.shape[0], cell.prime
    while quiet < 2 and count < free:
        v, seed = _random_element(basis, count, seed, prime)
        before = count
        gradients = _block_gradients(cell, v, gates, blocks, constant)
        for b in range(n + curved.shape[0]):
            if b < n:
                if blocks[b] != b:
                    continue
                w = gradients[b]
            else:
                sample, unit = curved[b - n]
                w = _gradient(cell, v, sample, gates[sample], unit)
                w[constant] = 0
            if normals.shape[0] > 0:
                _project(w, normals, gram_inverse, prime)
            count = _insert(basis, pivots, count, w, prime)
        quiet = 0 if count > before else quiet + 1
    return count, seed


@compiled
def closure(cell, rows, gates, normals, curved, blocks, constant, seed):
    """Reduced basis (r, N), its pivots and the blocks of the smallest closed subspace that contains the rows.

    blocks: in which q is known to be equal at the start; they are split until on the subspace, closed under the
    gradients of their sums, the q of a block are the same polynomial.  normals (s, N), linearly independent: flat kinks
    on which the flow slides.  curved (t, 2): the (sample, unit) pairs of curved ones.  constant (N,) bool: coordinates
    left out.  An empty basis without a column where the prime divides the determinant of the normals.
    """
    size, prime = rows.shape[1], cell.prime
    basis = np.zeros((size + 1, size), dtype=np.int64)
    pivots = np.zeros(size + 1, dtype=np.int64)
    count = 0
    s = normals.shape[0]
    gram_inverse = _matrix_inverse(_gram(normals, prime), prime)
    if gram_inverse.shape[0] < s:
        return np.zeros((0, 0), dtype=np.int64), pivots[:0].copy(), blocks
    for r in range(rows.shape[0]):
        v = rows[r].copy()
        v[constant] = 0
        count = _insert(basis, pivots, count, v, prime)
    while True:
        count, seed = _closed_under(
            cell, basis, pivots, count, gates, blocks, normals, gram_inverse, curved, constant, seed
        )
        v, seed = _random_element(basis, count, seed, prime)
        finer = split(blocks, outputs(cell, v, gates), cell.group)
        if np.array_equal(finer, blocks):
            return basis[:count].copy(), pivots[:count].copy(), blocks
        blocks = finer


@compiled
def from_start(cell, row, gates, constant, seed):
    """The same of a start (N,) where nothing slides, and no margins are known to be equal but those that are there."""
    n, size = gates.shape[0], row.shape[0]
    blocks = split(np.zeros(n, dtype=np.int64), outputs(cell, row, gates), cell.group)
    lines, curved = np.zeros((0, size), dtype=np.int64), np.zeros((0, 2), dtype=np.int64)
    return closure(cell, row.copy().reshape(1, size), gates, lines, curved, blocks, constant, seed)


@compiled
def opened(cell, gates, normals, slides, blocks, constant, seed):
    """Whether the closure of what lies on all kinks is all that lies on those that slide, and the blocks then.

    normals (k, N) of the kinks, zero where coordinates are constant; the first `slides` of them slide.  What is closed
    contains all that lies on the kinks, so that it is told by the values that its gradients give the normals.  Without
    the elimination of a basis, which takes N^3.
    """
    count, size = normals.shape
    prime = cell.prime
    v = np.empty(size, dtype=np.int64)
    for k in range(size):
        seed = _next(seed)
        v[k] = 0 if constant[k] else _number(seed, prime)
    whole = v.copy()
    every = _matrix_inverse(_gram(normals, prime), prime)
    sliding = normals[:slides]
    some = _matrix_inverse(_gram(sliding, prime), prime)
    if every.shape[0] < count or some.shape[0] < slides:
        return False, blocks
    _project(v, normals, every, prime)
    gradients = _block_gradients(cell, v, gates, blocks, constant)
    values = np.zeros((count + 1, count), dtype=np.int64)
    pivots = np.zeros(count + 1, dtype=np.int64)
    found = 0
    for b in range(gates.shape[0]):
        if blocks[b] != b or found == count - slides:
            continue
        if slides > 0:
            _project(gradients[b], sliding, some, prime)
        row = np.zeros(count, dtype=np.int64)
        for a in range(slides, count):
            for k in range(size):
                row[a] = (row[a] + normals[a, k] * gradients[b, k]) % prime
        found = _insert(values, pivots, found, row, prime)
    if found < count - slides:
        return False, blocks
    if slides > 0:
        _project(whole, sliding, some, prime)
    return True, split(blocks, outputs(cell, whole, gates), cell.group)


@compiled
def _gram(normals, prime):
    s = normals.shape[0]
    gram = np.zeros((s, s), dtype=np.int64)
    for a in range(s):
        for b in range(s):
            for k in range(normals.shape[1]):
                gram[a, b] = (gram[a, b] + normals[a, k] * normals[b, k]) % prime
    return gram


@compiled
def intersect(rows, normals, prime):
    """A basis of {v in span(rows) : normals . v = 0}."""
    current = rows.copy()
    for a in range(normals.shape[0]):
        r, size = current.shape
        inner = np.zeros(r, dtype=np.int64)
        for i in range(r):
            for k in range(size):
                inner[i] = (inner[i] + current[i, k] * normals[a, k]) % prime
        p = -1
        for i in range(r):
            if inner[i] != 0:
                p = i
                break
        if p < 0:
            continue
        inverse = _inverse(inner[p], prime)
        out = np.zeros((r - 1, size), dtype=np.int64)
        t = 0
        for i in range(r):
            if i != p:
                factor = inner[i] * inverse % prime
                for k in range(size):
                    out[t, k] = (current[i, k] - factor * current[p, k]) % prime
                t += 1
        current = out
    return current


@compiled
def still(net, seen, gates, curved, size, outputs):
    """Coordinates that no path of open gates passes under any sample, (N,) bool: their derivative vanishes identically.

    seen (n, d) bool: the inputs that are not zero.  gates (n, units): slopes, in floats; outputs: how many there are.
    Paths that cancel are taken to move them, so this is a proof.
    """
    units = gates.shape[1]
    layers = net.ptr.shape[0] - 1
    out = np.ones(size, dtype=np.bool_)
    ahead, behind = np.empty(units, dtype=np.bool_), np.empty(units, dtype=np.bool_)
    for t in range(seen.shape[0] + curved.shape[0]):
        i, top = t, -1
        if t >= seen.shape[0]:
            i, top = curved[t - seen.shape[0]]
        ahead[:] = False
        behind[:] = False
        ahead[: seen.shape[1]] = seen[i]
        if top >= 0:
            behind[top] = True
        else:
            behind[units - outputs :] = True
        for layer in range(layers):
            for e in range(net.ptr[layer], net.ptr[layer + 1]):
                a = net.row[e]
                here = net.par[e] >= 0 or net.value[e] != 0.0
                if here and ahead[net.col[e]] and (gates[i, a] != 0.0 or a == top):
                    ahead[a] = True
        for layer in range(layers - 1, -1, -1):
            for e in range(net.ptr[layer], net.ptr[layer + 1]):
                a, b = net.row[e], net.col[e]
                if behind[a] and ahead[b] and (net.par[e] >= 0 or net.value[e] != 0.0):
                    if net.par[e] >= 0:
                        out[net.par[e]] = False
                    behind[b] = True
    return out


@compiled
def signed_ties(reduced, prime):
    """The subspace of the zeros and signed ties of V: basis (N, groups) and the first member of each group."""
    r, size = reduced.shape
    leaders = np.empty(size, dtype=np.int64)
    basis = np.zeros((size, size))
    groups = 0
    for k in range(size):
        if not np.any(reduced[:, k]):
            continue
        group = 0
        while group < groups:
            same = opposite = True
            for a in range(r):
                one, other = reduced[a, k], reduced[a, leaders[group]]
                same = same and one == other
                opposite = opposite and (one + other) % prime == 0
            if same or opposite:
                basis[k, group] = 1.0 if same else -1.0
                break
            group += 1
        if group == groups:
            basis[k, group] = 1.0
            leaders[group] = k
            groups += 1
    return basis[:, :groups].copy(), leaders[:groups].copy()
