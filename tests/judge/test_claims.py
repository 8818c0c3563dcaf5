"""Verdicts on closed cases: what each kind of claim comes to, and that it is decided on the unfavourable end."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from math import exp, expm1, log, log1p, sqrt
from typing import Any

import evidence_sample as samples
import pytest
from evidence_sample import Sample, claim
from scipy import stats as scipy_stats

from checker.core.layouts import Layout
from checker.core.questions import Question
from checker.core.records import MethodSettings, Statistics

COST = 100 * expm1(0.08)  # of blocks 4 and 6, in percent
SPAN = "[7.924, 8.735]"
AGREE = "the 2 ways of breaking ties agree"


def removal(**fields: Any) -> Any:
    return claim("a", "removal", **({"layers": (4, 6)} if "method" not in fields else {}) | fields)


def redundant(pair: tuple[int, int], below: float, **fields: Any) -> Any:
    return claim("a", "redundant", pair=pair, below=below, **fields)


def comparison(better: str, worse: str, at_least: float = 1.0, name: str = "a", **fields: Any) -> Any:
    return claim(name, "comparison", better=better, worse=worse, budget=2, at_least=at_least, **fields)


def lower_ties(**changes: Any) -> Sample:
    """Without ties: interchange and replacement choose blocks 4 and 6, deletion chooses 3 and 5."""
    return Sample().changed(selection=replace(samples.an_audit().selection, ties="lower"), **changes)


def student(units: int, confidence: float = 0.95) -> float:
    return float(scipy_stats.t.ppf((1 + confidence) / 2, units - 1))


# --- removal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_most", "verdict"),
    [(20.0, "supported"), (8.74, "supported"), (8.73, "open"), (7.93, "open"), (7.92, "contradicted"),
     (5.0, "contradicted")],
)  # fmt: skip
def test_a_removal_is_decided_on_the_unfavourable_end_of_its_interval(at_most: float, verdict: str) -> None:
    row = Sample().verdict(removal(at_most=at_most))
    half = student(samples.WINDOWS) * 0.1 * 0.08 / sqrt(samples.WINDOWS)
    assert row["verdict"] == verdict
    assert row["value"] == pytest.approx(COST)
    assert row["interval"] == pytest.approx([100 * expm1(0.08 - half), 100 * expm1(0.08 + half)])
    assert (row["unit"], row["threshold"]) == ("percent", at_most)
    told = f"removing blocks 4, 6 costs +8.33 % perplexity {SPAN}; claimed: at most {at_most:g} %"
    assert row["message"].startswith(told)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_an_open_removal_says_how_many_further_windows_would_settle_it(confidence: float) -> None:
    row = Sample().changed(statistics=Statistics(confidence=confidence)).verdict(removal(at_most=8.4))
    gap = log1p(0.084) - 0.08
    enough = next(n for n in count(20) if student(n, confidence) * 0.1 * 0.08 / sqrt(n) < gap)
    assert row["verdict"] == "open"
    assert row["further_units"] == enough - 20
    assert row["message"].endswith(
        f"the interval does not decide it: about {enough - 20} further windows would, if value and spread stay"
    )


def test_a_claim_on_the_very_value_cannot_be_settled_by_further_windows() -> None:
    row = Sample(spread=0.2).verdict(removal(at_most=COST))
    assert (row["verdict"], row["further_units"]) == ("open", None)
    assert row["message"].endswith("the interval does not decide it, and no number of further windows would")


@pytest.mark.parametrize(
    ("equals", "within", "verdict"),
    [(8.33, 0.005, "supported"), (8.43, 0.05, "supported"), (8.44, 0.05, "contradicted"), (8.24, 0.05, "supported"),
     (8.22, 0.05, "contradicted"), (20.0, 12.0, "supported")],
)  # fmt: skip
def test_equals_is_about_this_very_text_and_decided_on_the_value(equals: float, within: float, verdict: str) -> None:
    """The printed precision and the numerical tolerance, 0.05 % of the perplexity, are allowed for; spread is not."""
    row = Sample(spread=0.5).verdict(removal(equals=equals, within=within))
    assert row["verdict"] == verdict
    assert f"claimed of this very text: {equals:g} % within {within:g}" in row["message"]


@pytest.mark.parametrize(
    ("equals", "within", "verdict"),
    [(8.33, 0.5, "supported"), (8.33, 0.1, "open"), (8.7, 0.2, "open"), (20.0, 1.0, "contradicted"),
     (1.0, 1.0, "contradicted")],
)  # fmt: skip
def test_equals_of_a_population_needs_the_whole_interval_inside(equals: float, within: float, verdict: str) -> None:
    row = Sample().verdict(removal(equals=equals, within=within, scope="population"))
    assert row["verdict"] == verdict
    nearest = min((equals - within, equals + within), key=lambda bound: abs(bound - COST))
    assert row["threshold"] == pytest.approx(nearest)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((7.9, 8.8), "supported"), ((7.95, 8.8), "open"), ((7.9, 8.7), "open"), ((8.8, 9.9), "contradicted"),
     ((5.0, 7.9), "contradicted")],
)  # fmt: skip
def test_a_published_interval_is_what_a_population_claim_is_held_against(interval: Any, verdict: str) -> None:
    row = Sample().verdict(removal(equals=8.3, within=0.05, interval=interval, interval_unit="percent"))
    low, high = interval
    assert (row["verdict"], row["scope"]) == (verdict, "population")
    assert row["message"].startswith(
        f"removing blocks 4, 6 costs +8.33 % perplexity {SPAN}; claimed: 8.3 % [{low:g}, {high:g}]"
    )
    assert row["range"] == {"lower": low, "upper": high}


@pytest.mark.parametrize(("interval", "verdict"), [((32.3, 32.6), "supported"), ((32.45, 32.6), "open"),
                                                   ((29.0, 32.3), "contradicted")])  # fmt: skip
def test_an_interval_of_perplexities_is_turned_into_percent_of_the_baseline(interval: Any, verdict: str) -> None:
    row = Sample().verdict(removal(equals=8.3, within=0.05, interval=interval, interval_unit="perplexity"))
    assert row["verdict"] == verdict
    assert f"claimed: 8.3 % [{interval[0]:g}, {interval[1]:g}], in perplexity" in row["message"]
    percent = [100 * (end / exp(3.4) - 1) for end in interval]
    assert [row["range"]["lower"], row["range"]["upper"]] == pytest.approx(percent)


def test_of_this_very_text_a_published_interval_decides_nothing() -> None:
    far = removal(equals=8.33, within=0.005, interval=(1.0, 2.0), interval_unit="percent", scope="contract")
    row = Sample().verdict(far)
    assert row["verdict"] == "supported"
    assert row["message"].endswith("claimed of this very text: 8.33 % within 0.005")


def test_an_interval_of_perplexities_without_a_baseline_leaves_the_claim_open() -> None:
    unmeasured = Sample(withheld=lambda question: question.text == "evaluation")
    row = unmeasured.verdict(removal(equals=8.3, within=0.05, interval=(32.3, 32.6), interval_unit="perplexity"))
    assert (row["verdict"], row["value"]) == ("open", None)
    assert row["message"].startswith("what removing blocks 4, 6 costs is not measured")


TASKS = "the claim is about tasks, which perplexity does not decide and nothing here measures"


@pytest.mark.parametrize("at_most", [20.0, 8.5, 5.0])
def test_a_claim_about_tasks_stays_open_whatever_perplexity_says(at_most: float) -> None:
    row = Sample().verdict(removal(at_most=at_most, about="tasks"))
    assert (row["verdict"], row["further_units"]) == ("open", None)
    assert row["message"] == (
        f"{TASKS}: removing blocks 4, 6 costs +8.33 % perplexity {SPAN}; claimed: at most {at_most:g} %"
    )
    assert (row["value"], row["unit"]) == (pytest.approx(COST), "percent")


def test_a_claim_about_tasks_stays_open_over_ties_and_where_nothing_is_chosen() -> None:
    chosen = Sample().verdict(removal(method="interchange", budget=2, at_most=50.0, about="tasks"))
    assert chosen["verdict"] == "open"
    assert chosen["message"].startswith(f"{TASKS}: removing blocks")
    assert AGREE in chosen["message"]
    absent = Sample().verdict(removal(method="sleb", budget=2, at_most=50.0, about="tasks"))
    assert absent["message"].startswith(f"{TASKS}: the audit does not run sleb at budget 2")


@pytest.mark.parametrize(
    ("made", "bounds"),
    [(removal(at_most=20.0), {"lower": None, "upper": 20.0}),
     (removal(equals=8.0, within=0.5), {"lower": 7.5, "upper": 8.5}),
     (redundant((4, 5), 0.1), {"lower": None, "upper": 0.1}),
     (comparison("interchange", "deletion", 1.5), {"lower": 1.5, "upper": None}),
     (claim("a", "regime", metric="divergent"), None),
     (claim("a", "regime", removal="tied", budget=1), None)],
)  # fmt: skip
def test_the_report_says_what_a_claim_lets_its_figure_be(made: Any, bounds: Any) -> None:
    assert Sample().verdict(made)["range"] == bounds


def test_a_value_inside_a_range_needs_units_for_both_of_its_bounds() -> None:
    inside = Sample().verdict(removal(equals=8.33, within=0.1, scope="population"))
    bounds = [Sample().verdict(removal(at_most=bound))["further_units"] for bound in (8.23, 8.43)]
    assert inside["further_units"] == max(bounds)


@pytest.mark.parametrize(("windows", "least"), [(15, 1), (9, 7), (7, 9)])
def test_fewer_than_16_windows_decide_nothing_about_a_population(windows: int, least: int) -> None:
    row = Sample(windows=windows).verdict(removal(at_most=50.0))
    assert (row["verdict"], row["further_units"]) == ("open", least)
    assert f"{windows} windows decide nothing about a population, at least 16 do" in row["message"]
    assert (row["interval"] is None) == (windows < 8)


def test_few_windows_decide_about_this_very_text() -> None:
    assert Sample(windows=3).verdict(removal(at_most=50.0, scope="contract"))["verdict"] == "supported"
    assert Sample(windows=3).verdict(removal(at_most=5.0, scope="contract"))["verdict"] == "contradicted"


def test_the_order_in_which_layers_are_written_does_not_matter() -> None:
    one, other = (Sample().verdict(removal(layers=layers, at_most=20.0)) for layers in ((4, 6), (6, 4)))
    assert one == other


@pytest.mark.parametrize(
    ("at_most", "verdict", "value", "end"),
    [
        (20.0, "supported", 100 * expm1(0.1), f"({AGREE}, this one is the nearest to the claim)"),
        (5.0, "contradicted", COST, f"({AGREE}, this one is the nearest to the claim)"),
        (9.5, "open", 100 * expm1(0.1), "claimed: at most 9.5 %: 1 supported, 1 contradicted"),
        (8.5, "open", 100 * expm1(0.1), "claimed: at most 8.5 %: 1 contradicted, 1 open"),
    ],
)  # fmt: skip
def test_a_removal_holds_only_for_every_way_of_breaking_ties(
    at_most: float, verdict: str, value: float, end: str
) -> None:
    """Interchange's tie at two blocks leads to 4 and 6 (0.08 nats) or to 3 and 5 (0.10 nats)."""
    row = Sample().verdict(removal(method="interchange", budget=2, at_most=at_most))
    assert row["verdict"] == verdict
    assert row["value"] == pytest.approx(value)
    assert row["message"].endswith(end)
    if verdict == "open":
        assert row["message"].startswith("the 2 ways of breaking ties cost +8.33 to +10.52 % perplexity [7.924, ")


