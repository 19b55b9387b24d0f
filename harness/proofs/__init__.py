"""The search for proofs of where a flow ends, for the checker in harness.certificates to accept.

It knows nothing of the trainer: what is tried follows from the start alone, and the limit is only what is to be met.

    ends      proof_of_flow: a certificate that is accepted, or None
    gates     signs and gates that may be kept for ever
    sizes     multipliers and sizes of neurons, far beyond the digits of a float
"""

from harness.proofs.ends import proof_of_flow

__all__ = ["proof_of_flow"]
