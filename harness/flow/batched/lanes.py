"""Flows as lanes of padded tensors: what stays fixed between two events, and the state of the integrator.

Padding is neutral: samples with x = 0 and a false mask, parameters that no entry of a layer reads, basis columns and
sliding lines of zeros.  What a lane is comes from the host's exact combinatorics (harness.flow.kinks.gates,
harness.flow.invariants.subspaces) and is written here whenever these change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from harness.flow.batched.kernel import Directions, Networks, directions
from harness.flow.run import Run
from harness.problem.networks import Network

Data = TypeVar("Data")


@dataclass(frozen=True)
class Shape:
    """The padded sizes of a batch.

    Samples n, widths (d, ..., K), parameters N with a zero last, the most entries of one parameter, basis columns r,
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
    kinked: bool
    logistic: bool
    mates: bool
    balances: bool

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        return tuple((k, c) for c, k in zip(self.widths, self.widths[1:], strict=False))

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Shape:
        networks = [run.instance.network for run in runs]
        return cls(
            n=max(len(run.gates.gates) for run in runs),
            widths=tuple(max(w) for w in zip(*(net.widths for net in networks), strict=True)),
            parameters=max(net.size for net in networks) + 1,
            sharing=max(sharing_of(net) for net in networks),
            columns=max(1, *(run.subspace.basis.shape[1] for run in runs)),
            flat=max(len(run.slides.normals) - len(run.slides.curved) for run in runs),
            curved=max(len(run.slides.curved) for run in runs),
            others=max(len(_others(run)) for run in runs),
            kinked=any(net.kinked for net in networks),
            logistic=any(run.gates.cell.logistic for run in runs),
            mates=any(run.gates.cell.logistic and run.gates.cell.group > 1 for run in runs),
            balances=any(not np.isnan(run.balance).all() for run in runs),
        )

    def holds(self, other: Shape) -> bool:
        """Whether lanes of the other shape fit after a change of gates, which changes the last sizes only."""
        return (
            other.columns <= self.columns
            and other.flat <= self.flat
            and other.curved <= self.curved
            and other.others <= self.others
            and other.balances <= self.balances
        )


@dataclass(frozen=True)
class Lanes:
    """What is fixed between events.  S lines: flat sliding kinks, then T curved ones, each padded.

    The virtual rows of net are the T pairs that stand for the curved lines, then others on the same lines; V in all.

    net: the networks; real (B, n): which samples are data; logistic (B, 1); size (B,) the true N; jump (B, 1): by how
    much the slope on a kink's positive side exceeds that on its negative one.
    mates (B, n, n): 1 where two samples are margins of one point that answer to each other, as those of cross entropy
    with several outputs do; (B, 0, 0) where no lane has such.
    basis (B, N, r), its Directions, pivots (B, r) and pivoted (B, r): which columns are not padding.
    watch: per hidden layer (B, n, k_l) in {-1, 0, 1}; reach (B, n, 1): ||x_i||.
    balance (B, k_1): what every unit of depth 2 conserves, NaN where nothing is; balances: whether any is.
    normals (B, flat, N): of the flat lines; line (B, S): which lines are not padding.
    up, down (B, flat, n * hidden units): the scales of each flat line's members, by sign.
    joins (B, T, V): 1 where a virtual row belongs to a curved line; places (B, V): its place in n * hidden units.
    samples, curves: the padded n and T.  any_logistic: whether logistic has a true entry.
    """

    net: Networks
    real: Tensor
    logistic: Tensor
    size: Tensor
    jump: Tensor
    mates: Tensor
    basis: Tensor
    along: Directions
    pivots: Tensor
    pivoted: Tensor
    watch: tuple[Tensor, ...]
    reach: Tensor
    balance: Tensor
    normals: Tensor
    line: Tensor
    up: Tensor
    down: Tensor
    joins: Tensor
    places: Tensor
    samples: int
    curves: int
    any_logistic: bool
    balances: bool

    @property
    def slides(self) -> bool:
        return self.line.shape[1] > 0

    @property
    def any_mates(self) -> bool:
        return self.mates.shape[1] > 0

    @property
    def mated(self) -> Tensor:
        """(B, n): which samples have mates."""
        return self.mates.diagonal(dim1=1, dim2=2) > 0.0

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