def test_ties_that_are_not_all_measured_leave_a_claim_open() -> None:
    sample = Sample(withheld=lambda question: question.layout.slots == (0, 1, 2, 4, 6, 7))
    row = sample.verdict(removal(method="interchange", budget=2, at_most=20.0))
    assert row["verdict"] == "open"
    assert row["message"].startswith(
        "1 of 2 ways of breaking ties are measured and cost +8.33 to +8.33 % perplexity [7.9"
    )


def test_more_ties_than_are_measured_leave_a_claim_open() -> None:
    sample = samples.large().changed(interchange={(i, i + 1): 0.1 for i in range(29)})
    row = sample.verdict(removal(method="interchange", budget=3, at_most=1000.0))
    assert row["verdict"] == "open"
    assert row["message"].startswith("16 of ")
    assert " ways of breaking ties are measured and cost " in row["message"]
    assert row["message"].endswith("claimed: at most 1000 %: 16 supported")


@pytest.mark.parametrize(
    ("method", "budget", "reason"),
    [
        ("deletion", 5, "the audit does not run deletion at budget 5; add it to `methods` and `budgets`"),
        ("random", 2, "random draws are a control and not one removal; name the blocks in `layers`"),
    ],
)
def test_a_method_or_budget_that_the_audit_does_not_run_is_open(method: str, budget: int, reason: str) -> None:
    row = Sample().verdict(removal(method=method, budget=budget, at_most=20.0))
    assert (row["verdict"], row["message"]) == ("open", f"{reason}; claimed: at most 20 %")
    assert {row["protocols"][protocol]["backs"] for protocol in ("replacement", "interchange")} == {"open"}


