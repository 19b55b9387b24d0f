"""marginalia: a property-based checking harness for theorems on the implicit bias of neural networks.

`drive` and `decide` are loaded when first used, so that reading and verifying stored counterexamples needs
neither a compiler nor a solver.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.claims.table import Claim, register
    from harness.flow import drive
    from harness.oracles import Verdicts, decide
    from harness.problem.fields import FieldError
    from harness.problem.instances import Instance
    from harness.problem.limits import Limit
    from harness.problem.networks import Network

__all__ = ["Claim", "FieldError", "Instance", "Limit", "Network", "Verdicts", "decide", "drive", "register"]

_HOME = {
    "drive": "harness.flow",
    "decide": "harness.oracles",
    "Verdicts": "harness.oracles",
    "Claim": "harness.claims.table",
    "register": "harness.claims.table",
    "Instance": "harness.problem.instances",
    "Limit": "harness.problem.limits",
    "Network": "harness.problem.networks",
    "FieldError": "harness.problem.networks",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
