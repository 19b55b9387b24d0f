"""The claims: what is said of the limits of gradient flow, as data, and what decides each.

(P) is: minimise 1/2 ||theta||^2 subject to q_i(theta) >= 1; (P_l) is the same over the parameters u^l of one layer,
the others held fixed. Every claim speaks of runs that separate the data, and of the limit theta~ of their
direction, scaled to least margin 1. "any" are all networks, of every slope, with layers that are not trained and with
several outputs too; the other claims speak of linear or relu networks of one output with every layer trained.

Sources, cited by section: VSS is Vardi, Shamir & Srebro, arXiv:2110.02732; LL is Lyu & Li, arXiv:1906.05890; JT is
Ji & Telgarsky, arXiv:2006.06657; Du, Hu & Lee 2018 is arXiv:1806.00900.
"""

from __future__ import annotations

from harness.claims.beyond import BEYOND
from harness.claims.claim import Claim, Outcome, Status, Violation
from harness.claims.conclusions import (
    Decision,
    Networks,
    aligned,
    globally_optimal,
    kkt_point,
    layers_globally_optimal,
    layers_locally_optimal,
    locally_optimal,
)
from harness.claims.optimisers import DESCENTS
from harness.claims.recorded import (
    above_the_floor,
    balanced,
    follows_flow,
    loss_vanishes,
    margin_grows,
    margin_rate,
    outgoing_dominate,
    signs_kept,
)
from harness.problem.fields import FieldError

__all__ = ["CLAIMS", "Claim", "Outcome", "Status", "Violation", "register"]

_ANY = Networks("any", trained="any", outputs="any")
_UNSHARED = Networks(weights="unshared", depths=(2, 2))
_UNSHARED_LINEAR = Networks("linear", "unshared", (2, 2))
_UNSHARED_RELU = Networks("relu", "unshared", (2, 2))
_FULLY_CONNECTED_LINEAR = Networks("linear", "fully connected")
_FULLY_CONNECTED_RELU = Networks("relu", "fully connected", (2, None))
_RELU = Networks("relu", depths=(2, None))

