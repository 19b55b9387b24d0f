"""The optimiser that a command line names, beside the flow (harness/optimisers/setups.py)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from harness.problem.fields import FieldError

if TYPE_CHECKING:
    from harness.optimisers import Setup


def add_optimiser(command: Any) -> None:
    """The options of a command; None is as usual."""
    trained = command.add_argument_group("what is trained by an optimiser, too")
    trained.add_argument("--optimiser", metavar="NAME", help="gd, l2, linf, momentum, adam, ...: docs/optimisers.md")
    trained.add_argument("--step-size", type=float, metavar="S", help="default 0.1 or 0.01")
    trained.add_argument("--decay", type=float, metavar="A", help="step t is of size S (t + 2)^-A; default 0")
    for name in ("beta", "beta1", "beta2", "eps", "p"):
        trained.add_argument(f"--{name}", type=float, metavar="V")


def setup_of(options: argparse.Namespace, *own: str) -> Setup | None:
    """The optimiser that was asked for.  own: options that the command has for it alone.  Raises FieldError."""
    from harness.optimisers.setups import OPTIONS, Setup

    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    if options.optimiser is None:
        for name in ("step_size", "decay", *given, *own):
            if name in given or getattr(options, name) is not None:
                raise FieldError(name.replace("_", "-"), "only with --optimiser")
        return None
    steps = {} if options.steps is None else {"steps": options.steps}
    setup = Setup(options.optimiser, step_size=options.step_size, decay=options.decay or 0.0, options=given, **steps)
    return setup.checked()
