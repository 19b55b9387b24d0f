"""The claims around the first paper: from papers that cite VSS, and consequences of what is proven there.

docs/statements.md, section 7, has what they say with their proofs.  "FL" there is depth 2, fully connected, the outputs
v_j in {-1, +1} fixed and W alone trained.  An n-point condition with zeta is meant exactly: zeta is the largest
abs(x_i . x_k) over i != k, R_min and R_max the least and largest norm of a point.
"""

from __future__ import annotations

from harness.claims.assumed import (
    concave_kinks,
    dead_neuron,
    full_spectrum,
    gaps_meet,
    inner_kinks,
    local_optimum,
    no_dead_neuron,
    not_held,
    patterns_meet,
    unique_multipliers,
)
from harness.claims.claim import Claim
from harness.claims.conclusions import All, Decision, Networks, globally_optimal, locally_optimal, separated
from harness.claims.measures import (
    above_classes,
    above_mirrored,
    above_orthant,
    below_classes,
    below_classifier,
    below_mirrored,
    below_orthant,
    breaks,
    left_orthant,
    no_attack,
    no_linear_margin,
    other_gates,
    slack_margin,
    unequal_neurons,
    unequal_patterns,
)
from harness.claims.recorded import multi_margin_grows
from harness.claims.stated import Stated
from harness.problem import predicates
from harness.problem.instances import Instance
from harness.problem.problems import Problem

_FC2_RELU = Networks("relu", "fully connected", (2, 2))
_FC2_KINKED = Networks("any", "fully connected", (2, 2), slopes=(-1, 1))
_FC_LINEAR = Networks("linear", "fully connected")
_FL = Networks("leaky_relu", "fully connected", (2, 2), trained="hidden, signs", slopes=(0, 1))
_FROZEN = Networks("any", "fully connected", (2, 2), trained="hidden, signs", slopes=(-1, 1))
_DIAGONAL = Networks("linear", "diagonal", (2, 2))
_CLASSES = Networks("linear", "fully connected", (2, 2), outputs="several")

_EQUAL = Stated("unequal neurons", unequal_neurons)
_ALL_ONE = Stated("slack margin", slack_margin)
_GATES = Stated("other gates", other_gates)
_NEAR = "n >= 2, (2 n - 3) zeta < R_min^2"
_CLEAR = "n >= 2, delta < gamma^3 / (R + 2 gamma^2), R = R_max^2 / R_min^2, delta = (n - 1) zeta / R_min^2"
_ORTHSEP = "x_i . x_k > 0 within a class, <= 0 between classes"
_CONCAVE = "every kink (i, j) with lambda_i > 0 has y_i v_j < 0"
_INNER = "every kink (i, j) with lambda_i > 0 has a Clarke coefficient strictly between the slopes"
_HERE, _CITED = "docs/statements.md, section 7", "Frei et al. 2022 and 2023; sharper here"


def _always(instance: Instance) -> bool:
    return True


def _signs_and(data: predicates.Data) -> predicates.Data:
    """Fixed outputs of both signs, and this."""

    def both(problem: Problem) -> bool:
        return predicates.outputs_have_both_signs(problem.network) and data(problem)

    return both


_A = (
    Claim(
        "pattern-collapse",
        "fully connected, depth 2, relu or leaky",
        "two live neurons of equal sign of v have equal gates and no kink on the points with lambda_i > 0",
        "w_j / v_j is the same for both, of any two such neurons",
        "theorem",
        _HERE,
        Decision(_FC2_KINKED, Stated("unequal patterns", unequal_patterns), (patterns_meet,)),
    ),
    Claim(
        "depth2-concave-kinks-local",
        "depth 2, no shared weights, relu or leaky",
        f"every w_j is nonzero, and {_CONCAVE}",
        "local optimum of (P)",
        "theorem",
        _HERE,
        Decision(
            Networks("any", "unshared", (2, 2), slopes=(-1, 1)),
            locally_optimal,
            ("nonzero_weight_vectors", concave_kinks),
        ),
    ),
    Claim(
        "dead-local-global",
        "fully connected, depth 2, relu or leaky",
        "some w_j = 0 and v_j = 0, the limit is a local optimum, and the multipliers (of the active points and of the "
        "kinks) are unique",
        "global optimum of (P)",
        "theorem",
        _HERE,
        Decision(_FC2_KINKED, globally_optimal, (dead_neuron, unique_multipliers, local_optimum)),
    ),
    Claim(
        "dead-local-global-any",
        "fully connected, depth 2, relu or leaky",
        "some w_j = 0 and v_j = 0, and the limit is a local optimum",
        "global optimum of (P)",
        "open",
        _HERE,
        Decision(_FC2_KINKED, globally_optimal, (dead_neuron, local_optimum)),
    ),
    Claim(
        "multi-margin",
        "any, every layer trained",
        "",
        "from t0 on, loss^{-1}(L) / prod_l norm(u^l) never decreases",
        "theorem",
        _HERE,
        Decision(Networks("any", outputs="any"), multi_margin_grows, recorded=True),
    ),
)

