"""Claims about the number of a checkpoint's parameters."""

from __future__ import annotations

from checker.judge.claims.decision import Decision, Figures
from checker.judge.claims.file_number import allowed, decide
from checker.judge.claims.kind import Kind
from checker.spec.claims.parameters import Parameters


def _decide(figures: Figures, claim: Parameters) -> Decision:
    return decide(figures, claim, lambda model: model.parameters, "parameters")


KIND = Kind(Parameters, _decide, allowed)
