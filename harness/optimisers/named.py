"""The methods by name, with the options that each takes: what a command line can ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.optimisers.methods import Adam, GradientDescent, Method, Mirror, Momentum, Steepest
from harness.optimisers.steps import Steps
from harness.problem.fields import FieldError

# What makes each, and the options that it takes besides the step size.
_MADE: dict[str, tuple[Callable[..., Method], tuple[str, ...]]] = {
    "gd": (GradientDescent, ()),
    "gd-by-loss": (lambda **given: GradientDescent(normalised=True, **given), ()),
    "l2": (lambda **given: Steepest("l2", **given), ()),
    "linf": (lambda **given: Steepest("linf", **given), ()),
    "l1": (lambda **given: Steepest("l1", **given), ()),
    "spectral": (lambda **given: Steepest("spectral", **given), ()),
    "momentum": (Momentum, ("beta",)),
    "adam": (Adam, ("beta1", "beta2", "eps")),
    "mirror": (Mirror, ("p",)),
}
NAMES = tuple(_MADE)


def named(name: str, *, step_size: float = 0.1, decay: float = 0.0, **options: float | None) -> Method:
    """The method of this name; an option that is None is at its default.

    options: beta; beta1, beta2, eps; p.  Raises FieldError for a name that there is not, an option of another method,
    and a number that the method does not take.
    """
    if name not in _MADE:
        raise FieldError("optimiser", f"there is no {name!r}, but {', '.join(NAMES)}")
    make, takes = _MADE[name]
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in takes:
            raise FieldError(key, f"{name} takes no such option")
    return make(steps=Steps(step_size, decay), **given)
