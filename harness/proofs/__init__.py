"""The search for proofs of where a flow ends, for the checker in harness.certificates to accept.

It knows nothing of the trainer: what is tried follows from the start alone, and the limit is only what is to be met.

    ends      proof_of_flow: a certificate that is accepted, or None
    limits    predicted: where a flow ends by what can be proven of it alone
    gates     signs and gates that may be kept for ever
    sizes     multipliers and sizes of neurons, far beyond the digits of a float
"""

from harness.proofs.ends import proof_of_flow
from harness.proofs.limits import predicted

__all__ = ["predicted", "proof_of_flow"]
