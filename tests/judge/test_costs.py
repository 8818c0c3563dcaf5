"""The report's figures about removals: arms, ranges over ties, the random control, the removal regime."""

from __future__ import annotations

from dataclasses import replace
from math import exp, expm1
from typing import Any

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample

from checker.core.layouts import Layout
from checker.core.questions import RemovalSet
from checker.core.records import MethodSettings, Statistics
from checker.judge.figures import arms as arm_figures
from checker.judge.figures.costs import Costs, error_rate
from checker.judge.figures.removals import budgets_of_both


def figures(sample: Sample) -> dict[str, Any]:
    return sample.figures()[0]


def lower_ties(**changes: Any) -> Sample:
    return Sample().changed(selection=replace(samples.an_audit().selection, ties="lower"), **changes)


def arms(sample: Sample, method: str, budget: int = 2) -> list[dict[str, Any]]:
    return [row for row in figures(sample)["arms"] if (row["method"], row["budget"]) == (method, budget)]


def without(*blocks: int) -> Layout:
    return Layout.base(8).without(blocks)


def percent(nats: float) -> float:
    return 100 * expm1(nats)


# --- arms ------------------------------------------------------------------------------------------------------------


def test_the_baseline() -> None:
    found = figures(Sample())["baseline"]
    assert found["perplexity"] == pytest.approx(exp(3.4))
    assert (found["windows"], found["tokens"]) == (20, 1200)
    assert found["nll_per_token"] == pytest.approx(3.4)
    assert found["interval"][0] < exp(3.4) < found["interval"][1]


def test_an_arm_shows_its_cost_and_what_stands_beside_it() -> None:
    row = arms(Sample(spread=0.05), "replacement")[0]
    assert row["layers"] == [4, 6]
    assert row["increase_percent"] == pytest.approx(percent(0.08))
    assert row["perplexity"] == pytest.approx(exp(3.48))
    assert row["kl"] == pytest.approx(0.08)
    assert row["top1_agreement"] == pytest.approx(exp(-0.08))
    assert (row["parameters_removed"], row["parameters_removed_percent"]) == (2000, pytest.approx(100 * 2 / 12))
    assert (row["selected_on"], row["evidence"], row["spacing"]) == ("prompts.txt", "measured", 1)
    assert (row["tie"], row["ties"], row["draw"], row["stability"]) == (0, 1, False, 1.0)


def test_ties_are_arms_of_their_own_and_share_the_resamples() -> None:
    rows = arms(Sample(spread=0.0), "interchange")
    assert [(row["layers"], row["tie"], row["ties"], row["stability"]) for row in rows] == [
        ([4, 6], 0, 2, 0.5),
        ([3, 5], 1, 2, 0.5),
    ]


def test_a_window_counts_by_the_tokens_it_scores() -> None:
    """Perplexity is the exponential of summed NLL over summed tokens, not a mean over windows."""
    sample = Sample()
    scored = tuple(samples.WINDOW_TOKENS if number else 2 * samples.WINDOW_TOKENS for number in range(20))
    facts = replace(sample.facts, evaluation=replace(samples.evaluation_facts(), scored=scored))
    found = Costs(replace(sample.evidence, facts=facts))
    nll = found.nll(without(4))
    assert nll is not None
    assert found.perplexity(without(4)) == pytest.approx(exp(nll.sum() / (21 * samples.WINDOW_TOKENS)))
    agreement = found.per_token("kl", without(4))
    values = found.evidence.answer("evaluation", "kl", without(4))
    assert values is not None
    assert agreement == pytest.approx(np.average(values, weights=scored))


def test_the_order_of_layers_does_not_matter() -> None:
    found = Costs(Sample().evidence)
    assert found.increase(without(6, 4)) is found.increase(without(4, 6))


def test_what_is_not_measured_is_none() -> None:
    found = figures(Sample(withheld=lambda question: question.text == "evaluation"))
    assert found["baseline"] is None
    assert found["random"] == []
    for row in found["arms"]:
        names = ("perplexity", "increase_percent", "interval", "kl", "top1_agreement", "p", "smallest_p", "draws")
        assert [row[name] for name in names] == [None] * 8
    for row in found["ranges"]:
        assert row["measured"] == 0
        assert [row[name] for name in ("least_percent", "most_percent", "least_low", "most_high")] == [None] * 4


# --- ranges and the random control -----------------------------------------------------------------------------------