_TABLE = (
    Claim(
        "kkt",
        "any",
        "",
        "theta~ is a KKT point of (P)",
        "theorem",
        "LL, JT; VSS 2",
        Decision(_ANY, kkt_point),
    ),
    Claim(
        "loss-vanishes",
        "any",
        "",
        "L -> 0 and the norm diverges",
        "theorem",
        "LL",
        Decision(_ANY, loss_vanishes, recorded=True),
    ),
    Claim(
        "margin-grows",
        "any",
        "",
        "from t0 on, loss^{-1}(L) / norm^m never decreases, m the number of trained layers",
        "theorem",
        "LL",
        Decision(_ANY, margin_grows, recorded=True),
    ),
    Claim(
        "margin-rate",
        "any, where smooth",
        "",
        "d log(margin~)/d log(norm) >= m ||d direction/d log(norm)||^2, margin~ and m as in margin-grows",
        "theorem",
        "LL",
        Decision(_ANY, margin_rate, recorded=True),
    ),
    Claim(
        "balance",
        "any",
        "",
        "norm(u^l)^2 - norm(u^k)^2 is conserved, k being the next trained layer after l; with no shared weights also, "
        "per hidden neuron between two trained layers, (incoming norm)^2 - (outgoing norm)^2",
        "theorem",
        "Du, Hu & Lee 2018",
        Decision(_ANY, balanced, recorded=True),
    ),
    Claim(
        "margin-floor",
        "any",
        "",
        "(2 value)^(-m/2) >= loss^{-1}(L(t)) / norm(t)^m at every time t past t0, value = 1/2 norm(theta~)^2, "
        "m as in margin-grows",
        "theorem",
        "LL",
        Decision(_ANY, above_the_floor, recorded=True),
    ),
    Claim(
        "sign-kept",
        "depth 2, no shared weights",
        "abs(v_j(0)) >= norm(w_j(0)) at the start",
        "v_j never changes sign",
        "theorem",
        "balance",
        Decision(_UNSHARED, signs_kept, start=outgoing_dominate, recorded=True),
    ),
    Claim(
        "follows-flow",
        "any, unique flow",
        "",
        "by an independent integrator, to tolerance relative to each neuron: the record begins at theta(0), every step "
        "solves the flow, what it keeps exactly is kept, and from the record's end it comes within 1e-3 of the limit",
        "check",
        "",
        Decision(_ANY, follows_flow, recorded=True),
    ),
    Claim(
        "fc-linear-global",
        "fully connected, linear, any depth",
        "",
        "global optimum of (P)",
        "theorem",
        "VSS 3, JT",
        Decision(_FULLY_CONNECTED_LINEAR, globally_optimal),
    ),
    Claim(
        "fc-linear-aligned",
        "fully connected, linear, any depth",
        "",
        "every W^l has rank one, neighbours aligned, and the predictor is the hard-margin SVM's direction",
        "theorem",
        "JT, VSS 3",
        Decision(_FULLY_CONNECTED_LINEAR, aligned),
    ),
    Claim(
        "fc-relu-local",
        "fully connected, relu, depth >= 2",
        "",
        "local optimum of (P)",
        "refuted",
        "VSS 3",
        Decision(_FULLY_CONNECTED_RELU, locally_optimal),
    ),
    Claim(
        "depth2-local",
        "depth 2, no shared weights (diagonal is enough), linear or relu",
        "",
        "local optimum of (P)",
        "refuted",
        "VSS 4",
        Decision(_UNSHARED, locally_optimal),
    ),
    Claim(
        "depth2-linear-nonzero-global",
        "depth 2, linear, no shared weights",
        "every hidden weight vector w_j is nonzero",
        "global optimum of (P)",
        "theorem",
        "VSS 4",
        Decision(_UNSHARED_LINEAR, globally_optimal, ("nonzero_weight_vectors",)),
    ),
    Claim(
        "depth2-relu-nonzero-local",
        "depth 2, relu, even fully connected",
        "every w_j is nonzero",
        "local optimum of (P)",
        "refuted",
        "VSS 4",
        Decision(_UNSHARED_RELU, locally_optimal, ("nonzero_weight_vectors",)),
    ),
    Claim(
        "depth2-relu-active-local",
        "depth 2, relu, no shared weights",
        "every input to every neuron is nonzero: w_j . x_i^(j) != 0 for all i, j",
        "local optimum of (P)",
        "theorem",
        "VSS 4",
        Decision(_UNSHARED_RELU, locally_optimal, ("nonzero_inputs",)),
    ),
    Claim(
        "depth2-relu-active-global",
        "depth 2, relu, no shared weights, even fully connected",
        "every input to every neuron is nonzero: w_j . x_i^(j) != 0 for all i, j",
        "global optimum of (P)",
        "refuted",
        "VSS 4",
        Decision(_UNSHARED_RELU, globally_optimal, ("nonzero_inputs",)),
    ),
    Claim(
        "shared-local",
        "depth 2, shared weights, linear or relu",
        "every weight vector and every neuron input is nonzero",
        "local optimum of (P)",
        "refuted",
        "VSS 4",
        Decision(
            Networks(weights="shared", depths=(2, 2)), locally_optimal, ("nonzero_weight_vectors", "nonzero_inputs")
        ),
    ),
    Claim(
        "deep-local",
        "depth >= 3, no shared weights (diagonal is enough), linear or relu",
        "every weight and every neuron input is nonzero",
        "local optimum of (P)",
        "refuted",
        "VSS 5",
        Decision(
            Networks(weights="unshared", depths=(3, None)), locally_optimal, ("nonzero_weights", "nonzero_inputs")
        ),
    ),
    Claim(
        "linear-layerwise-global",
        "linear, any depth, shared or not",
        "",
        "every u^l is a global optimum of (P_l)",
        "theorem",
        "VSS 5",
        Decision(Networks("linear"), layers_globally_optimal),
    ),
    Claim(
        "relu-layerwise-local",
        "relu, even fully connected, depth 2",
        "",
        "every u^l is a local optimum of (P_l)",
        "refuted",
        "VSS 5",
        Decision(Networks("relu", depths=(2, 2)), layers_locally_optimal),
    ),
    Claim(
        "relu-active-layerwise-local",
        "relu, any depth",
        "every input to every hidden neuron is nonzero",
        "every u^l is a local optimum of (P_l)",
        "theorem",
        "VSS 5",
        Decision(_RELU, layers_locally_optimal, ("nonzero_inputs",)),
    ),
    Claim(
        "relu-active-layerwise-global",
        "relu, any depth",
        "every input to every hidden neuron is nonzero",
        "every u^l is a global optimum of (P_l)",
        "refuted",
        "VSS 5",
        Decision(_RELU, layers_globally_optimal, ("nonzero_inputs",)),
    ),
)

CLAIMS = {claim.id: claim for claim in (*_TABLE, *BEYOND, *DESCENTS)}


def register(claim: Claim) -> Claim:
    """Add a claim of one's own, for this process; returns it.  Raises FieldError for an id that is taken."""
    if claim.id in CLAIMS:
        raise FieldError(claim.id, "there is a claim of this id already")
    CLAIMS[claim.id] = claim
    return claim
