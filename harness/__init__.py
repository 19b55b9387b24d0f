"""marginalia: a property-based checking harness for theorems on the implicit bias of neural networks.

`drive` and `decide` are loaded when first used, so that reading and verifying stored counterexamples needs
neither a compiler nor a solver.
"""

from typing import TYPE_CHECKING

from harness.problem.later import at_first_use

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

__getattr__ = at_first_use(
    __name__,
    {
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
    },
)