def test_a_method_whose_distances_are_not_measured_is_open() -> None:
    sample = Sample(withheld=lambda question: question.text == "scoring")
    row = sample.verdict(removal(method="interchange", budget=2, at_most=20.0))
    assert row["verdict"] == "open"
    assert row["message"].startswith("interchange has no removal set at budget 2: its distances are not all measured")


def test_a_removal_that_is_not_measured_is_open() -> None:
    row = Sample(withheld=lambda question: question.quantity == "nll").verdict(removal(at_most=20.0))
    assert (row["verdict"], row["value"], row["threshold"]) == ("open", None, 20.0)
    assert row["message"] == (
        "what removing blocks 4, 6 costs is not measured, run the audit to its end; claimed: at most 20 %"
    )


# --- redundant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "below", "verdict"),
    [
        ("interchange", 0.1, "supported"),
        ("interchange", 0.0200, "open"),
        ("interchange", 0.01, "contradicted"),
        ("replacement", 0.14, "supported"),
        ("replacement", 0.125, "open"),
        ("replacement", 0.1, "contradicted"),
    ],
)
def test_redundancy_under_one_protocol(protocol: str, below: float, verdict: str) -> None:
    """Replacement is the larger direction, 0.13; interchange is 0.02."""
    row = Sample().verdict(redundant((4, 5), below, protocol=protocol))
    value = {"replacement": 0.13, "interchange": 0.02}[protocol]
    assert (row["verdict"], row["unit"], row["threshold"]) == (verdict, "nats", below)
    assert row["value"] == pytest.approx(value)
    assert row["message"].startswith(f"{protocol} distance of blocks 4 and 5: {value:g} nats [")
    assert f"; claimed: below {below:g} nats" in row["message"]


