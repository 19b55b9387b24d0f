"""A claim for a person: as one clause, as sentences, and defined in full."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from harness.certificates.denials import CLAIMS as DENIED
from harness.claims.claim import Claim
from harness.claims.conclusions import All, Optimal
from harness.claims.stated import Stated
from harness.show.glossary import PAPERS, words_of

WIDTH = 100

_STATUS = {
    "theorem": "proven; what violates it is a defect: of the trainer, the oracles, the claim or its proof",
    "refuted": "it is false; counterexamples are hunted from scratch, certified and stored",
    "check": "of the trainer itself",
    "open": "a conjecture; what violates it is certified and kept",
}
# What violates a statement of harness.certificates.statements.
VIOLATES = {
    "slack margin": "a q_i above 1",
    "other gates": "an input with y_i v_j (w_j . x_i) < 0",
    "unequal neurons": "two neurons with v_j of one sign that have not the same w_j / v_j",
    "unequal patterns": "two such neurons that have not the same w_j / v_j",
    "small value": "a proven bound of what is stated from below, above the value",
    "large value": "a proven bound of what is stated from above, below the value",
    "left orthant": "a coordinate at which u_k v_k has another sign than at the start",
    "no attack": "a point on whose way it increases, or is above -1 at the end",
    "breaks": "two neurons that switch at two places in one gap",
    "no linear margin": "a point with y_i z . x_i < 1, or a w that shows z to be too long",
}
_FLOATS = "numbers that are clearly off; it is decided in floats, and has no certificate"
_STEPS = "a step of the training that breaks its bound (docs/statements.md, section 8)"


def concluded(claim: Claim) -> str:
    """What a claim says of the limit, as a clause."""
    optimum = claim.conclusion.startswith(("local", "global"))
    return f"the limit is a {claim.conclusion}" if optimum else claim.conclusion


def in_short(claim: Claim) -> str:
    """A claim as one clause: of what, if what, and what."""
    assumed = f", if {claim.assumption}" if claim.assumption else ""
    return f"{claim.setting}{assumed}: {concluded(claim)}"


def sentences(claim: Claim) -> str:
    """Of which networks a claim speaks, and what it says of them: if what, then what."""
    decision = claim.decided_by
    kind, _, more = claim.setting.partition("any, ") if claim.setting.startswith("any, ") else (claim.setting, "", "")
    if claim.setting == "any" or more:
        network = "any network" + (f", {more}" if more else "")
    else:
        network = f"a network {'of' if kind.startswith('depth') else 'that is'} {kind}"
    flow = "" if decision.trained else ", and gradient flow" if decision.separates else (
        ", and gradient flow that separates the data"
    )  # fmt: skip
    where = "" if decision.data or decision.start or decision.trained else ", in the limit,"
    assumed = f"If{where} {claim.assumption}, then" if claim.assumption else "Then"
    return f"take {network}{flow}. {assumed} {concluded(claim)}."


def definition(claim: Claim, counterexamples: Sequence[str] = (), counted: Sequence[str] = ()) -> str:
    """Everything that is to be known of a claim, as text.

    counterexamples: where they are stored.  counted: of the tables, what became of random instances.
    """
    said = sentences(claim)
    rows = [
        ("status", f"{claim.status}: {_STATUS[claim.status]}"),
        ("source", _source(claim)),
        ("violated by", _violated_by(claim)),
        *_listed("counterexample", counterexamples or (["none is stored here"] if claim.status == "refuted" else [])),
        *_listed("counted", counted),
    ]
    wide = max(len(name) for name, _ in rows) + 2
    words = words_of(" ".join((said, claim.source, _violated_by(claim))))
    return "\n".join(
        (
            f"{claim.id}  ({claim.status})",
            "",
            _hanging(said[0].upper() + said[1:], 0),
            "",
            *(_hanging(name.ljust(wide) + text, wide) for name, text in rows),
            "",
            *(_hanging(f"{name}: {meaning}", 4) for name, meaning in words.items()),
        )
    )


def _violated_by(claim: Claim) -> str:
    """What an instance must have that violates it, and whether that is proven."""
    decision = claim.decided_by
    if decision.trained:
        return _STEPS
    parts = decision.concluded.parts if isinstance(decision.concluded, All) else (decision.concluded,)
    proven = [VIOLATES[part.says] if isinstance(part, Stated) else _better(part)
              for part in parts if isinstance(part, Stated | Optimal)]  # fmt: skip
    lost = ["a flow that never separates the data"] if decision.separates else []
    if not proven:
        return lost[0] if lost else _FLOATS
    checked = ", which marginalia verify checks once it is stored" if claim.id in DENIED else ""
    return f"{'; or '.join([*proven, *lost])}: certified in exact arithmetic{checked}"


def _better(optimal: Optimal) -> str:
    what = "weights of one layer that cost less" if optimal.layers else "a feasible point that costs less"
    if optimal.scope == "global":
        return what
    return f"{what}, next to the limit, or a curve from the limit along which the norm falls"


def _source(claim: Claim) -> str:
    """The source; a paper that the words do not have with where it is."""
    named = [number for name, number in PAPERS.items() if name in claim.source and name not in ("VSS", "LL", "JT")]
    return "".join((claim.source or "ours", *(f", arXiv:{number}" for number in named)))


def _listed(name: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(name if number == 0 else "", line) for number, line in enumerate(lines)]


def _hanging(text: str, indent: int) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
