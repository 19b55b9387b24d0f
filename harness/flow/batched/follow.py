"""Many gradient flows at once on any torch device: the second implementation of harness.flow.follow.

The device integrates and polishes; the host decides what happens at kinks and what the limit is, in the exact
arithmetic and by the rules that both implementations share (harness.flow.run.Run).  The host looks every few
steps: a lane that has stopped by then is taken in hand and goes on in the next round; lanes that are done are closed
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch

from harness.flow.batched.integrator import RUNNING, Batch, Limits, marks, masked_step
from harness.flow.batched.lanes import Shape, State, build, joined, put, take, theta_of
from harness.flow.batched.polish import polish
from harness.flow.compiled import integrator
from harness.flow.compiled.state import ATTEMPTS, BOOKED, FIRST_NORM, SEPARATED, SIGMA, STEP_SIZE
from harness.flow.crossing import cross
from harness.flow.folding import Folded, fold
from harness.flow.follow import Ending, NeverSeparates, arrived, held_later, started, without_limit
from harness.flow.run import Run, Settings
from harness.flow.undecided import Undecided
from harness.problem.instances import Instance
from harness.problem.limits import Limit
from harness.problem.networks import Network

_LARGEST_BUCKET = 4096
_SMALLEST_BUCKET = 128  # smaller ones are not worth the operations of their own
_TAIL = 16
_SHARED = (BOOKED, SIGMA, STEP_SIZE, SEPARATED, ATTEMPTS)  # what the device changes of a flow's state, in this order
_PATIENCE = 10  # looks that a lane waits for company when it is due for a polish


@dataclass
class _Flow:
    """One flow: its place among the instances, where to stop next, and its record."""

    place: int
    folded: Folded
    run: Run
    target: float = -np.inf
    steps: int = 0
    rows: list[np.ndarray] = field(default_factory=list)


def follow_batch(
    instances: Sequence[Instance],
    settings: Settings | None = None,
    device: str | torch.device = "cpu",
    *,
    record: bool = False,
    look: int | None = None,
) -> list[Limit]:
    """Follow all flows; one Limit an instance, in order.  What one flow does leaves the others alone.

    look: masked steps between two looks of the host; by default few on a CPU, where a look costs nothing.
    """
    settings = settings or Settings()
    limits: list[Limit | None] = [None] * len(instances)
    flows: list[_Flow] = []
    for place, folded in enumerate(map(fold, instances)):
        try:
            run = Run(started(folded), settings, record, batched=True)
            flows.append(_Flow(place, folded, run, steps=run.cap(0)))
        except NeverSeparates as why:
            limits[place] = Ending("never_separates", str(why)).limit(folded, None, None)
        except Undecided as why:
            limits[place] = Ending.undecided(why).limit(folded, None, None)
    where = torch.device(device)
    look = look or (4 if where.type == "cpu" else 16)
    with torch.inference_mode():
        for buckets in _buckets(flows):
            rest: tuple[list[_Flow], State] | None = None
            for count, fresh in enumerate(buckets, start=1):
                bucket = _Bucket(fresh, rest, settings, where, record, look)
                # the last few of one bucket go on with the next: a step costs the same for few lanes
                rest = bucket.follow(limits, until=0 if count == len(buckets) else _TAIL)
    return [limit for limit in limits if limit is not None]


def _buckets(flows: list[_Flow]) -> list[list[list[_Flow]]]:
    """For every depth its flows, kinked or not, and of like size where there are many."""

    def network(flow: _Flow) -> Network:
        return flow.run.instance.network

    def depth(flow: _Flow) -> int:
        return network(flow).depth

    def order(flow: _Flow) -> tuple[bool, int]:
        return network(flow).kinked, network(flow).size ** 2 * len(flow.run.gates.gates)

    out: list[list[list[_Flow]]] = []
    for _, group in groupby(sorted(flows, key=depth), depth):
        buckets: list[list[_Flow]] = [[]]
        for flow in sorted(group, key=order):
            bucket = buckets[-1]
            if bucket:
                kinked, cost = order(bucket[0])
                other = order(flow)[0] != kinked or order(flow)[1] > 3 * cost
                if len(bucket) == _LARGEST_BUCKET or (len(bucket) >= _SMALLEST_BUCKET and other):
                    buckets.append([])
            buckets[-1].append(flow)
        out.append(buckets)
    return out


class _Bucket:
    """Lanes on the device and the flows they belong to."""

    def __init__(
        self,
        fresh: list[_Flow],
        rest: tuple[list[_Flow], State] | None,
        settings: Settings,
        device: torch.device,
        record: bool,
        look: int,
    ) -> None:
        """fresh flows, and the rest of another bucket with the state that its flows are in."""
        flows = [*(rest[0] if rest else []), *fresh]
        self.flows = flows
        self.device = device
        self.recorded: list[torch.Tensor] | None = [] if record else None
        self.look = look
        self.waited = 0
        self.limits = Limits(settings.rtol, settings.freeze, settings.polish_from)
        self.shape = Shape.of([flow.run for flow in flows])
        self.batch = Batch.of(build([flow.run for flow in flows], self.shape, device))
        self.state = _state(fresh, self.shape, device)
        if rest:
            self.state = joined(_resized(rest[1], self.shape), self.state)
        self.alive = np.ones(len(flows), dtype=bool)

    def follow(self, limits: list[Limit | None], until: int) -> tuple[list[_Flow], State]:
        """Until no more than so many lanes are alive; fills in the limits and returns what is left."""
        while self.alive.sum() > until:
            for _ in range(self.look):
                masked_step(self.batch, self.state, self.limits, self.recorded)
            self._write_records()
            codes = self.state.code.cpu().numpy()
            stopped = self._to_take_up(codes)
            if not len(stopped):
                continue
            self._to_host(stopped, codes)
            endings = dict(zip(stopped, self._endings(stopped, codes), strict=True))
            for lane, end in endings.items():
                if end is not None:
                    flow = self.flows[lane]
                    limits[flow.place] = end.limit(flow.folded, flow.run, self._path(flow))
                    self.alive[lane] = False
            self._to_device([lane for lane in stopped if self.alive[lane]])
        live = np.flatnonzero(self.alive)
        return [self.flows[lane] for lane in live], take(self.state, self._lanes(live))

    def _to_take_up(self, codes: np.ndarray) -> np.ndarray:
        """The stopped lanes that the host sees to now: those that wait for a polish only when enough of them do."""
        due = self.alive & (codes == integrator.DUE)
        running = bool(np.any(self.alive & (codes == RUNNING)))
        self.waited = self.waited + 1 if due.any() else 0
        if running and 3 * due.sum() < self.alive.sum() and self.waited < _PATIENCE:
            codes = np.where(due, RUNNING, codes)
        else:
            self.waited = 0
        return np.flatnonzero(self.alive & (codes != RUNNING))

    def _lanes(self, lanes: Sequence[int] | np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(lanes, dtype=np.int64), device=self.device)

    def _to_host(self, stopped: np.ndarray, codes: np.ndarray) -> None:
        """Bring the state of stopped lanes to their runs."""
        where = self._lanes(stopped)
        state = take(self.state, where)
        scalars = torch.stack(
            [state.booked, state.sigma, state.h, state.separated.double(), state.attempts.double(), state.grazed], dim=1
        )
        z, constant, numbers = (t.cpu().numpy() for t in (state.z, state.constant, scalars))
        for k, lane in enumerate(stopped):
            run = self.flows[lane].run
            run.z = z[k, : len(run.z)].copy()
            run.constant = constant[k, : len(run.constant)].copy()
            run.state[list(_SHARED)] = numbers[k, : len(_SHARED)]
            run.passed_closely(float(numbers[k, -1]))
        crossing = stopped[codes[stopped] == integrator.EVENT]
        if not len(crossing):
            return
        where = self._lanes(crossing)
        units, lines = marks(take(self.batch.lanes, where), take(self.state, where))
        on_units = [u.cpu().numpy() for u in units]
        on_lines = lines.cpu().numpy() if lines is not None else np.zeros((len(crossing), 0), dtype=bool)
        for k, lane in enumerate(crossing):
            run = self.flows[lane].run
            uptr = run.gates.net.uptr
            run.hit = np.zeros(run.gates.gates.shape, dtype=np.bool_)
            for layer, on in enumerate(on_units):
                width = int(uptr[layer + 2] - uptr[layer + 1])
                run.hit[:, uptr[layer + 1] : uptr[layer + 2]] = on[k, : len(run.hit), :width]
            curved = len(run.slides.curved)
            flat = len(run.slides.normals) - curved
            run.ended = np.append(on_lines[k, :flat], on_lines[k, self.shape.flat : self.shape.flat + curved])

    def _endings(self, stopped: np.ndarray, codes: np.ndarray) -> list[Ending | None]:
        """What each stopped flow comes to; None where it goes on."""
        due = [lane for lane in stopped if codes[lane] == integrator.DUE]
        polished = self._polish(due) if due else {}
        out: list[Ending | None] = []
        for lane in stopped:
            flow = self.flows[lane]
            try:
                if codes[lane] == integrator.EVENT:
                    cross(flow.run)
                    out.append(None)
                elif codes[lane] == integrator.DUE:
                    settled = flow.run.offer(*polished[lane]) or held_later(flow.run)
                    if settled is None:
                        flow.run.regrade()
                        flow.target = flow.run.next_polish()
                    out.append(arrived(flow.run, settled) if settled else None)
                else:
                    out.append(without_limit(flow.run, int(codes[lane]), flow.steps))
                    flow.steps = flow.run.cap(flow.steps)
            except Undecided as why:
                out.append(Ending.undecided(why))
        return out

    def _polish(self, due: list[int]) -> dict[int, tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        where = self._lanes(due)
        lanes, state = take(self.batch.lanes, where), take(self.state, where)
        runs = [self.flows[lane].run for lane in due]
        codes, points, margins, multipliers = polish(
            lanes,
            theta_of(lanes, state.constant, state.z),
            [run.gates.net for run in runs],
            [run.tangent_basis() for run in runs],
        )
        return {
            lane: (
                int(codes[k]),
                points[k, : len(run.constant)],
                margins[k, : len(run.gates.gates)],
                multipliers[k, : len(run.gates.gates)],
            )
            for k, (lane, run) in enumerate(zip(due, runs, strict=True))
        }

    def _to_device(self, back: list[int]) -> None:
        """Send the flows that go on to the device.

        The lanes are closed up when half of them are done, and built anew when one has outgrown its padding.
        """
        live = np.flatnonzero(self.alive)
        runs = [self.flows[lane].run for lane in live]
        if not len(live):
            return
        if 2 * len(live) <= len(self.flows) or not self.shape.holds(Shape.of(runs)):
            self.flows = [self.flows[lane] for lane in live]
            self.shape = Shape.of(runs)
            self.state = _resized(take(self.state, self._lanes(live)), self.shape)
            self.batch = Batch.of(build(runs, self.shape, self.device))
            self.alive = np.ones(len(live), dtype=bool)
            back = [int(np.searchsorted(live, lane)) for lane in back]
        elif back:
            new = build([self.flows[lane].run for lane in back], self.shape, self.device)
            self.batch = self.batch.replaced(self._lanes(back), new)
        if back:
            put(self.state, self._lanes(back), _state([self.flows[lane] for lane in back], self.shape, self.device))

    def _path(self, flow: _Flow) -> np.ndarray | None:
        if self.recorded is None:
            return None
        return np.array(flow.rows).reshape(len(flow.rows), 2 + len(flow.run.constant))

    def _write_records(self) -> None:
        if not self.recorded:
            return
        steps = torch.stack(self.recorded).cpu().numpy()
        self.recorded.clear()
        for lane, flow in enumerate(self.flows):
            for row in steps[:, lane]:
                again = bool(flow.rows) and np.array_equal(flow.rows[-1][:2], row[1:3])
                if row[0] and not again and len(flow.rows) < flow.run.settings.record_rows:
                    flow.rows.append(row[1 : 3 + len(flow.run.constant)])


def _state(flows: list[_Flow], shape: Shape, device: torch.device) -> State:
    """The integrator's state of these flows as their runs have it."""
    batch = len(flows)
    z = np.zeros((batch, shape.columns))
    constant = np.zeros((batch, shape.parameters))
    for b, flow in enumerate(flows):
        z[b, : len(flow.run.z)] = flow.run.z
        constant[b, : len(flow.run.constant)] = flow.run.constant
    numbers = torch.tensor(np.array([flow.run.state for flow in flows]), device=device)
    targets = torch.tensor([flow.target for flow in flows], dtype=torch.float64, device=device)

    def zeros(dtype: torch.dtype = torch.float64) -> torch.Tensor:
        return torch.zeros(batch, dtype=dtype, device=device)

    return State(
        z=torch.from_numpy(z).to(device),
        constant=torch.from_numpy(constant).to(device),
        booked=numbers[:, BOOKED].clone(), sigma=numbers[:, SIGMA].clone(), h=numbers[:, STEP_SIZE].clone(),
        separated=numbers[:, SEPARATED] > 0.0, attempts=numbers[:, ATTEMPTS].to(torch.int64),
        first_norm=numbers[:, FIRST_NORM].clone(),
        code=torch.full_like(zeros(torch.int64), RUNNING), target=targets,
        steps=torch.tensor([flow.steps for flow in flows], device=device),
        locating=zeros(torch.bool), lo=zeros(), hi=zeros(), g_lo=zeros(), g_hi=zeros(),
        weight_lo=zeros(), weight_hi=zeros(), span=zeros(), trial=zeros(torch.int64),
        z_hi=torch.from_numpy(z.copy()).to(device), grazed=zeros() - torch.inf,
    )  # fmt: skip


def _resized(state: State, shape: Shape) -> State:
    """The same state with its vectors cut or padded to another shape; what is cut is padding."""
    for name, width in (("z", shape.columns), ("z_hi", shape.columns), ("constant", shape.parameters)):
        old = getattr(state, name)
        setattr(state, name, torch.nn.functional.pad(old, (0, width - old.shape[1])))
    return state