def test_redundancy_without_a_protocol_holds_where_both_agree() -> None:
    supported, contradicted = (Sample().verdict(redundant((4, 5), below)) for below in (0.2, 0.01))
    assert (supported["verdict"], contradicted["verdict"]) == ("supported", "contradicted")
    for row in (supported, contradicted):
        assert row["message"].startswith("the claim names no protocol, and both give the same answer: replacement ")
        assert "; interchange distance of blocks 4 and 5: 0.02 nats [" in row["message"]
        assert row["value"] == pytest.approx(0.13)


def test_redundancy_without_a_protocol_is_open_where_they_differ() -> None:
    row = Sample().verdict(redundant((4, 5), 0.1))
    assert (row["verdict"], row["further_units"]) == ("open", None)
    assert row["message"].startswith(
        "the claim names no protocol, and the answer depends on it: replacement distance of "
    )
    assert [row["protocols"][name]["backs"] for name in ("replacement", "interchange")] == ["no", "yes"]


def test_redundancy_without_a_protocol_is_open_where_only_one_decides() -> None:
    row = Sample().verdict(redundant((4, 5), 0.125))
    assert row["verdict"] == "open"
    assert row["message"].startswith("the claim names no protocol, and only one of the two decides it: ")
    assert row["further_units"] == Sample().verdict(redundant((4, 5), 0.125, protocol="replacement"))["further_units"]
    assert row["further_units"] > 0


@pytest.mark.parametrize(("factor", "verdict"), [(1.001, "supported"), (0.9996, "supported"), (0.999, "contradicted")])
def test_redundancy_on_this_very_text_is_decided_on_the_value(factor: float, verdict: str) -> None:
    row = Sample(spread=0.5).verdict(redundant((4, 5), 0.02 * factor, protocol="interchange", scope="contract"))
    assert row["verdict"] == verdict
    assert "; claimed of this very text: below " in row["message"]


def test_a_pair_that_is_not_measured_is_open_and_says_why() -> None:
    far = Sample().verdict(redundant((2, 5), 0.1, protocol="interchange"))
    assert (far["verdict"], far["value"]) == ("open", None)
    assert far["message"].startswith(
        "blocks 2 and 5 are 3 apart, and only pairs up to 1 apart are measured; raise pairs.max_gap"
    )
    shapes = ("equal",) * 5 + ("wider",) + ("equal",) * 2
    unlike = Sample(model=samples.model_facts(block_shapes=shapes)).verdict(redundant((4, 5), 0.1))
    assert unlike["verdict"] == "open"
    assert "blocks 4 and 5 are not comparable: their parameters differ in name or shape" in unlike["message"]
    missing = Sample(withheld=lambda question: question.text == "scoring").verdict(redundant((4, 5), 0.1))
    assert missing["verdict"] == "open"
    assert "the replacement distance of blocks 4 and 5 is not measured" in missing["message"]


@pytest.mark.parametrize("protocol", ["deletion", "averaging"])
def test_redundancy_needs_a_protocol_that_gives_a_distance_of_two_blocks(protocol: str) -> None:
    row = Sample().verdict(redundant((4, 5), 0.1, protocol=protocol))
    assert row["verdict"] == "open"
    assert row["message"] == (
        f"{protocol} gives no distance between two blocks; rest the claim on replacement or interchange; "
        "claimed: below 0.1 nats"
    )


def test_fewer_than_8_prompts_decide_no_distance() -> None:
    row = Sample(prompts=5).verdict(redundant((4, 5), 1.0, protocol="interchange"))
    assert (row["verdict"], row["interval"], row["further_units"]) == ("open", None, 3)
    assert "5 prompts decide nothing about a population, at least 8 do" in row["message"]


# --- comparison ------------------------------------------------------------------------------------------------------

RATIO = expm1(0.1) / expm1(0.08)  # of what deletion's and interchange's removals of two blocks cost, 1.263


