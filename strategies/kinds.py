"""The kinds of networks that the claims around the paper are about, as strategies for `networks` (instances.py)."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from harness.problem.networks import convolutional, fully_connected
from strategies.architectures import CLASSES, Architecture, circulant_networks, networks, unshared_networks

# Slopes in (0, 1); near zero conditions on angles are the hardest.
GENTLE = (Fraction(1, 2), Fraction(9, 10), Fraction(1, 10))

_LEAKY = [Architecture("fully connected", "leaky_relu", 2, slope) for slope in GENTLE]
_SIGNED = [Architecture("fully connected", "leaky_relu", 2, slope, fixed=(2,), signed=True) for slope in GENTLE]
_BENT = Architecture("fully connected", "leaky_relu", 2, Fraction(-1, 2))

RELU = st.just(Architecture("fully connected", "relu"))
DEEP_RELU = st.just(Architecture("fully connected", "relu", 3))
LINEAR = st.sampled_from([Architecture("fully connected", "linear", depth) for depth in (2, 3)])
# Depth 2, relu or leaky.
KINKED = st.sampled_from([Architecture("fully connected", "relu"), *_LEAKY, _BENT])
KINKED_UNSHARED = KINKED | unshared_networks("relu")
LEAKY = st.sampled_from(_LEAKY)
# Leaky with outputs fixed at 1 and -1.
SIGNED = st.sampled_from(_SIGNED)
# Relu too.
FROZEN = st.sampled_from([Architecture("fully connected", "relu", 2, None, fixed=(2,), signed=True), *_SIGNED])
CIRCULANT = circulant_networks("linear")
# A filter of one number.
SCALAR = st.sampled_from([convolutional("linear", d, 1) for d in (1, 2, 3)])
ANY_LINEAR = networks("linear", (2, 3))
# Of several outputs: depth 1, and depth 2.
CLASSIFIERS = st.sampled_from([fully_connected("linear", (d,), outputs=k) for d in (1, 2, 3) for k in CLASSES])
LINEAR_CLASSES = st.sampled_from([Architecture("fully connected", "linear", 2, outputs=k) for k in CLASSES])
