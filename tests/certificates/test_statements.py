"""Kind "statement": true denials are accepted, and the same with anything false in it is rejected."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from typing import Any

import pytest

from harness.certificates import check, verify
from harness.certificates.denials import CLAIMS as DENIALS
from harness.certificates.statements import STATEMENTS
from harness.claims import assumed
from harness.claims.beyond import BEYOND
from harness.claims.conclusions import All
from harness.claims.stated import Stated
from harness.claims.table import CLAIMS
from harness.harvest.finding import proven
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, circulant, diagonal, fully_connected
from harness.problem.problems import Problem
from tests.support import sabotage

HALF = Fraction(1, 2)


def relu(d: int, width: int) -> Network:
    return fully_connected("relu", (d, width))


def signed(d: int, *outputs: int) -> Network:
    return fully_connected("leaky_relu", (d, len(outputs)), negative_slope=HALF, fixed={2: outputs})


LINE = (relu(1, 1), ((1,), (2,)), (1, 1), ((1,), (1,)))
ONE = (relu(1, 1), ((1,),), (1,), ((2,), ("1/2",)))
APART = (signed(2, 1, 1), ((1, 0), (0, 1)), (1, 1), (("3/2", -1, -1, "3/2"), (1, 1)))
SAME = (signed(2, 1, 1), ((1, 0), (0, 1)), (1, 1), (("1/2", "1/2", "1/2", "1/2"), (1, 1)))
TWO = (relu(2, 2), ((1, 0),), (1,), ((1, 1, 1, -1), ("1/2", "1/2")))
TURNED = (relu(2, 3), ((1, 0), (0, 1)), (1, -1), ((1, 0, 0, 1, -1, 0), (1, -1, 3)))
STILL = (relu(2, 2), ((1, 0), (0, 1)), (1, -1), ((1, 0, 0, 1), (1, -1)))
PAIR = (diagonal("linear", 2, 2), ((1, 2),), (1,), ((1, 0), (1, 0)))
GAP = (relu(2, 2), ((1, 1), (2, 1), (3, 1)), (1, 1, 1), ((1, 0, 1, "1/2"), ("2/5", "2/5")))
LONG = (signed(2, 1, -1), ((1, 0), (0, 1)), (1, -1), ((1, 0, 0, 5), (1, -1)))
SHORT = (signed(2, 1, -1), ((1, 0), (0, 1)), (1, -1), ((1, 0, 0, 1), (1, -1)))
ALPHA = {"formula": "mirrored", "alpha": [1]}

ACCEPTED = [
    (LINE, "slack margin", {"sample": 1}),
    (APART, "other gates", {"sample": 1, "neuron": 0}),
    (APART, "unequal neurons", {"neurons": [0, 1]}),
    (TWO, "unequal patterns", {"neurons": [0, 1]}),
    ((*ONE[:3], ((1,), (1,))), "small value", ALPHA),
    (ONE, "large value", {"formula": "classes", "points": [[1]]}),
    (PAIR, "large value", {"formula": "orthant", "points": [[0, "1/2"]], "signs": [1, 1]}),
    (PAIR, "left orthant", {"coordinate": 0, "sign": -1}),
    (TURNED, "no attack", {"sample": 0, "steps": [1, 2]}),
    (GAP, "breaks", {"neurons": [0, 1]}),
    (LONG, "no linear margin", {"point": [1, -1]}),
]
REJECTED = [
    (LINE, "slack margin", {"sample": 0}),
    (APART, "other gates", {"sample": 0, "neuron": 0}),
    (APART, "unequal neurons", {"neurons": [0, 0]}),
    (SAME, "unequal neurons", {"neurons": [0, 1]}),
    # the values are what the formulas say, or are not shown to be anything else
    (ONE, "small value", {"formula": "classes", "alpha": [1]}),
    (ONE, "small value", {"formula": "mirrored", "alpha": [-1]}),
    (ONE, "small value", {"formula": "mirrored", "alpha": [0]}),
    (ONE, "small value", {"formula": "classes", "points": [[1]]}),
    (ONE, "large value", {"formula": "classes", "points": [["1/2"]]}),
    (ONE, "large value", {"formula": "mirrored", "points": [[2]]}),
    (PAIR, "large value", {"formula": "orthant", "points": [[0, "1/2"]], "signs": [1, -1]}),
    (PAIR, "large value", {"formula": "orthant", "points": [[1, 0]], "signs": [1, 1]}),
    (PAIR, "left orthant", {"coordinate": 0, "sign": 1}),
    (PAIR, "left orthant", {"coordinate": 1, "sign": 1}),
    (STILL, "no attack", {"sample": 0, "steps": [1, 2]}),
    (STILL, "no attack", {"sample": 0, "steps": None}),
    (TURNED, "no attack", {"sample": 0, "steps": [2, 1]}),
    ((*GAP[:3], ((1, 0, 2, 0), ("2/5", "3/10"))), "breaks", {"neurons": [0, 1]}),
    (TWO, "breaks", {"neurons": [0, 1]}),
    (SHORT, "no linear margin", {"point": [1, -1]}),
    (SHORT, "no linear margin", {"sample": 0}),
    (LONG, "no linear margin", {"point": ["1/2", -1]}),
    (SAME, "no linear margin", {"sample": 0}),
    (PAIR, "other gates", {"sample": 0, "neuron": 0}),
]


def certificate(theta: Any, says: str, witness: dict[str, Any]) -> dict[str, Any]:
    rows = [list(u) for u in theta]
    return {"kind": "statement", "problem": "full", "scope": "limit", "theta": rows, "says": says, "witness": witness}


def _problem(point: Any) -> Problem:
    network, x, y, _ = point
    return Problem(network, x, y)


def checked(point: Any, says: str, witness: dict[str, Any]) -> Any:
    return check(_problem(point), certificate(point[3], says, witness))


@pytest.mark.parametrize(("point", "says", "witness"), ACCEPTED)
def test_what_is_false_of_a_point_is_accepted(point: Any, says: str, witness: dict[str, Any]) -> None:
    found = checked(point, says, witness)
    assert found.accepted, found.reason
    assert found.bound is None


@pytest.mark.parametrize(("point", "says", "witness"), REJECTED)
def test_what_is_true_or_not_shown_is_rejected(point: Any, says: str, witness: dict[str, Any]) -> None:
    assert not checked(point, says, witness).accepted


def test_every_statement_is_tried() -> None:
    assert {says for _, says, _ in ACCEPTED} == {*STATEMENTS}
    # of unequal patterns every part but the gates is that of unequal neurons
    assert {says for _, says, _ in REJECTED} == {*STATEMENTS} - {"unequal patterns"}


def test_of_several_outputs_only_what_speaks_of_them_is_shown() -> None:
    """Points e_i, a class each: the nuclear norm of Y - 1/3 is 2.  W = I costs 3/2 at depth 1, and 3 at depth 2."""
    basis = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    eye = tuple(c for row in basis for c in row)
    alpha = {"formula": "classifier", "alpha": [1] * 6, "square": 9}
    shallow = (fully_connected("linear", (3,), outputs=3), basis, (0, 1, 2), (eye,))
    assert checked(shallow, "small value", alpha).accepted
    assert checked(shallow, "small value", {**alpha, "alpha": ["1/10"] * 6, "square": "9/100"}).accepted
    for false in ({**alpha, "square": 8}, {"formula": "classes", "alpha": [1] * 6}, {**alpha, "alpha": [-1] * 6}):
        assert not checked(shallow, "small value", false).accepted
    deep = (fully_connected("linear", (3, 3), outputs=3), basis, (0, 1, 2), (eye, eye))
    assert not checked(deep, "small value", alpha).accepted
    assert "with one output" in checked(deep, "other gates", {"sample": 0, "neuron": 0}).reason


def test_a_norm_that_is_too_large_by_rounding_alone_is_not() -> None:
    """|z|^2 = 1 + t^2, and 32/9 is allowed."""
    for more, accepted in ((Fraction(1, 10**9), False), (Fraction(1, 10**7), True)):
        t = str(Fraction(23**0.5) / 3 + more)
        point = (LONG[0], LONG[1], LONG[2], ((1, 0, 0, t), (1, -1)))
        assert checked(point, "no linear margin", {"point": [1, -1]}).accepted is accepted


def test_one_class_alone_is_not_attacked() -> None:
    point = (relu(2, 2), ((1, 0), (0, 1)), (1, 1), ((1, 0, 0, 1), (1, 1)))
    assert checked(point, "no attack", {"sample": 0, "steps": None}).reason == "the claim states no step here"


def test_patterns_are_compared_on_all_points_of_least_margin() -> None:
    """A second point, on which the gates differ; on a third, which has a larger margin, they may."""
    weights = ((1, 1, 1, -1), ("1/2", "1/2"))
    witness = {"neurons": [0, 1]}
    network, one = relu(2, 2), ((1, 0),)
    assert checked((network, one, (1,), weights), "unequal patterns", witness).accepted
    assert not checked((network, (*one, (0, 2)), (1, 1), weights), "unequal patterns", witness).accepted
    assert checked((network, (*one, (0, 4)), (1, 1), weights), "unequal patterns", witness).accepted


def test_a_difference_within_the_ball_is_none() -> None:
    """A margin above the least one by no more than theta is known shows nothing."""
    for above, accepted in ((Fraction(1, 10**9), False), (Fraction(1, 10**7), True)):
        point = (LINE[0], ((1,), (1 + above,)), (1, 1), LINE[3])
        assert checked(point, "slack margin", {"sample": 1}).accepted is accepted


def test_theta_has_to_be_scaled() -> None:
    assert "scaled" in checked((*LINE[:3], ((2,), (1,))), "slack margin", {"sample": 1}).reason


@pytest.mark.parametrize(
    "change",
    [
        {"says": "nothing"},
        {"scope": "global"},
        {"witness": {"sample": 2}},
        {"witness": {}},
        {"witness": 1},
        {"more": 1},
    ],
)
def test_a_wrong_shape_names_its_field(change: dict[str, Any]) -> None:
    given = {**certificate(LINE[3], "slack margin", {"sample": 1}), **change}
    with pytest.raises(FieldError):
        check(_problem(LINE), given)


# --- whole files ---


def beyond() -> dict[str, Any]:
    instance = Instance.of(relu(1, 1), "exponential", ((1,), (2,)), (1, 1), ((1,), (1,)))
    finding = proven(CLAIMS["nearorth-beyond"], instance)
    assert finding is not None
    return finding.record().data


def test_a_file_is_accepted() -> None:
    record = beyond()
    found = verify(record)
    assert found.accepted, found.reason
    assert record["mechanism"] == "slack margin"
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("claim",), "nearorth-equal", "data are not of the kind"),
        (("claim",), "linear-all-support", "speaks of"),
        (("claim",), "orthsep-global", "takes a global certificate"),
        (("mechanism",), "unequal neurons", "not what the certificate denies"),
        (("mechanism",), "saddle", "not what the certificate denies"),
        (("certificate", "witness", "sample"), 0, "may be 1"),
        (("limit", "theta", 0, 0), 1.01, "another theta"),
        (("limit", "multipliers", 0), 0.5, "residual"),
        (("instance", "x", 1, 0), "4", "data are not of the kind"),
    ],
)
def test_a_lie_in_a_file_is_rejected(path: tuple[Any, ...], value: Any, says: str) -> None:
    record = copy.deepcopy(beyond())
    at: Any = record
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    found = verify(record)
    assert not found.accepted
    assert says in found.reason


def test_an_orthant_is_that_of_the_start() -> None:
    """A trainer that drops the larger coordinate ends at a KKT point that costs too much, in the right orthant."""
    network = diagonal("linear", 2, 2)
    instance = Instance.of(network, "exponential", ((1, 2),), (1,), ((1, 2), (1, 2)))
    with sabotage.in_place_of("drive", sabotage.newton_jumps_elsewhere):
        finding = proven(CLAIMS["diag2-balanced-orthant"], instance)
    assert finding is not None
    record = finding.record().data
    assert record["mechanism"] == "large value"
    assert verify(record).accepted
    record["instance"]["theta0"] = [[1, 2], [1, -2]]
    assert "another orthant" in verify(record).reason
    record["instance"]["theta0"] = [[1, 2], [2, 2]]
    assert "start is not of the kind" in verify(record).reason


def test_what_a_claim_states_is_what_denies_it() -> None:
    for claim in BEYOND:
        decision, concluded = claim.decided_by, claim.decided_by.concluded
        parts = concluded.parts if isinstance(concluded, All) else (concluded,)
        stated = {part.says for part in parts if isinstance(part, Stated)}
        denial = DENIALS.get(claim.id)
        if denial is None:
            assert not stated, claim.id
            continue
        assert {*denial.statements} == stated, claim.id
        for own, other in ((decision.data, denial.data), (decision.start, denial.start)):
            # the two build conditions of theirs from the same predicates
            assert own is None or own is other or own.__name__ == "both", claim.id


@pytest.mark.parametrize("claim", [*DENIALS])
def test_what_no_certificate_shows_is_said(claim: str) -> None:
    """A claim that assumes something of the flow is denied by a file alone only as far as it says."""
    denial, assumptions = DENIALS[claim], {*CLAIMS[claim].decided_by.assumptions}
    assert bool(denial.computed) == bool(assumptions & {assumed.not_held, assumed.unique_multipliers})
    assert denial.inner_kinks == (assumed.inner_kinks in assumptions)


@pytest.mark.parametrize("claim", [*DENIALS])
@pytest.mark.parametrize("slope", [-2, -1, -HALF, 0, HALF, 1, 2])
def test_a_denial_is_of_networks_that_the_claim_speaks_of(claim: str, slope: Fraction) -> None:
    activation: Any = "relu" if slope == 0 else "linear" if slope == 1 else "leaky_relu"
    own: Any = {"negative_slope": slope} if activation == "leaky_relu" else {}
    networks = [fully_connected(activation, (2,) * depth, outputs=k, **own) for depth in (1, 2, 3) for k in (1, 3)]
    networks += [diagonal(activation, 2, 2, **own), circulant(activation, 2, **own)]
    networks += [fully_connected(activation, (2, 2), fixed={2: (1, v)}, **own) for v in (1, -1, 2)]
    assert [DENIALS[claim].shape(net) for net in networks] == [CLAIMS[claim].applies(net) for net in networks]
