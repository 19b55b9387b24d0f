"""Flows as lanes of padded tensors: what stays fixed between two events, and the state of the integrator.

Padding is neutral: samples with x = 0 and a false mask, parameters that no entry of a layer reads, basis columns and
sliding lines of zeros.  What a lane is comes from the host's exact combinatorics (harness.flow.gates,
harness.flow.invariants) and is written here whenever these change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from harness.flow.batched_kernel import Directions, Networks, directions
from harness.flow.run import Run
from harness.networks import Network

Data = TypeVar("Data")


@dataclass(frozen=True)
class Shape:
    """The padded sizes of a batch.

    Samples n, widths (d, ..., 1), parameters N with a zero last, the most entries of one parameter, basis columns r,
    flat sliding lines, curved ones, and further pairs whose kinks coincide with one of these.
    """

    n: int
    widths: tuple[int, ...]
    parameters: int
    sharing: int
    columns: int
    flat: int
    curved: int
    others: int
    relu: bool
    logistic: bool

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        return tuple((k, c) for c, k in zip(self.widths, self.widths[1:], strict=False))

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Shape:
        networks = [run.instance.network for run in runs]
        return cls(
            n=max(run.instance.n for run in runs),
            widths=tuple(max(w) for w in zip(*(net.widths for net in networks), strict=True)),
            parameters=max(sum(net.sizes) for net in networks) + 1,
            sharing=max(_sharing(net) for net in networks),
            columns=max(1, *(run.subspace.basis.shape[1] for run in runs)),
            flat=max(len(run.slides.normals) - len(run.slides.curved) for run in runs),
            curved=max(len(run.slides.curved) for run in runs),
            others=max(len(_others(run)) for run in runs),
            relu=any(net.activation == "relu" for net in networks),
            logistic=any(run.instance.loss == "logistic" for run in runs),
        )

    def holds(self, other: Shape) -> bool:
        """Whether lanes of the other shape fit after a change of gates, which changes the last sizes only."""
        return (
            other.columns <= self.columns
            and other.flat <= self.flat
            and other.curved <= self.curved
            and other.others <= self.others
        )


@dataclass(frozen=True)
class Lanes:
    """What is fixed between events.  S lines: flat sliding kinks, then T curved ones, each padded.

    The virtual rows of net are the T pairs that stand for the curved lines, then others on the same lines; V in all.

    net: the networks; real (B, n): which samples are data; logistic (B, 1); size (B,) the true N.
    basis (B, N, r), its Directions, pivots (B, r) and pivoted (B, r): which columns are not padding.
    watch: per hidden layer (B, n, k_l) in {-1, 0, 1}; reach (B, n, 1): ||x_i||.
    normals (B, flat, N): of the flat lines; line (B, S): which lines are not padding.
    up, down (B, flat, n * hidden units): the scales of each flat line's members, by sign.
    joins (B, T, V): 1 where a virtual row belongs to a curved line; places (B, V): its place in n * hidden units.
    samples, curves: the padded n and T.  any_logistic: whether logistic has a true entry.
    """

    net: Networks
    real: Tensor
    logistic: Tensor
    size: Tensor
    basis: Tensor
    along: Directions
    pivots: Tensor
    pivoted: Tensor
    watch: tuple[Tensor, ...]
    reach: Tensor
    normals: Tensor
    line: Tensor
    up: Tensor
    down: Tensor
    joins: Tensor
    places: Tensor
    samples: int
    curves: int
    any_logistic: bool

    @property
    def slides(self) -> bool:
        return self.line.shape[1] > 0

    @property
    def kinks(self) -> slice:
        """The rows that stand for the curved lines."""
        return slice(self.samples, self.samples + self.curves)


@dataclass
class State:
    """The integrator's state of every lane, (B,) but for z (B, r), constant (B, N) and z_hi (B, r).

    booked: log-norm; sigma; h; separated; attempts: steps tried; first_norm: ||theta0||; code: why the lane waits,
    RUNNING if it does not; target, steps: where to stop.  locating: the lane looks for an event in a step from z of
    size in [lo, hi]: g_lo, g_hi the violations there, weights those of the Illinois method, span the first hi, trial
    the count, -1 before the first; z_hi the end of the step hi.  grazed: the log-norm at the last kink that was grazed.
    """

    z: Tensor
    constant: Tensor
    booked: Tensor
    sigma: Tensor
    h: Tensor
    separated: Tensor
    attempts: Tensor
    first_norm: Tensor
    code: Tensor
    target: Tensor
    steps: Tensor
    locating: Tensor
    lo: Tensor
    hi: Tensor
    g_lo: Tensor
    g_hi: Tensor
    weight_lo: Tensor
    weight_hi: Tensor
    span: Tensor
    trial: Tensor
    z_hi: Tensor
    grazed: Tensor


def take(data: Data, lanes: Tensor) -> Data:
    """The given lanes (B',) of a dataclass in which every tensor has a leading batch axis."""
    return type(data)(**{f.name: _map(getattr(data, f.name), lanes) for f in fields(data)})  # type: ignore[arg-type]


def put(data: Any, lanes: Tensor, new: Any) -> None:
    """Write the lanes of `new` in place; what is not a tensor must be equal."""
    for f in fields(data):
        old, value = getattr(data, f.name), getattr(new, f.name)
        if is_dataclass(old):
            put(old, lanes, value)
        elif isinstance(old, Tensor):
            old[lanes] = value
        elif isinstance(old, tuple) and old and isinstance(old[0], Tensor):
            for a, b in zip(old, value, strict=True):
                a[lanes] = b


def joined(first: State, second: State) -> State:
    """The lanes of two states of one shape, one after the other."""
    return State(**{f.name: torch.cat([getattr(first, f.name), getattr(second, f.name)]) for f in fields(State)})


def _map(value: Any, lanes: Tensor) -> Any:
    if is_dataclass(value):
        return take(value, lanes)
    if isinstance(value, Tensor):
        return value[lanes]
    if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
        return tuple(v[lanes] for v in value)
    return value


def theta_of(lanes: Lanes, constant: Tensor, z: Tensor) -> Tensor:
    """theta = c + B z, (B, N)."""
    return constant + (lanes.basis @ z.unsqueeze(2)).squeeze(2)


def build(runs: Sequence[Run], shape: Shape, device: torch.device) -> Lanes:
    """The lanes of these flows as they are now."""
    batch, n, size = len(runs), shape.n, shape.parameters
    virtual = shape.curved + shape.others
    rows = n + virtual
    lines = shape.flat + shape.curved
    hidden = shape.widths[1:-1]
    starts = np.concatenate([[0], np.cumsum(hidden)]).astype(int)
    x = np.zeros((batch, rows, shape.widths[0]))
    gates = [np.zeros((batch, rows, k)) for k in hidden] if shape.relu else []
    seeds = [np.zeros((batch, rows, k)) for k in shape.widths[1:]]
    watch = [np.zeros((batch, n, k)) for k in hidden] if shape.relu else []
    real = np.zeros((batch, n), dtype=bool)
    reach = np.ones((batch, n, 1))
    basis = np.zeros((batch, size, shape.columns))
    pivots = np.zeros((batch, shape.columns), dtype=np.int64)
    pivoted = np.zeros((batch, shape.columns), dtype=bool)
    normals = np.zeros((batch, shape.flat, size))
    line = np.zeros((batch, lines), dtype=bool)
    members = np.zeros((2, batch, shape.flat, n, int(starts[-1])))
    joins = np.zeros((batch, shape.curved, virtual))
    places = np.zeros((batch, virtual), dtype=np.int64)
    wires = [_padded_wiring(run.instance.network, shape.layers, size, shape.sharing) for run in runs]
    for b, run in enumerate(runs):
        instance, slides, uptr = run.instance, run.slides, run.problem[0].uptr
        curved, flat = len(slides.curved), len(slides.normals) - len(slides.curved)
        others = _others(run)
        pairs = [*slides.curved, *((slides.sample[e], slides.unit[e]) for e in others)]
        on_line = [*range(curved), *(slides.line[e] - flat for e in others)]
        virtual_rows = [*range(curved), *range(shape.curved, shape.curved + len(others))]
        sources = np.array([*range(instance.n), *(i for i, _ in pairs)], dtype=np.int64)
        targets = np.array([*range(instance.n), *(n + v for v in virtual_rows)], dtype=np.int64)
        x[b, targets, : instance.d] = instance.x_float[sources]
        seeds[-1][b, : instance.n, 0] = instance.y_float
        real[b, : instance.n] = True
        reach[b, : instance.n, 0] = np.linalg.norm(instance.x_float, axis=1)
        for layer in range(len(gates)):
            units = slice(int(uptr[layer + 1]), int(uptr[layer + 2]))
            width = units.stop - units.start
            gates[layer][b, targets, :width] = run.gates.gates[sources, units]
            watch[layer][b, : instance.n, :width] = run.watch[:, units]
        own, columns = run.subspace.basis.shape
        basis[b, :own, :columns] = run.subspace.basis
        pivots[b, :columns] = run.subspace.pivots
        pivoted[b, :columns] = True
        normals[b, :flat, :own] = slides.normals[:flat]
        line[b, :flat] = line[b, shape.flat : shape.flat + curved] = True
        for v, t, (i, unit) in zip(virtual_rows, on_line, pairs, strict=True):
            layer = run.gates.layer(unit)
            seeds[layer - 1][b, n + v, unit - uptr[layer]] = 1.0
            joins[b, t, v] = 1.0
            places[b, v] = i * starts[-1] + starts[layer - 1] + unit - uptr[layer]
        for h, i, unit, scale in zip(slides.line, slides.sample, slides.unit, slides.scale, strict=True):
            if h < flat:
                place = starts[run.gates.layer(unit) - 1] + unit - uptr[run.gates.layer(unit)]
                members[0 if scale > 0 else 1, b, h, i, place] += abs(scale)

    def put_there(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    net = Networks(
        put_there(x),
        tuple(put_there(g) for g in gates),
        tuple(put_there(s) for s in (seeds if virtual else seeds[-1:])),
        put_there(np.stack([w[0] for w in wires])),
        put_there(np.stack([w[1] for w in wires])),
        put_there(np.stack([w[2] for w in wires])),
        shape.layers,
    )
    columns = put_there(basis)
    return Lanes(
        net=net,
        real=put_there(real),
        logistic=put_there(np.array([[run.instance.loss == "logistic"] for run in runs])),
        size=put_there(np.array([float(sum(run.instance.network.sizes)) for run in runs])),
        basis=columns,
        along=directions(net, columns),
        pivots=put_there(pivots),
        pivoted=put_there(pivoted),
        watch=tuple(put_there(w) for w in watch),
        reach=put_there(reach),
        normals=put_there(normals),
        line=put_there(line),
        up=put_there(members[0].reshape(batch, shape.flat, n * int(starts[-1]))),
        down=put_there(members[1].reshape(batch, shape.flat, n * int(starts[-1]))),
        joins=put_there(joins),
        places=put_there(places),
        samples=n,
        curves=shape.curved,
        any_logistic=shape.logistic,
    )


def _others(run: Run) -> list[int]:
    """The members of curved lines that are not the pair that stands for their line."""
    slides = run.slides
    flat = len(slides.normals) - len(slides.curved)
    stands = {(int(i), int(u)) for i, u in slides.curved}
    return [
        e
        for e, (h, i, u) in enumerate(zip(slides.line, slides.sample, slides.unit, strict=True))
        if h >= flat and (int(i), int(u)) not in stands
    ]


@lru_cache(maxsize=4096)
def _padded_wiring(
    network: Network, layers: tuple[tuple[int, int], ...], size: int, sharing: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """index (E,), entries and present (N, sharing) of harness.flow.batched_kernel.Networks."""
    index = np.full(sum(k * c for k, c in layers), size - 1, dtype=np.int64)
    entries = np.zeros((size, sharing), dtype=np.int64)
    present = np.zeros((size, sharing))
    used = np.zeros(size, dtype=np.int64)
    start = offset = 0
    for pattern, own, (rows, cols) in zip(network.patterns, network.sizes, layers, strict=True):
        for r, row in enumerate(pattern):
            for c, k in enumerate(row):
                if k >= 0:
                    entry, parameter = start + r * cols + c, offset + k
                    index[entry] = parameter
                    entries[parameter, used[parameter]] = entry
                    present[parameter, used[parameter]] = 1.0
                    used[parameter] += 1
        start += rows * cols
        offset += own
    return index, entries, present


@lru_cache(maxsize=4096)
def _sharing(network: Network) -> int:
    return max(max(np.bincount([k for row in pattern for k in row if k >= 0] or [0])) for pattern in network.patterns)
