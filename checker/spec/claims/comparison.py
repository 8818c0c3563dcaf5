"""Claims that one method's removal costs less than another's, or less than chance."""

from __future__ import annotations

from dataclasses import dataclass, field

from checker.core.records import Claim
from checker.core.words import counted
from checker.spec.claims.kind import Kind, Numbers, on_texts, rests_on
from checker.spec.document import Document, Where


@dataclass(frozen=True)
class Comparison(Claim):
    """At ``budget``, the removal of ``worse`` costs more than that of ``better``: ``at_least`` times as much."""

    kind: str = field(default="comparison", init=False)
    better: str
    worse: str
    budget: int
    at_least: float = 1.0  # times; 1: strictly more


def _decided(claim: Comparison) -> str:
    times = f"at least {claim.at_least:g} times as much as" if claim.at_least > 1 else "more than"
    removing = f"removing {counted(claim.budget, 'block')} by {claim.worse} costs {times} by {claim.better}"
    return f"{removing}, {on_texts(claim)}; {rests_on(claim)}"


def _numbers(claim: Comparison) -> Numbers:
    return ("times", claim.at_least), ("blocks", claim.budget)


def _check(document: Document, where: Where) -> None:
    better, worse = document.sound(*where, "better"), document.sound(*where, "worse")
    if better is not None and better == worse:
        found, remedy = f"`{worse}` as the better and the worse method", "name the method it is compared with"
        document.complain((*where, "worse"), found, "two methods", remedy)


KIND = Kind(Comparison, _decided, _numbers, check=_check)
