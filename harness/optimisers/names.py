"""The methods by name, with the options that each takes."""

from __future__ import annotations

from collections.abc import Callable
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
