"""Claims that name a regime, of the distances or of removals."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.records import Claim
from checker.spec.claims.kind import Kind


@dataclass(frozen=True)
class Regime(Claim):
    """The distances are in the regime ``metric``, or the removals at ``budget`` in the regime ``removal``."""

    kind: str = field(default="regime", init=False)
    metric: str | None = None
    removal: str | None = None
    budget: int | None = None


def _sentence(claim: Regime) -> str:
    if claim.removal is not None:
        return f"Removals of {claim.budget} blocks are `{claim.removal}`."
    return f"The distances are in the regime `{claim.metric}`."


KIND = Kind(Regime, _sentence, one_of=("metric", "removal"))
