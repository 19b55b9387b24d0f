"""Further numbers of a limit that a survey may keep, by name: functions of the limit and its verdicts.

Each returns a dict of floats, always with the same keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.limits import Limit

Feature = Callable[[Limit, Any], dict[str, float]]

FEATURES: dict[str, Feature] = {}
# The keys of what a feature returns, which a shard has as columns whatever its rows are.
KEYS: dict[str, tuple[str, ...]] = {}
