"""Which certificate denies which claim.

A claim says: for every network of a shape, if the limit has a property, then it is optimal in some sense.  A
stored counterexample must have the shape and the property, and a certificate of kind "better" for the same problem
and scope.  One line of CLAIMS is all that another refuted claim of this kind needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.certificates.numbers import Rejected
from harness.certificates.problems import Name, Neuron, Theta
from harness.certificates.structures import Structure
from harness.instances import Instance

Assumption = Callable[[Instance, list[Neuron], Structure, Theta], None]


def nothing(instance: Instance, neurons: list[Neuron], structure: Structure, theta: Theta) -> None:
    """No assumption on the limit."""


def nonzero_weight_vectors(instance: Instance, neurons: list[Neuron], structure: Structure, theta: Theta) -> None:
    """Every hidden neuron's incoming weight vector is nonzero.  Raises Rejected."""
    _every_neuron_counts(instance, neurons)
    for neuron in neurons:
        if not any(neuron.w(theta)):
            raise Rejected(f"the claim assumes nonzero weight vectors, and that of neuron {neuron.index + 1} is zero")


def nonzero_inputs(instance: Instance, neurons: list[Neuron], structure: Structure, theta: Theta) -> None:
    """Every input of every hidden neuron is nonzero; for relu the structure has it.  Raises Rejected."""
    _every_neuron_counts(instance, neurons)
    for neuron in neurons:
        for i in range(instance.n):
            if structure.gates is None or structure.gate(i, neuron) == 0:
                raise Rejected(
                    f"the claim assumes nonzero inputs, and neuron {neuron.index + 1} has none on sample {i}"
                )


def _every_neuron_counts(instance: Instance, neurons: list[Neuron]) -> None:
    if len(neurons) != instance.network.widths[1]:
        raise Rejected("the claim assumes that every hidden neuron has incoming and outgoing weights")


@dataclass(frozen=True)
class Denial:
    """What it takes to deny a claim.

    problem, scope: of the certificate.  activations: those the claim speaks of.  fully_connected: whether it speaks
    only of fully connected networks.  assumes: raises Rejected where the limit lacks the property that the claim
    assumes.  Every network has depth 2 and no shared weights, as all that certificates cover.
    """

    problem: Name
    scope: str
    activations: tuple[str, ...]
    fully_connected: bool
    assumes: Assumption


CLAIMS = {
    "fc-relu-local": Denial("full", "local", ("relu",), True, nothing),
    "depth2-local": Denial("full", "local", ("linear", "relu"), False, nothing),
    "depth2-relu-nonzero-local": Denial("full", "local", ("relu",), False, nonzero_weight_vectors),
    "depth2-relu-active-global": Denial("full", "global", ("relu",), False, nonzero_inputs),
    "relu-layerwise-local": Denial("layer 1", "local", ("relu",), False, nothing),
    "relu-active-layerwise-global": Denial("layer 1", "global", ("relu",), False, nonzero_inputs),
}


def require_shape(denial: Denial, instance: Instance) -> None:
    """Raises Rejected where the claim does not speak of this network."""
    network = instance.network
    if network.activation not in denial.activations:
        raise Rejected(f"the claim does not speak of {network.activation} networks")
    if denial.fully_connected and not network.fully_connected:
        raise Rejected("the claim speaks of fully connected networks only")