@pytest.mark.parametrize(
    ("at_least", "verdict"), [(1.0, "supported"), (1.1, "supported"), (1.25, "open"), (1.5, "contradicted")]
)
def test_a_comparison_is_decided_on_the_interval_of_the_ratio_of_costs(at_least: float, verdict: str) -> None:
    row = lower_ties().verdict(comparison("interchange", "deletion", at_least))
    assert (row["verdict"], row["unit"], row["threshold"]) == (verdict, "times", at_least)
    assert row["value"] == pytest.approx(RATIO)
    low, high = row["interval"]
    assert low < RATIO < high
    assert (verdict == "open") == (low < at_least < high)
    times = "more than" if at_least == 1 else f"at least {at_least:g} times as much as"
    assert row["message"].startswith(
        f"removing 2 blocks by deletion costs 1.26 times what interchange costs [{low:.4g}, {high:.4g}]; "
        f"claimed: deletion costs {times} interchange"
    )
    assert (row["further_units"] is not None) == (verdict == "open")


def test_a_comparison_about_this_very_text_is_decided_on_the_value() -> None:
    for at_least, verdict in ((1.26, "supported"), (1.27, "contradicted")):
        row = lower_ties(spread=0.5).verdict(comparison("interchange", "deletion", at_least, scope="contract"))
        assert row["verdict"] == verdict
        assert row["message"].endswith(", on this very text")


def test_the_same_set_is_not_better_than_itself() -> None:
    rows = lower_ties().verdicts(
        comparison("interchange", "replacement"), comparison("interchange", "deletion", 1.1, "b")
    )
    assert [row["verdict"] for row in rows] == ["contradicted", "supported"]
    assert rows[0]["value"] == 1.0


def test_a_ratio_of_costs_without_meaning_is_open() -> None:
    row = lower_ties(costs={(4, 6): -0.01}).verdict(comparison("interchange", "deletion"))
    assert (row["verdict"], row["value"]) == ("open", None)
    assert row["message"].startswith("interchange costs -1.00 % [")
    assert ": a ratio of costs has a meaning only where both are above 0; claimed: " in row["message"]


def test_a_comparison_with_a_method_or_budget_that_does_not_run_is_open() -> None:
    settings = tuple(method for method in samples.an_audit().methods if method.name != "deletion")
    row = Sample().changed(methods=settings).verdict(comparison("interchange", "deletion"))
    assert row["verdict"] == "open"
    assert row["message"].startswith("the audit does not run deletion at budget 2; add it to `methods` and `budgets`")
    row = Sample(withheld=lambda q: q.layout.slots == (0, 1, 2, 4, 6, 7)).verdict(comparison("replacement", "deletion"))
    assert row["verdict"] == "open"
    assert row["message"].startswith("not every removal by replacement and deletion is measured")


def test_a_comparison_holds_only_for_every_combination_of_ties() -> None:
    """Interchange costs 8.3 or 10.5 %, deletion 10.5 %."""
    row = Sample().verdict(comparison("interchange", "deletion", 1.1))
    assert row["verdict"] == "open"
    assert row["message"].startswith(
        "over 2 combinations of ties, removing 2 blocks by deletion costs 1 to 1.26 times what "
    )
    assert row["message"].endswith(": 1 supported, 1 contradicted")
    assert row["value"] == 1.0
    agreed = Sample().verdict(comparison("interchange", "deletion", 2.0))
    assert agreed["verdict"] == "contradicted"
    assert agreed["value"] == pytest.approx(RATIO)
    assert agreed["message"].endswith("(the 2 combinations of ties agree, this one is the nearest to the claim)")


def test_comparisons_share_one_error_rate() -> None:
    """Two that hold singly at 0.05 do not hold jointly; a third that is far from its bound still does."""
    low = lower_ties().verdict(comparison("interchange", "deletion"))["interval"][0]
    close = [comparison("interchange", "deletion", 0.999 * low, name) for name in ("one", "two")]
    assert [lower_ties().verdict(single)["verdict"] for single in close] == ["supported", "supported"]
    rows = lower_ties().verdicts(*close)
    assert [row["verdict"] for row in rows] == ["open", "open"]
    assert all("not once 2 claims share one error rate of 0.05 (Holm)" in row["message"] for row in rows)
    rows = lower_ties().verdicts(close[0], comparison("interchange", "deletion", 1.0, "far"))
    assert [row["verdict"] for row in rows] == ["supported", "supported"]
    rows = lower_ties().verdicts(*close, comparison("interchange", "deletion", 1.0, "far"))
    assert [row["verdict"] for row in rows] == ["open", "open", "supported"]


# --- against random draws --------------------------------------------------------------------------------------------


def test_against_random_an_arm_is_decided_by_its_p() -> None:
    """Of the 21 sets of two blocks that are apart, 4 and 6 is the cheapest, 3 and 5 the second cheapest."""
    row = lower_ties().verdict(comparison("replacement", "random"))
    assert (row["verdict"], row["value"], row["unit"]) == ("supported", None, "")
    assert row["message"] == (
        f"removing 2 blocks by replacement costs +8.33 % perplexity {SPAN}, against 20 random draws: p = 0.0476, "
        "expected at most 0.05; claimed: random costs more than replacement"
    )
    assert lower_ties().verdict(comparison("deletion", "random"))["verdict"] == "open"
    dearest = lower_ties(costs={(4, 6): 5.0})
    assert dearest.verdict(comparison("replacement", "random"))["verdict"] == "contradicted"
    assert dearest.verdict(comparison("random", "replacement"))["verdict"] == "supported"
    assert lower_ties().verdict(comparison("random", "replacement"))["verdict"] == "contradicted"


