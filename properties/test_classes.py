"""Several outputs.

Depth 1: the limit is a global optimum, the multi-class SVM (mc-depth1-global).  Linear, depth 2, on the standard basis:
the value is at least the nuclear norm of Y - (1/K) 1 1^T (mc-seli-floor).  Linear, depth 2: refuted is that the limit
is a global optimum (mc-linear2-global), and open where no exact invariance holds it (mc-linear2-generic-global).

docs/statements.md, section 7; Thrampoulidis et al., arXiv:2208.05512.
"""

import pytest
from hypothesis import given

from harness.problem.sizes import Sizes
from harness.testing.check import examples
from strategies import instances
from strategies.kinds import CLASSIFIERS, LINEAR_CLASSES
from strategies.predicates import basis_instances


@pytest.mark.claim("mc-depth1-global", decided=20)
@examples(40)
@given(instance=instances(networks=CLASSIFIERS))
def test_depth_1_is_globally_optimal(check, instance):
    check(instance)


@pytest.mark.claim("mc-seli-floor", decided=20)
@examples(110)
@given(instance=basis_instances())
def test_the_basis_costs_at_least_the_nuclear_norm(check, instance):
    check(instance)


@pytest.mark.claim("mc-linear2-global", decided=1)
def test_depth_2_is_not_globally_optimal(refute):
    refute(Sizes(points=2, neurons=2, dimensions=2), patience=(200, 50))


@pytest.mark.claim("mc-linear2-generic-global", decided=5)
@examples(100)
@given(instance=instances(networks=LINEAR_CLASSES))
def test_depth_2_is_globally_optimal_where_nothing_holds_it(check, instance):
    check(instance)
