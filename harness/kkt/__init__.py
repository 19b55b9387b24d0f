"""The KKT residual of a direction, for the trainer, which states it of its limits, and for whoever computes it anew.

residual    the residual, with the multipliers and Clarke coefficients that attain it
clarke      the gate patterns next to a point: the generators of the Clarke subdifferential
"""

from harness.kkt.residual import Kkt, kkt
from harness.threads import limit_blas

__all__ = ["Kkt", "kkt"]

limit_blas()