class _Padded:
    """The arrays of Lanes before they are tensors, one row a run, padded to a shape."""

    def __init__(self, batch: int, shape: Shape) -> None:
        n, size = shape.n, shape.parameters
        virtual = shape.curved + shape.others
        hidden = shape.widths[1:-1]
        self.shape = shape
        self.starts = np.concatenate([[0], np.cumsum(hidden)]).astype(int)
        self.x = np.zeros((batch, n + virtual, shape.widths[0]))
        self.gates = [np.zeros((batch, n + virtual, k)) for k in hidden] if shape.kinked else []
        self.seeds = [np.zeros((batch, n + virtual, k)) for k in shape.widths[1:]]
        self.watch = [np.zeros((batch, n, k)) for k in hidden] if shape.kinked else []
        self.real = np.zeros((batch, n), dtype=bool)
        self.mates = np.zeros((batch, n, n) if shape.mates else (batch, 0, 0))
        self.reach = np.ones((batch, n, 1))
        self.balance = np.full((batch, hidden[0] if hidden else 0), np.nan)
        self.basis = np.zeros((batch, size, shape.columns))
        self.pivots = np.zeros((batch, shape.columns), dtype=np.int64)
        self.pivoted = np.zeros((batch, shape.columns), dtype=bool)
        self.normals = np.zeros((batch, shape.flat, size))
        self.line = np.zeros((batch, shape.flat + shape.curved), dtype=bool)
        self.members = np.zeros((2, batch, shape.flat, n, int(self.starts[-1])))
        self.joins = np.zeros((batch, shape.curved, virtual))
        self.places = np.zeros((batch, virtual), dtype=np.int64)

    def write(self, b: int, run: Run) -> None:
        """Fill row b."""
        cell, slides, uptr = run.gates.cell, run.slides, run.gates.net.uptr
        n = len(cell.gates)
        curved, flat = len(slides.curved), len(slides.normals) - len(slides.curved)
        others = _others(run)
        pairs = [*slides.curved, *((slides.sample[e], slides.unit[e]) for e in others)]
        on_line = [*range(curved), *(slides.line[e] - flat for e in others)]
        virtual = [*range(curved), *range(self.shape.curved, self.shape.curved + len(others))]
        sources = np.array([*range(n), *(i for i, _ in pairs)], dtype=np.int64)
        targets = np.array([*range(n), *(self.shape.n + v for v in virtual)], dtype=np.int64)
        self.x[b, targets, : cell.x.shape[1]] = cell.x[sources]
        self.seeds[-1][b, :n, : cell.seeds.shape[1]] = cell.seeds
        self.real[b, :n] = True
        self.reach[b, :n, 0] = np.linalg.norm(cell.x, axis=1)
        if cell.logistic and cell.group > 1:
            point = np.arange(n) // cell.group
            self.mates[b, :n, :n] = point[:, None] == point
        if self.shape.balances:
            kept = run.balance[run.gates.hidden.start : run.gates.hidden.stop]
            self.balance[b, : len(kept)] = kept
        for layer in range(len(self.gates)):
            units = slice(int(uptr[layer + 1]), int(uptr[layer + 2]))
            width = units.stop - units.start
            self.gates[layer][b, targets, :width] = cell.gates[sources, units]
            self.watch[layer][b, :n, :width] = run.watch[:, units]
        own, columns = run.subspace.basis.shape
        self.basis[b, :own, :columns] = run.subspace.basis
        self.pivots[b, :columns] = run.subspace.pivots
        self.pivoted[b, :columns] = True
        self.normals[b, :flat, :own] = slides.normals[:flat]
        self.line[b, :flat] = self.line[b, self.shape.flat : self.shape.flat + curved] = True
        for v, t, (i, unit) in zip(virtual, on_line, pairs, strict=True):
            layer, column = self._place(run, unit)
            self.seeds[layer - 1][b, self.shape.n + v, unit - uptr[layer]] = 1.0
            self.joins[b, t, v] = 1.0
            self.places[b, v] = i * self.starts[-1] + column
        for h, i, unit, scale in zip(slides.line, slides.sample, slides.unit, slides.scale, strict=True):
            if h < flat:
                self.members[0 if scale > 0 else 1, b, h, i, self._place(run, unit)[1]] += abs(scale)

    def _place(self, run: Run, unit: int) -> tuple[int, int]:
        """The layer of a hidden unit, and its place among all padded hidden units."""
        layer = run.gates.layer(unit)
        return layer, int(self.starts[layer - 1] + unit - run.gates.net.uptr[layer])


