"""The max-margin problem at a limit: its KKT conditions, and whether the limit is optimal.

kkt         residual, multipliers and Clarke coefficients of a direction
depth2      a limit of depth 2 without shared weights, neuron by neuron
regions     the slope of the dual function over a region of one neuron's weight space
problems    the whole problem and the first layer's problem in one shape
cone        the convex problems, by Clarabel
cells       joint closed cells and the descent over them
multipliers the best multipliers for given regions
proofs      certificates in exact rationals
decide      local and global verdicts;  layers, verdicts  what is said of one limit
"""

from harness.margin.standing import Standing
from harness.margin.verdict import LayerVerdicts, Verdict
from harness.margin.verdicts import Verdicts, decide

__all__ = ["LayerVerdicts", "Standing", "Verdict", "Verdicts", "decide"]
