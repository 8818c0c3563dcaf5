"""Printed numbers: what they stand for, and interval arithmetic held against exact fractions inside the operands."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.published import printed
from checker.published.printed import Printed

DIGITS = st.text("0123456789", min_size=1, max_size=6)
TEXTS = st.builds(
    lambda sign, whole, part: f"{sign}{whole}{'.' if part else ''}{part}",
    st.sampled_from(["", "+", "-", "\u2212"]), DIGITS, st.text("0123456789", max_size=6),
)  # fmt: skip
NUMBERS = TEXTS.map(Printed.of)
POSITIVE = NUMBERS.filter(lambda number: number.low > 0)
SHARES = st.fractions(0, 1)  # where in an interval a value lies


def within(number: Printed, share: Fraction) -> Fraction:
    """One of the values that a printed number stands for."""
    return number.low + share * (number.high - number.low)


def holds(number: Printed, value: Fraction) -> bool:
    return number.low <= value <= number.high


# --- what a text stands for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("12.09", "12.085", "12.095"),
        ("+2.5", "2.45", "2.55"),
        ("-0.3", "-0.35", "-0.25"),
        ("\u22120.3", "-0.35", "-0.25"),
        ("12.10", "12.095", "12.105"),
        ("7", "6.5", "7.5"),
        (".5", "0.45", "0.55"),
        ("1.2e-05", "0.0000115", "0.0000125"),
        ("0.7920867800712585", "0.79208678007125845", "0.79208678007125855"),
        (12.1, "12.05", "12.15"),
        (12, "11.5", "12.5"),
        (1e-05, "0.000005", "0.000015"),
        (5e-324, "4.5e-324", "5.5e-324"),
    ],
)
def test_a_number_stands_for_what_rounds_to_it(text: str | float, low: str, high: str) -> None:
    assert Printed.of(text) == Printed(Fraction(low), Fraction(high))


@pytest.mark.parametrize(
    "text",
    ["", "12,09", "12.09 %", "about 12", "1_000", "0x1F", "nan", "inf", "12.", "1e9999", "٣", " 1", "1\n", "--1"],
)
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a decimal number; write it like"):
        Printed.of(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected a decimal number"):
        Printed.of(value)


@given(TEXTS)
def test_a_text_is_in_the_middle_of_what_it_stands_for(text: str) -> None:
    found, exact = Printed.of(text), Decimal(text.replace("\u2212", "-"))
    assert found.middle == Fraction(exact)
    assert found.high - found.low == Fraction(10) ** int(exact.as_tuple().exponent)
    assert str(found) == text
    assert found.exact == Printed.exactly(Fraction(exact))


@given(TEXTS, SHARES)
def test_every_value_of_a_number_rounds_to_it(text: str, share: Fraction) -> None:
    """Of the two ends, one each way: which of them a rounding takes is its own affair."""
    exact = Decimal(text.replace("\u2212", "-"))
    step = Fraction(10) ** int(exact.as_tuple().exponent)
    value = within(Printed.of(text), share)
    assert abs(value / step - Fraction(exact) / step) <= Fraction(1, 2)


# --- arithmetic ------------------------------------------------------------------------------------------------------


@given(NUMBERS, NUMBERS, SHARES, SHARES)
def test_sums_differences_and_products_hold_those_of_every_value(
    a: Printed, b: Printed, s: Fraction, t: Fraction
) -> None:
    x, y = within(a, s), within(b, t)
    assert holds(a + b, x + y)
    assert holds(a - b, x - y)
    assert holds(a * b, x * y)
    assert holds(-a, -x)
    if not holds(b, Fraction()):
        assert holds(a / b, x / y)
    else:
        with pytest.raises(ZeroDivisionError, match="which may be zero"):
            a / b


@given(NUMBERS, NUMBERS)
def test_the_ends_of_sums_and_products_are_reached(a: Printed, b: Printed) -> None:
    ends = [(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    for found, values in (
        (a + b, [x + y for x, y in ends]),
        (a - b, [x - y for x, y in ends]),
        (a * b, [x * y for x, y in ends]),
    ):
        assert (found.low, found.high) == (min(values), max(values))


@given(POSITIVE, POSITIVE, SHARES, SHARES)
def test_increases_and_baselines_hold_those_of_every_value(p: Printed, b: Printed, s: Fraction, t: Fraction) -> None:
    perplexity, baseline = within(p, s), within(b, t)
    percent = 100 * (perplexity / baseline - 1)
    found = printed.increase(p, b)
    assert holds(found, percent)
    assert holds(printed.implied_baseline(p, found), baseline)


def test_an_increase_of_the_literature() -> None:
    """12.42 over 12.09: between 12.415 / 12.095 and 12.425 / 12.085, worked out by hand."""
    found = printed.increase(Printed.of("12.42"), Printed.of("12.09"))
    assert found.low == (Fraction("12.415") / Fraction("12.095") - 1) * 100
    assert found.high == (Fraction("12.425") / Fraction("12.085") - 1) * 100
    assert found.ends(signed=True) == "+2.64 to +2.82"
    assert not found.meets(Printed.of("+2.5"))
    assert found.meets(Printed.of("+2.7"))


@given(st.lists(st.tuples(NUMBERS, SHARES), min_size=1, max_size=6))
def test_totals_means_and_medians_hold_those_of_every_value(many: list[tuple[Printed, Fraction]]) -> None:
    numbers, values = [number for number, _ in many], sorted(within(number, share) for number, share in many)
    assert holds(printed.total(numbers), sum(values, Fraction()))
    assert holds(printed.mean(numbers), sum(values, Fraction()) / len(values))
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    assert holds(printed.median(numbers), middle)


@given(st.lists(st.tuples(POSITIVE, SHARES), min_size=1, max_size=5))
def test_geometric_means_hold_those_of_every_value(many: list[tuple[Printed, Fraction]]) -> None:
    """Held against powers, which are exact: low^n <= the product <= high^n."""
    found = printed.geometric_mean([number for number, _ in many])
    product = math.prod((within(number, share) for number, share in many), start=Fraction(1))
    assert found.low ** len(many) <= product <= found.high ** len(many)


def test_a_geometric_mean_is_tight() -> None:
    found = printed.geometric_mean([Printed.exactly(4), Printed.exactly(9)])
    assert found.low < 6 < found.high
    assert found.high - found.low < Fraction(1, 10**30)


@pytest.mark.parametrize("text", ["0", "-1", "0.4"])
def test_what_may_not_be_positive_has_no_geometric_mean(text: str) -> None:
    numbers = [Printed.of("0" if text == "0.4" else text), Printed.of("3")]
    with pytest.raises(ValueError, match="may not be positive"):
        printed.geometric_mean(numbers)


# --- what numbers say of each other ----------------------------------------------------------------------------------


@given(NUMBERS, NUMBERS)
def test_numbers_meet_where_one_value_fits_both(a: Printed, b: Printed) -> None:
    common = printed.intersection([a, b])
    assert a.meets(b) == b.meets(a) == (common is not None)
    if common is not None:
        assert common.inside(a)
        assert common.inside(b)
    assert [a.surely_below(b), b.surely_below(a), a.meets(b)].count(True) == 1


@given(NUMBERS, NUMBERS)
def test_what_is_surely_below_is_surely_at_most(a: Printed, b: Printed) -> None:
    assert a.surely_at_most(b) or not a.surely_below(b)
    assert a.surely_below(b) == (a.high < b.low)


def test_rows_of_a_table_share_the_values_that_fit_all() -> None:
    rows = [Printed.of("12.1"), Printed.of("12.09"), Printed.of("12.12")]
    assert printed.intersection(rows[:2]) == Printed(Fraction("12.085"), Fraction("12.095"))
    assert printed.intersection(rows) is None
    assert printed.intersection(rows[:1]) == rows[0]


def test_numbers_are_equal_by_what_they_stand_for() -> None:
    assert Printed.of("+2.5") == Printed.of("2.5") != Printed.of("2.50")


# --- in words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        ("2.6457", "2.8133", "2.64 to 2.82"),
        ("-0.35", "-0.25", "-0.35 to -0.25"),
        ("0.0095", "0.0105", "0.0095 to 0.0105"),
        ("99.5", "1250", "99 to 1250"),
        ("12.3456789", "12.3456789", "12.3457"),
        ("1234567", "1234567", "1234567"),
        ("0", "0", "0"),
    ],
)
def test_ends_are_told_in_as_many_decimals_as_tell_them_apart(low: str, high: str, told: str) -> None:
    assert Printed(Fraction(low), Fraction(high)).ends() == told


@given(NUMBERS, NUMBERS)
def test_ends_that_are_told_hold_the_interval(a: Printed, b: Printed) -> None:
    found = a * b
    told = [Fraction(end) for end in found.ends().split(" to ")]
    if len(told) == 2:
        assert told[0] <= found.low
        assert found.high <= told[1]
        assert told[1] - told[0] <= max(2, 2 * (found.high - found.low))


def test_a_sign_is_told_where_it_is_asked_for() -> None:
    assert Printed.of("2.5").ends(signed=True) == "+2.45 to +2.55"
    assert Printed.exactly(0).ends(signed=True) == "0"
