"""The one shape of a kind of claim, as an audit file states it, and what several kinds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from checker.core.canonical import values_of
from checker.core.records import Claim
from checker.spec.document import Document, Where

C = TypeVar("C", bound=Claim)
Unit = Literal["percent", "blocks", "times", "nats"]
Numbers = Iterable[tuple[Unit, float | None]]


def stated(document: Document, where: Where) -> dict[str, Any]:
    """What a claim in which nothing is wrong states, beside its kind."""
    return {key: value for key, value in document.get(*where).items() if key != "kind"}


@dataclass(frozen=True)
class Kind(Generic[C]):
    """A kind of claim: its record, made of ``values``, and what is decided of a claim, in words made of its keys alone.

    ``numbers`` are those that a claim's keys state, each with its unit; None where a key that states one is not known
    yet. A claim has exactly one of the two keys ``one_of``; ``check`` adds further mistakes that a schema cannot say.
    """

    record: type[C]
    decided: Callable[[C], str]
    numbers: Callable[[C], Numbers] = lambda _: ()
    one_of: tuple[str, str] | None = None
    check: Callable[[Document, Where], None] | None = None
    values: Callable[[Document, Where], dict[str, Any]] = stated

    def read(self, document: Document, where: Where) -> C:
        """The claim at a path where nothing is wrong."""
        values = values_of(self.record, self.values(document, where))
        claim = self.record(**{"says": "", **values}, location=document.place(where))
        if "says" in values:
            return claim
        decided = self.decided(claim)
        return replace(claim, says=f"{decided[0].upper()}{decided[1:]}.")


def on_texts(claim: Claim) -> str:
    """The texts that a claim speaks of."""
    return "on this very text" if claim.scope == "contract" else "on a population of texts like this one"


def rests_on(claim: Claim) -> str:
    """The protocol that a claim names."""
    return f"rests on {claim.protocol}" if claim.protocol else "names no protocol"


def exactly_one(document: Document, where: Where, a: str, b: str) -> None:
    """Adds the mistake of a section that has both of two keys, or neither."""
    # A misspelt key has its own mistake; that one of the two is missing would only repeat it.
    if any(len(bad) > len(where) and bad[: len(where)] == where for bad in document.wrong):
        return
    section = document.get(*where)
    if a in section and b in section:
        document.complain(where, f"both `{a}` and `{b}`", "one of them", "take one of them away", key=(*where, b))
    elif section and a not in section and b not in section:
        document.complain(where, f"neither `{a}` nor `{b}`", "one of them", f"add `{a}` or `{b}`", key=where)
