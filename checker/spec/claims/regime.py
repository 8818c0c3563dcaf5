"""Claims that name a regime, of the distances or of removals."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.records import Claim
from checker.core.words import counted
from checker.spec.claims.kind import Kind, Numbers


@dataclass(frozen=True)
class Regime(Claim):
    """The distances are in the regime ``metric``, or the removals at ``budget`` in the regime ``removal``."""

    kind: str = field(default="regime", init=False)
    metric: str | None = None
    removal: str | None = None
    budget: int | None = None


def _decided(claim: Regime) -> str:
    if claim.removal is not None:
        return f"removals of {counted(claim.budget or 0, 'block')} are in the regime `{claim.removal}`"
    return f"the distances of neighbouring blocks are in the regime `{claim.metric}`"


def _numbers(claim: Regime) -> Numbers:
    return () if claim.budget is None else (("blocks", claim.budget),)


KIND = Kind(Regime, _decided, _numbers, one_of=("metric", "removal"))
