"""Proof objects and their checker, in exact arithmetic.

This folder imports nothing of the trainer (harness.flow) or of the oracles (harness.margin), only the reading of
instances and the exact forward pass (harness.instances, harness.networks).  Whoever doubts a counterexample reads
this folder and the statements.

    problems     the margin problem and its two layer problems, as sums over neurons
    structures   the signs, gates and zeros said of a limit, and the nearby point that has them exactly
    bounds       lower bounds by weak duality; certificates of kind "bound" (optimal)
    cells        the same, one bound for every joint cell; kind "cells" (optimal)
    better       a cheaper point against every point with the structure; kind "better" (not optimal)
    checker      check(instance, certificate)
    kkt          a rigorous bound on the KKT residual
    claims       which certificate denies which claim
    files        verify_file(path): stored counterexamples; what is proven there and what is evidence
    documents    strict JSON
    numbers      exact numbers

Certificates cover networks of depth 2 without shared weights, linear and relu.
"""

from harness.certificates.checker import Checked, check
from harness.certificates.files import Verified, verify, verify_file

__all__ = ["Checked", "Verified", "check", "verify", "verify_file"]
