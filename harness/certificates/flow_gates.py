"""Facts that hold along a flow for ever: signs of outgoing weights, and gates.

Relu networks of depth 2 with one output, no shared weights and every layer trained; deeper ones at the end.  With g_k =
-loss'(q_k) > 0, of which no more is used than that it is positive (and in "alone" that it falls in q_k), p_k the patch
of sample k that neuron j sees, z_k = w . p_k, and coefficients c_k that are 1 for z_k > 0, 0 for z_k < 0, anything in
[0, 1] for 0,

    w' = v sum_k g_k y_k c_k p_k,     v' = sum_k g_k y_k relu(z_k),     so  z_i' = |v| sum_k g_k c_k push(k, i),
    push(k, i) = s y_k p_k . p_i,     s the sign of v,      and v^2 - |w|^2 stays what it is (balance).

A certificate says s_j in "outgoing" (1, -1, 0) and a gate for every sample and neuron in "gates":

    1   on:    s y_i = 1, z_i >= 0 at the start, and z_i > 0 for every t > 0;
    -1  off:   z_i < 0 at the start and for ever (or p_i = 0);
    0   never learnt from: s y_i = -1.

A neuron with a gate that is on is LIVE, the others are IDLE.  Shown for every neuron, "felt" being the samples whose
gate is not off:

 rest    s = 0: v = 0 and every z_i <= 0 at the start, all gates off.  Then |w - w(0)|' <= C |v| and
         |v|' <= C |w - w(0)|: nothing ever moves, in no solution.
 sign    s v > 0 for every t > 0, by one of two:
         BALANCE: s v > 0 and v^2 >= |w|^2 at the start.  v = 0 would need w = 0, and |(w, v)|' >= -C |(w, v)|.
         GROWTH: s v >= 0 at the start, and if it is 0 some input of an on gate is positive; every gate 0 has z_i <= 0
         at the start and push(k, i) <= 0 for all felt k, so that relu(z_i) stays 0 and s v never falls.
 off     push(k, i) <= 0 for all felt k: z_i never grows.
 gate 0  of a live neuron: the same.  So in the limit z_i <= 0.  And of an idle one: nothing.
 idle    d|w|^2/dt = 2 v sum g_k y_k relu(z_k) <= 0, since y_k v < 0 wherever z_k > 0.  So w is bounded, by balance v
         is: the neuron is zero in the limit.  If w = 0 at the start it stays 0.
 on      push(k, i) >= 0 for all felt k: z_i never falls.  Where z_i = 0 at the start, some k != i with a gate that is
         on and z_k > 0 there has push(k, i) > 0, so z_i grows at once.  Or ALONE: on its samples no other neuron passes
         anything on, ever.  So q_i = |v| z_i on them, and the least z_i has the largest g_i.  With all of them positive
         at the start, |p_i|^2 + sum over the other on k of min(0, push(k, i)) >= 0, and push(k, i) >= 0 from gates 0,
         the least z_i never falls.

They hold together.  What is strict at the start stays so for a while.  What is not becomes strict at once: s v, where
v = 0, since v' is continuous and s v' > 0 at the start; then z_i of an on gate, where it is 0, by the k that is named.
From there on, as long as all the others hold, each is kept by a bound that does not let it come back to zero (balance,
never falls, never grows), so that none can be the first to fail.  Of z_i <= 0 at a gate 0 no more is said than that it
never grows, which needs no strictness.

 served  Every sample has a live neuron that is on, and every live neuron is the only one on some sample: so no live
         neuron is zero in the limit, since only an on gate adds to a margin there.
 start   The loss at the start is below loss(0).  Or every live sign is kept by GROWTH.  Then let L >= loss(0) for ever:
         max_k g_k >= c > 0.  From some t_1 > 0 on, on the samples S of a live neuron, z_k >= z > 0 and |v| >= v_1 > 0.
         With e = w(t_1), (w . e)' >= v_1 z G', G the integral of max_S g_k (a gate 0 adds nothing negative).  So |w|,
         and by balance |v|, is at least a G - C, and q_k >= |v| z - C on S, of which idle neurons take no more than C.
         So G' <= C exp(-a G), G = O(log t).  But the G of all live neurons together grow like c t.
 above   Deeper networks, with one neuron in every layer from the second on: v leads into that of the second, and c_l is
         the one weight of layer l >= 3.  w' and v' have the factor c = prod c_l.  Idle neurons are silent on every
         sample; at the start every sample has an on gate with v z > 0, so that its label is 1; c_l > 0, or >= 0 for the
         last.  So the input of the second layer is positive for ever, as are those above; c_l' >= 0, and > 0 for the
         last if it is 0; and c > 0 for t > 0.  All of the above holds as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.flow_start import starts_separated
from harness.certificates.numbers import Rejected, array, choice
from harness.certificates.problems import Neuron, neurons_of
from harness.problem.instances import Instance
from harness.problem.networks import Network
from harness.problem.numbers import Vector, dot, squared_norm
from harness.problem.problems import Problem

Outgoing = tuple[int, ...]
Gates = tuple[tuple[int, ...], ...]


def read_region(found: dict[str, object], at: str, given: Instance) -> tuple[Outgoing, Gates]:
    """Raises FieldError on a wrong shape."""
    width = given.network.widths[1] if given.network.depth > 1 else 0

    def signs(value: object, field: str) -> tuple[int, ...]:
        return tuple(choice(a, f"{field}[{j}]", (-1, 0, 1)) for j, a in enumerate(array(value, field, width)))

    rows = array(found["gates"], f"{at}.gates", given.n)
    gates = tuple(signs(row, f"{at}.gates[{i}]") for i, row in enumerate(rows))
    return signs(found["outgoing"], f"{at}.outgoing"), gates


@dataclass(frozen=True)
class Unit:
    """One neuron at the start.  s, gates: what the certificate says.  z: its inputs.  gram: p_k . p_i."""

    neuron: Neuron
    s: int
    gates: tuple[int, ...]
    w: Vector
    v: Fraction
    z: Vector
    y: tuple[int, ...]
    gram: tuple[Vector, ...]

    @property
    def name(self) -> str:
        return self.neuron.name

    @property
    def on(self) -> list[int]:
        return [i for i, gate in enumerate(self.gates) if gate == 1]

    @property
    def unlearnt(self) -> list[int]:
        """Gates 0 whose patch is not zero."""
        return [i for i, gate in enumerate(self.gates) if gate == 0 and self.gram[i][i]]

    def push(self, k: int, i: int) -> Fraction:
        return self.s * self.y[k] * self.gram[k][i]

    def never_grows(self, i: int) -> bool:
        """Whether no sample that is felt pushes z_i up."""
        return all(self.push(k, i) <= 0 for k in [*self.on, *self.unlearnt])

    def never_falls(self, i: int) -> bool:
        """Whether none pushes it down."""
        return all(self.push(k, i) >= 0 for k in [*self.on, *self.unlearnt])

    @property
    def grows(self) -> bool:
        """Whether s v never falls: sign, by growth."""
        quiet = all(self.z[i] <= 0 and self.never_grows(i) for i in self.unlearnt)
        return quiet and (self.s * self.v > 0 or (not self.v and any(self.z[i] > 0 for i in self.on)))

    def silent(self, i: int) -> bool:
        """Whether it never passes anything on from sample i."""
        if not self.s or self.gates[i] == -1 or not self.gram[i][i]:
            return True
        if self.on:
            return self.gates[i] == 0 and self.z[i] <= 0
        return not any(self.w) or (self.z[i] <= 0 and self.never_grows(i))


@dataclass(frozen=True)
class Region:
    """What is proven.  units: every neuron of the first layer.  facts: in words."""

    units: tuple[Unit, ...]
    facts: tuple[str, ...]

    @property
    def live(self) -> list[Unit]:
        return [unit for unit in self.units if unit.on]


def require_region(given: Instance, outgoing: Outgoing, gates: Gates) -> Region:
    """Raises Rejected, naming the fact that does not hold."""
    network = given.network
    if network.activation != "relu" or network.degree < network.depth:
        raise Rejected("gates are proven for relu networks with every layer trained")
    units = tuple(_unit(given, neuron, outgoing, gates) for neuron in first_neurons(given))
    facts: list[str] = []
    for unit in units:
        others = [other for other in units if other is not unit]
        facts += _rest(unit) if not unit.s else _moving(unit, others)
    facts += _served(given, [unit for unit in units if unit.on])
    if network.depth > 2:
        facts.append(_above(given, units))
    facts.append(_separates(given, [unit for unit in units if unit.on]))
    return Region(units, tuple(facts))


def first_neurons(given: Instance) -> list[Neuron]:
    """Those of the first layer, with the weights into the one neuron of the second, or the output.  Raises Rejected."""
    network = given.network
    if network.outputs > 1 or any(pattern != ((0,),) for pattern in network.patterns[2:]):
        raise Rejected("gates are proven for networks of one output, with one neuron in every layer from the second on")
    return neurons_of(Problem(Network("relu", network.patterns[:2]), given.x, given.y))


def _above(given: Instance, units: Sequence[Unit]) -> str:
    weights = [u[0] for u in given.theta0[2:]]
    if any(not unit.on and not unit.silent(i) for unit in units for i in range(given.n)):
        raise Rejected("a sample may lower the input of the second layer")
    if any(all(unit.gates[i] != 1 or unit.v * unit.z[i] <= 0 for unit in units) for i in range(given.n)):
        raise Rejected("the input of the second layer is not positive at the start")
    if weights[-1] < 0 or any(a <= 0 for a in weights[:-1]):
        raise Rejected("a weight above the second layer is not positive")
    return (
        "v is the weight into the second layer: the inputs there and above are positive for ever, and the weights "
        f"above, {_listed(weights)} at the start, only grow"
    )


def _unit(given: Instance, neuron: Neuron, outgoing: Outgoing, gates: Gates) -> Unit:
    j, patches, w = neuron.index, neuron.patches, neuron.w(given.theta0)
    gram = tuple(tuple(dot(p, q) for q in patches) for p in patches)
    z = tuple(dot(w, p) for p in patches)
    return Unit(neuron, outgoing[j], tuple(row[j] for row in gates), w, neuron.v(given.theta0), z, given.y, gram)


def _rest(unit: Unit) -> list[str]:
    if unit.v or any(z > 0 for z in unit.z) or any(gate != -1 for gate in unit.gates):
        raise Rejected(f"{unit.name} is said to rest, and it moves")
    return [f"{unit.name} rests: v = 0 and its inputs {_listed(unit.z)} are not positive, so that nothing moves it"]


def _moving(unit: Unit, others: Sequence[Unit]) -> list[str]:
    facts = [_sign(unit)]
    for i, gate in enumerate(unit.gates):
        if not unit.gram[i][i]:
            if gate == 1:
                raise Rejected(f"{unit.name} sees nothing of sample {i}, and its gate is said to be on")
        elif gate == -1:
            facts.append(_off(unit, i))
        elif gate == 0:
            facts += _unlearnt(unit, i)
        elif unit.s * unit.y[i] != 1 or unit.z[i] < 0:
            raise Rejected(f"{unit.name} is not on for sample {i}, or lowers its margin")
    if not unit.on:
        return [*facts, f"{unit.name} raises no margin: |w| never grows, v stays bounded, it is zero in the limit"]
    return [*facts, *_on(unit, others)]


def _sign(unit: Unit) -> str:
    sign = "v > 0" if unit.s > 0 else "v < 0"
    if unit.grows:
        first = next((i for i in unit.on if unit.z[i] > 0), None)
        why = f"v = {unit.v}" if unit.v else f"v = 0 and its input on x_{first}, {unit.z[first or 0]}, is positive"
        return f"{unit.name}: {sign} for t > 0. At the start {why}, and no sample that it hears ever pulls v back"
    square = squared_norm(unit.w)
    if unit.s * unit.v <= 0 or unit.v**2 < square:
        raise Rejected(f"the sign of the outgoing weight of {unit.name} is not shown to be kept")
    return f"{unit.name}: {sign} for ever, by balance: v^2 = {unit.v**2} >= |w|^2 = {square} at the start"


def _off(unit: Unit, i: int) -> str:
    if unit.z[i] >= 0 or not unit.never_grows(i):
        raise Rejected(f"{unit.name} is not shown to stay off for sample {i}")
    return f"{unit.name} is off for x_{i} for ever: its input is {unit.z[i]} < 0, and {_pushes(unit, i)}"


def _unlearnt(unit: Unit, i: int) -> list[str]:
    if unit.s * unit.y[i] != -1:
        raise Rejected(f"{unit.name} learns from sample {i}, and its gate is said to be 0")
    if not unit.on:
        return []
    if not unit.never_grows(i):
        raise Rejected(f"the input of {unit.name} on sample {i} may grow")
    return [f"{unit.name}: its input on x_{i}, {unit.z[i]} at the start, never grows: {_pushes(unit, i)}"]


def _on(unit: Unit, others: Sequence[Unit]) -> list[str]:
    if all(unit.never_falls(i) for i in unit.on):
        for i in unit.on:
            lifted = any(k != i and unit.z[k] > 0 and unit.push(k, i) > 0 for k in unit.on)
            if not unit.z[i] and not lifted:
                raise Rejected(f"{unit.name} starts on the kink of sample {i}, and nothing lifts it off")
        where = {i: "= 0, and grows at once" if not unit.z[i] else "> 0" for i in unit.on}
        return [
            f"{unit.name} is on for x_{i} for ever: its input is {unit.z[i]} {where[i]}, and {_pushes(unit, i)}"
            for i in unit.on
        ]
    for i in unit.on:
        own = unit.gram[i][i] + sum(min(Fraction(0), unit.push(k, i)) for k in unit.on if k != i)
        heard = any(not other.silent(i) for other in others)
        if heard or unit.z[i] <= 0 or own < 0 or any(unit.push(k, i) < 0 for k in unit.unlearnt):
            raise Rejected(f"{unit.name} is not shown to stay on for sample {i}")
    places = _listed([f"x_{i}" for i in unit.on])
    return [
        f"{unit.name} is on for {places} for ever. No other neuron passes anything on from them, so the "
        f"least of its inputs on them, {min(unit.z[i] for i in unit.on)} at the start, belongs to the largest g: "
        "it never falls"
    ]


def _pushes(unit: Unit, i: int) -> str:
    felt = [*unit.on, *unit.unlearnt]
    if not felt:
        return "nothing moves it"
    return "it is pushed by " + ", ".join(f"{unit.push(k, i)} from x_{k}" for k in sorted(felt))


def _served(given: Instance, live: Sequence[Unit]) -> list[str]:
    for i in range(given.n):
        if not any(unit.gates[i] == 1 for unit in live):
            raise Rejected(f"no neuron is shown to be on for sample {i}")
    facts = []
    for unit in live:
        own = [i for i in unit.on if sum(other.gates[i] == 1 for other in live) == 1]
        if not own:
            raise Rejected(f"{unit.name} is not needed for any sample: it may vanish in the limit")
        facts.append(f"{unit.name} does not vanish in the limit: no other raises the margin of x_{own[0]}")
    return facts


def _separates(given: Instance, live: Sequence[Unit]) -> str:
    if starts_separated(given):
        return "the flow separates the data: the loss at the start is below loss(0)"
    if not all(unit.grows for unit in live):
        raise Rejected("the flow is not shown to separate the data")
    return "the flow separates the data: while the loss is not below loss(0), some margin grows without end"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
