"""That a flow cannot be followed further, and a sentence for each reason that has to do with kinks."""

from __future__ import annotations


class Undecided(Exception):
    """The flow cannot be followed further; the message is the reason, a sentence without its full stop."""


# More than one solution.  Tables count these by the words "not unique".
TWO_VELOCITIES = "the flow is not unique: it can leave a kink with two velocities"
SLIDE_FADES = "the flow is not unique: a slide ends where the two sides of its kink have become alike"
PINNED = "the flow is not unique: a neuron whose weights are zero may stay so, or leave"
RESTS = "the flow is not unique, or never separates: one solution stays at the start, and others may leave it"

# No face of the kinks that meet is known to be the one that the flow enters.
CROWDED = "too many kinks meet in one point to try all of their faces"
CLOSED = "none of the faces of the kinks that meet in a point can be entered"
DEPENDENT = "kinks of several layers that meet in a point are not independent"
LAYERED = "the flow slides on kinks of several layers, and such are not followed in batches"
PULLED = "some kinks hold a neuron at zero and others push it away, and such are not followed in batches"
FAINT = "the speed across a kink is too small for the floats"

# To first order both gates of a kink are alike, or its normal is none.
UNANSWERED = "a kink is degenerate: nothing answers to its neuron, or starts to"
UNANSWERED_BESIDE = "a kink is degenerate: nothing answers to its neuron yet, and other neurons are on their kinks too"
UNCERTAIN_START = "a kink is degenerate: how the margins start to answer to its neuron is lost in rounding"
ALIKE = "a kink is degenerate: the flow runs along it, and its two sides add the same"
NO_NORMAL = "a kink is degenerate: it is a deeper neuron's, whose input has no gradient"
TOUCHING = "a kink is degenerate: it is a deeper neuron's, and only touches one of the first layer"
BOTH_WAYS = "a kink is degenerate: neurons that switch on there push an idle one above them both ways"
HELD = "a kink is degenerate: those that hold the flow depend on each other, and some of them push it away"
HEARD = "a kink is degenerate: a neuron above starts to hear the one that slides on it"
SPARE = "a kink is degenerate: the flow stays on it by the coefficients of others, and it may not attract any more"
RESTING = "a kink is degenerate: an input that cannot leave it has a gate that makes a difference"

# Errors of the integrator, however small, decide.
GRAZES = "the flow grazes a kink too closely to tell whether it crosses it"
ELSEWHERE = "the flow passes a saddle or a kink so closely that a smaller error leads elsewhere"
TIE = "margins tie so nearly that it is not known which of them count"
NOWHERE = "the flow passes a saddle or a kink closely, and no limit is found again with a smaller error"

# At the limit itself.
UNKNOWN_RESIDUAL = "the KKT residual of the limit is not known: {}"
