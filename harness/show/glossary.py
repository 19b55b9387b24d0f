"""Every word of the claims and of the pages, defined once, and the papers behind them."""

from __future__ import annotations

import re

# The heading of the glossary, and where pages find it.
HEADING, ANCHOR = "Words", "words"

WORDS = {
    "network, theta": (
        "Phi(theta; x) is what a network with the weights theta makes of a point x. It is homogeneous: "
        "Phi(c theta; x) = c^m Phi(theta; x) for c > 0, m being the number of layers that are trained."
    ),
    "depth, fixed": (
        "the depth is the number of layers; all but the last are hidden, and have the activation. A layer that is "
        "fixed is not trained: norms, gradients and (P) are over the others."
    ),
    "linear, relu, leaky": (
        "the activation: the identity, max(0, .), or slope 1 at positive inputs and any other slope, gamma, at "
        "negative ones. Where it is said that slopes lie in a range, gamma does."
    ),
    "fully connected, diagonal": (
        "every entry of every matrix of weights is a weight of its own; or the hidden matrices have such entries on "
        "their diagonal, and no others."
    ),
    "shared weights": (
        "a weight that stands at several entries of one matrix, as in a convolution. Fully connected and diagonal "
        "networks have none."
    ),
    "u^l": "all weights of layer l, as a vector, each of them once; W^l is their matrix.",
    "loss, L, t0": (
        "L(theta) = sum_i loss(q_i), with loss(q) = exp(-q) or log(1 + exp(-q)). t0 is the first time with L < loss(0):"
        " from then on theta separates the data."
    ),
    "x_i, y_i, z_i": "a point, counted from 0, its label, 1 or -1, and z_i = y_i x_i. n is how many points there are.",
    "margin": (
        "of a point x_i with label y_i: q_i = y_i Phi(theta; x_i); with several classes, Phi of its own class less "
        "Phi of another. theta separates the data if every margin is positive."
    ),
    "(P)": (
        "minimise 1/2 ||theta||^2 subject to every margin being at least 1. A point theta that meets this is "
        "feasible, and 1/2 ||theta||^2 is its value, or its cost. (P_l) is the same for the weights of layer l "
        "alone, the other layers being held where they are."
    ),
    "limit": (
        "gradient flow that separates the data goes to infinity, and its direction theta(t)/||theta(t)|| converges."
        " theta~ is that direction, scaled so that its least margin is 1."
    ),
    "KKT point": (
        "a feasible theta that is the sum over i of lambda_i times the gradient of q_i, with multipliers lambda_i "
        ">= 0 that are zero where q_i > 1; at a kink any gradient of the Clarke subdifferential will do. Every "
        "limit is a KKT point of (P) (LL, JT); whether it is an optimum is what the statements are about."
    ),
    "local, global optimum": "no feasible point near it, or none at all, has a lower value.",
    "neuron": "w_j are the weights into neuron j, w_j . x its input, and v_j the weight out of it.",
    "kink": "the input of a neuron on a point that is exactly zero, where relu and leaky relu have no derivative.",
    "Clarke coefficient": (
        "of a kink: a number from the one slope of the activation to the other with which the limit is a KKT point. "
        "Where several will do, one of them."
    ),
    "gates": "which neurons are on, with a positive input, at which points.",
    "g, hears, pushes": (
        "g_k = -loss'(q_k) > 0 is what the gradient takes from x_k. A neuron hears the points on which it is on; x_k "
        "pushes its input on x_i by y_k sign(v_j) x_k . x_i, in units of g_k |v_j|. A sample is a point with its label."
    ),
    "balance": "what a neuron of depth 2 keeps for ever, v_j^2 - ||w_j||^2.",
    "dead neuron": "w_j = 0 and v_j = 0 in the limit; in a deeper network, all weights in and all weights out.",
    "live": "of a neuron: not dead.",
    "exact invariance": (
        "zeros, ties, symmetries and other linear relations of the weights that hold at the start and that the flow "
        "keeps for ever, whatever it could gain by leaving them."
    ),
    "separable by a vector": "some w has z_i . w > 0 for every i.",
    "SVM vector": "w^ is the vector of least norm with z_i . w^ >= 1 for every i, that of the hard-margin SVM.",
    "R_min, R_max, zeta": (
        "the least and the largest norm of a point, and the largest abs(x_i . x_k) of two points: zeta / R_min^2 says "
        "how far from orthogonal the points are."
    ),
    "mirror image": "with every point x of the data -x is one, with the other label.",
    "arrangement": "the planes w . x_i = 0, which cut the space of all w into cells.",
    "norm_1": "norm_p(w) = (sum_k abs(w_k)^p)^(1/p); a norm that is not named is that of p = 2. 1/p + 1/q = 1.",
    "N, N*, gamma_N": (
        "a norm; its dual, N*(g) = max <g, u> over N(u) <= 1; and the largest margin, gamma_N = max over N(u) <= 1 of "
        "min_i z_i . u, attained at u*. gamma_p and gamma_inf are those of l_p and l_inf."
    ),
    "eta_t": "the size of step t; w_T and L_T are the weights and the loss after T steps.",
    "p_i": "the share of point i in the loss's gradient: proportional to -loss'(q_i), of sum 1.",
    "robust, fragile": (
        "a counterexample is robust if the statement fails still in 95 of 100 flows from a start that is moved a "
        "little in a random direction, and in 95 of 100 where the points are moved a little; its page says how far."
        " Else it is fragile."
    ),
    "proven, computed": (
        "that the statement fails at the limit is proven of every one, in exact arithmetic. The flow is called "
        "proven if it is proven as well that it ends in that limit, from this very start; else a numerical trainer "
        "has computed where it ends."
    ),
    "VSS": (
        "G. Vardi, O. Shamir and N. Srebro, On Margin Maximization in Linear and ReLU Networks, arXiv:2110.02732; "
        "VSS 3 is its section 3."
    ),
    "LL, JT": "K. Lyu and J. Li, arXiv:1906.05890; Z. Ji and M. Telgarsky, arXiv:2006.06657.",
}

