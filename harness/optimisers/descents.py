"""Descent: an instance, and what trains it instead of the flow.

As JSON it is the instance with the key "optimiser" besides; "options" are those that the method takes.

    "optimiser": {"name": "adam", "steps": 300, "step_size": 0.25, "decay": 0.5, "options": {"beta1": 0.5}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from harness.optimisers.setups import Setup
from harness.problem.fields import FieldError
from harness.problem.instances import Instance, read_instance
from harness.problem.reading import Pairs, integer, number, object_of, parse, string


@dataclass(frozen=True)
class Descent(Instance):
    """What is said of the steps of the setup is said of every fewer, too."""

    setup: Setup

    @classmethod
    def by(cls, setup: Setup, instance: Instance) -> Descent:
        """Of an instance."""
        return cls(instance.problem, instance.loss, instance.theta0, setup)

    def to_json(self) -> str:
        """As JSON text; read_any gives it back."""
        own = self.setup
        stated = {"name": own.name, "steps": own.steps, "step_size": own.step_size, "decay": own.decay}
        given = {key: value for key, value in stated.items() if value is not None}
        return f'{super().to_json()[:-1]},\n "optimiser": {json.dumps({**given, "options": dict(own.options)})}}}'


def read_any(text: str) -> Instance:
    """An instance, or a Descent where an optimiser is named.  Raises FieldError."""
    value = parse(text)
    if not isinstance(value, Pairs) or not any(key == "optimiser" for key, _ in value):
        return read_instance(value)
    named = [own for key, own in value if key == "optimiser"]
    if len(named) > 1:
        raise FieldError("optimiser", "duplicate key")
    instance = read_instance(Pairs(pair for pair in value if pair[0] != "optimiser"))
    own = object_of(named[0], "optimiser", ("name", "steps", "decay", "options"), ("step_size",))
    if not isinstance(own["options"], Pairs):
        raise FieldError("optimiser.options", "expected an object")
    options = {key: float(number(given, f"optimiser.options.{key}")) for key, given in own["options"]}
    size = float(number(own["step_size"], "optimiser.step_size")) if "step_size" in own else None
    name, steps = string(own["name"], "optimiser.name"), integer(own["steps"], "optimiser.steps")
    setup = Setup(name, steps, size, float(number(own["decay"], "optimiser.decay")), options)
    return Descent.by(setup.checked(), instance)