def test_against_random_the_costliest_tie_decides() -> None:
    row = Sample().verdict(comparison("interchange", "random"))
    assert row["verdict"] == "open"
    assert "costs +10.52 % perplexity" in row["message"]
    assert "(the costliest of 2 ways of breaking ties), against 20 random draws: p = 0.0952" in row["message"]


def test_too_few_draws_are_named() -> None:
    methods = (MethodSettings("replacement", (2,)), MethodSettings("random", (2,), draws=4))
    row = lower_ties(methods=methods).verdict(comparison("replacement", "random"))
    assert row["verdict"] == "open"
    assert "with so few draws no p below 0.2" in row["message"]


def test_against_random_there_is_no_factor_and_without_draws_no_p() -> None:
    factor = Sample().verdict(comparison("replacement", "random", 2.0))
    assert (factor["verdict"], factor["message"].split(";")[0]) == (
        "open", "against random draws an arm has a p and no factor")  # fmt: skip
    without = (
        Sample().changed(methods=(MethodSettings("replacement", (2,)),)).verdict(comparison("replacement", "random"))
    )
    assert without["verdict"] == "open"
    assert "or there is none" in without["message"]
    absent = Sample().changed(methods=(MethodSettings("random", (2,)),)).verdict(comparison("replacement", "random"))
    assert absent["message"].startswith("the audit does not run replacement at budget 2")


def test_a_p_shares_the_error_rate_of_the_other_comparisons() -> None:
    low = lower_ties().verdict(comparison("interchange", "deletion"))["interval"][0]
    both = comparison("replacement", "random"), comparison("interchange", "deletion", 0.999 * low, "b")
    assert [lower_ties().verdict(single)["verdict"] for single in both] == ["supported", "supported"]
    assert [row["verdict"] for row in lower_ties().verdicts(*both)] == ["open", "open"]


# --- regime ---------------------------------------------------------------------------------------------


def test_a_metric_regime_is_compared_with_the_one_found() -> None:
    replacements = [max(pair) for pair in samples.REPLACEMENT.values()]
    ratio = exp(sum(log(samples.INTERCHANGE[pair] / larger) for pair, larger in zip(
        samples.REPLACEMENT, replacements, strict=True)) / 7)  # fmt: skip
    supported = Sample().verdict(claim("a", "regime", metric="divergent"))
    contradicted = Sample().verdict(claim("a", "regime", metric="low"))
    assert (supported["verdict"], contradicted["verdict"]) == ("supported", "contradicted")
    assert supported["value"] == pytest.approx(ratio)
    assert contradicted["message"] == (
        "metric regime: found divergent (kl_ratio of the geometric means over 7 adjacent pairs 0.287 [0.2822, 0.2918], "
        "replacement 0.418 nats); claimed: low"
    )


def test_a_metric_regime_that_is_not_found_is_open() -> None:
    few = Sample(prompts=5).verdict(claim("a", "regime", metric="divergent"))
    assert few["verdict"] == "open"
    assert few["message"].endswith("; the prompts do not decide it")
    none = Sample(withheld=lambda q: q.text == "scoring").verdict(claim("a", "regime", metric="divergent"))
    assert (none["verdict"], none["value"]) == ("open", None)


@pytest.mark.parametrize(("removal", "verdict"), [("tied", "supported"), ("interchange-safer", "contradicted")])
def test_a_removal_regime_is_compared_with_the_one_found(removal: str, verdict: str) -> None:
    row = lower_ties().verdict(claim("a", "regime", removal=removal, budget=2))
    assert (row["verdict"], row["value"], row["unit"], row["threshold"]) == (verdict, 0.0, "nats", 0.05)
    assert row["message"] == (
        "removal regime: found tied (replacement's arm minus interchange's +0 nats per token [0, 0], margin 0.05); "
        f"claimed: {removal} at budget 2"
    )


def test_a_removal_regime_that_is_not_found_is_open_and_says_why() -> None:
    elsewhere = Sample().verdict(claim("a", "regime", removal="tied", budget=3))
    assert elsewhere["verdict"] == "open"
    assert elsewhere["message"].startswith("there is no removal regime at a budget where the audit does not run both ")
    few = Sample(windows=10).verdict(claim("a", "regime", removal="tied", budget=2))
    assert few["verdict"] == "open"
    assert few["message"].endswith("10 evaluation windows decide nothing about a population; at least 16 do.")


