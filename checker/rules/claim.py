"""Rules about the claims' verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from checker.rules import shape
from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule


@rule(
    "claim",
    level="error",
    why="A claim that the measurement contradicts must not be published.",
    remedy="Correct the claim to the measured figure and its interval, or withdraw it.",
    waive="When the claim is kept to show what is wrong with it.",
)
def contradicted(case: Case) -> Iterator[Result]:
    """The measurement contradicts a claim."""
    for claim in case.audit.claims:
        row = case.verdict(claim)
        if row["verdict"] == "contradicted":
            yield failed(row["message"], claim.id)
        else:
            yield passed(f"{row['verdict']}: {row['message']}", claim.id)
    if not case.audit.claims:
        yield not_applicable("the audit has no claims")


@rule(
    "claim",
    level="error",
    why="A claim that the evidence cannot decide is not supported: silence would be read as agreement.",
    remedy="Measure more prompts or windows as the message says, narrow the claim, or state it as undecided.",
    waive="When the claim is published as an open question.",
)
def undecided(case: Case) -> Iterator[Result]:
    """The evidence does not decide a claim."""
    for claim in case.audit.claims:
        row = case.verdict(claim)
        if row["verdict"] == "open":
            yield shape.undecided(row["message"], claim.id)
        else:
            yield passed(f"{row['verdict']}: {row['message']}", claim.id)
    if not case.audit.claims:
        yield not_applicable("the audit has no claims")
