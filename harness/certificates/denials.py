"""All claims that a stored counterexample can deny, with what it takes: those of the paper and those around it."""

from __future__ import annotations

from harness.certificates.claims import CLAIMS as OF_THE_PAPER
from harness.certificates.claims import Denial, nonzero_weight_vectors
from harness.problem import predicates
from harness.problem.networks import Network
from harness.problem.predicates import Data
from harness.problem.problems import Problem

_ONE = "networks of one output and depth 2, fully connected"


def _trained(network: Network) -> bool:
    return network.degree == network.depth and network.outputs == 1


def _dense(network: Network) -> bool:
    return _trained(network) and network.fully_connected


def _fc2_relu(network: Network) -> bool:
    return _dense(network) and network.depth == 2 and network.activation == "relu"


def _fc2(network: Network) -> bool:
    return _dense(network) and network.depth == 2 and -1 < network.slope < 1


def _fc_relu_deep(network: Network) -> bool:
    return _dense(network) and network.depth > 2 and network.activation == "relu"


def _fc_linear(network: Network) -> bool:
    return _dense(network) and network.activation == "linear"


def _fc_leaky(network: Network) -> bool:
    return _dense(network) and network.depth >= 2 and 0 < network.slope < 1


def _signed(network: Network) -> bool:
    """FL: leaky, the outputs fixed at 1 and -1."""
    hidden = network.trained == (True, False) and network.fully_connected and network.outputs == 1
    return hidden and predicates.outputs_are_signs(network) and 0 < network.slope < 1


def _signed_or_fc2_leaky(network: Network) -> bool:
    return _signed(network) or (_fc_leaky(network) and network.depth == 2)


def _diagonal(network: Network) -> bool:
    return (
        _trained(network) and network.activation == "linear" and network.depth == 2 and predicates.is_diagonal(network)
    )


def _linear(network: Network) -> bool:
    return _trained(network) and network.activation == "linear"


def _circulant(network: Network) -> bool:
    return _linear(network) and predicates.is_circulant(network)


def _scalar(network: Network) -> bool:
    return _linear(network) and predicates.is_scalar(network)


def _unshared_2(network: Network) -> bool:
    return _trained(network) and network.depth == 2 and not network.shared


def _unshared_relu(network: Network) -> bool:
    return _unshared_2(network) and network.activation == "relu"


def _unshared_kinked(network: Network) -> bool:
    return _unshared_2(network) and -1 < network.slope < 1


def _unshared_leaky(network: Network) -> bool:
    return _unshared_2(network) and 0 < network.slope < 1


def _classes(network: Network) -> bool:
    return network.outputs > 1 and network.degree == network.depth and network.activation == "linear"


def _classes_1(network: Network) -> bool:
    return _classes(network) and network.depth == 1


def _classes_2(network: Network) -> bool:
    return _classes(network) and network.depth == 2 and network.fully_connected


def _both_signs(data: Data) -> Data:
    def both(problem: Problem) -> bool:
        return predicates.outputs_have_both_signs(problem.network) and data(problem)

    return both


_FC2_RELU, _FC2 = f"relu {_ONE}", f"{_ONE}, with a kink and slopes between -1 and 1"
_FL = f"leaky {_ONE}, the outputs fixed at 1 and -1"
_NOT_HELD = "no exact invariance holds the flow"
_MARGIN, _NEURONS, _GATES = {"slack margin": None}, {"unequal neurons": None}, {"other gates": None}

