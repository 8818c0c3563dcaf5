"""The one shape of a rule: a slug, what it checks and why, and a function from a case to results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checker.records import Audit, Claim, Facts, Level, Outcome


@dataclass(frozen=True)
class Case:
    """What rules look at: the audit, the facts about its files, and the report's own figures."""

    audit: Audit
    facts: Facts
    figures: Mapping[str, Any]  # the report without findings, in the form that report.json publishes
    gaps: tuple[str, ...]  # what the audit asks for and is not measured
    today: str  # ISO date
    known_rules: frozenset[str]
    matched_waivers: frozenset[int] = frozenset()  # known once all other rules have concluded

    def claims(self, *kinds: str) -> Iterator[Claim]:
        return (claim for claim in self.audit.claims if claim.kind in kinds)

    def primary(self, table: str) -> list[Mapping[str, Any]]:
        """The rows of a table of arms that stand in the comparison which verdicts rest on."""
        name = self.audit.selection.name
        return [row for row in self.figures[table] if (row["form"], row["selection"]) == ("matched", name)]

    def verdict(self, claim: Claim) -> Mapping[str, Any]:
        row: Mapping[str, Any] = next(row for row in self.figures["claims"] if row["id"] == claim.id)
        return row


@dataclass(frozen=True)
class Result:
    """One conclusion of a rule: of a claim, or of the audit as a whole."""

    outcome: Outcome
    message: str
    claim: str | None = None


Check = Callable[[Case], Iterable[Result]]


@dataclass(frozen=True)
class Rule:
    """A rule as `pruneaudit explain` shows it. ``check`` yields at least one result, whatever the case."""

    slug: str
    level: Level
    summary: str
    why: str
    remedy: str
    waive: str
    check: Check


def rule(family: str, *, level: Level, why: str, remedy: str, waive: str) -> Callable[[Check], Rule]:
    """Makes a function a rule: its name is the slug, its docstring the one-line summary."""

    def make(check: Check) -> Rule:
        name = check.__name__.replace("_", "-")
        return Rule(f"{family}/{name}", level, str(check.__doc__).strip(), why, remedy, waive, check)

    return make


def passed(message: str, claim: str | None = None) -> Result:
    return Result("pass", message, claim)


def failed(message: str, claim: str | None = None) -> Result:
    return Result("fail", message, claim)


def undecided(message: str, claim: str | None = None) -> Result:
    return Result("open", message, claim)


def not_applicable(message: str) -> Result:
    return Result("not_applicable", message)