_B = (
    Claim(
        "orthsep-global",
        "fully connected, depth 2, relu",
        _ORTHSEP,
        "global optimum of (P), and w_j / v_j is the same for all live neurons with v_j > 0, and for all with v_j < 0",
        "theorem",
        _HERE,
        Decision(_FC2_RELU, All((_EQUAL, globally_optimal)), data=predicates.orthogonally_separable),
    ),
    Claim(
        "orthsep-weak-local",
        "fully connected, depth 2, relu",
        "x_i . x_k >= 0 within a class, <= 0 between classes",
        "local optimum of (P)",
        "refuted",
        _HERE,
        Decision(_FC2_RELU, locally_optimal, data=predicates.weakly_orthogonally_separable),
    ),
    Claim(
        "orthsep-deep",
        "fully connected, depth >= 3, relu",
        _ORTHSEP,
        "the value is (m/2) (norm(w+)^(2/m) + norm(w-)^(2/m)), w+ and w- the SVM vectors of each class alone",
        "open",
        _HERE,
        Decision(
            Networks("relu", "fully connected", (3, None)),
            All((Stated("small value", below_classes), Stated("large value", above_classes))),
            data=predicates.orthogonally_separable,
        ),
    ),
    Claim(
        "nearorth-equal",
        "fully connected, depth 2, relu",
        _NEAR,
        "every q_i = 1",
        "theorem",
        _HERE,
        Decision(_FC2_RELU, _ALL_ONE, data=predicates.near_orthogonal),
    ),
    Claim(
        "nearorth-beyond",
        "fully connected, depth 2, relu",
        "R_min^2 <= (2 n - 3) zeta < 3 R_min^2",
        "every q_i = 1",
        "refuted",
        _HERE,
        Decision(_FC2_RELU, _ALL_ONE, data=predicates.hardly_orthogonal),
    ),
    Claim(
        "nearorth-adversarial",
        "fully connected, depth 2, relu",
        "3 (n - 1) zeta < R_min^2, both classes present",
        "with s = sum_k y_k x_k the function t -> y_i Phi(x_i - t y_i s) never increases, and is <= -1 at "
        "t = R (2 - delta) / (n_opp (1 - delta) (1 - 3 delta))",
        "theorem",
        _HERE,
        Decision(_FC2_RELU, Stated("no attack", no_attack), data=predicates.attackable),
    ),
    Claim(
        "linear-all-support",
        "fully connected, linear, any depth",
        _NEAR,
        "every q_i = 1",
        "theorem",
        _HERE,
        Decision(_FC_LINEAR, _ALL_ONE, data=predicates.near_orthogonal),
    ),
    Claim(
        "linear-all-support-beyond",
        "fully connected, linear, any depth",
        "R_min^2 <= (2 n - 3) zeta",
        "every q_i = 1",
        "refuted",
        _HERE,
        Decision(_FC_LINEAR, _ALL_ONE, data=predicates.not_orthogonal),
    ),
    Claim(
        "sym-floor",
        "fully connected, depth 2, relu or leaky",
        "the data are their own mirror image with turned labels, separable by a vector",
        "the value is at least 2 norm(w^) / (1 + gamma), w^ the SVM vector",
        "theorem",
        _HERE,
        Decision(_FC2_KINKED, Stated("small value", below_mirrored), data=predicates.mirrored_and_separable),
    ),
    Claim(
        "sym-global",
        "fully connected, depth 2, relu",
        "the data are their own mirror image with turned labels, separable by a vector",
        "the value is 2 norm(w^), w^ the SVM vector",
        "open",
        _HERE,
        Decision(
            _FC2_RELU,
            All((Stated("small value", below_mirrored), Stated("large value", above_mirrored))),
            data=predicates.mirrored_and_separable,
        ),
    ),
    Claim(
        "univariate-two-breaks",
        "fully connected, depth 2, relu",
        "the second coordinate of every x is 1, n >= 3, and two live neurons face one way and switch in one gap",
        "between neighbouring points with lambda_i > 0, and outside the outermost, the live neurons that face right "
        "switch at one place at most, and so do those that face left",
        "theorem",
        "pattern-collapse",
        Decision(_FC2_RELU, Stated("breaks", breaks), (gaps_meet,), data=predicates.univariate),
    ),
)

