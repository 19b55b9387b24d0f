"""The augmented Lagrangian of a leaf of a ball (balls.py), as value, gradient and Hessian at theta, term by term."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from harness.certificates.numbers import Rejected
from harness.problem.numbers import Vector, squared_norm


@dataclass(frozen=True)
class Part:
    """A polynomial at theta with bounds on its first three derivatives in the ball."""

    value: Fraction
    gradient: list[Fraction]
    hessian: list[list[Fraction]]
    lipschitz: tuple[Fraction, Fraction, Fraction]


class Lagrangian:
    """F at theta: value, gradient, Hessian, and a bound on its third derivative in the ball."""

    def __init__(self, theta: Vector) -> None:
        size = len(theta)
        self.value = squared_norm(theta) / 2
        self.gradient: list[Fraction] = list(theta)
        self.hessian = [[Fraction(int(r == c)) for c in range(size)] for r in range(size)]
        self.third = Fraction(0)

    def add(self, part: Part, weight: Fraction, rho: Fraction, radius: Fraction, most: Fraction) -> Fraction:
        """-weight p + rho/2 p^2; returns its slope in p at theta.  Raises Rejected where p may exceed `most`."""
        self.third += weight * part.lipschitz[2]
        self._add(part, -weight)
        self.square(part, rho, radius, most)
        return rho * part.value - weight

    def square(self, part: Part, rho: Fraction, radius: Fraction, most: Fraction) -> None:
        """rho/2 p^2.  Raises Rejected where |p| may exceed `most` in the ball."""
        k1, k2, k3 = part.lipschitz
        largest = abs(part.value) + k1 * radius
        if largest > most:
            raise Rejected("the ball is too large for rho")
        self._add(part, rho * part.value)
        self.value -= rho / 2 * part.value**2
        for r, a in enumerate(part.gradient):
            if a:
                line = self.hessian[r]
                for c in range(r + 1):
                    line[c] += rho * a * part.gradient[c]
        self.third += rho * (largest * k3 + 3 * k1 * k2)

    def _add(self, part: Part, slope: Fraction) -> None:
        """slope p."""
        self.value += slope * part.value
        for r, a in enumerate(part.gradient):
            self.gradient[r] += slope * a
            line, own = self.hessian[r], part.hessian[r]
            for c in range(r + 1):
                if own[c]:
                    line[c] += slope * own[c]