def test_a_range_runs_from_the_cheapest_to_the_costliest_tie() -> None:
    found = {(row["method"], row["budget"]): row for row in figures(Sample())["ranges"]}
    assert {method for method, _ in found} == {"interchange", "replacement", "deletion"}
    row = found["interchange", 2]
    assert (row["ties"], row["measured"]) == (2, 2)
    assert (row["least_percent"], row["most_percent"]) == (pytest.approx(percent(0.08)), pytest.approx(percent(0.1)))
    assert row["least_low"] < row["least_percent"] < row["most_percent"] < row["most_high"]


def test_the_random_control_is_every_set_where_there_are_few() -> None:
    found = figures(Sample())["random"]
    sets = [(i, j) for i in range(8) for j in range(i + 2, 8)]
    expected = sorted(percent(samples.SINGLES[i] + samples.SINGLES[j]) for i, j in sets)
    assert [(row["budget"], row["draws"]) for row in found] == [(2, 21)]
    assert found[0]["quartiles"] == pytest.approx(list(np.quantile(expected, [0.25, 0.5, 0.75])))
    assert (found[0]["least"], found[0]["most"]) == (pytest.approx(expected[0]), pytest.approx(expected[-1]))


def test_an_arm_is_held_against_the_draws_of_other_sets() -> None:
    """The cheapest of 21 sets has rank 1 of 21; its own draw does not count against it."""
    cheapest, second = arms(Sample(), "interchange")
    assert (cheapest["layers"], cheapest["p"]) == ([4, 6], pytest.approx(1 / 21))
    assert (second["layers"], second["p"]) == ([3, 5], pytest.approx(2 / 21))
    assert (cheapest["draws"], cheapest["smallest_p"]) == (20, pytest.approx(1 / 21))
    assert {row["p"] for row in arms(Sample(), "random")} == {None}
    assert {row["p"] for row in arms(Sample(), "interchange", 1)} == {None}


def test_draws_of_another_budget_are_no_control() -> None:
    sample = Sample()
    found = Costs(sample.evidence)
    sets = [RemovalSet("random", 1, without(0), draw=True), RemovalSet("random", 2, without(0, 2), draw=True)]
    assert arm_figures.control(found, sets, RemovalSet("deletion", 2, without(4, 6))) == [pytest.approx(percent(1.45))]


@pytest.mark.parametrize(("confidence", "rate"), [(0.95, 0.05), (0.9, 0.1), (0.99, 0.01)])
def test_the_error_rate_is_what_confidence_leaves(confidence: float, rate: float) -> None:
    """1 - 0.9 is below 0.1 in floating point, and would turn a p of exactly 0.1 away."""
    assert error_rate(Statistics(confidence=confidence)) == rate


# --- the removal regime ----------------------------------------------------------------------------------------------


def apart(difference: float, **changes: Any) -> Sample:
    """Without ties, interchange takes 4 and 6; replacement takes 1 and 3, at ``difference`` more nats per token."""
    table = {**samples.REPLACEMENT, (1, 2): (0.01, 0.5), (3, 4): (0.02, 0.15)}
    return lower_ties(replacement=table, costs={(1, 3): 0.08 + difference}, **changes)


def removal_row(sample: Sample, budget: int = 2) -> dict[str, Any]:
    return next(row for row in figures(sample)["regime"]["removal"] if row["budget"] == budget)


@pytest.mark.parametrize(
    ("difference", "regime"),
    [(0.5, "interchange-safer"), (-0.2, "replacement-safer"), (0.01, "tied"), (0.06, "interchange-safer")],
)
def test_the_removal_regime(difference: float, regime: str) -> None:
    row = removal_row(apart(difference))
    assert (row["regime"], row["resolutions"], row["margin"]) == (regime, 1, 0.05)
    assert row["difference"] == pytest.approx(difference)
    assert row["interval"][0] < difference < row["interval"][1]
    assert row["sentence"]


def test_the_removal_regime_is_open_where_the_interval_does_not_decide() -> None:
    row = removal_row(replace(apart(0.0, spread=0.6), costs={(1, 3): 0.53, (4, 6): 0.5}))
    assert row["regime"] == "open"
    assert row["interval"][0] < 0 < row["difference"] < row["interval"][1]


