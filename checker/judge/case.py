"""What rules about measurements look at, and the rules that are asked about one claim after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TypeVar

from checker.core.facts import Facts
from checker.core.records import Audit, Claim, MethodSettings
from checker.core.rule import AnyCase, Result
from checker.judge.figures.form import ArmRow, RangeRow
from checker.judge.form import ClaimRow, ReportFigures
from checker.selection.plan import nothing_compared

C = TypeVar("C", bound=Claim)
D = TypeVar("D", bound=Claim)
R = TypeVar("R", ArmRow, RangeRow)


@dataclass(frozen=True)
class Case(AnyCase[Audit]):
    """What rules about measurements look at beside: the facts about the audit's files, and the report's own figures."""

    facts: Facts
    figures: ReportFigures  # the report without findings, in the form that report.json publishes
    gaps: tuple[str, ...]  # what the audit asks for and is not measured

    def primary(self, rows: Sequence[R]) -> list[R]:
        """The rows that stand in the comparison which verdicts rest on."""
        name = self.audit.selection.name
        return [row for row in rows if (row["form"], row["selection"]) == ("matched", name)]

    def arms(self, method: str | None, budget: int | None) -> list[ArmRow]:
        """The sets that a method answers a budget with in that comparison: several where it has ties."""
        rows = self.primary(self.figures["arms"])
        return [row for row in rows if (row["method"], row["budget"]) == (method, budget)]

    def nothing_compared(self, settings: MethodSettings) -> str | None:
        """Why a method cannot choose anything, and what would let it: no blocks within its reach are comparable."""
        return nothing_compared(self.audit, self.facts.model, settings)

    def verdict(self, claim: Claim) -> ClaimRow:
        return next(row for row in self.figures["claims"] if row["id"] == claim.id)


def each_claim(
    kind: type[C], *others: type[D]
) -> Callable[[Callable[[Case, C | D], Result | None]], Callable[[Case], Iterator[Result]]]:
    """Makes a check of one claim the check of every claim of these kinds: each result, if there is one, gets its id."""

    def made(check: Callable[[Case, C | D], Result | None]) -> Callable[[Case], Iterator[Result]]:
        @wraps(check)
        def of_case(case: Case) -> Iterator[Result]:
            for claim in case.audit.claims_of(kind, *others):
                if result := check(case, claim):
                    yield replace(result, claim=claim.id)

        vars(of_case)["of_claims"] = True
        return of_case

    return made
