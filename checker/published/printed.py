"""What a printed number stands for: every value that rounds to it, and arithmetic on such intervals.

Ends are fractions, so sums, products and quotients are exact; what needs a logarithm is rounded outwards. Two printed
numbers agree where their intervals meet. Floats are never compared for equality.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction
from functools import reduce

PATTERN = r"[+\-\u2212]?(?:[0-9]{1,60}(?:\.[0-9]{1,60})?|\.[0-9]{1,60})(?:[eE][+\-]?[0-9]{1,2})?"

_DECIMAL = re.compile(PATTERN.replace("{1,2}", "{1,3}"))  # of floats, the smallest have three digits there
_CONTEXT = Context(prec=60)
_DOWN = Context(prec=1, rounding=ROUND_DOWN)
_CLOSE = Fraction(1, 10**6)  # an interval narrower than this share of its value is shown as one figure
_DIGITS = 6  # of such a figure


@dataclass(frozen=True)
class Printed:
    """The closed interval of values that a printed number stands for: 12.09 for those from 12.085 to 12.095.

    ``text`` is the number as it is printed; empty for what was computed from others.
    """

    low: Fraction
    high: Fraction
    text: str = field(default="", compare=False)

    @staticmethod
    def of(value: str | int | float) -> Printed:
        """What a decimal text, or a number by its shortest decimal text, stands for; ValueError for anything else."""
        text = value if isinstance(value, str) else repr(value)
        if not _DECIMAL.fullmatch(text):
            raise ValueError(f"found {text!r}; expected a decimal number; write it like '12.09' or '-0.3'")
        number = Decimal(text.replace("\u2212", "-"))
        half = Fraction(10) ** int(number.as_tuple().exponent) / 2
        return Printed(Fraction(number) - half, Fraction(number) + half, text)

    @staticmethod
    def exactly(value: int | Fraction) -> Printed:
        """A number that nobody rounded: a count, a constant."""
        return Printed(Fraction(value), Fraction(value))

    @property
    def exact(self) -> Printed:
        """The number itself, for one that is no rounding of another: a bound, a threshold."""
        return Printed(self.middle, self.middle, self.text)

    @property
    def middle(self) -> Fraction:
        return (self.low + self.high) / 2

    def __float__(self) -> float:
        return float(self.middle)

    def __str__(self) -> str:
        return self.text or self.ends()

    # --- arithmetic: the interval of every result that the two operands allow

    def __add__(self, other: Printed | int) -> Printed:
        right = _interval(other)
        return Printed(self.low + right.low, self.high + right.high)

    def __sub__(self, other: Printed | int) -> Printed:
        right = _interval(other)
        return Printed(self.low - right.high, self.high - right.low)

    def __mul__(self, other: Printed | int) -> Printed:
        right = _interval(other)
        products = [end * by for end in (self.low, self.high) for by in (right.low, right.high)]
        return Printed(min(products), max(products))

    def __truediv__(self, other: Printed | int) -> Printed:
        """ZeroDivisionError where the divisor may be zero."""
        right = _interval(other)
        if right.low <= 0 <= right.high:
            raise ZeroDivisionError(f"a quotient by {right}, which may be zero")
        return self * Printed(1 / right.high, 1 / right.low)

    def __neg__(self) -> Printed:
        return Printed(-self.high, -self.low)

    # --- what two printed numbers say of each other

    def meets(self, other: Printed) -> bool:
        """Whether one value fits both."""
        return self.low <= other.high and other.low <= self.high

    def inside(self, other: Printed) -> bool:
        """Whether every value that fits this one fits the other."""
        return other.low <= self.low and self.high <= other.high

    def surely_below(self, other: Printed | int) -> bool:
        """Whether it is less, whatever the digits that were not printed."""
        return self.high < _interval(other).low

    def surely_at_most(self, other: Printed | int) -> bool:
        return self.high <= _interval(other).low

    def ends(self, *, signed: bool = False) -> str:
        """``2.65 to 2.83``: in as many decimals as tell the ends apart, rounded outwards; one figure where they agree
        to six digits."""
        width = self.high - self.low
        if width <= abs(self.middle) * _CLOSE:
            decimals = max(0, _DIGITS - 1 - _magnitude(self.middle)) if self.middle else 0
            return _rounded(self.middle, decimals, None, signed)
        decimals = max(0, 1 - _magnitude(width))
        return f"{_rounded(self.low, decimals, False, signed)} to {_rounded(self.high, decimals, True, signed)}"


def increase(perplexity: Printed, baseline: Printed) -> Printed:
    """Percent by which a perplexity exceeds its baseline (design, 3.2)."""
    return (perplexity / baseline - 1) * 100


def implied_baseline(perplexity: Printed, percent: Printed) -> Printed:
    """The baselines that a perplexity and its increase in percent allow together.

    ZeroDivisionError where the increase may be -100 percent.
    """
    return perplexity / (percent / 100 + 1)


def intersection(many: Iterable[Printed]) -> Printed | None:
    """The values that fit all of them; None where there are none."""
    numbers = list(many)
    low, high = max(number.low for number in numbers), min(number.high for number in numbers)
    return Printed(low, high) if low <= high else None


def monotone(function: Callable[[Iterable[Fraction]], Fraction], many: Sequence[Printed]) -> Printed:
    """A function that falls with none of its numbers: between that of all lower ends and that of all upper ones."""
    return Printed(function(number.low for number in many), function(number.high for number in many))


def total(many: Sequence[Printed]) -> Printed:
    return monotone(lambda ends: sum(ends, Fraction()), many)


def mean(many: Sequence[Printed]) -> Printed:
    return total(many) / len(many)


def median(many: Sequence[Printed]) -> Printed:
    return monotone(statistics.median, many)


def geometric_mean(many: Sequence[Printed]) -> Printed:
    """Outward-rounded; ValueError where one of the numbers may not be positive."""
    if any(number.low <= 0 for number in many):
        raise ValueError("a geometric mean of numbers that may not be positive")
    return Printed(_geometric([number.low for number in many], -1), _geometric([number.high for number in many], 1))


def _interval(value: Printed | int) -> Printed:
    return value if isinstance(value, Printed) else Printed.exactly(value)


def _geometric(values: list[Fraction], outward: int) -> Fraction:
    """The geometric mean, moved outwards by far more than 60 digits lose."""
    logs = [_CONTEXT.ln(_CONTEXT.divide(Decimal(v.numerator), Decimal(v.denominator))) for v in values]
    mean_log = _CONTEXT.divide(reduce(_CONTEXT.add, logs), Decimal(len(logs)))
    return Fraction(_CONTEXT.exp(mean_log)) * (1 + outward * Fraction(1, 10**40))


def _magnitude(value: Fraction) -> int:
    """The power of ten of a value's first digit; 0 for zero."""
    return _DOWN.divide(Decimal(value.numerator), Decimal(value.denominator)).adjusted()


def _rounded(value: Fraction, decimals: int, up: bool | None, signed: bool) -> str:
    """In plain decimal, rounded up, down or (None) to the nearest."""
    scaled = value * Fraction(10) ** decimals
    whole = round(scaled) if up is None else math.ceil(scaled) if up else math.floor(scaled)
    number = Decimal(whole).scaleb(-decimals, _CONTEXT)
    return f"{number:{'+' if signed and whole else ''}f}"