def test_the_removal_regime_has_to_hold_for_every_way_of_breaking_ties() -> None:
    """Replacement takes 4 and 6, interchange 4 and 6 or 3 and 5."""
    tied = removal_row(Sample())
    assert (tied["regime"], tied["resolutions"]) == ("tied", 2)
    assert tied["difference"] == pytest.approx(-0.01)
    differing = removal_row(Sample(costs={(3, 5): 0.5}))
    assert differing["regime"] == "open"
    assert differing["interval"][0] < -0.4
    assert differing["interval"][1] == 0.0


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (Sample(windows=15), "15 evaluation windows decide nothing about a population; at least 16 do."),
        (
            Sample(withheld=lambda question: question.text == "evaluation"),
            "Not every removal that the two protocols chose at this budget is measured.",
        ),
        (
            Sample(withheld=lambda question: sum(not place.own for place in question.layout.places) == 2),
            "No removal set of interchange is known at this budget, so there is nothing to compare.",
        ),
        (
            Sample(withheld=lambda question: question.text == "scoring"),
            "No removal set of replacement and of interchange is known at this budget, so there is nothing to compare.",
        ),
    ],
)
def test_a_removal_regime_that_cannot_be_decided_is_open_and_says_why(sample: Sample, sentence: str) -> None:
    for budget in (1, 2):
        row = removal_row(sample, budget)
        assert (row["regime"], row["sentence"]) == ("open", sentence)


def test_more_ties_than_are_measured_leave_the_removal_regime_open() -> None:
    sample = samples.large().changed(interchange={(i, i + 1): 0.1 for i in range(29)})
    row = removal_row(sample, 3)
    assert row["regime"] == "open"
    assert row["sentence"].startswith("The two protocols leave more ways of breaking ties than were measured")


def test_there_is_a_removal_regime_at_the_budgets_of_both_protocols() -> None:
    def audit(*methods: MethodSettings) -> Any:
        return samples.an_audit(methods=methods)

    both = audit(MethodSettings("interchange", (1, 3, 4)), MethodSettings("replacement", (4, 1)))
    assert budgets_of_both(both) == [1, 4]
    assert budgets_of_both(audit(MethodSettings("interchange", (1, 3)), MethodSettings("deletion", (1,)))) == []
    found = figures(Sample(both))
    assert [row["budget"] for row in found["regime"]["removal"]] == [1, 4]
    assert figures(Sample(audit(MethodSettings("deletion", (1,)))))["regime"]["removal"] == []


def test_overlap_counts_the_blocks_that_both_protocols_chose() -> None:
    found = {row["budget"]: row for row in figures(Sample())["regime"]["metric"]["overlap"]}
    assert found[1] == {"budget": 1, "shared_least": 0, "shared_most": 1, "of": 1}
    assert found[2] == {"budget": 2, "shared_least": 0, "shared_most": 2, "of": 2}


# --- what an arm was chosen on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("deletion", {}, "prompts.txt"),
        ("deletion_loss", {}, "calibration.txt"),
        ("random", {}, ""),
        ("worst_first", {"of": "deletion"}, "prompts.txt"),
        ("worst_first", {"of": "taylor"}, "calibration.txt"),
        ("worst_first", {"of": "deepest"}, ""),
        ("beam", {}, "calibration.txt"),
        ("beam", {"seeded_by": "deletion"}, "calibration.txt and prompts.txt"),
        ("beam", {"seeded_by": "taylor"}, "calibration.txt"),
    ],
)
def test_an_arm_names_the_texts_that_its_choice_rests_on(method: str, settings: dict[str, str], expected: str) -> None:
    audit = samples.an_audit()
    calibration = replace(audit.scoring, source=replace(audit.scoring.source, path="/texts/calibration.txt"))
    own = MethodSettings(method, (1,), **settings)
    evidence = Sample().changed(methods=(own,), selecting=calibration).evidence
    assert arm_figures.selected_on(evidence, method) == expected


@pytest.mark.parametrize(
    ("shared", "mark"),
    [
        ({"shared_letters": 99}, ""),
        ({"shared_letters": 100}, " (tuned on its test text)"),
        ({"shared_tokens": 100}, " (tuned on its test text)"),
        ({"shared_windows": 0.01}, " (tuned on its test text)"),
    ],
)
def test_an_arm_says_where_its_text_overlaps_the_evaluation_text(shared: dict[str, Any], mark: str) -> None:
    evidence = Sample().evidence
    assert evidence.facts.evaluation is not None
    facts = replace(evidence.facts, evaluation=replace(evidence.facts.evaluation, **shared))
    assert arm_figures.selected_on(replace(evidence, facts=facts), "deletion") == f"prompts.txt{mark}"
    assert arm_figures.selected_on(replace(evidence, facts=facts), "random") == "", "it looks at no text"
