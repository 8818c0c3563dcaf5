"""The numbers that a claim's own words state: percent, blocks, times and nats. Nothing else in them is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from checker.spec.claims.kind import Unit

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)}
_WORDS |= {ten: 10 * value for value, ten in enumerate(_TENS, 2)}
_WORDS |= {f"{ten}-{one}": _WORDS[ten] + _WORDS[one] for ten in _TENS for one in _ONES[1:10]}
_AS_TIMES = {"twice": 2.0, "thrice": 3.0}

_NUMBER = rf"(?:[+−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|\b(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b)"
# What may stand between a count and its noun. "3 of 30 layers" are three.
_BETWEEN = (
    rf"(?:\s+of\s+(?:the\s+|its\s+)?{_NUMBER})?(?:\s+(?:of\s+the|of\s+its|more|further|other|whole|single|neighbouring|"
    r"adjacent|consecutive|contiguous|decoder|transformer|residual|middle|deep|deepest|first|last|upper|lower))*"
)
_UNITS: dict[Unit, str] = {
    "percent": r"\s*(?:%|percent\b|per\s+cent\b)",
    "blocks": rf"{_BETWEEN}\s+(?:layers?|blocks?)\b",
    "times": r"\s*(?:times\b|×|x\b|-?fold\b)",
    "nats": r"\s*nats?\b",
}
_UNIT = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _UNITS.items())
_STATED = re.compile(
    rf"(?<![\w.,])(?P<first>{_NUMBER})(?:\s*(?:to|–|-)\s*(?P<second>{_NUMBER}))?(?:{_UNIT})|\b(?P<word>twice|thrice)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Stated:
    """A number with its unit, and as it was written. One without a sign speaks of an amount, up or down."""

    unit: Unit
    value: float
    written: str
    signed: bool

    def agrees(self, number: float) -> bool:
        """Whether a key's number is this one, to the six digits that sentences made of keys have."""
        found = number if self.signed else abs(number)
        return abs(found - self.value) <= 1e-5 * abs(self.value)


def stated(text: str) -> Iterator[Stated]:
    """The numbers that a text states with one of these units, in its order; both ends of a range."""
    for match in _STATED.finditer(text):
        written = " ".join(match.group().split())
        if word := match["word"]:
            yield Stated("times", _AS_TIMES[word.lower()], written, signed=False)
            continue
        unit = next(name for name in _UNITS if match[name] is not None)
        for number in filter(None, (match["first"], match["second"])):
            yield Stated(unit, _value(number), written, number[0] in "+-−")


def _value(number: str) -> float:
    """The value of a number in figures or in words; a comma parts thousands, or else the decimals."""
    if number.lower() in _WORDS:
        return float(_WORDS[number.lower()])
    figures = number.replace("−", "-").rstrip(",")
    thousands = re.fullmatch(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:e[+-]?\d+)?", figures, re.IGNORECASE)
    figures = figures.replace(",", "") if thousands else figures.replace(",", ".", 1).replace(",", "")
    return float(figures)
