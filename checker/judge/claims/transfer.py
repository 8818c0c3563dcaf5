"""Claims that what holds here holds for another checkpoint or text."""

from __future__ import annotations

from checker.judge.claims.decision import Decision, Figures
from checker.judge.claims.kind import Kind
from checker.spec.claims.transfer import Transfer


def _decide(_: Figures, claim: Transfer) -> Decision:
    return Decision(
        "open",
        "one checkpoint and text cannot decide what holds for another; audit that one too and compare the two "
        f"reports; claimed: the same holds for {claim.to}",
    )


KIND = Kind(Transfer, _decide)
