"""marginalia: a property-based checking harness for theorems on the implicit bias of neural networks.

`drive` and `decide` are loaded when first used, so that reading and verifying stored counterexamples needs
neither a compiler nor a solver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.claims.judge import judge
    from harness.claims.table import Claim, register
    from harness.flow import drive
    from harness.oracles import Verdicts, decide
    from harness.problem.fields import FieldError
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit
    from harness.problem.networks import Network
    from harness.problem.points import Point
    from harness.problem.problems import Problem

__all__ = [
    "Claim",
    "FieldError",
    "Instance",
    "Limit",
    "Network",
    "Point",
    "Problem",
    "Verdicts",
    "decide",
    "drive",
    "judge",
    "register",
]

_HOME = {
    "Claim": "harness.claims.table",
    "FieldError": "harness.problem.fields",
    "Instance": "harness.problem.instances",
    "Limit": "harness.problem.limits",
    "Network": "harness.problem.networks",
    "Point": "harness.problem.points",
    "Problem": "harness.problem.problems",
    "Verdicts": "harness.oracles",
    "decide": "harness.oracles",
    "drive": "harness.flow",
    "judge": "harness.claims.judge",
    "register": "harness.claims.table",
}


def __getattr__(name: str) -> Any:
    """Not harness.problem.later: a project that has the plugin and no claims loads nothing of ours but this."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
