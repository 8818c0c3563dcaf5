"""Claims that what holds here holds for another checkpoint or text."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.records import Claim
from checker.spec.claims.kind import Kind


@dataclass(frozen=True)
class Transfer(Claim):
    """What holds for this checkpoint holds for another, which ``to`` names."""

    kind: str = field(default="transfer", init=False)
    to: str


def _decided(claim: Transfer) -> str:
    return f"what holds for this checkpoint holds for {claim.to}"


KIND = Kind(Transfer, _decided)
