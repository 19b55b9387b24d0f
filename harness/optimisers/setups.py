"""What a command line or a survey asks for, as plain data: a method by its name, its options, how many steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.problem.fields import FieldError

if TYPE_CHECKING:
    from harness.optimisers.methods import Method

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

    def checked(self) -> Setup:
        """Itself, if there is such a method.  Raises FieldError.  Not at once: it takes torch."""
        _ = self.method
        return self

    @property
    def method(self) -> Method:
        # it takes torch, which is loaded where something is trained
        from harness.optimisers.names import named

        return named(self.name, step_size=self.step_size, decay=self.decay, **self.options)

    @property
    def label(self) -> str:
        """The name, with what is not usual."""
        parts = [f"{key} {value:g}" for key, value in self.options.items()]
        parts += [f"step {self.step_size:g}"] if self.step_size is not None else []
        parts += [f"decay {self.decay:g}"] if self.decay else []
        return f"{self.name} ({', '.join(parts)})" if parts else self.name
