"""One thread for BLAS, in the whole process, from when the trainer, the oracles or the KKT residual are imported.

Their matrices are small: more threads than one wait for each other most of the time.  And they sum in another order,
so that results would depend on the number of cores.  The threads of torch are left as they are.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from threadpoolctl import threadpool_limits


@cache
def limit_blas() -> None:
    """Whoever imported numpy before, and whatever the environment says.  Once: who asks for more later gets it."""
    # Only libraries that are loaded can be limited; numpy and scipy bring one each.
    for library in ("numpy", "scipy.linalg"):
        import_module(library)
    threadpool_limits(limits=1, user_api="blas")