_C = (
    Claim(
        "diag2-unbalanced-global",
        "diagonal, linear, depth 2",
        "the data are separable by a vector; at the start abs(u_k) != abs(v_k) for every k",
        "the flow separates, and the limit is a global optimum of (P)",
        "theorem",
        _HERE,
        Decision(
            _DIAGONAL, globally_optimal, data=predicates.separable, start=predicates.unbalanced, separates=_always
        ),
    ),
    Claim(
        "diag2-balanced-orthant",
        "diagonal, linear, depth 2",
        "at the start abs(u_k) = abs(v_k) > 0 for every k",
        "it separates iff some beta with beta_k u_k v_k >= 0 for all k separates the data, and then the value is the "
        "least norm_1(beta) of such a beta with z_i . beta >= 1",
        "theorem",
        _HERE,
        Decision(
            _DIAGONAL,
            All(
                (
                    Stated("left orthant", left_orthant),
                    Stated("small value", below_orthant),
                    Stated("large value", above_orthant),
                )
            ),
            start=predicates.balanced,
            separates=predicates.separable_in_orthant,
        ),
    ),
    Claim(
        "conv-full-nonzero-global",
        "linear, depth 2, W^1[r, c] = u[(c - r) mod d]",
        "no discrete Fourier coefficient of u is zero in the limit",
        "global optimum of (P); its value is the least norm_1(F beta) / sqrt(d) over z_i . beta >= 1, F the unitary "
        "Fourier transform",
        "theorem",
        _HERE,
        Decision(Networks("linear", "circulant", (2, 2)), globally_optimal, (full_spectrum,)),
    ),
    Claim(
        "conv-full-global",
        "linear, depth 2, W^1[r, c] = u[(c - r) mod d]",
        "",
        "global optimum of (P)",
        "refuted",
        _HERE,
        Decision(Networks("linear", "circulant", (2, 2)), globally_optimal),
    ),
    Claim(
        "conv-scalar-global",
        "linear, depth 2, W^1 = u I with one number u",
        "",
        "global optimum of (P); the predictor is along the SVM vector w^, and the value norm(w^)",
        "theorem",
        _HERE,
        Decision(Networks("linear", "scalar", (2, 2)), globally_optimal),
    ),
    Claim(
        "linear-generic-local",
        "linear, any depth, shared or not",
        "no exact invariance holds the flow in a smaller subspace",
        "local optimum of (P)",
        "open",
        _HERE,
        Decision(Networks("linear"), locally_optimal, (not_held,)),
    ),
    Claim(
        "depth2-relu-generic-local",
        "depth 2, no shared weights, relu",
        "no two points are at right angles for a neuron, no exact invariance holds the flow in a smaller subspace, and "
        "no neuron is dead in the limit",
        "local optimum of (P)",
        "refuted",
        _HERE,
        Decision(
            Networks("relu", "unshared", (2, 2)),
            locally_optimal,
            (not_held, no_dead_neuron),
            data=predicates.no_right_angles,
        ),
    ),
    Claim(
        "depth2-inner-kinks-local",
        "depth 2, no shared weights, relu or leaky",
        "every w_j is nonzero, no exact invariance holds the flow in a smaller subspace, the multipliers (of the "
        f"active points and of the kinks) are unique, and {_INNER}",
        "local optimum of (P)",
        "open",
        _HERE,
        Decision(
            Networks("any", "unshared", (2, 2), slopes=(-1, 1)),
            locally_optimal,
            ("nonzero_weight_vectors", not_held, inner_kinks, unique_multipliers),
        ),
    ),
    Claim(
        "cover-small-global",
        "fully connected, depth 2, relu",
        "at the start abs(v_j) = norm(w_j) > 0 for every j, every (cell of the arrangement, sign of v) that has an "
        "interior holds a neuron, and norm(theta(0))^2 R_max <= 1/1000",
        "global optimum of (P)",
        "refuted",
        _HERE,
        Decision(_FC2_RELU, globally_optimal, start=predicates.covering_and_small),
    ),
)

