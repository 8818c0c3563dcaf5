"""Claims about the size of the files that hold a checkpoint's weights."""

from __future__ import annotations

from checker.judge.claims.decision import Decision, Figures
from checker.judge.claims.file_number import allowed, decide
from checker.judge.claims.kind import Kind
from checker.spec.claims.size import Size


def _decide(figures: Figures, claim: Size) -> Decision:
    return decide(figures, claim, lambda model: model.weight_bytes, "bytes of weights on disk")


KIND = Kind(Size, _decide, allowed)
