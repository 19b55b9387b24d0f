"""Every word of the pages, defined once, and the papers behind them."""

from __future__ import annotations

import re

# The heading of the glossary, and where pages find it.
HEADING, ANCHOR = "Words", "words"

WORDS = {
    "network, theta": (
        "Phi(theta; x) is what a network with the weights theta makes of a point x. It is homogeneous: "
        "Phi(c theta; x) = c^m Phi(theta; x) for c > 0, m being the number of layers that are trained."
    ),
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
    "dead neuron": "w_j = 0 and v_j = 0 in the limit; in a deeper network, all weights in and all weights out.",
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
_CITED = re.compile(rf"\b(?:arXiv:(\d{{4}}\.\d{{5}})|({'|'.join(map(re.escape, PAPERS))})(?: \d\b)?)")


def glossary() -> str:
    """The words as Markdown, under their heading."""
    lines = "\n".join(f"- **{word}**: {cited(meaning)}" for word, meaning in WORDS.items())
    return f"## {HEADING}\n\n{lines}"


def cited(text: str) -> str:
    """Our own text, with a link at every paper that it names."""
    return _CITED.sub(lambda found: f"[{found[0]}](https://arxiv.org/abs/{found[1] or PAPERS[found[2]]})", text)