_AROUND = {
    "pattern-collapse": Denial(_fc2, _FC2, statements={"unequal patterns": None}),
    "orthsep-global": Denial(
        _fc2_relu, _FC2_RELU, "full", "global", data=predicates.orthogonally_separable, statements=_NEURONS
    ),
    "orthsep-weak-local": Denial(_fc2_relu, _FC2_RELU, "full", "local", data=predicates.weakly_orthogonally_separable),
    "orthsep-deep": Denial(
        _fc_relu_deep,
        "fully connected relu networks of depth 3 and more",
        data=predicates.orthogonally_separable,
        statements={"small value": "classes", "large value": "classes"},
    ),
    "nearorth-equal": Denial(_fc2_relu, _FC2_RELU, data=predicates.near_orthogonal, statements=_MARGIN),
    "nearorth-beyond": Denial(_fc2_relu, _FC2_RELU, data=predicates.hardly_orthogonal, statements=_MARGIN),
    "nearorth-adversarial": Denial(_fc2_relu, _FC2_RELU, data=predicates.attackable, statements={"no attack": None}),
    "linear-all-support": Denial(
        _fc_linear, "fully connected linear networks", data=predicates.near_orthogonal, statements=_MARGIN
    ),
    "linear-all-support-beyond": Denial(
        _fc_linear, "fully connected linear networks", data=predicates.not_orthogonal, statements=_MARGIN
    ),
    "sym-floor": Denial(_fc2, _FC2, data=predicates.mirrored_and_separable, statements={"small value": "mirrored"}),
    "sym-global": Denial(
        _fc2_relu,
        _FC2_RELU,
        data=predicates.mirrored_and_separable,
        statements={"small value": "mirrored", "large value": "mirrored"},
    ),
    "univariate-two-breaks": Denial(_fc2_relu, _FC2_RELU, data=predicates.univariate, statements={"breaks": None}),
    "diag2-unbalanced-global": Denial(
        _diagonal,
        "diagonal linear networks of depth 2",
        "full",
        "global",
        data=predicates.separable,
        start=predicates.unbalanced,
    ),
    "diag2-balanced-orthant": Denial(
        _diagonal,
        "diagonal linear networks of depth 2",
        start=predicates.balanced,
        statements={"left orthant": None, "small value": "orthant", "large value": "orthant"},
    ),
    "conv-full-global": Denial(_circulant, "linear circulant networks of depth 2", "full", "global"),
    "conv-scalar-global": Denial(_scalar, "linear networks of depth 2 with a filter of one number", "full", "global"),
    "linear-generic-local": Denial(_linear, "linear networks", "full", "local", computed=_NOT_HELD),
    "depth2-relu-generic-local": Denial(
        _unshared_relu,
        "relu networks of depth 2 without shared weights",
        "full",
        "local",
        assumes=nonzero_weight_vectors,
        data=predicates.no_right_angles,
        computed=_NOT_HELD,
    ),
    "depth2-inner-kinks-local": Denial(
        _unshared_kinked,
        "networks of depth 2 without shared weights, with a kink and slopes between -1 and 1",
        "full",
        "local",
        assumes=nonzero_weight_vectors,
        inner_kinks=True,
        computed=f"{_NOT_HELD}, and the multipliers are unique",
    ),
    "cover-small-global": Denial(_fc2_relu, _FC2_RELU, "full", "global", start=predicates.covering_and_small),
    "leaky-equal": Denial(_signed_or_fc2_leaky, f"leaky {_ONE}", data=predicates.near_orthogonal, statements=_MARGIN),
    "leaky-nearorth": Denial(
        _signed,
        _FL,
        "full",
        "global",
        data=_both_signs(predicates.clearly_orthogonal),
        statements=_MARGIN | _GATES | _NEURONS,
    ),
    "leaky-nearorth-sharp": Denial(
        _signed, _FL, data=_both_signs(predicates.near_orthogonal), statements=_GATES | _NEURONS
    ),
    "leaky-nearorth-any": Denial(_signed, _FL, statements=_NEURONS),
    "leaky-orthsep": Denial(
        _signed,
        _FL,
        "full",
        "global",
        data=_both_signs(predicates.orthogonally_separable),
        statements=_GATES | _NEURONS,
    ),
    "leaky-linear-margin": Denial(
        _signed, _FL, data=_both_signs(predicates.clearly_orthogonal), statements={"no linear margin": None}
    ),
    "leaky-nonzero-local": Denial(
        _unshared_leaky,
        "leaky networks of depth 2 without shared weights",
        "full",
        "local",
        assumes=nonzero_weight_vectors,
        computed=_NOT_HELD,
    ),
    "fc-leaky-local": Denial(_fc_leaky, "fully connected leaky networks", "full", "local"),
    "fc-leaky-started-local": Denial(
        _fc_leaky, "fully connected leaky networks", "full", "local", start=predicates.no_idle_neuron
    ),
    "mc-depth1-global": Denial(_classes_1, "networks of depth 1 with several outputs", "full", "global"),
    "mc-seli-floor": Denial(
        _classes_2,
        "fully connected linear networks of depth 2 with several outputs",
        data=predicates.standard_basis,
        statements={"small value": "classifier"},
    ),
    "mc-linear2-global": Denial(
        _classes_2, "fully connected linear networks of depth 2 with several outputs", "full", "global"
    ),
    "mc-linear2-generic-global": Denial(
        _classes_2,
        "fully connected linear networks of depth 2 with several outputs",
        "full",
        "global",
        computed=_NOT_HELD,
    ),
}

CLAIMS = OF_THE_PAPER | _AROUND