# --- the rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [comparison("interchange", "deletion"), claim("a", "regime", metric="low")])
def test_no_protocol_could_back_a_claim_about_methods_or_regimes(made: Any) -> None:
    row = Sample().verdict(made)
    for backing in row["protocols"].values():
        assert [backing[name] for name in ("backs", "admits", "predicts")] == ["na"] * 3
        assert backing["why"] == f"a {made.kind} claim says nothing that a protocol could back"


def test_rows_repeat_what_the_audit_says() -> None:
    row = Sample().verdict(removal(at_most=20.0, protocol="deletion"))
    assert {name: row[name] for name in ("id", "says", "kind", "scope", "protocol", "location", "evidence")} == {
        "id": "a",
        "says": "a.",
        "kind": "removal",
        "scope": "population",
        "protocol": "deletion",
        "location": "audit.yaml:9:5",
        "evidence": "measured",
    }


# --- claims that name a checkpoint -----------------------------------------------------------------------------------


def released(**changes: Any) -> Sample:
    """The sample with its checkpoint, whose claim is made anew; ``healing`` is what training won, nats per token."""
    return replace(samples.with_checkpoint(), **changes)


def of_checkpoint(**keys: Any) -> Any:
    made = removal(checkpoint="pruned", **keys)
    return replace(made, layers=None, from_checkpoint=True)


@pytest.mark.parametrize(
    ("healing", "at_most", "raw", "own"),
    [
        (0.0, 5.0, "contradicted", "contradicted"),
        (0.06, 5.0, "contradicted", "supported"),  # healed
        (0.0, 10.0, "supported", "supported"),
        (-0.06, 10.0, "supported", "contradicted"),  # training broke it
    ],
)
def test_a_checkpoint_is_decided_by_its_own_cost(healing: float, at_most: float, raw: str, own: str) -> None:
    sample = released(healing=healing)
    assert sample.verdict(removal(at_most=at_most))["verdict"] == raw
    assert sample.verdict(of_checkpoint(at_most=at_most))["verdict"] == own


def test_what_stands_beside_a_checkpoints_cost() -> None:
    row = released(healing=0.06).verdict(of_checkpoint(at_most=100.0))
    assert row["value"] == pytest.approx(100 * expm1(0.02))
    assert re.fullmatch(
        rf"pruned, as it is, costs \+2\.02 % perplexity \[\S+, \S+\]; removing blocks 4, 6 alone costs \+{COST:.2f} % "
        r"\[7\.924, 8\.735\], and what came after it changed -5\.82 % \[-5\.824, -5\.824\]; claimed: at most 100 %",
        row["message"],
    )


def test_a_layout_that_only_the_claim_knows_is_said_to_be_stated() -> None:
    unknown = samples.checkpoint_facts(provenance=None, no_provenance="it is a GGUF file")
    row = released(checkpoints=(unknown,)).verdict(removal(checkpoint="pruned", at_most=100.0))
    assert "; removing blocks 4, 6 (as stated, not found in the weights) alone costs " in row["message"]


def test_other_tokens_leave_perplexity_open_and_name_the_key_that_decides() -> None:
    unlike = samples.checkpoint_facts(unlike="prompt 0, position 3: token id 17, and 45 with the model's tokenizer")
    row = released(checkpoints=(unlike,)).verdict(of_checkpoint(at_most=100.0))
    assert (row["verdict"], row["value"]) == ("open", None)
    assert row["message"] == (
        "the perplexity of pruned is not comparable with the model's: prompt 0, position 3: token id 17, and 45 with "
        "the model's tokenizer; claim `bits_per_byte_increase` in its place; claimed: at most 100 %"
    )


def test_a_checkpoint_that_was_not_measured_is_open() -> None:
    for sample in (released(checkpoints=()), released(withheld={Question("evaluation", "nll", Layout.base(6))})):
        row = sample.verdict(of_checkpoint(at_most=100.0))
        assert (row["verdict"], row["message"]) == (
            "open",
            "what pruned costs is not measured, run the audit to its end; claimed: at most 100 %",
        )


def test_bits_per_byte_are_held_against_the_models() -> None:
    row = released(healing=0.06).verdict(of_checkpoint(at_most=100.0, measure="bits_per_byte"))
    assert row["value"] == pytest.approx(100.0 * 0.02 / Sample().nll, rel=1e-6)
    assert row["message"].startswith("pruned, as it is, costs +")
    assert " % bits per byte [" in row["message"]


# --- what cannot exist -----------------------------------------------------------------------------------------------

NONE = "no two adjacent blocks are comparable, because their parameters differ in name or shape"


