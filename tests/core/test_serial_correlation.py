"""Neighbouring units that go together, units that share tokens, skewed units: closed cases, and simulated error rates.

Every simulation has a fixed seed; the number of repetitions keeps its standard error below 0.6 percentage points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from checker.core import rank_correlation, resampling, statistics
from checker.core.records import Statistics
from checker.core.statistics import Estimate

SETTINGS = Statistics()
NOTHING = Estimate(0.0, (0.0, 0.0), 0)
REPEATS = 2500

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def normal(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return generator.standard_normal(shape)


def log_normal(sigma: float) -> Draw:
    """With mean 0: skewed to the right, the more the larger sigma is."""
    return lambda generator, shape: generator.lognormal(0.0, sigma, shape) - np.exp(sigma**2 / 2)


def neighbours(draw: Draw, rho: float, units: int, repeats: int = REPEATS) -> np.ndarray:
    """Series [repeats, units] of which neighbours are correlated by ``rho``; their true mean is 0."""
    shocks = draw(np.random.default_rng([units, round(100 * rho)]), (repeats, units + 40))
    series = shocks.copy()
    for unit in range(1, series.shape[1]):
        series[:, unit] = rho * series[:, unit - 1] + np.sqrt(1 - rho**2) * shocks[:, unit]
    return series[:, 40:]


def differences(series: np.ndarray, settings: Statistics = SETTINGS) -> list[Estimate]:
    """The paired differences in NLL that the rows are, each window of one token."""
    ones = np.ones(series.shape[1])
    return [statistics.nll_difference(row, np.zeros_like(ones), ones, settings) for row in series]


def missing(estimates: list[Estimate]) -> float:
    """The share of estimates whose interval misses the true mean of 0; one without an interval says nothing wrong."""
    intervals = [estimate.interval for estimate in estimates if estimate.interval is not None]
    return sum(not low <= 0.0 <= high for low, high in intervals) / len(estimates)


def supported_falsely(estimates: list[Estimate]) -> float:
    """The share that would support a bound which the truth just reaches: the decisive upper end lies below it."""
    return sum(estimate.decisive is not None and estimate.decisive[1] < 0.0 for estimate in estimates) / len(estimates)


# --- closed cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("units", [2, 8, 64])
def test_the_inflation_is_the_sum_over_lags(rho: float, units: int) -> None:
    lags = sum((1 - lag / units) * rho**lag for lag in range(1, units))
    assert resampling._inflation(rho, units) == pytest.approx(1 + 2 * lags)


def test_independent_units_have_the_error_of_the_jackknife() -> None:
    values = np.random.default_rng(0).standard_normal(20)
    left_out = (values.sum() - values) / 19
    found = resampling.spread(left_out, independent=True)
    assert found is not None
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(20))
    assert found.effective_units == 20.0


def test_the_correlation_is_corrected_for_its_bias_and_never_negative() -> None:
    rising = np.arange(10.0)
    raw = sum((rising[k] - 4.5) * (rising[k + 1] - 4.5) for k in range(9)) / sum((rising - 4.5) ** 2)
    assert raw == pytest.approx(0.7)
    assert resampling.serial_correlation(rising) == 0.95, "(10 * 0.7 + 1) / 7 is more than the largest that is taken"
    assert resampling.serial_correlation(np.array([1.0, -1.0] * 8)) == 0.0
    assert resampling.serial_correlation(np.ones(12)) == 0.0
    blocks = np.array([0.0, 0.0, 1.0, 1.0] * 6)
    raw = sum((blocks[k] - 0.5) * (blocks[k + 1] - 0.5) for k in range(23)) / 6.0
    assert resampling.serial_correlation(blocks) == pytest.approx((24 * raw + 1) / 21)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40))
def test_going_together_never_narrows_an_interval(values: list[float]) -> None:
    left_out = (np.sum(values) - np.array(values)) / (len(values) - 1)
    alone, together = (resampling.spread(left_out, independent) for independent in (True, False))
    assert alone is not None
    assert together is not None
    assert together.error >= alone.error * (1 - 1e-9)
    assert together.effective_units <= alone.effective_units


def test_the_order_of_the_units_counts() -> None:
    values = np.repeat(np.random.default_rng(1).standard_normal(12), 4)
    apart = values.reshape(12, 4).T.ravel()
    (together,), (scattered,) = differences(values[None]), differences(apart[None])
    assert together.effective_units is not None
    assert scattered.effective_units is not None
    assert together.effective_units < 15 < scattered.effective_units
    assert together.value == pytest.approx(scattered.value)


def test_fewer_than_eight_effective_units_give_no_interval() -> None:
    series = np.repeat([0.0, 1.0], 10)[None]
    (together,), (declared,) = differences(series), differences(series, Statistics(independent=True))
    assert together.effective_units is not None
    assert together.effective_units < 8
    assert together.interval is None
    assert declared.interval is not None


def test_units_that_are_not_counted_belong_to_the_value_alone() -> None:
    values, ones = np.array([*np.arange(10.0), 100.0]), np.ones(11)
    settings = Statistics(independent=True, counted=tuple(range(10)))
    whole = statistics.nll_difference(values, 0 * ones, ones, settings)
    part = statistics.nll_difference(values[:10], 0 * ones[:10], ones[:10], Statistics(independent=True))
    assert whole.value == values.mean()
    assert whole.units == 10
    assert whole.log_standard_error == pytest.approx(part.log_standard_error)
    assert whole.interval is not None
    assert part.interval is not None
    assert whole.interval[1] - whole.value == pytest.approx(part.interval[1] - part.value)


def test_the_skewness_limit_grows_with_the_units() -> None:
    limits = [Estimate(0.0, (-1.0, 1.0), units).skewness_limit for units in (8, 20, 80)]
    assert limits == pytest.approx([0.25 * np.sqrt(20), 0.25 * np.sqrt(20), 0.25 * np.sqrt(80)])
    right, left = (Estimate(0.0, (-1.0, 1.0), 20, skewness=skewness) for skewness in (1.2, -1.2))
    assert right.decisive == (-1.0, np.inf)
    assert left.decisive == (-np.inf, 1.0)
    assert Estimate(0.0, (-1.0, 1.0), 20, skewness=1.1).decisive == (-1.0, 1.0)
    assert Estimate(0.0, None, 20).decisive is None


# --- error rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [normal, log_normal(0.4)], ids=["normal", "log-normal 0.4"])
@pytest.mark.parametrize("units", [16, 22, 64, 200])
@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_intervals_cover_92_to_97_percent(draw: Draw, units: int, rho: float) -> None:
    assert 0.03 <= missing(differences(neighbours(draw, rho, units))) <= 0.08


@pytest.mark.parametrize("units", [64, 200])
def test_intervals_cover_90_percent_where_neighbours_are_alike(units: int) -> None:
    assert missing(differences(neighbours(normal, 0.6, units))) <= 0.10


def test_without_the_correction_they_would_not() -> None:
    series = neighbours(normal, 0.3, 22)
    assert missing(differences(series, Statistics(independent=True))) > 0.12


@pytest.mark.parametrize("stretches", [8, 16, 64])
@pytest.mark.parametrize("stride", [16, 4, 1])
def test_windows_that_share_tokens_count_once(stretches: int, stride: int) -> None:
    """Every window scores all its tokens; the tokens are independent."""
    window, repeats = 32, 400 if stride == 1 else 1200
    tokens = np.random.default_rng([stretches, stride]).standard_normal((repeats, window * stretches))
    sums = np.cumsum(np.pad(tokens, ((0, 0), (1, 0))), axis=1)
    starts = np.arange(0, window * stretches - window + 1, stride)
    windows = (sums[:, starts + window] - sums[:, starts]) / window
    settings = Statistics(counted=tuple(range(0, len(starts), window // stride)))
    estimates = differences(windows, settings)
    assert {estimate.units for estimate in estimates} == {stretches}
    assert missing(estimates) <= 0.08 + 1.5 * np.sqrt(0.08 * 0.92 / repeats)
    assert missing(differences(windows, Statistics(independent=True))) > 0.12, "were all windows counted"


@pytest.mark.parametrize(("units", "most"), [(16, 0.03), (22, 0.03), (64, 0.03), (200, 0.03)])
def test_normal_units_support_falsely_as_often_as_is_meant(units: int, most: float) -> None:
    assert supported_falsely(differences(neighbours(normal, 0.0, units))) <= most


@pytest.mark.parametrize("units", [22, 64, 200])
def test_units_skewed_to_the_right_support_falsely_in_at_most_5_percent(units: int) -> None:
    estimates = differences(neighbours(log_normal(1.0), 0.0, units, 6000 if units == 22 else REPEATS))
    assert supported_falsely(estimates) <= 0.05
    whatever = sum(each.interval is not None and each.interval[1] < 0.0 for each in estimates) / len(estimates)
    assert whatever > 0.05, "the interval's own end would support it more often"


@pytest.mark.parametrize("units", [16, 22, 64, 200])
def test_normal_units_are_hardly_ever_too_skewed(units: int) -> None:
    estimates = differences(neighbours(normal, 0.0, units, 4000))
    assert sum(estimate.skewness > estimate.skewness_limit for estimate in estimates) / len(estimates) <= 0.02


# --- lists that are smooth in depth ----------------------------------------------------------------------------------


def test_the_null_of_a_rank_correlation_are_all_shifts_and_their_reversals() -> None:
    rising = np.arange(12.0)
    assert rank_correlation.shifted_p(rising, rising) == (1 / 24, 1 / 24)
    assert rank_correlation.shifted_p(rising, -rising) == (1.0, 1 / 24)
    assert rank_correlation.shifted_p(rising, np.ones(12)) is None
    first, second = np.random.default_rng(3).standard_normal((2, 9))
    ranks = [scipy_stats.rankdata(values) for values in (first, second)]
    orders = [np.roll(values, shift) for values in (ranks[1], ranks[1][::-1]) for shift in range(9)]
    correlations = [np.corrcoef(ranks[0], order)[0, 1] for order in orders]
    expected = sum(value >= correlations[0] - 1e-12 for value in correlations) / 18
    assert rank_correlation.shifted_p(first, second) == pytest.approx((expected, 1 / 18))


@pytest.mark.parametrize("blocks", [12, 24, 32])
def test_lists_that_are_smooth_in_depth_seldom_predict_each_other_by_chance(blocks: int) -> None:
    generator, kernel = np.random.default_rng(blocks), np.array([1.0, 3.0, 4.0, 3.0, 1.0]) / 12
    lists = generator.standard_normal((4000, 2, blocks + 4))
    smooth = [[np.convolve(values, kernel, "valid") for values in pair] for pair in lists]
    by_shifts = np.mean([(rank_correlation.shifted_p(*pair) or (1.0,))[0] <= 0.05 for pair in smooth])
    by_units = np.mean([(rank_correlation.spearman(*pair, 0.9) or NOTHING).interval[0] > 0 for pair in smooth])
    assert by_shifts <= 0.07
    assert by_units > 0.08, "which is what a test for independent blocks gives"
