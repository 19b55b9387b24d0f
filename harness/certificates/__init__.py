"""Proof objects and their checker, in exact arithmetic.

This folder imports nothing of the trainer (harness.flow) or of the oracles (harness.oracles), only the reading of
instances and the exact forward pass (harness.problem).  Whoever doubts a counterexample reads this folder and
docs/certificates.md.

Networks of depth 2 without shared weights, whose neurons decouple:
    problems     the margin problem and its two layer problems, as sums over neurons
    structures   the signs, gates and zeros said of a limit, and the nearby point that has them exactly
    bounds       lower bounds by weak duality; certificates of kind "bound" (optimal)
    cells        the same, one bound for every joint cell; kind "cells" (optimal)
    better       a cheaper point against every point with the structure; kind "better" (not optimal)
Every network:
    signs        the signs of the pre-activations said of a limit
    curves       curves along which the margins hold and the norm falls; kind "curve" (not optimal)
    descent      a direction along which the margins hold and the norm falls; kind "descent" (this point: not optimal)
    balls        a convex augmented Lagrangian on a ball; kind "ball" (optimal); lagrangian, dead  its parts
    layers       one layer's problem; kinds "layer tree" (optimal) and "layer better" (not optimal)
    products     bounds on a product of norms, and cheaper points; kinds "product bound" and "cheaper"
    halves       data of two halves that do not help each other; kinds "classes" and "mirrored" (optimal)
    vertices     the vertices of a diagonal network; kind "vertices" (optimal)
    pulls        depth 2 with any number of outputs, neuron by neuron; kind "pulls" (optimal)
What claims state of the limit itself:
    statements   false of every point next to it; kind "statement";  values  the values that are stated
    progress     how far the loss of a linear classifier has fallen;  exponentials  sums of them, between rationals
Stored counterexamples:
    files        verify_file(path); what is proven there and what is evidence
    claims       which certificate denies which claim of the paper;  denials  and of those around it
    mechanisms   whether a certificate can show the mechanism that is said of it
    kkt          a rigorous bound on the KKT residual
    exists       an exact KKT point next to floats
    documents    strict JSON
Where the flow ends:
    flow         check_flow(instance, certificate); kind "flow", what it proves, and the theorems it rests on
    flow_gates   signs and gates that are kept for ever; flow_ends  the limit with them, by a convex problem
    flow_ray     a flow whose direction never changes
    flow_denial  that a proof about the stored limit is one about the proven limit
    flow_start   the loss at the start; what a proof says
Below them:
    checker      check(instance, certificate);  answer  what it says
    taylor, gradients, integers, symmetries, definite, places, trees, parameters, numbers
"""

from harness.certificates.checker import Checked, check
from harness.certificates.files import Verified, verify, verify_file
from harness.certificates.flow import check_flow

__all__ = ["Checked", "Verified", "check", "check_flow", "verify", "verify_file"]
