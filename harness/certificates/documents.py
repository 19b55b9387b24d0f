"""JSON text to Python data, for files that nobody vouches for.

json alone keeps the last of two equal keys, takes NaN, rounds 1e400 to infinity and 1e-400 to zero, and
needs quadratic time for a very long integer.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from harness.certificates.numbers import MAX_DIGITS
from harness.problem.fields import FieldError

# A certificate of 4096 cases is a few megabytes.
MAX_BYTES = 64 * 1024 * 1024


def load(path: Path) -> Any:
    """The content of a JSON file.  Raises FieldError, which names the file, if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FieldError(str(path), "larger than 64 MiB")
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except OSError as error:
        raise FieldError(str(path), error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise FieldError(str(path), "not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise FieldError(str(path), f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise FieldError(str(path), "nested too deeply") from None
    except _Refused as error:
        raise FieldError(str(path), str(error)) from None


class _Refused(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("an object has a duplicate key")
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:
        raise _Refused(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _float(text: str) -> float:
    found = float(text)
    if math.isinf(found) or (not found and any(digit in "123456789" for digit in text.lower().split("e")[0])):
        raise _Refused(f"{text[:40]} is out of the range of floats")
    return found


def _constant(name: str) -> float:
    raise _Refused(f"{name} is not allowed")