def test_claims_on_what_cannot_exist_say_what_would_make_it_exist() -> None:
    """Of blocks that alternate, as in many hybrids, no neighbours are comparable."""
    sample = Sample(model=samples.model_facts(block_shapes=("mamba", "attention") * 4))
    told = {
        claim("a", "regime", metric="divergent"): (
            f"there is no metric regime, which is of adjacent blocks: {NONE}; claimed: divergent"
        ),
        claim("a", "regime", removal="tied", budget=2): (
            "removal regime: found open; claimed: tied at budget 2; "
            f"Neither protocol chooses anything: {NONE}; `pairs: {{max_gap: 2}}` reaches some that are."
        ),
        removal(method="interchange", budget=2, at_most=10.0): (
            f"interchange cannot choose anything: {NONE}; `pairs: {{max_gap: 2}}` reaches some that are; "
            "claimed: at most 10 %"
        ),
    }
    for each, message in told.items():
        row = sample.verdict(each)
        assert (row["verdict"], row["message"]) == ("open", message)
    figures, gaps = sample.figures()
    assert gaps == ()
    assert figures["regime"]["metric"]["sentence"] == (
        f"There is no metric regime, which is of adjacent blocks: {NONE}."
    )


def test_where_no_two_blocks_are_comparable_nothing_would_make_it_exist() -> None:
    sample = Sample(model=samples.model_facts(block_shapes=tuple("abcdefgh")))
    row = sample.verdict(removal(method="interchange", budget=2, at_most=10.0))
    assert row["message"] == (
        f"interchange cannot choose anything: {NONE}; no others are either; claimed: at most 10 %"
    )


# --- claims about the numbers of files -------------------------------------------------------------------------------


def of_files(kind: str, model: int = 8, own: int = 6, **keys: Any) -> Any:
    """A claim about a checkpoint of ``own`` blocks of 1,000 parameters beside a model of ``model``."""
    made = samples.checkpoint_facts(
        model=replace(samples.checkpoint_facts().model, blocks=own, parameters=own * 1000 + 4000, weight_bytes=own * 10)
    )
    sample = released(model=samples.model_facts(model, weight_bytes=100), checkpoints=(made,))
    return sample.verdict(claim("a", kind, of="pruned", scope="contract", **keys))


@pytest.mark.parametrize(
    ("kind", "keys", "verdict", "value", "unit"),
    [
        ("parameters", {"quantity": "fewer", "equals": 2000.0}, "supported", 2000.0, ""),
        ("parameters", {"quantity": "fewer", "equals": 1999.0}, "contradicted", 2000.0, ""),
        ("parameters", {"quantity": "fewer", "equals": 1999.0, "within": 1.0}, "supported", 2000.0, ""),
        ("parameters", {"quantity": "fewer_percent", "at_least": 16.6}, "supported", 100 / 6, "percent"),
        ("parameters", {"quantity": "fewer_percent", "at_least": 16.7}, "contradicted", 100 / 6, "percent"),
        ("parameters", {"quantity": "total", "at_most": 10_000.0}, "supported", 10_000.0, ""),
        ("size", {"quantity": "total", "at_most": 59.0}, "contradicted", 60.0, ""),
        ("size", {"quantity": "fewer_percent", "equals": 40.0}, "supported", 40.0, "percent"),
        ("blocks", {"removed": 2}, "supported", 2.0, ""),
        ("blocks", {"removed": 3}, "contradicted", 2.0, ""),
    ],
)
def test_numbers_of_files_are_decided_exactly(
    kind: str, keys: dict[str, Any], verdict: str, value: float, unit: str
) -> None:
    row = of_files(kind, **keys)
    assert (row["verdict"], row["value"], row["unit"], row["interval"]) == (verdict, pytest.approx(value), unit, None)
    assert row["scope"] == "contract"
    assert {backing["backs"] for backing in row["protocols"].values()} == {"na"}


def test_a_wrong_number_of_blocks_is_answered_with_the_arithmetic() -> None:
    """Llama-3.1-8B, of which five of 32 blocks were taken, and four were claimed."""
    block, rest = 218_112_000, 1_050_681_344
    sizes = samples.model_facts(32, block_parameters=(block,) * 32, parameters=32 * block + rest)
    made = samples.checkpoint_facts(
        model=replace(sizes, blocks=27, block_parameters=(block,) * 27, parameters=27 * block + rest), provenance=None
    )
    sample = replace(released(model=sizes, checkpoints=(made,)), withheld=lambda _: True)
    found = sample.verdict(claim("a", "blocks", of="pruned", removed=4))
    assert found["verdict"] == "contradicted"
    assert found["message"] == (
        "pruned has 27 blocks and the model 32: 5 less; the 1.091 B parameters that are gone are 5 blocks of 218.1 M, "
        "and 4 blocks would be 872.4 M; claimed: 4 blocks less"
    )


def test_numbers_of_a_checkpoint_that_was_not_read_are_open() -> None:
    for kind, keys in (("blocks", {"removed": 3}), ("size", {"quantity": "total", "at_most": 5.0})):
        row = released(checkpoints=()).verdict(claim("a", kind, of="pruned", **keys))
        assert row["verdict"] == "open"
        assert row["message"].startswith("the checkpoint was not read; run the audit; claimed: ")
    assert of_files("size", quantity="total", at_most=5.0)["verdict"] == "contradicted"
