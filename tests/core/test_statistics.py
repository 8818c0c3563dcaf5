"""Statistics against closed cases, against slow references, for invariances, and for coverage in simulation."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from checker.core import resampling, statistics
from checker.core.rank_correlation import kendall, spearman
from checker.core.records import Statistics
from checker.core.statistics import Estimate

STUDENT = Statistics(independent=True)
BOOTSTRAP = Statistics(independent=True, interval="percentile_bootstrap", seed=3, resamples=400)


# --- slow references: literal loops ----------------------------------------------------------------------------------


def without(values, k):
    return [value for index, value in enumerate(values) if index != k]


def jackknife_error(statistic: Callable[..., float], *columns) -> float:
    units = len(columns[0])
    left_out = [statistic(*(without(column, k) for column in columns)) for k in range(units)]
    centre = sum(left_out) / units
    return math.sqrt((units - 1) / units * sum((value - centre) ** 2 for value in left_out))


def reference(log_statistic: Callable[..., float], *columns, confidence=0.95) -> tuple[float, float, float, float]:
    """Value, ends and standard error of a statistic whose interval is symmetric on the scale it is given on."""
    value, error = log_statistic(*columns), jackknife_error(log_statistic, *columns)
    half = scipy_stats.t.ppf((1 + confidence) / 2, len(columns[0]) - 1) * error
    return value, value - half, value + half, error


def mean(values):
    return sum(values) / len(values)


def log_mean(values):
    return math.log(mean(values))


def log_ratio(above, below):
    return math.log(mean(above) / mean(below))


def log_geometric_mean(*pairs):
    return mean([math.log(mean(pair)) for pair in pairs])


def nll_per_token(losses, counts):
    return sum(losses) / sum(counts)


def log_cost_ratio(better, worse, base, counts):
    ppl = [math.exp(sum(losses) / sum(counts)) for losses in (better, worse, base)]
    return math.log((ppl[1] / ppl[2] - 1) / (ppl[0] / ppl[2] - 1))


def is_exp_of(estimate: Estimate, expected: tuple[float, float, float, float]) -> None:
    value, low, high, error = expected
    assert estimate.interval is not None
    assert (estimate.value, *estimate.interval) == pytest.approx([math.exp(x) for x in (value, low, high)], rel=1e-9)
    assert estimate.log_standard_error == pytest.approx(error, rel=1e-7)
    assert estimate.scale == "log"


# --- data ------------------------------------------------------------------------------------------------------------


def some_distances(units=16, seed=0):
    return np.random.default_rng(seed).lognormal(-2.0, 0.5, units)


def some_windows(units=16, seed=1):
    generator = np.random.default_rng(seed)
    tokens = generator.integers(100, 129, units)
    base = tokens * generator.normal(3.0, 0.4, units)
    better = base + tokens * generator.normal(0.2, 0.05, units)
    worse = base + tokens * generator.normal(0.7, 0.1, units)
    return better, worse, base, tokens


magnitudes = st.floats(1e-3, 1e3)
samples = st.lists(magnitudes, min_size=8, max_size=40)
pairs_of_values = st.lists(st.tuples(magnitudes, magnitudes), min_size=8, max_size=40)
quick = settings(max_examples=40, deadline=None)


# --- Student's t -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("degrees", [1, 2, 7, 15, 63, 10_000])
def test_student_quantile_is_that_of_scipy_stats(confidence, degrees):
    expected = scipy_stats.t.ppf((1 + confidence) / 2, degrees)
    assert statistics.student_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("confidence", "degrees"), [(0.0, 5), (1.0, 5), (math.nan, 5), (0.95, 0)])
def test_student_quantile_refuses_what_has_no_quantile(confidence, degrees):
    with pytest.raises(ValueError, match="expected"):
        statistics.student_quantile(confidence, degrees)


# --- distance --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_distance_equals_the_literal_jackknife(confidence):
    values = some_distances()
    estimate = statistics.distance(values, replace(STUDENT, confidence=confidence))
    is_exp_of(estimate, reference(log_mean, list(values), confidence=confidence))
    assert estimate.units == 16


def test_equal_distances_have_an_interval_without_width():
    estimate = statistics.distance(np.full(9, 0.25), STUDENT)
    assert (estimate.value, estimate.interval) == (0.25, (0.25, 0.25))


def test_all_zeros_give_zero():
    estimate = statistics.distance(np.zeros(8), STUDENT)
    assert estimate == Estimate(0.0, (0.0, 0.0), 8, None, "linear", effective_units=8.0)


def test_fewer_than_eight_units_give_no_interval():
    seven, eight = statistics.distance(some_distances(7), STUDENT), statistics.distance(some_distances(8), STUDENT)
    assert seven.interval is None
    assert seven.log_standard_error is not None
    assert eight.interval is not None


def test_one_unit_has_neither_interval_nor_standard_error():
    assert statistics.distance([0.5], STUDENT) == Estimate(0.5, None, 1, None, "log")


def test_a_single_positive_distance_is_treated_on_the_linear_scale():
    values = [0.0] * 9 + [1.0]  # without the last one, the mean has no logarithm
    estimate = statistics.distance(values, STUDENT)
    half = scipy_stats.t.ppf(0.975, 9) * scipy_stats.sem(values)
    assert estimate.interval == pytest.approx((0.1 - half, 0.1 + half))
    assert (estimate.scale, estimate.log_standard_error) == ("linear", None)


def test_rounding_below_zero_is_kept_and_anything_lower_is_an_error():
    estimate = statistics.distance([-1e-6] + [0.0] * 7, STUDENT)
    assert estimate.value == pytest.approx(-1.25e-7)
    with pytest.raises(ValueError, match=r"unit 2: found -1\.1e-06; expected at least -1e-06"):
        statistics.distance([0.1, 0.1, -1.1e-6], STUDENT)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e101])
def test_what_is_not_finite_is_an_error_that_names_the_unit(wrong):
    with pytest.raises(ValueError, match=r"unit 3: found .*; expected a finite number"):
        statistics.distance([0.1, 0.1, 0.1, wrong], STUDENT)


@pytest.mark.parametrize("wrong", [[], [[0.1, 0.2]], 0.1])
def test_the_wrong_shape_is_an_error(wrong):
    with pytest.raises(ValueError, match="found shape"):
        statistics.distance(wrong, STUDENT)


@quick
@given(samples, st.floats(1e-3, 1e3))
def test_distance_moves_with_its_unit_of_measurement(values, factor):
    plain, scaled = statistics.distance(values, STUDENT), statistics.distance(np.multiply(values, factor), STUDENT)
    assert scaled.value == pytest.approx(plain.value * factor)
    assert scaled.interval == pytest.approx([end * factor for end in plain.interval], rel=1e-6)


@quick
@given(samples, st.randoms(use_true_random=False))
def test_distance_does_not_depend_on_the_order_of_prompts(values, random):
    shuffled = random.sample(values, len(values))
    plain, again = statistics.distance(values, STUDENT), statistics.distance(shuffled, STUDENT)
    assert again.value == pytest.approx(plain.value)
    assert again.interval == pytest.approx(plain.interval, rel=1e-6)


@quick
@given(samples)
def test_the_interval_holds_the_value_and_grows_with_confidence(values):
    narrow, wide = (statistics.distance(values, replace(STUDENT, confidence=level)).interval for level in (0.8, 0.99))
    assert wide[0] <= narrow[0] <= statistics.distance(values, STUDENT).value <= narrow[1] <= wide[1]


def test_more_units_than_are_held_at_once_give_the_same_standard_error(monkeypatch):
    values = some_distances(25)
    whole = statistics.distance(values, STUDENT)
    monkeypatch.setattr(resampling, "_ROWS", 10)
    assert statistics.distance(values, STUDENT).interval == pytest.approx(whole.interval, rel=1e-12)


# --- bootstrap -------------------------------------------------------------------------------------------------------


def test_the_bootstrap_agrees_with_a_loop_over_resamples():
    values, many = some_distances(20), replace(BOOTSTRAP, resamples=4000)
    generator = np.random.default_rng(99)
    means = [mean(values[generator.integers(0, 20, 20)]) for _ in range(4000)]
    expected = np.percentile(means, [2.5, 97.5])
    estimate = statistics.distance(values, many)
    assert estimate.value == pytest.approx(mean(values))
    assert estimate.interval == pytest.approx(expected, rel=0.03)  # two sets of resamples: a Monte Carlo error


def test_the_bootstrap_is_fixed_by_its_seed():
    values = some_distances(20)
    assert statistics.distance(values, BOOTSTRAP) == statistics.distance(values, BOOTSTRAP)
    other = statistics.distance(values, replace(BOOTSTRAP, seed=4))
    assert other.interval != statistics.distance(values, BOOTSTRAP).interval


def test_every_statistic_takes_the_bootstrap():
    better, worse, base, tokens = some_windows()
    matrix = np.random.default_rng(5).lognormal(0.0, 0.3, (4, 16))
    for of in (
        lambda setting: statistics.distance(some_distances(), setting),
        lambda setting: statistics.ratio(matrix[0], matrix[1], setting),
        lambda setting: statistics.geometric_mean(matrix, setting),
        lambda setting: statistics.ratio_of_geometric_means(matrix, matrix[::2], setting),
        lambda setting: statistics.perplexity_interval(base, tokens, setting),
        lambda setting: statistics.nll_difference(worse, base, tokens, setting),
        lambda setting: statistics.increase(worse, base, tokens, setting),
        lambda setting: statistics.ratio_of_costs(better, worse, base, tokens, setting),
    ):
        student, bootstrap = of(STUDENT), of(replace(BOOTSTRAP, resamples=4000))
        assert bootstrap.value == student.value
        width = [estimate.interval[1] - estimate.interval[0] for estimate in (bootstrap, student)]
        assert 0.7 < width[0] / width[1] < 1.05  # the percentile bootstrap is the narrower one


def test_fewer_than_eight_units_give_no_bootstrap_either():
    assert statistics.distance(some_distances(7), BOOTSTRAP).interval is None


# --- ratios and geometric means --------------------------------------------------------------------------------------


def test_ratio_equals_the_literal_jackknife():
    above, below = some_distances(12, 1), some_distances(12, 2)
    is_exp_of(statistics.ratio(above, below, STUDENT), reference(log_ratio, list(above), list(below)))


@quick
@given(pairs_of_values)
def test_the_ratio_upside_down_is_its_inverse(pairs):
    above, below = zip(*pairs, strict=True)
    ratio, inverse = statistics.ratio(above, below, STUDENT), statistics.ratio(below, above, STUDENT)
    assert inverse.value == pytest.approx(1 / ratio.value)
    assert inverse.interval == pytest.approx((1 / ratio.interval[1], 1 / ratio.interval[0]), rel=1e-6)


@quick
@given(samples, magnitudes)
def test_a_constant_ratio_is_known_exactly(values, factor):
    estimate = statistics.ratio(np.multiply(values, factor), values, STUDENT)
    assert estimate.interval == pytest.approx((factor, factor), rel=1e-6)


def test_ratio_has_no_value_where_the_denominator_is_not_positive():
    ones = np.ones(9)
    assert statistics.ratio(ones, np.zeros(9), STUDENT) is None
    assert statistics.ratio(ones, [0.0] * 8 + [1.0], STUDENT) is None  # not positive without the last unit
    assert statistics.ratio(ones, [-1e-7] * 9, STUDENT) is None


def test_blocks_that_commute_have_a_ratio_of_zero():
    assert statistics.ratio(np.zeros(9), np.ones(9), STUDENT) == Estimate(
        0.0, (0.0, 0.0), 9, None, "linear", effective_units=9.0
    )


def test_units_must_be_paired():
    with pytest.raises(ValueError, match="numerator 3, denominator 2"):
        statistics.ratio([1, 2, 3], [1, 2], STUDENT)
    with pytest.raises(ValueError, match="found 3 and 2 prompts"):
        statistics.ratio_of_geometric_means(np.ones((2, 3)), np.ones((2, 2)), STUDENT)


def test_geometric_mean_equals_the_literal_jackknife():
    matrix = np.random.default_rng(7).lognormal(-1.0, 0.6, (5, 14))
    is_exp_of(statistics.geometric_mean(matrix, STUDENT), reference(log_geometric_mean, *[list(row) for row in matrix]))


def test_geometric_mean_of_one_pair_is_its_distance():
    values = some_distances()
    assert statistics.geometric_mean(values[None, :], STUDENT).interval == pytest.approx(
        statistics.distance(values, STUDENT).interval
    )


def test_geometric_mean_closed_case():
    matrix = np.outer([1.0, 4.0, 16.0], np.ones(8))
    assert statistics.geometric_mean(matrix, STUDENT).value == pytest.approx(4.0)


def test_ratio_of_geometric_means_equals_the_literal_jackknife():
    generator = np.random.default_rng(8)
    above, below = generator.lognormal(-1.0, 0.6, (5, 14)), generator.lognormal(0.0, 0.3, (5, 14))

    def log_of_quotient(*rows):
        return log_geometric_mean(*rows[:5]) - log_geometric_mean(*rows[5:])

    expected = reference(log_of_quotient, *[list(row) for row in (*above, *below)])
    is_exp_of(statistics.ratio_of_geometric_means(above, below, STUDENT), expected)


def test_geometric_means_have_no_value_where_a_pair_is_not_positive():
    matrix = np.ones((3, 9))
    matrix[1] = 0.0
    assert statistics.geometric_mean(matrix, STUDENT) is None
    assert statistics.ratio_of_geometric_means(matrix, np.ones((3, 9)), STUDENT) is None
    assert statistics.ratio_of_geometric_means(np.ones((3, 9)), matrix, STUDENT) is None


@quick
@given(st.lists(st.lists(magnitudes, min_size=9, max_size=9), min_size=2, max_size=5), st.integers(0, 1000))
def test_the_order_of_pairs_and_prompts_does_not_matter(rows, seed):
    matrix, generator = np.array(rows), np.random.default_rng(seed)
    shuffled = generator.permutation(generator.permutation(matrix, axis=0), axis=1)
    plain, again = statistics.geometric_mean(matrix, STUDENT), statistics.geometric_mean(shuffled, STUDENT)
    assert again.interval == pytest.approx(plain.interval, rel=1e-6)


def test_the_geometric_mean_of_ratios_is_students_t_on_their_logs():
    above, below = some_distances(12, seed=4), some_distances(12, seed=5)
    logs = np.log(above / below)
    half = scipy_stats.t.ppf(0.975, 11) * logs.std(ddof=1) / math.sqrt(12)
    found = statistics.geometric_mean_ratio(above, below, STUDENT)
    assert found.value == pytest.approx(math.exp(logs.mean()), rel=1e-12)
    assert found.interval == pytest.approx((math.exp(logs.mean() - half), math.exp(logs.mean() + half)), rel=1e-9)
    assert (found.scale, found.log_standard_error) == ("log", pytest.approx(half / scipy_stats.t.ppf(0.975, 11)))
    turned = statistics.geometric_mean_ratio(below, above, STUDENT)
    assert (1 / turned.value, 1 / turned.interval[0]) == pytest.approx((found.value, found.interval[1]), rel=1e-9)


def test_ratios_without_logs_are_refused():
    for above, below in (([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, -1.0])):
        with pytest.raises(ValueError, match="expected positive units"):
            statistics.geometric_mean_ratio(above, below, STUDENT)


# --- losses ----------------------------------------------------------------------------------------------------------


def test_perplexity_of_a_uniform_guess_is_the_vocabulary():
    tokens = np.array([100, 50, 7])
    assert statistics.perplexity(tokens * math.log(49152), tokens) == pytest.approx(49152)


def test_perplexity_weights_tokens_not_windows():
    assert statistics.perplexity([9.0, 1.0], [3, 1]) == pytest.approx(math.exp(2.5))


def test_perplexity_interval_equals_the_literal_jackknife():
    _, _, base, tokens = some_windows()
    is_exp_of(statistics.perplexity_interval(base, tokens, STUDENT), reference(nll_per_token, list(base), list(tokens)))


def test_nll_difference_equals_the_literal_jackknife():
    _, worse, base, tokens = some_windows()
    estimate = statistics.nll_difference(worse, base, tokens, STUDENT)
    value, low, high, error = reference(nll_per_token, list(worse - base), list(tokens))
    assert (estimate.value, *estimate.interval) == pytest.approx((value, low, high), rel=1e-9)
    assert estimate.log_standard_error == pytest.approx(error, rel=1e-9)
    assert estimate.scale == "linear"


def test_increase_is_the_difference_in_percent():
    _, worse, base, tokens = some_windows()
    difference, cost = (of(worse, base, tokens, STUDENT) for of in (statistics.nll_difference, statistics.increase))
    assert cost.value == pytest.approx(
        100 * (statistics.perplexity(worse, tokens) / statistics.perplexity(base, tokens) - 1)
    )
    assert cost.interval == tuple(statistics.percent(end) for end in difference.interval)
    assert (cost.log_standard_error, cost.scale) == (difference.log_standard_error, "percent")


def test_the_unchanged_model_costs_nothing():
    _, _, base, tokens = some_windows()
    assert statistics.increase(base, base, tokens, STUDENT).interval == (0.0, 0.0)


@quick
@given(st.integers(0, 10_000), st.floats(0.5, 3.0))
def test_a_difference_does_not_depend_on_the_losses_it_starts_from(seed, shift):
    _, worse, base, tokens = some_windows(seed=seed)
    plain = statistics.nll_difference(worse, base, tokens, STUDENT)
    shifted = statistics.nll_difference(worse + shift * tokens, base + shift * tokens, tokens, STUDENT)
    back = statistics.nll_difference(base, worse, tokens, STUDENT)
    assert shifted.interval == pytest.approx(plain.interval, abs=1e-9)
    assert back.interval == pytest.approx((-plain.interval[1], -plain.interval[0]))


@pytest.mark.parametrize(("difference", "expected"), [(0.0, 0.0), (math.log(2), 100.0), (-math.log(2), -50.0)])
def test_percent_closed_cases(difference, expected):
    assert statistics.percent(difference) == pytest.approx(expected)


def test_percent_is_exact_near_zero_and_finite_far_away():
    assert statistics.percent(1e-12) == pytest.approx(1e-10, rel=1e-9)
    assert math.isfinite(statistics.percent(1e6))
    with pytest.raises(ValueError, match="expected a finite number"):
        statistics.percent(math.nan)


def test_ratio_of_costs_equals_the_literal_jackknife():
    columns = some_windows()
    expected = reference(log_cost_ratio, *[list(column) for column in columns])
    is_exp_of(statistics.ratio_of_costs(*columns, STUDENT), expected)


def test_ratio_of_costs_has_no_value_where_a_cost_is_not_positive():
    better, worse, base, tokens = some_windows()
    assert statistics.ratio_of_costs(base, worse, base, tokens, STUDENT) is None
    assert statistics.ratio_of_costs(better, 2 * base - worse, base, tokens, STUDENT) is None
    assert (
        statistics.ratio_of_costs(2 * base - better, 2 * base - worse, base, tokens, STUDENT) is None
    )  # both negative
    alone = base + np.where(np.arange(16) == 0, tokens, 0.0)  # costs nothing without its first window
    assert statistics.ratio_of_costs(alone, worse, base, tokens, STUDENT) is None


def test_windows_that_score_nothing_are_not_units():
    _, worse, base, tokens = some_windows()
    plain = statistics.nll_difference(worse, base, tokens, STUDENT)
    longer = statistics.nll_difference(np.append(worse, 0.0), np.append(base, 0.0), np.append(tokens, 0), STUDENT)
    assert longer == plain


@pytest.mark.parametrize("tokens", [[0, 0], [3, -1]])
def test_tokens_that_cannot_be_are_an_error(tokens):
    with pytest.raises(ValueError, match="expected how many each window scored"):
        statistics.perplexity([1.0, 2.0], tokens)


def test_catastrophic_losses_stay_finite():
    generator = np.random.default_rng(0)
    tokens = np.full(16, 10)
    worst, base = tokens * generator.uniform(500, 5000, 16), tokens * generator.normal(3, 0.1, 16)
    estimates = (
        statistics.perplexity_interval(worst, tokens, STUDENT),
        statistics.increase(worst, base, tokens, STUDENT),
        statistics.ratio_of_costs(base + tokens, worst, base, tokens, STUDENT),
    )
    for estimate in estimates:
        assert all(math.isfinite(number) for number in (estimate.value, *estimate.interval))


# --- rank correlation ------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=40))
def test_spearman_is_that_of_scipy_stats_ties_included(pairs):
    a, b = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    estimate = spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert estimate is None
        return
    assert estimate.value == pytest.approx(scipy_stats.spearmanr(a, b).statistic, abs=1e-12)
    assert -1 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1


def test_the_interval_is_fishers_with_the_error_of_bonett_and_wright():
    a, b = np.arange(10.0), np.array([2, 0, 1, 5, 3, 4, 9, 6, 8, 7.0])
    r = scipy_stats.spearmanr(a, b).statistic
    half = scipy_stats.norm.ppf(0.95) * math.sqrt((1 + r * r / 2) / 7)
    expected = (math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    assert spearman(a, b, confidence=0.9).interval == pytest.approx(expected)


def test_spearman_sees_ranks_only():
    a, b = some_distances(12, 1), some_distances(12, 2)
    plain, other, opposite = (
        spearman(a, b),
        spearman(np.exp(a), b**3),
        spearman(-a, b),
    )
    assert other == plain
    assert opposite.value == pytest.approx(-plain.value)
    assert opposite.interval == pytest.approx((-plain.interval[1], -plain.interval[0]))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_correlation_is_not_certain(sign):
    perfect = spearman(np.arange(8), sign * np.arange(8))
    swapped = spearman(np.arange(8), sign * np.array([1, 0, 2, 3, 4, 5, 6, 7]))
    assert perfect.value == sign
    assert sorted(map(abs, perfect.interval)) == pytest.approx([min(map(abs, swapped.interval)), 1.0])


def test_spearman_without_enough_blocks():
    assert spearman(np.arange(7), np.arange(7)).interval is None
    assert spearman([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="first 2, second 3"):
        spearman([1, 2], [1, 2, 3])


def tau_by_counting(a, b):
    """Kendall's tau-b, pair by pair: concordant less discordant, over the pairs untied in each list."""
    concordant = discordant = untied_a = untied_b = 0
    for i in range(len(a)):
        for j in range(i):
            together = (a[i] - a[j]) * (b[i] - b[j])
            concordant += together > 0
            discordant += together < 0
            untied_a += a[i] != a[j]
            untied_b += b[i] != b[j]
    return (concordant - discordant) / math.sqrt(untied_a * untied_b)


