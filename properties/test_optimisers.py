"""What discrete optimisers do with a linear classifier, exponential loss, and flows that are steepest in other norms.

gamma_N is the largest min_i z_i . u over N(u) <= 1.  Normalised steepest descent in l_inf, l_1 or l_2: after every step
log(1/L) is above a floor, gamma_N sum eta - (B^2/2) sum eta^2 (nsd-floor).  The directions of mirror descent with the
potential of l_p (mirror-lp), of gradient descent (gd-svm), of Adam without eps in l_inf (adam-linf) and with eps in l_2
(adam-eps-l2) tend to one of the largest margin.

Of networks: along a flow that is steepest in l_inf, l_1 or l_2 the smoothed normalised margin never decreases
(steepest-margin), and the direction tends to KKT points in that norm (steepest-kkt).  Open: it converges
(sign-direction).

docs/statements.md, section 8.
"""

import pytest
from hypothesis import given

from harness.testing.check import examples
from strategies import networks
from strategies.descents import adam_descents, gradient_descents, mirror_descents, steepest_descents, steepest_flows

NETWORKS = networks()


@pytest.mark.claim("nsd-floor", decided=40)
@examples(50)
@given(instance=steepest_descents())
def test_steepest_descent_lowers_the_loss(check, instance):
    check(instance)


@pytest.mark.claim("mirror-lp", decided=20)
@examples(40)
@given(instance=mirror_descents())
def test_mirror_descent_tends_to_the_largest_margin(check, instance):
    check(instance)


@pytest.mark.claim("gd-svm", decided=16)
@examples(80)
@given(instance=gradient_descents())
def test_gradient_descent_tends_to_the_svm(check, instance):
    check(instance)


@pytest.mark.claim("adam-linf", decided=14)
@examples(70)
@given(instance=adam_descents(eps=False))
def test_adam_tends_to_the_largest_margin_in_l_inf(check, instance):
    check(instance)


@pytest.mark.claim("adam-eps-l2", decided=14)
@examples(90)
@given(instance=adam_descents(eps=True))
def test_adam_with_eps_tends_to_the_svm(check, instance):
    check(instance)


@pytest.mark.claim("steepest-margin", decided=14)
@examples(42)
@given(instance=steepest_flows(NETWORKS))
def test_the_margin_in_the_norm_never_falls(check, instance):
    check(instance)


@pytest.mark.claim("steepest-kkt", decided=14)
@examples(44)
@given(instance=steepest_flows(NETWORKS))
def test_the_direction_tends_to_kkt_points_in_the_norm(check, instance):
    check(instance)


@pytest.mark.claim("sign-direction", decided=2)
@examples(30)
@given(instance=steepest_flows(NETWORKS, ("linf", "l1")))
def test_the_direction_converges(check, instance):
    check(instance)
