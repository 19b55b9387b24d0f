"""The methods by name, with the options that each takes: what a command line or a survey can ask for, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.optimisers.methods import Adam, GradientDescent, Method, Mirror, Momentum, Steepest
from harness.optimisers.steps import Steps
from harness.problem.fields import FieldError

# What makes each, its usual step size, and the options that it takes besides.
_MADE: dict[str, tuple[Callable[..., Method], float, tuple[str, ...]]] = {
    "gd": (GradientDescent, 0.1, ()),
    "gd-by-loss": (lambda **given: GradientDescent(normalised=True, **given), 0.01, ()),
    "l2": (lambda **given: Steepest("l2", **given), 0.01, ()),
    "linf": (lambda **given: Steepest("linf", **given), 0.01, ()),
    "l1": (lambda **given: Steepest("l1", **given), 0.01, ()),
    "spectral": (lambda **given: Steepest("spectral", **given), 0.01, ()),
    "momentum": (Momentum, 0.1, ("beta",)),
    "adam": (Adam, 0.01, ("beta1", "beta2", "eps")),
    "mirror": (Mirror, 0.01, ("p",)),
}
NAMES = tuple(_MADE)
OPTIONS = ("beta", "beta1", "beta2", "eps", "p")


@dataclass(frozen=True)
class Setup:
    """A method by its name, its options, and for how many steps; None is what is usual.

    options: those of OPTIONS that the method takes.  Raises FieldError for a name that there is not, an option of
    another method, and a number that is not taken.
    """

    name: str
    steps: int = 20_000
    step_size: float | None = None
    decay: float = 0.0
    options: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise FieldError("steps", "expected a whole number above 0")
        named(self.name, step_size=self.step_size, decay=self.decay, **self.options)

    @property
    def method(self) -> Method:
        return named(self.name, step_size=self.step_size, decay=self.decay, **self.options)

    @property
    def label(self) -> str:
        """The name, with what is not usual."""
        parts = [f"{key} {value:g}" for key, value in self.options.items()]
        parts += [f"step {self.step_size:g}"] if self.step_size is not None else []
        parts += [f"decay {self.decay:g}"] if self.decay else []
        return f"{self.name} ({', '.join(parts)})" if parts else self.name


def named(name: str, *, step_size: float | None = None, decay: float = 0.0, **options: float | None) -> Method:
    """The method of this name; what is None is as usual.

    options: beta; beta1, beta2, eps; p.  Raises FieldError for a name that there is not, an option of another method,
    and a number that the method does not take.
    """
    if name not in _MADE:
        raise FieldError("optimiser", f"there is no {name!r}, but {', '.join(NAMES)}")
    make, usual, takes = _MADE[name]
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in takes:
            raise FieldError(key, f"{name} takes no such option")
    return make(steps=Steps(usual if step_size is None else step_size, decay), **given)