@quick
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=8, max_size=40))
def test_kendall_is_that_of_scipy_stats_ties_included(pairs):
    a, b = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    estimate = kendall(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert estimate is None
        return
    assert estimate.value == pytest.approx(scipy_stats.kendalltau(a, b).statistic, abs=1e-12)
    assert estimate.value == pytest.approx(tau_by_counting(a.tolist(), b.tolist()), abs=1e-12)
    assert -1 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 2, 4, 3], 4 / 6),  # one of six pairs is discordant
        ([1, 2, 3, 4], [2, 4, 1, 3], 0.0),
        ([1, 1, 2, 3], [1, 2, 3, 4], 5 / math.sqrt(5 * 6)),  # one tie in the first list
        ([1, 1, 2, 2], [1, 2, 1, 2], 0.0),
        ([1, 1, 2, 2], [3, 3, 5, 5], 1.0),
    ],
)
def test_kendall_of_closed_cases(a, b, expected):
    assert kendall(a, b).value == pytest.approx(expected)
    assert kendall(b, a).value == pytest.approx(expected)


def test_kendalls_interval_is_fishers_with_the_error_of_fieller():
    a, b = np.arange(10.0), np.array([2, 0, 1, 5, 3, 4, 9, 6, 8, 7.0])
    tau = scipy_stats.kendalltau(a, b).statistic
    half = scipy_stats.norm.ppf(0.95) * math.sqrt(0.437 / 6)
    expected = (math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half))
    assert kendall(a, b, confidence=0.9).interval == pytest.approx(expected)
    wide, narrow = (kendall(a, b, confidence=confidence).interval for confidence in (0.99, 0.8))
    assert wide[0] < expected[0] < narrow[0] < tau < narrow[1] < expected[1] < wide[1]


