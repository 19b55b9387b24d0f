"""Verdicts in floats taken at their word, without certificates: for screening."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from harness.oracles.verdict import LayerVerdicts, Verdict
from harness.oracles.verdicts import Verdicts


class Standing:
    """Verdicts whose float answers stand, for screening only: nothing is called violated on their word."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    @cached_property
    def local(self) -> Verdict:
        return _standing(self._verdicts.local)

    @cached_property
    def global_(self) -> Verdict:
        return _standing(self._verdicts.global_)

    @cached_property
    def layers(self) -> tuple[LayerVerdicts, ...]:
        return tuple(LayerVerdicts(_standing(pair.global_), _standing(pair.local)) for pair in self._verdicts.layers)

    @property
    def assumptions(self) -> dict[str, bool | None]:
        return self._verdicts.assumptions

    @property
    def mechanism(self) -> str | None:
        return self._verdicts.mechanism


def _standing(verdict: Verdict) -> Verdict:
    return replace(verdict, certified=verdict.status != "undecided")
