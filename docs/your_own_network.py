"""Your own network, from a trained torch module to a verdict: python docs/your_own_network.py

Every cell (# %%) can be run by itself, one after the other, in an editor that knows them.
"""

# %% A module that Adam has trained on two moons.

import torch
from torch import nn

from harness import Instance, Point, decide, drive

torch.manual_seed(5)
turn = torch.rand(12) * torch.pi
x = torch.stack([turn.cos(), turn.sin()], dim=1)
x[6:] = torch.tensor([1.0, 0.5]) - x[6:]
y = torch.tensor([1] * 6 + [-1] * 6)

# The first layer may have a bias: it becomes weights on a constant coordinate. A deeper bias is not homogeneous.
module = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1, bias=False))
optimiser = torch.optim.Adam(module.parameters(), lr=0.03)
for _ in range(1000):
    optimiser.zero_grad()
    nn.functional.softplus(-y * module(x)[:, 0]).mean().backward()
    optimiser.step()

# %% The module as a point of the max-margin problem (P): scaled to a least margin of 1.

point = Point.from_torch(module, x, y)
print(point)
assert point.margins.min() == 1
assert point.residual > 1e-2

# %% Is it a local optimum? No: it is not even a KKT point, and a direction proves it, in exact arithmetic.

verdicts = decide(point)
print(verdicts)
assert (verdicts.local.status, verdicts.local.certified) == ("not_optimal", True)
assert verdicts.mechanism == "not a KKT point"

# %% What is the KKT point next to it, and is that one a local optimum? These are verdicts about another point.

nearest = point.nearest_kkt()
assert nearest is not None
print(f"at distance {point.distance_to(nearest):.3f}, value {nearest.value:.4f} instead of {point.value:.4f}")
print(decide(nearest))

# %% Follow the gradient flow on from the module, to the limit of its direction.

instance = Instance.from_torch(module, x, y, "logistic")
(limit,) = drive([instance], record=True)
print(limit)
assert limit.point is not None
assert limit.point.residual < 1e-9

# %% "The limit of gradient flow is a local optimum of (P)." Here it is none: a dead neuron could wake.

refuted = decide(limit)
print(refuted)
assert (refuted.local.status, refuted.local.certified) == ("not_optimal", True)
assert refuted.mechanism == "dead neuron"

# %% Pictures: the data and the lines where neurons switch, margins and multipliers, spectra, the path.

before, after = point.plot(), limit.plot()
assert len(before.axes) == 3
assert len(after.axes) == 4
# before.savefig("module.svg"); in a notebook `point`, `limit` and `verdicts` show themselves
