"""The one shape of a rule: a slug, what it checks and why, and a function from a case to results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict, Unpack

from checker.core.facts import Facts
from checker.core.records import Audit, Audited, Claim

About = Literal["measured", "published", "both"]


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


class Frame(Protocol):
    """What rules look at that judge audits of both kinds: the audit file, and what stands around it."""

    @property
    def audit(self) -> Audited: ...
    @property
    def today(self) -> str: ...
    @property
    def known_rules(self) -> frozenset[str]: ...
    @property
    def matched_waivers(self) -> frozenset[int]: ...


class Told(TypedDict, total=False):
    """What a conclusion about published numbers tells beside its message, each as text."""

    where: str  # the place in the source
    statement: str  # what the source says there, in words or as the row
    recomputed: str  # the figure that the check arrives at, with its unit
    question: str  # a failed or open finding, worded as a question to the source
    does_not_show: str  # what nobody should take it for


class Placed(TypedDict):
    """The part of ``Told`` that every conclusion about one item shares."""

    where: str
    statement: str


@dataclass(frozen=True)
class Result:
    """One conclusion of a rule: of a claim or a published item, or of the audit as a whole."""

    outcome: Outcome
    message: str
    claim: str | None = None  # id of the claim or the published item
    where: str = ""  # this and what follows: of published numbers, see Told
    statement: str = ""
    recomputed: str = ""
    question: str = ""
    does_not_show: str = ""


@dataclass(frozen=True)
class Rule:
    """A rule as `pruneaudit explain` shows it. It is not applicable, because of ``nothing``, where it yields no result.

    It takes a Case, a Publication or a Frame: as the rule is ``about`` measured audits, published ones or both.
    """

    slug: str
    level: Level
    summary: str
    why: str
    remedy: str
    waive: str
    check: Callable[[Any], Iterable[Result]]
    about: About = "measured"
    nothing: str = ""  # empty where it yields a result whatever the case

    def results(self, case: Any) -> list[Result]:
        """What it concludes of a case, at least one result."""
        results = list(self.check(case))
        if not results and not self.nothing:
            raise AssertionError(f"rule {self.slug} concluded nothing; expected at least one result, whatever the case")
        return results or [not_applicable(self.nothing)]


def rule(
    family: str, *, level: Level, why: str, remedy: str, waive: str, nothing: str = ""
) -> Callable[[Callable[[Case], Iterable[Result]]], Rule]:
    """Makes a function a rule about measured audits: its name is the slug, its docstring the one-line summary."""
    return lambda check: make_rule(family, "measured", check, level, (why, remedy, waive), nothing)


def common(
    family: str, *, level: Level, why: str, remedy: str, waive: str, nothing: str = ""
) -> Callable[[Callable[[Frame], Iterable[Result]]], Rule]:
    """As ``rule``, about audits of both kinds."""
    return lambda check: make_rule(family, "both", check, level, (why, remedy, waive), nothing)


def make_rule(
    family: str,
    about: About,
    check: Callable[[Any], Iterable[Result]],
    level: Level,
    texts: tuple[str, str, str],
    nothing: str = "",
) -> Rule:
    """A rule from its function: its name is the slug, its docstring the one-line summary."""
    name = check.__name__.replace("_", "-")
    return Rule(f"{family}/{name}", level, str(check.__doc__).strip(), *texts, check, about, nothing)


def is_commit(revision: str | None) -> bool:
    """Whether a hub revision is a full commit, which cannot move as branches and tags do."""
    found = revision or ""
    return len(found) == 40 and all(letter in "0123456789abcdef" for letter in found.lower())


def passed(message: str, claim: str | None = None, **told: Unpack[Told]) -> Result:
    return Result("pass", message, claim, **told)


def failed(message: str, claim: str | None = None, **told: Unpack[Told]) -> Result:
    return Result("fail", message, claim, **told)


def undecided(message: str, claim: str | None = None, **told: Unpack[Told]) -> Result:
    return Result("open", message, claim, **told)


def not_applicable(message: str) -> Result:
    return Result("not_applicable", message)


Outcome = Literal["pass", "fail", "open", "not_applicable"]
Level = Literal["note", "warning", "error"]


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
