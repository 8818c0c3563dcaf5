"""Statistics of published scores against scipy and against values within the printed precision."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from statistics import geometric_mean, mean, median

import pytest
from scipy import stats

from checker.published.printed import Printed
from checker.published.recompute import correlation, correlation_test, moves, ratios, sign_test


def sample(seed: int, number: int) -> list[tuple[float, float]]:
    draw = Random(seed)
    values = [draw.uniform(0.1, 2.0) for _ in range(number)]
    return [(value, value * draw.uniform(0.6, 1.8)) for value in values]


def printed(pairs: list[tuple[float, float]], digits: int) -> list[tuple[Printed, Printed]]:
    return [(Printed.of(f"{one:.{digits}f}"), Printed.of(f"{other:.{digits}f}")) for one, other in pairs]


SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


@pytest.mark.parametrize("coefficient", SCIPY)
@pytest.mark.parametrize("seed", range(5))
def test_a_correlation_and_its_p_values_are_those_of_scipy(coefficient: str, seed: int) -> None:
    pairs = sample(seed, 9)
    expected = SCIPY[coefficient](*zip(*pairs, strict=True))
    found = correlation(coefficient, printed(pairs, 15))
    assert found is not None
    assert float(found) == pytest.approx(expected.statistic, abs=1e-9)
    p = correlation_test(coefficient, found, len(pairs))
    assert float(p["two"]) == pytest.approx(expected.pvalue, rel=1e-6)
    assert float(p["one"]) == pytest.approx(expected.pvalue / 2, rel=1e-6)


@pytest.mark.parametrize("coefficient", SCIPY)
@pytest.mark.parametrize("seed", range(5))
def test_rounding_moves_a_correlation_no_further_than_its_interval(coefficient: str, seed: int) -> None:
    pairs = sample(seed, 12)
    found = correlation(coefficient, printed(pairs, 2))
    assert found is not None
    exact = SCIPY[coefficient](*zip(*pairs, strict=True)).statistic
    assert found.low <= Fraction(exact) <= found.high


def test_a_constant_table_or_two_pairs_have_no_correlation() -> None:
    level = [(Printed.of("0.1000000000"), Printed.of(f"0.{k}")) for k in range(1, 6)]
    assert [correlation(name, level) for name in SCIPY] == [None, None, None]
    assert correlation("pearson", printed(sample(1, 2), 3)) is None


@pytest.mark.parametrize(("successes", "trials"), [(9, 10), (5, 10), (0, 7), (31, 31)])
def test_a_sign_test_is_that_of_scipy(successes: int, trials: int) -> None:
    found = sign_test(successes, trials)
    greater = stats.binomtest(successes, trials, alternative="greater").pvalue
    assert float(found["one"]) == pytest.approx(greater)
    assert float(found["two"]) == pytest.approx(stats.binomtest(successes, trials).pvalue)


def test_every_kind_of_ratio_contains_that_of_the_unrounded_values() -> None:
    pairs = sample(3, 11)
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    expected = {
        "mean_of_ratios": mean(one / other for one, other in pairs),
        "ratio_of_means": mean(left) / mean(right),
        "geometric_mean": geometric_mean(left) / geometric_mean(right),
        "median_of_ratios": median(one / other for one, other in pairs),
        "ratio_of_medians": median(left) / median(right),
    }
    found = ratios(printed(pairs, 2))
    assert found.keys() == expected.keys()
    for kind, value in expected.items():
        assert found[kind].low <= Fraction(value) <= found[kind].high


def test_a_divisor_that_may_be_zero_leaves_only_the_kinds_without_it() -> None:
    pairs = [(Printed.of("0.2"), Printed.of("0.0")), (Printed.of("0.2"), Printed.of("0.4"))]
    assert set(ratios(pairs)) == {"ratio_of_means", "ratio_of_medians"}
    assert ratios([]) == {}


@pytest.mark.parametrize(
    ("figures", "direction", "expected"),
    [
        (("0.1", "0.2", "0.3"), "increasing", True),
        (("0.1", "0.3", "0.2"), "increasing", False),
        (("0.10", "0.1"), "increasing", None),
        (("0.3", "0.2"), "decreasing", True),
        (("0.30", "0.3"), "constant", True),
        (("0.2", "0.2"), "increasing", None),
        (("0.30", "0.4"), "constant", False),
    ],
)
def test_a_trend_holds_from_each_figure_to_the_next(
    figures: tuple[str, ...], direction: str, expected: bool | None
) -> None:
    assert moves([Printed.of(one) for one in figures], direction) is expected
