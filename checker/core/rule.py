"""The one shape of a rule: a slug, what it checks and why, and a function from a case to results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from checker.core.records import AnyAudit

A = TypeVar("A", bound=AnyAudit, covariant=True)


@dataclass(frozen=True)
class AnyCase(Generic[A]):
    """What rules look at, whether the audit is of measurements or of published numbers."""

    audit: A
    today: str  # ISO date
    known_rules: Mapping[str, Rule[Any]]  # of both kinds
    # Known once all other rules have concluded.
    matched_waivers: frozenset[int] = field(default=frozenset(), kw_only=True)


@dataclass(frozen=True)
class Result:
    """One conclusion of a rule: of a claim or a published item, or of the audit as a whole.

    What follows ``claim`` is of published numbers, each as text.
    """

    outcome: Outcome
    message: str
    claim: str | None = None  # id of the claim or the published item
    where: str = ""  # the place in the source
    statement: str = ""  # what the source says there, in words or as the row
    recomputed: str = ""  # the figure that the check arrives at, with its unit
    question: str = ""  # a failed or open conclusion, worded as a question to the source
    does_not_show: str = ""  # what nobody should take it for


C = TypeVar("C", bound=AnyCase[Any], contravariant=True)
Conclusion = Result | Iterable[Result] | None  # the one result of a rule, or several; none where it is not applicable


@dataclass(frozen=True)
class Rule(Generic[C]):
    """A rule as `pruneaudit explain` shows it. Where it yields no result it is not applicable, as ``nothing`` says."""

    slug: str
    level: Level
    summary: str
    why: str
    remedy: str
    waive: str
    check: Callable[[C], Conclusion]
    nothing: str = ""  # empty where it yields a result whatever the case
    of_claims: bool = False  # whether each of its results is of one claim

    def results(self, case: C) -> list[Result]:
        """What it concludes of a case, at least one result."""
        concluded = self.check(case)
        results = [concluded] if isinstance(concluded, Result) else list(concluded or ())
        if not results and not self.nothing:
            raise AssertionError(f"rule {self.slug} concluded nothing; expected at least one result, whatever the case")
        return results or [not_applicable(self.nothing)]


def rule(
    family: str, *, level: Level, why: str, remedy: str, waive: str, nothing: str = ""
) -> Callable[[Callable[[C], Conclusion]], Rule[C]]:
    """Makes a function a rule: its name is the slug, its docstring the one-line summary."""

    def made(check: Callable[[C], Conclusion]) -> Rule[C]:
        slug = f"{family}/{check.__name__.replace('_', '-')}"
        of_claims = getattr(check, "of_claims", False)
        return Rule(slug, level, str(check.__doc__).strip(), why, remedy, waive, check, nothing, of_claims)

    return made


def is_commit(revision: str | None) -> bool:
    """Whether a hub revision is a full commit, which cannot move as branches and tags do."""
    return re.fullmatch(r"[0-9a-fA-F]{40}", revision or "") is not None


def passed(message: str, claim: str | None = None) -> Result:
    return Result("pass", message, claim)


def failed(message: str, claim: str | None = None) -> Result:
    return Result("fail", message, claim)


def undecided(message: str, claim: str | None = None) -> Result:
    return Result("open", message, claim)


def not_applicable(message: str, claim: str | None = None) -> Result:
    return Result("not_applicable", message, claim)


Outcome = Literal["pass", "fail", "open", "not_applicable"]
Level = Literal["note", "warning", "error"]
_LEVELS = ("note", "warning", "error")


def weighs(level: str, waived: str | None, fail_on: str) -> bool:
    """Whether a finding counts for the outcome: not waived, and at or above ``fail_on`` (error where it is never)."""
    return waived is None and _LEVELS.index(level) >= _LEVELS.index("error" if fail_on == "never" else fail_on)


@dataclass(frozen=True)
class Finding:
    """What one rule concluded."""

    rule: str
    outcome: Outcome
    level: Level
    message: str
    claim: str | None = None
    location: str | None = None
    waived: str | None = None  # the waiver's reason