def test_kendall_sees_ranks_only():
    a, b = some_distances(12, 1), some_distances(12, 2)
    plain, other, opposite = (
        kendall(a, b),
        kendall(np.exp(a), b**3),
        kendall(-a, b),
    )
    assert other == plain
    assert opposite.value == pytest.approx(-plain.value)
    assert opposite.interval == pytest.approx((-plain.interval[1], -plain.interval[0]))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_kendall_is_not_certain(sign):
    perfect = kendall(np.arange(8), sign * np.arange(8))
    swapped = kendall(np.arange(8), sign * np.array([1, 0, 2, 3, 4, 5, 6, 7]))
    assert perfect.value == sign
    assert sorted(map(abs, perfect.interval)) == pytest.approx([min(map(abs, swapped.interval)), 1.0])


def test_kendall_without_enough_blocks():
    assert kendall(np.arange(7), np.arange(7)).interval is None
    assert kendall(np.arange(8), np.arange(8)).interval is not None
    assert kendall([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="first 2, second 3"):
        kendall([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="second"):
        kendall([1.0, 2.0], [1.0, math.nan])


@pytest.mark.parametrize("tau", [0.0, 0.5])
@pytest.mark.parametrize("blocks", [12, 30])
def test_kendalls_interval_covers_what_it_says(tau, blocks):
    """Of 600 samples of a normal pair whose tau is known, the interval holds it in 92 to 98 %."""
    generator, r = np.random.default_rng(5), math.sin(math.pi * tau / 2)
    held = 0
    for _ in range(600):
        x, noise = generator.standard_normal((2, blocks))
        low, high = kendall(x, r * x + math.sqrt(1 - r * r) * noise).interval
        held += low <= tau <= high
    assert 0.92 <= held / 600 <= 0.98


# --- tests and controls ----------------------------------------------------------------------------------------------


def test_p_value_is_the_one_sided_t_test_of_scipy_stats():
    values = some_distances(11)
    expected = scipy_stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    assert statistics.p_value(values.mean(), scipy_stats.sem(values), 10, 0.1) == pytest.approx(expected)


@pytest.mark.parametrize(("threshold", "expected"), [(0.9, 0.0), (1.0, 1.0), (1.1, 1.0), (-math.inf, 0.0)])
def test_p_value_without_spread(threshold, expected):
    assert statistics.p_value(1.0, 0.0, 9, threshold) == expected


@pytest.mark.parametrize(("average", "error"), [(math.nan, 1.0), (1.0, math.inf), (1.0, -1.0)])
def test_p_value_refuses_what_is_not_finite(average, error):
    with pytest.raises(ValueError, match="expected finite numbers"):
        statistics.p_value(average, error, 9, 0.0)


@pytest.mark.parametrize("threshold", np.linspace(0.02, 40, 25))
def test_p_values_agree_with_the_ends_of_intervals(threshold):
    better, worse, base, tokens = some_windows()
    for estimate in (
        statistics.distance(some_distances(), STUDENT),
        statistics.increase(better, base, tokens, STUDENT),
        statistics.nll_difference(worse, base, tokens, STUDENT),
        statistics.ratio_of_costs(better, worse, base, tokens, STUDENT),
    ):
        above, below = (statistics.p_beyond(estimate, threshold, side) for side in ("above", "below"))
        assert above + below == pytest.approx(1.0)
        assert (above < 0.025) == (estimate.interval[0] > threshold)
        assert (below < 0.025) == (estimate.interval[1] < threshold)


def test_there_is_no_p_value_without_an_interval_or_a_standard_error():
    assert statistics.p_beyond(statistics.distance(some_distances(7), STUDENT), 0.1, "above") is None
    assert statistics.p_beyond(statistics.distance(np.zeros(9), STUDENT), 0.1, "below") is None


def test_holm_closed_case():
    p_values = {"c": 0.03, "a": 0.01, "d": 0.005, "b": 0.04}
    assert statistics.holm_adjusted(p_values) == pytest.approx({"c": 0.06, "a": 0.03, "d": 0.02, "b": 0.06})
    assert statistics.holm(p_values, 0.05) == {"c": False, "a": True, "d": True, "b": False}
    assert statistics.holm({}, 0.05) == {}


@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.floats(0.01, 0.5))
def test_holm_equals_the_step_down_procedure_done_by_hand(values, level):
    p_values = {f"claim {index}": p for index, p in enumerate(values)}
    rejected, left = set(), sorted(p_values, key=p_values.__getitem__)
    while left and p_values[left[0]] * len(left) <= level:
        rejected.add(left.pop(0))
    assert statistics.holm(p_values, level) == {name: name in rejected for name in p_values}


@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_between_no_correction_and_bonferronis(values):
    p_values = {str(index): p for index, p in enumerate(values)}
    adjusted = statistics.holm_adjusted(p_values)
    assert all(p <= adjusted[name] <= min(1.0, len(values) * p) for name, p in p_values.items())


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_not_a_probability(p):
    with pytest.raises(ValueError, match="p value of 'safer'"):
        statistics.holm({"safer": p}, 0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_holm_refuses_what_is_not_an_error_rate(level):
    with pytest.raises(ValueError, match="level: found"):
        statistics.holm({"safer": 0.1}, level)


def test_control_p_closed_cases():
    draws = np.arange(1.0, 40.0)
    assert statistics.control_p(0.5, draws) == 1 / 40
    assert statistics.control_p(3.0, draws) == 4 / 40  # a draw of equal cost is not costlier
    assert statistics.control_p(100.0, draws) == 1.0
    assert statistics.control_p(1.0, []) == 1.0
    with pytest.raises(ValueError, match="costs of the arm and of the random draws"):
        statistics.control_p(1.0, [1.0, math.nan])


def test_control_p_is_uniform_for_an_arm_that_is_a_draw_itself():
    costs = np.random.default_rng(0).permutation(np.arange(20.0))
    p_values = [statistics.control_p(cost, without(costs, index)) for index, cost in enumerate(costs)]
    assert sorted(p_values) == pytest.approx([(rank + 1) / 20 for rank in range(20)])


def test_quartiles_closed_case():
    assert statistics.quartiles([5, 1, 2, 4, 3]) == (2.0, 3.0, 4.0)
    assert statistics.quartiles([1.0, 2.0]) == (1.25, 1.5, 1.75)
    assert statistics.quartiles([7.0]) == (7.0, 7.0, 7.0)


# --- further units ---------------------------------------------------------------------------------------------------


def half_width(estimate: Estimate, units: int) -> float:
    spread = estimate.log_standard_error * math.sqrt(estimate.units)
    return scipy_stats.t.ppf(0.975, units - 1) * spread / math.sqrt(units)


@pytest.mark.parametrize("factor", [0.9, 0.97, 1.03, 1.1, 1.5])
def test_further_units_are_the_fewest_that_settle(factor):
    estimate = statistics.distance(some_distances(), STUDENT)
    total = 16
    while half_width(estimate, total) >= abs(math.log(factor)):
        total += 1
    assert statistics.further_units(estimate, estimate.value * factor) == total - 16


def test_further_units_of_a_cost_are_counted_where_its_interval_is_symmetric():
    _, worse, base, tokens = some_windows()
    cost, difference = (of(worse, base, tokens, STUDENT) for of in (statistics.increase, statistics.nll_difference))
    bound = difference.value + 0.01
    assert statistics.further_units(cost, statistics.percent(bound)) == statistics.further_units(difference, bound) > 0


def test_none_would_settle_a_value_on_the_threshold():
    estimate = statistics.distance(some_distances(), STUDENT)
    assert statistics.further_units(estimate, estimate.value) is None
    assert statistics.further_units(estimate, estimate.value * (1 + 1e-9)) is None


def test_no_further_units_where_the_interval_is_already_off_the_threshold():
    estimate = statistics.distance(some_distances(), STUDENT)
    assert statistics.further_units(estimate, 1.01 * estimate.interval[1]) == 0
    assert statistics.further_units(estimate, 0.0) == 0
    assert statistics.further_units(estimate, 1.01 * estimate.interval[1], least=24) == 8


@pytest.mark.parametrize("threshold", [math.nan, math.inf])
def test_a_threshold_must_be_finite(threshold):
    estimate = statistics.distance(some_distances(), STUDENT)
    with pytest.raises(ValueError, match="value or threshold: found"):
        statistics.further_units(estimate, threshold)
    with pytest.raises(ValueError, match="value or threshold: found"):
        statistics.p_beyond(estimate, threshold, "above")


def test_further_units_with_too_few_units_for_an_interval():
    few = statistics.distance(some_distances(7), STUDENT)
    assert statistics.further_units(few, 100.0) == 1
    assert statistics.further_units(few, few.value * 1.05) > 1
    assert (
        statistics.further_units(statistics.distance([0.5], STUDENT), 1.0) == 7
    )  # spread unknown: what is missing to 8


def test_a_rank_correlation_cannot_be_given_further_blocks():
    assert statistics.further_units(spearman(some_distances(12, 1), some_distances(12, 2)), 0.0) is None


def test_further_units_of_a_bootstrap_look_at_the_end_that_faces_the_threshold():
    estimate = statistics.distance(some_distances(), BOOTSTRAP)
    outside = [1.001 * estimate.interval[1], 0.999 * estimate.interval[0]]
    inside = [0.999 * estimate.interval[1], 1.001 * estimate.interval[0]]
    assert [statistics.further_units(estimate, bound) for bound in outside] == [0, 0]
    assert all(statistics.further_units(estimate, bound) > 0 for bound in inside)


# --- coverage in simulation ------------------------------------------------------------------------------------------

SIMULATIONS = 5000


def normal(generator, shape):
    return np.abs(generator.normal(1.0, 0.3, shape))  # folded at zero, which moves its mean by less than 1e-4


def log_normal(generator, shape):
    return generator.lognormal(-0.08, 0.4, shape)  # mean 1


def coverage(truth: float, samples: np.ndarray, estimate: Callable[[np.ndarray], Estimate]) -> float:
    intervals = [estimate(sample).interval for sample in samples]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize("draw", [normal, log_normal])
@pytest.mark.parametrize("units", [8, 16, 22, 64])
def test_intervals_cover_what_they_say(draw, units):
    generator = np.random.default_rng(units)
    pairs = draw(generator, (SIMULATIONS, 2, units))
    tokens = generator.integers(96, 129, units)
    assert 0.92 <= coverage(1.0, pairs[:, 0], lambda values: statistics.distance(values, STUDENT)) <= 0.97
    assert 0.92 <= coverage(1.0, pairs, lambda pair: statistics.ratio(*pair, STUDENT)) <= 0.97
    assert (
        0.92
        <= coverage(
            1.0, pairs[:, 0], lambda rates: statistics.nll_difference(rates * tokens, np.zeros(units), tokens, STUDENT)
        )
        <= 0.97
    )


def test_the_bootstrap_of_the_literature_covers_less():
    samples = log_normal(np.random.default_rng(0), (600, 8))
    few = replace(BOOTSTRAP, resamples=300)
    assert coverage(1.0, samples, lambda values: statistics.distance(values, few)) < 0.92


# --- import time -----------------------------------------------------------------------------------------------------


def test_neither_torch_nor_scipy_stats_is_imported():
    code = (
        "import sys, checker.judge.figures.regimes\n"
        "print([name for name in ('torch', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
