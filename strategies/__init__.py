"""Hypothesis strategies for gradient flow problems.

    from hypothesis import given
    from strategies import fully_connected_networks, instances

    @given(instances(networks=fully_connected_networks("relu")))
    def test_something(instance): ...

Integers and small fractions come first and floats are rare, so that minimal examples are exact and short.
"""

from strategies.architectures import (
    SLOPES,
    Architecture,
    biased_networks,
    circulant_networks,
    convolutional_networks,
    diagonal_networks,
    fixed_networks,
    fully_connected_networks,
    multiclass_networks,
    networks,
    sparse_networks,
    unshared_networks,
)
from strategies.datasets import linearly_separable_datasets, points
from strategies.families import FAMILIES, families
from strategies.initialisations import initialisations, pythagorean
from strategies.instances import LOSSES, instances
from strategies.numbers import exact_numbers, float_numbers, integers, numbers

__all__ = [
    "FAMILIES",
    "LOSSES",
    "SLOPES",
    "Architecture",
    "biased_networks",
    "circulant_networks",
    "convolutional_networks",
    "diagonal_networks",
    "exact_numbers",
    "families",
    "fixed_networks",
    "float_numbers",
    "fully_connected_networks",
    "initialisations",
    "instances",
    "integers",
    "linearly_separable_datasets",
    "multiclass_networks",
    "networks",
    "numbers",
    "points",
    "pythagorean",
    "sparse_networks",
    "unshared_networks",
]
