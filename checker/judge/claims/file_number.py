"""How claims about the numbers of files are decided: exactly, by what the headers say."""

from __future__ import annotations

from collections.abc import Callable

from checker.core.facts import ModelFacts
from checker.judge.claims.decision import Decision, Figures
from checker.judge.claims.kind import Range
from checker.judge.form import Unit
from checker.spec.claims.file_number import FileNumber, said

UNREAD = "the checkpoint was not read; run the audit"


def decide(figures: Figures, claim: FileNumber, number: Callable[[ModelFacts], int | None], words: str) -> Decision:
    """``number`` is what is claimed of the checkpoint's or the model's files, ``words`` what it counts."""
    model, checkpoint = figures.distances.evidence.facts.model, figures.checkpoints.get(claim.of)
    statement = f"claimed: {said(claim, words)}"
    unit: Unit = "percent" if claim.quantity == "fewer_percent" else ""
    if checkpoint is None:
        return Decision("open", f"{UNREAD}; {statement}", unit=unit)
    own, base = number(checkpoint.fact.model), number(model)
    if own is None or base is None:
        return Decision(
            "open", f"how many {words} there are is not recorded; run the audit again; {statement}", unit=unit
        )
    fewer = base - own
    value = {"total": float(own), "fewer": float(fewer), "fewer_percent": 100.0 * fewer / base}[claim.quantity]
    message = f"{claim.of} has {own:,} {words} and the model {base:,}, {fewer:,} or {100.0 * fewer / base:.4g} % fewer"
    low, high = claim.bounds
    nearest = min((end for end in (low, high) if end is not None), key=lambda end: abs(value - end))
    return Decision(
        "supported" if claim.holds(value) else "contradicted", f"{message}; {statement}", value, None, unit, nearest
    )


def allowed(_: Figures, claim: FileNumber) -> Range:
    return claim.bounds
