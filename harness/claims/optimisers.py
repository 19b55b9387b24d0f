"""The claims about what trains a network: discrete steps, and flows that are steepest in another norm.

docs/statements.md, section 8, has what they say with their proofs, and where the theorems come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.claims import descending, steepest
from harness.claims.claim import Claim
from harness.claims.conclusions import Decision, Networks
from harness.claims.trained import Trained

if TYPE_CHECKING:
    from harness.oracles import Verdicts
    from harness.problem.limits import Limit

_CLASSIFIER = Networks("linear", "fully connected", (1, 1))
_ANY = Networks("any", trained="any", outputs="any")
_STEEPEST = "theta' in argmin <u, grad L> over N(u) <= N*(grad L)"


def _not_of_flows(limit: Limit, verdicts: Verdicts) -> None:
    """Such a claim says nothing of the limit of a gradient flow."""


def _trained(networks: Networks, trained: Trained) -> Decision:
    return Decision(networks, _not_of_flows, trained=trained)


DESCENTS = (
    Claim(
        "nsd-floor",
        "depth 1, one output, exponential loss, normalised steepest descent in N = l_2, l_inf or l_1, any steps eta_t",
        "",
        "for every T: log(1/L_T) >= log(1/L_0) + gamma_N sum eta_t - (B^2/2) sum eta_t^2, B = max N*(x_i), and "
        "N(w_T) <= N(w_0) + sum eta_t",
        "theorem",
        "Hoeffding's lemma",
        _trained(_CLASSIFIER, Trained(descending.steepest, descending.steepest_floor)),
    ),
    Claim(
        "mirror-lp",
        "depth 1, one output, exponential loss, z' = sum_i p_i z_i, w = sign(z) abs(z)^(1/(p-1)), 1 < p < inf",
        "the data are separable by a vector",
        "norm_q(z(tau)) >= gamma_p tau + <u*, z(0)>, and w / norm_p(w) tends to the l_p max-margin direction",
        "theorem",
        "Sun et al. 2023",
        _trained(_CLASSIFIER, Trained(descending.mirror, descending.mirror_floor)),
    ),
    Claim(
        "gd-svm",
        "depth 1, one output, exponential loss, gradient descent with eta <= 1 / (B^2 L(w_0)), B = max norm(x_i)",
        "the data are separable by a vector",
        "the direction tends to the SVM vector's",
        "theorem",
        "Soudry et al. 2018",
        _trained(_CLASSIFIER, Trained(descending.small_gradient_steps, descending.gradient_floor)),
    ),
    Claim(
        "adam-linf",
        "depth 1, one output, exponential loss, Adam without eps, beta1 <= beta2 < 1, eta_t = c (t + 2)^-a, 0 < a < 1",
        "the data are separable by a vector",
        "the l_inf margin tends to gamma_inf",
        "theorem",
        "Zhang, Zou & Cao 2024",
        _trained(_CLASSIFIER, Trained(descending.adam_without_eps, descending.adam_floor)),
    ),
    Claim(
        "adam-eps-l2",
        "depth 1, one output, exponential loss, Adam with eps > 0 and one small step size",
        "the data are separable by a vector",
        "the direction tends to the SVM vector's",
        "theorem",
        "Wang et al. 2021",
        _trained(_CLASSIFIER, Trained(descending.adam_with_eps, descending.adam_eps_floor)),
    ),
    Claim(
        "steepest-margin",
        f"any, {_STEEPEST}, N = l_2, l_inf or l_1",
        "",
        "from t0 on, loss^{-1}(L) / N(theta)^m never decreases, m the number of trained layers",
        "theorem",
        "Tsilivis, Vardi & Kempe 2024",
        _trained(_ANY, Trained(steepest.steepest, steepest.margin_never_falls, steepest.HALVINGS)),
    ),
    Claim(
        "steepest-kkt",
        f"any, {_STEEPEST}, N = l_2, l_inf or l_1",
        "",
        "every limit point of theta / N(theta), scaled to min q = 1, is a KKT point of: minimise N(theta)^2 / 2 "
        "subject to q >= 1",
        "theorem",
        "Tsilivis, Vardi & Kempe 2024",
        _trained(_ANY, Trained(steepest.steepest, steepest.ends_at_kkt, steepest.HALVINGS)),
    ),
    Claim(
        "sign-direction",
        f"any, {_STEEPEST}, N = l_inf or l_1, the sign of 0 being 0",
        "",
        "theta / N(theta) converges",
        "open",
        "",
        _trained(_ANY, Trained(steepest.signs_of_zero, steepest.direction_converges, steepest.HALVINGS)),
    ),
)
