"""The max-margin problem at a limit: is the limit optimal?

verdicts        decide: everything that is said of one limit;  verdict, assumptions  the data of it

Depth 2 without shared weights:
apart           a point, neuron by neuron
regions         the slope of the dual function over a region of one neuron's weight space
programmes      the whole problem and the first layer's problem in one shape
cone            the convex problems, by Clarabel
cells           joint closed cells and the descent over them
multipliers     the best multipliers for given regions
optimality      local and global verdicts;  layers  those on single layers

Every network:
expansion       margins and kinks next to a limit to second order
curves          curves along which the margins hold and the norm falls
balls           proofs of a local optimum to second order;  dead  the part of neurons that are zero
general         the order in which these are tried
layer_tree      one layer's problem by splitting on gates;  layer_forms, least_distance  below it
products        the hard-margin SVM and bounds on products of norms
vertices        diagonal networks
halves          data of two halves that do not help each other: mirrored, or classes of acute angles
circulant       a filter as wide as the input
proofs, exact   certificates in exact rationals
"""

from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.oracles.verdicts import Verdicts, decide
from harness.tools.threads import limit_blas

__all__ = ["LayerVerdicts", "Verdict", "Verdicts", "decide"]

limit_blas()
