"""Claims that what holds here holds for another checkpoint or text."""

from __future__ import annotations

from checker.core.records import Claim
from checker.judge.claims.decision import Decision, Figures


def transfer(_: Figures, claim: Claim) -> Decision:
    return Decision(
        "open",
        "one checkpoint and text cannot decide what holds for another; audit that one too and compare the two "
        f"reports; claimed: the same holds for {claim.to}",
    )
