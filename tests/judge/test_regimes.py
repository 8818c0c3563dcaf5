"""Regimes: every branch at its edges, the order of the rules, and the sentences that explain them."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.core import statistics
from checker.core.records import Statistics
from checker.core.statistics import Estimate
from checker.judge.figures import regimes

SETTINGS = Statistics(independent=True)
MARGIN = 0.05


def within(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, (low, high), 16)


TOO_FEW = Estimate(0.3, None, 7)

ends = st.floats(0.0, 3.0)
intervals = st.builds(lambda a, b: within(min(a, b), max(a, b)), ends, ends)
signed = st.floats(-0.2, 0.2)
differences = st.builds(lambda a, b: within(min(a, b), max(a, b)), signed, signed)


# --- distances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [(-1e-7, "similar"), (0.0499, "similar"), (0.05, "conditional"), (0.0999, "conditional"), (0.1, "distinct")],
)
def test_distance_class_closed_cases(value, name):
    assert regimes.distance_class(value, SETTINGS) == name


def test_distance_class_follows_the_settings():
    wide = Statistics(similar=0.5, conditional=1.0)
    assert [regimes.distance_class(value, wide) for value in (0.4, 0.6, 1.0)] == ["similar", "conditional", "distinct"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_distance_class_refuses_what_is_not_finite(value):
    with pytest.raises(ValueError, match="expected a finite number of nats"):
        regimes.distance_class(value, SETTINGS)


def test_direction_is_the_larger_mean_not_the_more_frequent_one():
    assert regimes.direction([1, 1, 9], [2, 2, 2]) == "forward"
    assert regimes.direction([2, 2, 2], [1, 1, 9]) == "backward"
    assert regimes.direction([1, 2], [2, 1]) == "forward"


@pytest.mark.parametrize("wrong", [[math.nan, 1.0], [math.inf, 1.0]])
def test_direction_refuses_what_is_not_finite(wrong):
    with pytest.raises(ValueError, match="expected finite numbers"):
        regimes.direction(wrong, [1.0, 1.0])


# --- pairs and checkpoints -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replacement", "ratio", "name"),
    [
        (within(0.01, 0.0999), within(0.1, 0.3), "low"),
        (within(0.01, 0.0999), within(1.2, 3.0), "low"),  # low comes before reversed
        (within(0.01, 0.0999), None, "low"),
        (within(0.01, 0.1), within(0.1, 0.3), "open"),  # the upper end is not below 0.10
        (within(0.05, 0.3), within(1.01, 2.0), "reversed"),  # whatever the lower end of the distance
        (within(0.5, 0.9), within(1.01, 2.0), "reversed"),
        (within(0.5, 0.9), within(1.0, 2.0), "high"),  # the lower end is not above 1
        (within(0.1, 0.9), within(0.1, 0.499), "gap"),
        (within(0.1, 0.9), within(0.1, 0.5), "high"),  # the upper end is not below 0.5
        (within(0.0999, 0.9), within(0.1, 0.3), "open"),
        (within(0.1, 0.9), None, "high"),
        (within(0.1, 0.9), TOO_FEW, "high"),
        (within(0.05, 0.9), None, "open"),
        (TOO_FEW, TOO_FEW, "open"),
        (TOO_FEW, within(0.1, 0.3), "open"),
    ],
)
def test_pair_regime_closed_cases(replacement, ratio, name):
    assert regimes.pair_regime(replacement, ratio, SETTINGS) == name
    assert regimes.metric_regime(replacement, ratio, SETTINGS) == {"gap": "divergent"}.get(name, name)


def literal_pair_regime(replacement, ratio, conditional, divergent_ratio):
    (low, high), (ratio_low, ratio_high) = replacement.interval, ratio.interval
    rules = [
        ("low", high < conditional),
        ("reversed", ratio_low > 1),
        ("gap", low >= conditional and ratio_high < divergent_ratio),
        ("high", low >= conditional),
        ("open", True),
    ]
    return next(name for name, holds in rules if holds)


@given(intervals, intervals, st.floats(0.01, 2.0), st.floats(0.1, 1.0))
def test_pair_regime_is_the_first_rule_that_holds(replacement, ratio, conditional, divergent_ratio):
    own = Statistics(conditional=conditional, divergent_ratio=divergent_ratio)
    expected = literal_pair_regime(replacement, ratio, conditional, divergent_ratio)
    assert regimes.pair_regime(replacement, ratio, own) == expected


def test_blocks_that_commute_but_differ_show_a_gap():
    replacement = np.random.default_rng(0).lognormal(0.0, 0.2, 16)
    ratio = statistics.ratio(np.zeros(16), replacement, SETTINGS)
    assert regimes.pair_regime(statistics.distance(replacement, SETTINGS), ratio, SETTINGS) == "gap"


def test_blocks_with_equal_weights_are_low():
    zeros = np.zeros(16)
    ratio = statistics.ratio(zeros, zeros, SETTINGS)
    assert regimes.pair_regime(statistics.distance(zeros, SETTINGS), ratio, SETTINGS) == "low"


def test_metric_regime_without_a_geometric_mean_is_open():
    assert regimes.metric_regime(None, None, SETTINGS) == "open"


def test_metric_regime_from_matrices():
    generator = np.random.default_rng(1)
    replacement, interchange = generator.lognormal(0.0, 0.3, (6, 16)), generator.lognormal(-2.0, 0.3, (6, 16))
    ratio = statistics.ratio_of_geometric_means(interchange, replacement, SETTINGS)
    assert regimes.metric_regime(statistics.geometric_mean(replacement, SETTINGS), ratio, SETTINGS) == "divergent"
    inverse = statistics.ratio_of_geometric_means(replacement, interchange, SETTINGS)
    assert regimes.metric_regime(statistics.geometric_mean(interchange, SETTINGS), inverse, SETTINGS) == "reversed"


# --- removal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "name"),
    [
        ([(0.06, 0.2)], "interchange-safer"),
        ([(0.001, 0.2), (0.1, 0.3)], "interchange-safer"),
        ([(-0.2, -0.001)], "replacement-safer"),
        ([(-0.2, -0.06), (-0.9, -0.1)], "replacement-safer"),
        ([(-0.05, 0.05)], "tied"),
        ([(0.01, 0.02)], "tied"),  # excludes zero, and is known to be too small to matter
        ([(0.0, 0.0), (-0.04, -0.01)], "tied"),
        ([(-0.051, 0.05)], "open"),
        ([(0.0, 0.2)], "open"),
        ([(-0.2, 0.0)], "open"),
        ([(0.06, 0.2), (0.01, 0.02)], "open"),  # the resolutions do not say the same
        ([(0.06, 0.2), (-0.2, -0.06)], "open"),
        ([(0.06, 0.2), (-0.06, 0.2)], "open"),
        ([], "open"),
    ],
)
def test_removal_regime_closed_cases(intervals, name):
    assert regimes.removal_regime([within(*interval) for interval in intervals], MARGIN) == name


def test_too_few_windows_leave_removal_open():
    assert regimes.removal_regime([Estimate(5.0, None, 7)], MARGIN) == "open"
    assert regimes.removal_regime([within(0.1, 0.2), Estimate(5.0, None, 7)], MARGIN) == "open"


@given(st.lists(differences, min_size=1, max_size=4), st.floats(0.0, 0.2))
def test_removal_regime_mirrors_when_the_protocols_change_places(found, margin):
    mirrored = [within(-each.interval[1], -each.interval[0]) for each in found]
    swap = {"interchange-safer": "replacement-safer", "replacement-safer": "interchange-safer"}
    name = regimes.removal_regime(found, margin)
    assert regimes.removal_regime(mirrored, margin) == swap.get(name, name)


@given(st.lists(differences, min_size=2, max_size=4), st.floats(0.0, 0.2))
def test_removal_regime_holds_only_if_every_resolution_says_it(found, margin):
    alone = {regimes.removal_regime([each], margin) for each in found}
    assert regimes.removal_regime(found, margin) == (alone.pop() if len(alone) == 1 else "open")


def test_the_same_removal_by_both_protocols_is_tied():
    losses, tokens = np.linspace(200, 300, 16), np.full(16, 64)
    same = statistics.nll_difference(losses, losses, tokens, SETTINGS)
    assert regimes.removal_regime([same], 0.0) == "tied"


@pytest.mark.parametrize("margin", [-0.01, math.nan, math.inf])
def test_a_margin_must_be_a_number_of_nats(margin):
    with pytest.raises(ValueError, match="margin: found"):
        regimes.removal_regime([within(0.1, 0.2)], margin)


# --- in words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", get_args(regimes.MetricRegime))
def test_every_metric_regime_says_what_does_not_follow(name):
    sentence = regimes.metric_sentence(name, SETTINGS)
    assert "It does not follow" in sentence or "nothing about pruning follows" in sentence
    assert "measured removals" in sentence or "removal regime" in sentence


def test_metric_sentences_name_the_thresholds_of_the_audit():
    own = Statistics(conditional=0.25, divergent_ratio=0.4)
    assert "0.25 nats" in regimes.metric_sentence("low", own)
    assert "0.4 times" in regimes.metric_sentence("divergent", own)


@pytest.mark.parametrize("name", get_args(regimes.RemovalRegime))
@pytest.mark.parametrize(("budget", "blocks"), [(1, "one block"), (3, "3 blocks")])
def test_every_removal_regime_names_its_budget_and_what_does_not_follow(name, budget, blocks):
    sentence = regimes.removal_sentence(name, budget, MARGIN)
    assert f"removal of {blocks}" in sentence or f"removals of {blocks}" in sentence
    assert "It does not follow" in sentence


def test_removal_sentences_name_the_protocol_and_the_margin():
    assert "interchange chose the cheaper" in regimes.removal_sentence("interchange-safer", 3, MARGIN)
    assert "replacement chose the cheaper" in regimes.removal_sentence("replacement-safer", 3, MARGIN)
    assert "0.05 nats per token" in regimes.removal_sentence("tied", 3, MARGIN)