def build(runs: Sequence[Run], shape: Shape, device: torch.device) -> Lanes:
    """The lanes of these flows as they are now."""
    batch, size = len(runs), shape.parameters
    padded = _Padded(batch, shape)
    for b, run in enumerate(runs):
        padded.write(b, run)
    wires = (padded_wiring(run.instance.network, shape.layers, size, shape.sharing) for run in runs)
    nets = [run.gates.net for run in runs]

    def put_there(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    index, value, entries, present = (put_there(np.stack(part)) for part in zip(*wires, strict=True))
    virtual = shape.curved + shape.others
    net = Networks(
        x=put_there(padded.x),
        gates=tuple(put_there(g) for g in padded.gates),
        seeds=tuple(put_there(s) for s in (padded.seeds if virtual else padded.seeds[-1:])),
        index=index,
        value=value,
        entries=entries,
        present=present,
        trained=put_there(np.stack([own.trained.astype(float) for own in nets])),
        # all units of a layer have one power and one gain
        power=put_there(np.stack([own.power[own.uptr[1:-1]].astype(np.int64) for own in nets])),
        gain=put_there(np.stack([own.gain[own.uptr[1:-1]] for own in nets])),
        layers=shape.layers,
    )
    columns = put_there(padded.basis)
    up, down = padded.members.reshape(2, batch, shape.flat, shape.n * int(padded.starts[-1]))
    return Lanes(
        net=net,
        real=put_there(padded.real),
        logistic=put_there(np.array([[run.gates.cell.logistic] for run in runs])),
        size=put_there(np.array([float(run.instance.network.size) for run in runs])),
        jump=put_there(np.array([[run.gates.cell.jump] for run in runs])),
        mates=put_there(padded.mates),
        basis=columns,
        along=directions(net, columns),
        pivots=put_there(padded.pivots),
        pivoted=put_there(padded.pivoted),
        watch=tuple(put_there(w) for w in padded.watch),
        reach=put_there(padded.reach),
        balance=put_there(padded.balance),
        normals=put_there(padded.normals),
        line=put_there(padded.line),
        up=put_there(up),
        down=put_there(down),
        joins=put_there(padded.joins),
        places=put_there(padded.places),
        samples=shape.n,
        curves=shape.curved,
        any_logistic=shape.logistic,
        balances=shape.balances,
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
def padded_wiring(
    network: Network, layers: tuple[tuple[int, int], ...], size: int, sharing: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """index and value (E,), entries and present (N, sharing) of harness.flow.batched.kernel.Networks."""
    index = np.full(sum(k * c for k, c in layers), size - 1, dtype=np.int64)
    value = np.zeros(len(index))
    entries = np.zeros((size, sharing), dtype=np.int64)
    present = np.zeros((size, sharing))
    used = np.zeros(size, dtype=np.int64)
    start = 0
    for layer, (pattern, numbers, (rows, cols)) in enumerate(
        zip(network.patterns, network.fixed_float, layers, strict=True)
    ):
        for r, row in enumerate(pattern):
            for c, k in enumerate(row):
                entry, parameter = start + r * cols + c, network.offsets[layer] + k
                if k >= 0 and numbers is not None:
                    value[entry] = numbers[k]
                elif k >= 0:
                    index[entry] = parameter
                    entries[parameter, used[parameter]] = entry
                    present[parameter, used[parameter]] = 1.0
                    used[parameter] += 1
        start += rows * cols
    return index, value, entries, present


@lru_cache(maxsize=4096)
def sharing_of(network: Network) -> int:
    """The most entries that one trained parameter has."""
    layers = network.of_trained(network.patterns)
    return max(max(np.bincount([k for row in pattern for k in row if k >= 0] or [0])) for pattern in layers)
