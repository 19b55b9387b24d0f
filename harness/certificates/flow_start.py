"""What a proof of a flow says in the end, and that the loss at the start is below loss(0)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from harness.certificates.signs import Signs
from harness.problem.instances import Instance

# Beyond this a margin counts as this: its loss is small enough.
_LARGE = 40
_TERMS = 120
_BITS = 64


@dataclass(frozen=True)
class End:
    """The limit theta~ of every solution from theta0.

    radius: |theta~ - theta| is at most this, in the trained parameters.  signs: of its pre-activations, as in signs.py;
    None where nothing has a kink.  zeros: (layer, parameter), from 0, that are zero in it; there may be more.
    facts: the proof, one sentence each.
    """

    radius: Fraction
    signs: Signs | None
    zeros: frozenset[tuple[int, int]]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """The checker's answer.  reason: one sentence.  end: what is proven; None where the certificate is rejected."""

    accepted: bool
    reason: str
    end: End | None = None


def starts_separated(given: Instance) -> bool:
    """Whether the loss at theta0 is shown to be below loss(0); only for one output.

    sum exp(-q_i) < 1, or sum log(1 + exp(-q_i)) < log 2, that is prod (1 + exp(-q_i)) < 2.
    """
    q = given.problem.margins(given.theta0)
    if min(q) <= 0 or given.network.outputs > 1:
        return False
    losses = [_decay(a) for a in q]
    return sum(losses) < 1 if given.loss == "exponential" else prod(1 + a for a in losses) < 2


def _decay(q: Fraction) -> Fraction:
    """At least exp(-q) for q > 0: one over the first terms of the series of exp(q), rounded down."""
    q = min(q, Fraction(_LARGE))
    q = Fraction(int(q * (1 << _BITS)), 1 << _BITS)
    term = total = Fraction(1)
    for k in range(1, _TERMS):
        # Rounding down keeps the sum below exp(q).
        term = Fraction(int(term * q / k * (1 << _BITS)), 1 << _BITS)
        total += term
    return 1 / total
