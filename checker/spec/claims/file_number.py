"""What claims about the numbers of files share: a checkpoint, and how much more or less than the model it has.

They are exact: the headers of the files decide them, on no text and without an interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, get_args

from checker.core.records import Claim
from checker.spec import checkpoints
from checker.spec.claims.kind import Numbers, exactly_one, stated
from checker.spec.document import Document, Where
from checker.spec.schema import closest, enumerate_words

Quantity = Literal["fewer", "fewer_percent", "total"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class FileNumber(Claim):
    """A number of the checkpoint ``of``, or how much less than the model's it is: exactly, or within bounds."""

    scope: Literal["contract", "population"] = field(default="contract", kw_only=True)
    of: str
    quantity: Quantity
    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None
    within: float = 0.0

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most that it says."""
        if self.equals is not None:
            return self.equals - self.within, self.equals + self.within
        return self.at_least, self.at_most

    def holds(self, number: float) -> bool:
        """Whether it is true of a number."""
        low, high = self.bounds
        return (low is None or number >= low) and (high is None or number <= high)


def values(document: Document, where: Where) -> dict[str, Any]:
    """What a claim in which nothing is wrong states; a number that is given exactly holds to its last digit."""
    known = stated(document, where)
    quantity = next(name for name in QUANTITIES if name in known)
    number: dict[str, Any] = dict(known.pop(quantity))
    if "equals" in number:
        number.setdefault("within", precision(document, (*where, quantity, "equals")))
    return known | number | {"quantity": quantity}


def precision(document: Document, where: Where) -> float:
    """Half a unit of the last digit that a number was written with: 0.05 for 10.2, 0.005 for 10.20."""
    written = Decimal(document.written.get(where, repr(document.get(*where))).replace("_", ""))
    return float(Decimal(5).scaleb(int(written.as_tuple().exponent) - 1))


def check(document: Document, where: Where) -> None:
    """Adds the mistakes that the schema cannot say: which number is claimed, within which bounds, and of what."""
    check_name(document, where)
    present = [name for name in QUANTITIES if document.get(*where, name) is not None]
    if len(present) > 1:
        found, remedy = f"both `{present[0]}` and `{present[1]}`", "make two claims of it"
        document.complain(where, found, "one of them", remedy, key=(*where, present[1]))
    elif not present and not any(bad[: len(where)] == where for bad in document.wrong):
        found, expected = "no number", f"one of {enumerate_words(QUANTITIES)}"
        document.complain(where, found, expected, "add one, for instance `fewer_percent: {at_least: 10}`", key=where)
    for name in present:
        number = (*where, name)
        if document.get(*number, "equals") is not None:
            for bound in ("at_least", "at_most"):
                if document.get(*number, bound) is not None:
                    exactly_one(document, number, "equals", bound)
        elif isinstance(document.get(*number), dict) and not document.doubted(number):
            _bounds(document, number)


def _bounds(document: Document, where: Where) -> None:
    low, high = document.get(*where, "at_least"), document.get(*where, "at_most")
    if low is None and high is None:
        remedy = "add one of them"
        document.complain(where, "no bound", "`equals`, `at_least` or `at_most`", remedy)
    elif low is not None and high is not None and low > high:
        document.complain(
            where, f"at least {low:g} and at most {high:g}", "the lower bound below the upper", "swap them"
        )


def check_name(document: Document, where: Where) -> None:
    """Adds the mistake of a claim about a checkpoint that is not declared."""
    name, declared = document.sound(*where, "of"), checkpoints.declared(document)
    if name is None or name in declared:
        return
    near = closest(name, declared)
    remedy = f"did you mean `{near}`?" if near else "declare it in `checkpoints:`"
    document.complain((*where, "of"), f"`{name}`", f"a checkpoint: {enumerate_words(declared)}", remedy)


def said(claim: FileNumber, unit: str) -> str:
    """The number in words: at least 1.09e+09 parameters fewer than the model."""
    ends = {"at least": claim.at_least, "at most": claim.at_most, "": claim.equals}
    amount = " and ".join(f"{words} {_shown(end)}".strip() for words, end in ends.items() if end is not None)
    within = "" if claim.equals is None else f", within {_shown(claim.within)}"
    if claim.quantity == "fewer_percent":
        return f"{amount} % fewer {unit} than the model{within and f'{within} %'}"
    return f"{amount} {unit}{'' if claim.quantity == 'total' else ' fewer than the model'}{within}"


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number == round(number) and abs(number) >= 1000 else f"{number:.10g}"


def numbers(claim: FileNumber) -> Numbers:
    """The percentages that it states."""
    if claim.quantity == "fewer_percent":
        yield from (
            ("percent", number) for number in (claim.at_least, claim.at_most, claim.equals) if number is not None
        )
