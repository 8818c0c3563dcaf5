"""Claims that the blocks that a method chooses at one step of a series are as good a choice at another."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.words import counted
from checker.spec.claims.kind import Kind, Numbers
from checker.spec.claims.over_steps import OverSteps, check, values


@dataclass(frozen=True)
class Transfer(OverSteps):
    """Removing at ``end`` what the method chose at ``start`` costs little more than what it chooses at ``end``."""

    kind: str = field(default="transfer", init=False)
    method: str
    budget: int
    regret_at_most: float  # percent of perplexity


def _decided(claim: Transfer) -> str:
    chosen = f"the {counted(claim.budget, 'block')} that {claim.method} chooses at step {claim.start}"
    own = f"those that it chooses there, at step {claim.end} of {claim.series}"
    return f"removing {chosen} costs at most {claim.regret_at_most:g} % more perplexity than removing {own}"


def _numbers(claim: Transfer) -> Numbers:
    return ("percent", claim.regret_at_most), ("blocks", claim.budget)


KIND = Kind(Transfer, _decided, _numbers, check=check, values=values)