_D = (
    Claim(
        "leaky-equal",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs trained or fixed at 1 and -1",
        "n >= 2, (2 n - 3) zeta < gamma R_min^2",
        "every q_i = 1",
        "theorem",
        _HERE,
        Decision(
            Networks("leaky_relu", "fully connected", (2, 2), trained="all or hidden, signs", slopes=(0, 1)),
            _ALL_ONE,
            data=predicates.near_orthogonal,
        ),
    ),
    Claim(
        "leaky-nearorth",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at 1 and -1, both there",
        _CLEAR,
        "every q_i = 1; sign(w_j . x_i) = v_j y_i; all w_j of one sign of v are equal; global optimum of (P)",
        "theorem",
        _CITED,
        Decision(
            _FL, All((_ALL_ONE, _GATES, _EQUAL, globally_optimal)), data=_signs_and(predicates.clearly_orthogonal)
        ),
    ),
    Claim(
        "leaky-nearorth-sharp",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at 1 and -1, both there",
        "n >= 2, (2 n - 3) zeta < gamma R_min^2",
        "sign(w_j . x_i) = v_j y_i; all w_j of one sign of v are equal",
        "open",
        _HERE,
        Decision(_FL, All((_GATES, _EQUAL)), data=_signs_and(predicates.near_orthogonal)),
    ),
    Claim(
        "leaky-nearorth-any",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at 1 and -1",
        "",
        "all w_j of one sign of v are equal",
        "refuted",
        _HERE,
        Decision(_FL, _EQUAL),
    ),
    Claim(
        "leaky-separable-separates",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at 1 and -1, both there",
        "the data are separable by a vector",
        "the flow separates them",
        "theorem",
        _HERE,
        Decision(_FL, separated, data=_signs_and(predicates.separable), separates=_always),
    ),
    Claim(
        "leaky-orthsep",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at 1 and -1, both there",
        _ORTHSEP,
        "sign(w_j . x_i) = v_j y_i; all w_j of one sign of v are equal; global optimum of (P)",
        "theorem",
        _HERE,
        Decision(_FL, All((_GATES, _EQUAL, globally_optimal)), data=_signs_and(predicates.orthogonally_separable)),
    ),
    Claim(
        "leaky-linear-margin",
        "fully connected, depth 2, leaky with slope gamma in (0, 1), the outputs fixed at m1 times 1 and m2 times -1",
        f"m1, m2 > 0; {_CLEAR}",
        "with z = m1 w_+ - m2 w_-, the rows of either sign: y_i z . x_i >= 1 and "
        "norm(z) <= norm(w^) (m1 + m2) / ((1 + gamma) sqrt(m1 m2)), w^ the SVM vector",
        "theorem",
        _HERE,
        Decision(_FL, Stated("no linear margin", no_linear_margin), data=_signs_and(predicates.clearly_orthogonal)),
    ),
    Claim(
        "frozen-concave-kinks-local",
        "fully connected, depth 2, relu or leaky, the outputs fixed at 1 and -1",
        _CONCAVE,
        "local optimum of (P)",
        "theorem",
        _HERE,
        Decision(_FROZEN, locally_optimal, (concave_kinks,)),
    ),
    Claim(
        "leaky-nonzero-local",
        "depth 2, no shared weights, leaky with slope gamma in (0, 1)",
        "every w_j is nonzero, and no exact invariance holds the flow in a smaller subspace",
        "local optimum of (P)",
        "refuted",
        _HERE,
        Decision(
            Networks("leaky_relu", "unshared", (2, 2), slopes=(0, 1)),
            locally_optimal,
            ("nonzero_weight_vectors", not_held),
        ),
    ),
    Claim(
        "fc-leaky-local",
        "fully connected, leaky with slope gamma in (0, 1), depth >= 2",
        "",
        "local optimum of (P)",
        "refuted",
        _HERE,
        Decision(Networks("leaky_relu", "fully connected", (2, None), slopes=(0, 1)), locally_optimal),
    ),
    Claim(
        "fc-leaky-started-local",
        "fully connected, leaky with slope gamma in (0, 1), depth >= 2",
        "no neuron is zero at the start",
        "local optimum of (P)",
        "refuted",
        _HERE,
        Decision(
            Networks("leaky_relu", "fully connected", (2, None), slopes=(0, 1)),
            locally_optimal,
            start=predicates.no_idle_neuron,
        ),
    ),
)

_E = (
    Claim(
        "mc-depth1-global",
        "depth 1, several outputs",
        "",
        "global optimum of (P)",
        "theorem",
        "convex",
        Decision(Networks("linear", depths=(1, 1), outputs="several"), globally_optimal),
    ),
    Claim(
        "mc-seli-floor",
        "fully connected, linear, depth 2, K >= 2 outputs",
        "x_i = e_i, n = d",
        "the value is at least the nuclear norm of Y - (1/K) 1 1^T, Y one-hot, K x n",
        "theorem",
        "Thrampoulidis et al. 2022",
        Decision(
            _CLASSES,
            Stated("small value", below_classifier),
            data=predicates.standard_basis,
        ),
    ),
    Claim(
        "mc-linear2-global",
        "fully connected, linear, depth 2, several outputs",
        "",
        "global optimum of (P)",
        "refuted",
        _HERE,
        Decision(_CLASSES, globally_optimal),
    ),
    Claim(
        "mc-linear2-generic-global",
        "fully connected, linear, depth 2, several outputs",
        "no exact invariance holds the flow in a smaller subspace",
        "global optimum of (P)",
        "open",
        _HERE,
        Decision(_CLASSES, globally_optimal, (not_held,)),
    ),
)

BEYOND = (*_A, *_B, *_C, *_D, *_E)