PAPERS = {
    "VSS": "2110.02732",
    "LL": "1906.05890",
    "JT": "2006.06657",
    "Du, Hu & Lee 2018": "1806.00900",
    "Soudry et al. 2018": "1710.10345",
    "Frei et al. 2022": "2210.07082",
    "Thrampoulidis et al. 2022": "2208.05512",
}
# How a word stands in a text where that is not its name, as a regular expression.
_ELSEWHERE = {
    "network, theta": r"network|theta|Phi|\bm\b",
    "margin": r"margins?\b|separat|\bq_i|\bq >= 1|class",
    "depth, fixed": r"depth|layer|\bfixed",
    "linear, relu, leaky": r"\blinear\b|\brelu\b|\bleaky\b|activation",
    "fully connected, diagonal": r"fully connected|\bdiagonal",
    "shared weights": r"\bshared",
    "u^l": r"u\^|\bW\^",
    "loss, L, t0": r"\bloss\b|\bL\b|\bt0\b",
    "x_i, y_i, z_i": r"\b[xyz]_[ik]|labels?\b|\bn\b|points?\b",
    "limit": r"limit\b|limits\b|theta~",
    "KKT point": r"KKT|lambda_i|multipliers?\b",
    "local, global optimum": r"optim(?:um|al)\b",
    "neuron": r"neurons?\b|\b[wv]_j|\bv\b",
    "kink": r"kinks?\b",
    "dead neuron": r"\bdead\b|w_j = 0",
    "SVM vector": r"SVM|w\^",
    "R_min, R_max, zeta": r"R_m|\bzeta\b",
    "norm_1": r"norm_[12pq]",
    "N, N*, gamma_N": r"\bN\b(?!\.)|gamma_[Npi]|u\*",
    "eta_t": r"\beta\b|eta_t|_T\b",
    "VSS": r"\bVSS \d",
    "LL, JT": r"\bLL\b|\bJT\b",
}
_CITED = re.compile(rf"\b(?:arXiv:(\d{{4}}\.\d{{5}})|({'|'.join(map(re.escape, PAPERS))})(?: \d\b)?)")


def glossary() -> str:
    """The words as Markdown, under their heading."""
    lines = "\n".join(f"- **{_plain(word)}**: {cited(_plain(meaning))}" for word, meaning in WORDS.items())
    return f"## {HEADING}\n\n{lines}"


def _plain(text: str) -> str:
    """A star is one, and no Markdown."""
    return text.replace("*", r"\*")


def words_of(text: str) -> dict[str, str]:
    """The words that a text has, and those that their meanings have, with their meanings, in the order of WORDS."""
    found, ahead = set[str](), text
    while ahead:
        new = {name for name in WORDS.keys() - found if re.search(_ELSEWHERE.get(name, re.escape(name)), ahead)}
        found |= new
        ahead = " ".join(WORDS[name] for name in new)
    return {name: meaning for name, meaning in WORDS.items() if name in found}


def cited(text: str) -> str:
    """Our own text, with a link at every paper that it names."""
    return _CITED.sub(lambda found: f"[{found[0]}](https://arxiv.org/abs/{found[1] or PAPERS[found[2]]})", text)
