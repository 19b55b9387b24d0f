"""Descent: an instance, and what trains it instead of the flow: an optimiser by name, its numbers, and how many steps.

As JSON it is the instance with the key "optimiser" besides; "options" are those that the optimiser takes.

    "optimiser": {"name": "adam", "steps": 300, "size": 0.25, "decay": 0.5, "options": {"beta1": 0.5, "beta2": 0.5}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.problem.fields import FieldError
from harness.problem.instances import Instance, read_instance
from harness.problem.reading import Pairs, integer, number, object_of, parse, string


@dataclass(frozen=True)
class Optimiser:
    """name: one of harness.optimisers.NAMES.  Its step sizes are size (t + 2)^-decay for t = 0, 1, ..."""

    name: str
    size: float
    decay: float = 0.0
    options: tuple[tuple[str, float], ...] = ()

    def __getitem__(self, option: str) -> float:
        """An option.  Raises KeyError where it is not stated."""
        return dict(self.options)[option]


@dataclass(frozen=True)
class Descent(Instance):
    """What is said of so many steps is said of every fewer, too."""

    optimiser: Optimiser
    steps: int

    @classmethod
    def by(cls, optimiser: Optimiser, steps: int, instance: Instance) -> Descent:
        """Of an instance.  Raises FieldError for a number of steps below 1."""
        if steps < 1:
            raise FieldError("optimiser.steps", "expected a number above 0")
        return cls(instance.problem, instance.loss, instance.theta0, optimiser, steps)

    @property
    def instance(self) -> Instance:
        """Without the optimiser."""
        return Instance(self.problem, self.loss, self.theta0)

    def to_json(self) -> str:
        """As JSON text; read_any gives it back."""
        own = self.optimiser
        stated = {"name": own.name, "steps": self.steps, "size": own.size, "decay": own.decay}
        text = json.dumps({**stated, "options": dict(own.options)})
        return f'{super().to_json()[:-1]},\n "optimiser": {text}}}'


def read_any(text: str) -> Instance:
    """An instance, or a Descent where an optimiser is named.  Raises FieldError."""
    value = parse(text)
    named = [own for key, own in value if key == "optimiser"] if isinstance(value, Pairs) else []
    if not named:
        return read_instance(value)
    instance = read_instance(Pairs(pair for pair in value if pair[0] != "optimiser"))  # type: ignore[union-attr]
    keys = ("name", "steps", "size", "decay", "options")
    own = object_of(named[0], "optimiser", keys)
    options = own["options"] if isinstance(own["options"], Pairs) else Pairs()
    numbers = tuple((key, float(number(value, f"optimiser.options.{key}"))) for key, value in options)
    size, decay = (float(number(own[key], f"optimiser.{key}")) for key in ("size", "decay"))
    name, steps = string(own["name"], "optimiser.name"), integer(own["steps"], "optimiser.steps")
    return Descent.by(Optimiser(name, size, decay, numbers), steps, instance)
