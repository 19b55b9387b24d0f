"""Bad input: one line that names the field."""

from __future__ import annotations


class FieldError(ValueError):
    """Bad input; `field` says where, e.g. ``network.patterns[0][1]``."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field, self.message = field, message

    def __reduce__(self) -> tuple[type[FieldError], tuple[str, str]]:
        # A worker process sends it to its parent; by default an exception is made again from its text alone.
        return type(self), (self.field, self.message)
