"""How a claim is defined for a person: its sentence, its words, what violates it."""

from __future__ import annotations

import re

import pytest

from harness.certificates.denials import CLAIMS as DENIED
from harness.certificates.statements import STATEMENTS
from harness.claims.table import CLAIMS
from harness.show.definition import VIOLATES, definition, sentences
from harness.show.glossary import WORDS, words_of

# Of pages and stored counterexamples, not of claims.
OF_PAGES = {"robust, fragile", "proven, computed", "g, hears, pushes"}


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_is_defined(name: str) -> None:
    one = CLAIMS[name]
    text = " ".join(definition(one, ["reports/somewhere"], ["relu-2: 3 drawn"]).split())
    assert text.startswith(f"{one.id} ({one.status}) Take ")
    for part in (one.assumption, one.conclusion, one.source or "ours", "reports/somewhere", "relu-2: 3 drawn"):
        assert " ".join(part.split()) in text
    assert ("marginalia verify" in text) <= (one.id in DENIED)


def test_sentences() -> None:
    assert sentences(CLAIMS["kkt"]) == (
        "take any network, and gradient flow that separates the data. Then theta~ is a KKT point of (P)."
    )
    assert sentences(CLAIMS["depth2-linear-nonzero-global"]) == (
        "take a network of depth 2, linear, no shared weights, and gradient flow that separates the data. If, in the "
        "limit, every hidden weight vector w_j is nonzero, then the limit is a global optimum of (P)."
    )
    # it says itself whether the flow separates the data
    assert "and gradient flow. If" in sentences(CLAIMS["leaky-separable-separates"])
    assert "gradient flow" not in sentences(CLAIMS["adam-linf"])


def test_words_are_found_and_none_is_idle() -> None:
    assert "KKT point" in words_of("every kink (i, j) with lambda_i > 0")
    assert words_of("nothing of ours") == {}
    # those of its meaning too
    assert {"limit", "(P)", "margin"} <= words_of("a dead neuron").keys()
    used = {name for claim in CLAIMS.values() for name in words_of(f"{sentences(claim)} {claim.source}")}
    assert used == WORDS.keys() - OF_PAGES


@pytest.mark.parametrize(
    ("symbol", "word"),
    [
        ("lambda_i", "KKT point"),
        ("zeta", "R_min, R_max, zeta"),
        ("w^", "SVM vector"),
        ("u^l", "u^l"),
        ("(P_l)", "(P)"),
        ("t0", "loss, L, t0"),
        ("gamma_N", "N, N*, gamma_N"),
        ("Clarke", "Clarke coefficient"),
    ],
)
def test_a_symbol_of_a_claim_is_defined(symbol: str, word: str) -> None:
    having = [claim for claim in CLAIMS.values() if symbol in f"{claim.assumption} {claim.conclusion}"]
    assert having
    for claim in having:
        assert word in words_of(sentences(claim)), claim.id
        assert re.search(rf"^{re.escape(word)}: ", definition(claim), re.MULTILINE)


def test_what_violates_each() -> None:
    def violated(name: str) -> str:
        (line,) = re.findall(r"violated by +(.*?)\n(?:counter|counted|\n)", definition(CLAIMS[name]), re.DOTALL)
        return " ".join(line.split())

    assert violated("fc-linear-global") == "a feasible point that costs less: certified in exact arithmetic"
    assert violated("kkt").endswith("decided in floats, and has no certificate")
    assert violated("nearorth-equal").startswith("a q_i above 1: certified")
    assert violated("leaky-separable-separates") == "a flow that never separates the data"
    assert violated("gd-svm").startswith("a step of the training")


def test_every_statement_that_can_be_denied_has_words() -> None:
    said = {name for denial in DENIED.values() for name in denial.statements}
    assert said == {*STATEMENTS}
    for name, denial in DENIED.items():
        for statement in denial.statements:
            assert VIOLATES[statement] in " ".join(definition(CLAIMS[name]).split())
