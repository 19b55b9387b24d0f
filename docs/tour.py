"""A tour of marginalia in Python: python docs/tour.py

Every cell (# %%) can be run by itself, one after the other, in an editor that knows them. It takes about a minute the
first time, in which the trainer is compiled, and seconds after that.
"""

# %% An instance: a network, a loss, points, labels and a start, in exact numbers.

import json
from fractions import Fraction

from harness import Instance, decide, drive
from harness.problem.networks import fully_connected

# Two points with the label +1, and two relu neurons. The second is off on both points, and its outgoing weight is
# zero: no gradient ever reaches it.
instance = Instance.of(
    network=fully_connected("relu", (2, 2)),
    loss="exponential",
    x=((Fraction(1), Fraction(1, 4)), (Fraction(-1), Fraction(1, 4))),
    y=(1, 1),
    theta0=tuple(tuple(map(Fraction, u)) for u in ((0, 3, 0, -2), (3, 0))),
)
text = instance.to_json()
assert Instance.from_json(text) == instance
print(text)

# %% drive: the flow, followed to the limit of its direction.

(limit,) = drive([instance])
assert limit.status == "converged", limit.reason
point = limit.point
assert point is not None
print([u.round(6).tolist() for u in point.theta], point.value, point.residual)

# One neuron lives: value 1/2 ||theta~||^2 = 4, at a least margin of 1.
assert point.theta[0].round(6).tolist() == [0, 2, 0, 0]
assert point.zeros == [[0, 2, 3], [1]]

# %% decide: is the limit an optimum of the max-margin problem (P)? Of the problem over one layer?

verdicts = decide(limit)
print(verdicts.local.status, verdicts.local.certified, verdicts.local.reason)
assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
assert verdicts.mechanism == "dead neuron"
for number, layer in enumerate(verdicts.trained_layers, start=1):
    print(f"layer {number}: local {layer.local.status}, global {layer.global_.status}")

# %% The certificate is data. The exact checker, which imports nothing of what found it, believes it or not.

from harness.certificates import check  # noqa: E402

certificate = json.loads(json.dumps(verdicts.local.certificate))
print(check(instance.problem, certificate).reason)
assert check(instance.problem, certificate).accepted

# Halve the better point: its margins are then a quarter of what they were, and it proves nothing any more.
halved = [[str(Fraction(a) / 2) for a in u] for u in certificate["better"]]
forged = check(instance.problem, certificate | {"better": halved})
print(forged.reason)
assert not forged.accepted

# %% What a claim says about this limit.

from harness.claims.table import CLAIMS  # noqa: E402

for name in ("fc-relu-local", "depth2-relu-active-local", "fc-linear-global", "kkt"):
    print(f"{name} ({CLAIMS[name].status}): {CLAIMS[name].judged(limit, verdicts)}")
assert CLAIMS["fc-relu-local"].judged(limit, verdicts) == "violated"
# its assumption, that every input is nonzero, does not hold here
assert CLAIMS["depth2-relu-active-local"].judged(limit, verdicts) == "outside"
assert CLAIMS["kkt"].judged(limit, verdicts) == "holds"

# %% A survey: many instances of a stated random law, counted. The same seed gives the same counts.

from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402

from harness.survey import Plan, grid, run  # noqa: E402

with TemporaryDirectory() as folder:
    plan = Plan(tuple(grid(width=(2, 4), n=2)), instances=40, seed=1, claims=("fc-relu-local",), batch=40)
    # any executor of concurrent.futures will do
    with ThreadPoolExecutor(1) as pool:
        counts = run(plan, Path(folder), executor=pool)
found = counts.total.claims["fc-relu-local"]
print(dict(found))
assert sum(found.values()) == 40
