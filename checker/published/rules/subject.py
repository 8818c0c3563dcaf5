"""How a rule about published numbers is declared, and how it concludes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from checker.core.rule import AnyCase, Level, Result, Rule, rule
from checker.published.publication import Publication, Statement

S = TypeVar("S", bound=Statement)
Check = Callable[[Publication], Iterable[Result]]


def published(
    *, level: Level, why: str, remedy: str, waive: str, nothing: str
) -> Callable[[Check], Rule[AnyCase[Publication]]]:
    """As ``rule``, of a function that looks at the published numbers alone; the family is `published`."""

    def made(check: Check) -> Rule[AnyCase[Publication]]:
        @wraps(check)
        def of_case(case: AnyCase[Publication]) -> Iterable[Result]:
            return check(case.audit)

        return rule("published", level=level, why=why, remedy=remedy, waive=waive, nothing=nothing)(of_case)

    return made


@dataclass(frozen=True)
class Subject:
    """What a conclusion is about: one item or several, the place in the source, and what the source says there.

    A question to the source begins with the place, which is put before it here.
    """

    id: str | None  # of the first item; None where the conclusion is about many that belong together
    where: str
    statement: str  # in words, or as the row

    @classmethod
    def of(cls, statement: Statement) -> Subject:
        return cls(statement.id, statement.where, statement.says)

    def passed(self, message: str, recomputed: str = "") -> Result:
        return Result("pass", message, self.id, self.where, self.statement, recomputed)

    def undecided(self, message: str, question: str, recomputed: str = "") -> Result:
        return Result("open", message, self.id, self.where, self.statement, recomputed, f"{self.where}: {question}")

    def failed(self, message: str, *, recomputed: str, question: str, does_not_show: str, asked_at: str = "") -> Result:
        """``asked_at`` is the place that the question is about, where it is another."""
        question = f"{asked_at or self.where}: {question}"
        return Result("fail", message, self.id, self.where, self.statement, recomputed, question, does_not_show)


def of_each(kind: type[S]) -> Callable[[Callable[[Publication, S, Subject], Result | None]], Check]:
    """Makes the check of one statement that of all of its kind; None where it does not apply to a statement."""

    def made(check: Callable[[Publication, S, Subject], Result | None]) -> Check:
        @wraps(check)
        def of_all(publication: Publication) -> Iterator[Result]:
            statements = publication.statements_of(kind)
            results = (check(publication, statement, Subject.of(statement)) for statement in statements)
            return (result for result in results if result is not None)

        return of_all

    return made
