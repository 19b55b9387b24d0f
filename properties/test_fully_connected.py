"""Fully connected networks.

Linear, of any depth: the limit is a global optimum of the margin problem (P) (fc-linear-global); every W^l has rank
one, neighbours are aligned, and the predictor is the hard-margin SVM's direction (fc-linear-aligned).

Relu, of depth 2 and more: refuted is that the limit is a local optimum of (P) (fc-relu-local).

Vardi, Shamir & Srebro, arXiv:2110.02732, section 3; Ji & Telgarsky, arXiv:2006.06657.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies import instances


@pytest.mark.claim("fc-linear-global", decided=20)
@examples(80)
@given(data=st.data())
def test_linear_is_globally_optimal(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("fc-linear-aligned", decided=20)
@examples(80)
@given(data=st.data())
def test_linear_is_aligned(check, family, data):
    check(data.draw(instances(networks=family)))


@pytest.mark.claim("fc-relu-local", decided=1)
def test_relu_is_not_locally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2))
