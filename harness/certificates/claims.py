"""Which certificate denies which claim.

A claim says: for every network of a shape, and for data and starts of a kind, if the limit has a property, then it is
optimal in some sense, or something is true of it.  A stored counterexample must have the shape, the kind and the
property, and a certificate that the limit is not optimal in that sense, or that what is stated of it is false.  One
line of CLAIMS is all that another claim needs.  Those around the paper are in denials.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from harness.certificates.numbers import Rejected
from harness.certificates.signs import Theta
from harness.certificates.taylor import bounds, sqrt_up
from harness.problem.instances import Instance
from harness.problem.networks import Network, preactivations
from harness.problem.numbers import squared_norm
from harness.problem.places import HiddenNeuron, Place, layer_name
from harness.problem.predicates import Data, Start
from harness.problem.problems import Problem

# (instance, theta, radius): the property is shown for every point within the radius of theta
Assumption = Callable[[Problem, Theta, Fraction], None]


def nothing(given: Problem, theta: Theta, radius: Fraction) -> None:
    """No assumption on the limit."""


def nonzero_weights(given: Problem, theta: Theta, radius: Fraction) -> None:
    """Every trained parameter is nonzero.  Raises Rejected."""
    _require_connected(given.network)
    for layer, (u, trained) in enumerate(zip(theta, given.network.trained, strict=True)):
        for k, value in enumerate(u if trained else ()):
            if abs(value) <= radius:
                raise Rejected(f"the claim assumes nonzero weights, and parameter {k} of {layer_name(layer)} is zero")


def nonzero_weight_vectors(given: Problem, theta: Theta, radius: Fraction) -> None:
    """Every hidden neuron's incoming weight vector is nonzero; those of a fixed layer are what they are.

    Raises Rejected.
    """
    network = given.network
    _require_connected(network)
    for layer, pattern in enumerate(network.patterns[:-1]):
        moved = radius if network.trained[layer] else Fraction(0)
        for j, row in enumerate(pattern):
            if squared_norm([theta[layer][k] for k in set(row) if k >= 0]) <= moved**2:
                raise Rejected(
                    f"the claim assumes nonzero weight vectors, and that of {HiddenNeuron(layer, j)} is zero"
                )


def nonzero_inputs(given: Problem, theta: Theta, radius: Fraction) -> None:
    """Every pre-activation of every hidden neuron is nonzero on every sample.  Raises Rejected."""
    network = given.network
    _require_connected(network)
    limits = bounds(network, theta, radius)
    for i, x in enumerate(given.x):
        norm = sqrt_up(squared_norm(x))
        for layer, inputs in enumerate(preactivations(network, theta, x)[:-1]):
            steep = limits.of(layer + 1, norm)[0]
            for j, value in enumerate(inputs):
                if abs(value) <= steep * radius:
                    raise Rejected(f"the claim assumes nonzero inputs, and that of {Place(i, layer, j)} is zero")


def both(first: Assumption, second: Assumption) -> Assumption:
    """Both of them."""

    def assumption(given: Problem, theta: Theta, radius: Fraction) -> None:
        first(given, theta, radius)
        second(given, theta, radius)

    return assumption


def _require_connected(network: Network) -> None:
    """Whether every hidden neuron has incoming and outgoing weights.  Raises Rejected."""
    for layer, pattern in enumerate(network.patterns[:-1]):
        above = network.patterns[layer + 1]
        for j, row in enumerate(pattern):
            if all(k < 0 for k in row) or all(line[j] < 0 for line in above):
                raise Rejected("the claim assumes that every hidden neuron has incoming and outgoing weights")


def _anything(given: object) -> bool:
    return True


@dataclass(frozen=True)
class Denial:
    """What it takes to deny a claim.

    shape: which networks it speaks of; says: the same in words.  problem: "full", or "layer" for any layer.  scope: of
    the certificate; "" where the claim is not about an optimum.  assumes: raises Rejected where the limit lacks the
    property that the claim assumes.  data, start: what it assumes of these.  inner_kinks: whether it assumes that
    every kink of a margin with a multiplier has a coefficient strictly between the slopes.  statements: that it makes
    of the limit, as in statements.py, each with the formula of values.py that it is about, if it is about one.
    computed: what else it assumes, in words; nothing here checks that.
    """

    shape: Callable[[Network], bool]
    says: str
    problem: str = "full"
    scope: str = ""
    assumes: Assumption = nothing
    data: Data = _anything
    start: Start = _anything
    inner_kinks: bool = False
    statements: Mapping[str, str | None] = field(default_factory=dict)
    computed: str = ""

    def denied_by(self, certificate: Mapping[str, Any]) -> bool:
        """Whether a proof of this kind, problem and scope denies the claim."""
        problem, scope = str(certificate["problem"]), str(certificate["scope"])
        if certificate["kind"] == "statement":
            says, witness = str(certificate.get("says")), certificate.get("witness")
            formula = witness.get("formula") if isinstance(witness, dict) else None
            return says in self.statements and self.statements[says] == formula
        wanted = problem == "full" if self.problem == "full" else problem.startswith("layer ")
        return wanted and scope == self.scope

    @property
    def wanted(self) -> str:
        """The certificates that deny it, in words."""
        statements = [f'the statement "{name}"' for name in self.statements]
        whole = "a layer" if self.problem == "layer" else "the full"
        return " or ".join([f"a {self.scope} certificate of {whole} problem"] * bool(self.scope) + statements)


def _classical(network: Network) -> bool:
    """Linear or relu, every layer trained, one output: what the first claims speak of."""
    return network.activation in ("linear", "relu") and network.degree == network.depth and network.outputs == 1


def _fully_connected_relu(network: Network) -> bool:
    return _relu(network) and network.fully_connected


def _unshared(network: Network) -> bool:
    return _classical(network) and network.depth == 2 and not network.shared


def _unshared_relu(network: Network) -> bool:
    return _unshared(network) and network.activation == "relu"


def _shared(network: Network) -> bool:
    return _classical(network) and network.depth == 2 and network.shared


def _deep(network: Network) -> bool:
    return _classical(network) and network.depth >= 3 and not network.shared


def _relu(network: Network) -> bool:
    return _classical(network) and network.activation == "relu" and network.depth >= 2


def _relu_of_depth_2(network: Network) -> bool:
    return _relu(network) and network.depth == 2


_RELU_2 = "relu networks of depth 2 without shared weights"

CLAIMS = {
    "fc-relu-local": Denial(
        _fully_connected_relu, "fully connected relu networks of depth 2 and more", "full", "local"
    ),
    "depth2-local": Denial(_unshared, "networks of depth 2 without shared weights", "full", "local"),
    "depth2-relu-nonzero-local": Denial(_unshared_relu, _RELU_2, "full", "local", nonzero_weight_vectors),
    "depth2-relu-active-global": Denial(_unshared_relu, _RELU_2, "full", "global", nonzero_inputs),
    "shared-local": Denial(
        _shared,
        "networks of depth 2 with shared weights",
        "full",
        "local",
        both(nonzero_weight_vectors, nonzero_inputs),
    ),
    "deep-local": Denial(
        _deep,
        "networks of depth 3 and more without shared weights",
        "full",
        "local",
        both(nonzero_weights, nonzero_inputs),
    ),
    "relu-layerwise-local": Denial(_relu_of_depth_2, "relu networks of depth 2", "layer", "local"),
    "relu-active-layerwise-global": Denial(
        _relu, "relu networks of depth 2 and more", "layer", "global", nonzero_inputs
    ),
}


def require_shape(denial: Denial, network: Network) -> None:
    """Raises Rejected where the claim does not speak of this network."""
    if not denial.shape(network):
        raise Rejected(f"the claim speaks of {denial.says} only")


def require_kind(denial: Denial, instance: Instance) -> None:
    """Raises Rejected where the claim does not speak of this network, these data or this start."""
    require_shape(denial, instance.network)
    if not denial.data(instance.problem):
        raise Rejected("the data are not of the kind that the claim speaks of")
    if not denial.start(instance):
        raise Rejected("the start is not of the kind that the claim speaks of")
