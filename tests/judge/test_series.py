"""Series on planted steps, whose figures are known: per step, between two, and the claims about them (design, 3.8)."""

from __future__ import annotations

from dataclasses import replace
from math import expm1, log
from statistics import fmean
from typing import Any

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample, claim

from checker.core import statistics
from checker.core.records import Statistics
from checker.core.resampling import weighted_mean
from checker.judge.figures.series import OverSteps

PAIRS = [(block, block + 1) for block in range(11)]
REPLACEMENT = [0.1 * j + 0.02 for _, j in PAIRS]  # of the last step, the larger direction
INTERCHANGE = [0.05 * j for _, j in PAIRS]


def series(sample: Sample) -> dict[str, Any]:
    (row,) = sample.figures()[0]["series"]
    return dict(row)


def geometric(values: list[float]) -> float:
    return float(np.exp(fmean(map(log, values))))


def trend(**fields: Any) -> Any:
    known = {"series": "steps", "quantity": "gap", "start": 0, "end": 1000, "direction": "grows"}
    return claim("a", "trend", **known | fields)


def transfer(bound: float, **fields: Any) -> Any:
    known = {"series": "steps", "start": 0, "end": 1000, "method": "deletion", "budget": 1}
    return claim("a", "transfer", regret_at_most=bound, **known | fields)


def stable(of: str, at_least: float, **fields: Any) -> Any:
    known = {"series": "steps", "start": 0, "end": 1000, "protocol": "interchange"}
    return claim("a", "stable", of=of, at_least=at_least, **known | fields)


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "replacement", "interchange"), [(0, 1 / 6, 0.5), (1, 0.5, 0.7), (2, 1.0, 1.0)])
def test_the_figures_of_a_step_are_those_that_were_planted(place: int, replacement: float, interchange: float) -> None:
    step = series(samples.with_series())["steps"][place]
    larger, swapped = [each * replacement for each in REPLACEMENT], [each * interchange for each in INTERCHANGE]
    assert step["replacement"]["value"] == pytest.approx(geometric(larger))
    assert step["interchange"]["value"] == pytest.approx(geometric(swapped))
    assert step["kl_ratio"]["value"] == pytest.approx(geometric(swapped) / geometric(larger))
    assert step["gap"]["value"] == pytest.approx(fmean(larger) - fmean(swapped))
    assert step["rank_correlation"]["value"] == pytest.approx(0.998, abs=1e-3)  # interchange ties every two blocks
    assert (step["pairs"], step["left_out"], step["why_not"]) == (11, 0, None)
    low, high = step["gap"]["interval"]
    assert low < step["gap"]["value"] < high


def test_changes_are_differences_of_the_steps_and_paired() -> None:
    found = series(samples.with_series())
    first, _, last = found["steps"]
    whole = found["to_last"][0]
    assert (whole["start"], whole["end"]) == (0, 1000)
    assert [(each["start"], each["end"]) for each in found["neighbours"]] == [(0, 100), (100, 1000)]
    for row in whole["changes"]:
        if row["quantity"] != "baseline":
            expected = last[row["quantity"]]["value"] - first[row["quantity"]]["value"]
            assert row["change"]["value"] == pytest.approx(expected)
    (loss,) = [row["change"]["value"] for row in whole["changes"] if row["quantity"] == "baseline"]
    assert loss == pytest.approx(-1.0)  # nats per token: the sample's first step has 1 more
    (gap,) = [row["change"] for row in whole["changes"] if row["quantity"] == "gap"]
    apart = sum(each["gap"]["interval"][1] - each["gap"]["value"] for each in (first, last))
    assert gap["interval"][1] - gap["value"] < apart  # the prompts' own ups and downs are the same at both


def test_regret_is_what_a_moved_choice_costs_above_the_own_one() -> None:
    known = samples.with_series()
    worse = replace(known.steps[0], deletion=[0.2, 0.1, *known.deletion[2:]])  # where block 1 is the one to delete
    found = series(samples.with_series(at_0=worse))
    (row,) = [each for each in found["to_last"][0]["transfers"] if (each["method"], each["budget"]) == ("deletion", 1)]
    assert found["steps"][0]["sets"] != found["steps"][2]["sets"]
    assert row["overlap"] == [0.0, 0.0]
    expected = 100.0 * expm1(known.singles[1] - known.singles[0])
    assert row["regret_percent"] == pytest.approx([expected, expected])


def test_a_step_on_other_tokens_is_compared_with_none() -> None:
    evidence = samples.with_series().evidence
    first, *rest = evidence.series["steps"]
    assert first.evidence is not None
    read = first.evidence.facts.scoring
    assert read is not None
    facts = replace(first.evidence.facts, scoring=replace(read, tokens_digest="others"))
    other = replace(first, evidence=replace(first.evidence, facts=facts))
    over = OverSteps(evidence.audit.series[0], (other, *rest), evidence)
    why = "step 0 is not comparable: its tokenizer gives other tokens of the scoring text"
    assert (over.why_not(0), over.comparable) == (why, [100, 1000])


def test_steps_that_are_not_measured_are_named_and_missing() -> None:
    known = samples.with_series()
    part = replace(known, steps={number: step for number, step in known.steps.items() if number != 100})
    figures, gaps = part.figures()
    (row,) = figures["series"]
    assert row["steps"][1]["why_not"] == "step 100 is not measured; run the audit to its end"
    assert [(each["start"], each["end"]) for each in row["neighbours"]] == [(0, 1000)]
    assert list(gaps) == ["the series steps: step 100 is not measured; run the audit to its end"]


@pytest.mark.parametrize(
    ("replacement", "interchange", "words"),
    [
        (1 / 6, 0.5, "the gap between replacement and interchange grows and their ratio falls"),
        (0.5, 0.5, "An absolute gap grows with the scale of both distances"),
        (2.0, 0.5, "the gap between replacement and interchange falls"),
        (1.0, 1.0, "the prompts do not decide"),
    ],
)
def test_a_sentence_says_what_follows(replacement: float, interchange: float, words: str) -> None:
    found = series(samples.with_series(at_0=samples.at_step(0, replacement, interchange)))
    assert found["sentence"].startswith("From step 0 to step 1000 ")
    assert words in found["sentence"]


def test_a_series_of_one_set_of_weights_says_nothing() -> None:
    known = samples.with_series().steps[1000]
    found = series(samples.with_series(at_0=known, at_100=known))
    assert found["sentence"] == "Fewer than two steps can be compared, so nothing follows about training."


def test_pairs_inside_the_numerical_floor_leave_the_means_of_all_compared_steps() -> None:
    known = samples.with_series()
    first = replace(known.steps[0], floor=0.04)  # nats, below which replacement of the first two pairs lies at step 0
    found = series(samples.with_series(at_0=first))
    start, middle, end = found["steps"]
    assert [step["left_out"] for step in (start, middle, end)] == [2, 0, 0]
    change = {row["quantity"]: row["change"] for row in found["to_last"][0]["changes"]}
    kept = range(start["left_out"], 11)
    expected = geometric([REPLACEMENT[place] for place in kept]) * (1 - 1 / 6)
    assert change["replacement"]["value"] == pytest.approx(expected)
    most = samples.with_series(at_0=replace(known.steps[0], floor=0.2))
    row = most.verdict(trend())
    assert row["verdict"] == "open"
    assert "of 11 adjacent pairs lie inside the numerical floor at one of the two steps" in row["message"]


# --- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (trend(), "supported"),
        (trend(direction="falls"), "contradicted"),
        (trend(monotone=True), "supported"),
        (trend(at_least=0.2), "supported"),
        (trend(at_least=0.5), "contradicted"),
        (trend(quantity="kl_ratio", direction="falls"), "supported"),
        (trend(quantity="kl_ratio"), "contradicted"),
        (trend(quantity="replacement"), "supported"),
        (trend(quantity="interchange"), "supported"),
        (trend(quantity="baseline", direction="falls"), "supported"),
        (trend(start=1000, end=0, direction="falls"), "supported"),
        (trend(scope="contract", at_least=0.5), "contradicted"),
        (trend(quantity="rank_correlation"), "open"),
        (transfer(5.0), "supported"),
        (stable("scores", 0.8), "open"),
        (stable("scores", 0.8, scope="contract"), "supported"),
        (stable("sets", 1.0, budget=1, scope="contract", protocol="deletion"), "supported"),
        (stable("sets", 0.5, budget=1, scope="contract"), "open"),
        (stable("sets", 1.0, budget=1), "open"),
    ],
)
def test_claims_about_planted_steps(made: Any, verdict: str) -> None:
    row = samples.with_series().verdict(made)
    assert row["verdict"] == verdict, row["message"]


def test_a_trend_says_its_values_and_over_which_pairs() -> None:
    row = samples.with_series().verdict(trend())
    assert row["unit"] == "nats"
    assert row["range"] == {"lower": 0.0, "upper": None}
    assert "over 11 adjacent pairs; claimed: it grows" in row["message"]
    assert row["message"].startswith("From step 0 to step 1000, the gap") or row["message"].startswith("from step 0")


def test_a_trend_that_turns_is_not_monotone() -> None:
    known = samples.with_series(at_100=samples.at_step(100, 1.5, 0.5))
    assert known.verdict(trend())["verdict"] == "supported"
    row = known.verdict(trend(monotone=True))
    assert row["verdict"] == "contradicted"
    assert "of 2 neighbouring changes 1 supported, 1 contradicted" in row["message"]


@pytest.mark.parametrize(("bound", "verdict"), [(150.0, "supported"), (50.0, "contradicted")])
def test_a_transfer_is_decided_both_ways(bound: float, verdict: str) -> None:
    known = samples.with_series()
    costly = replace(known, singles=[0.02, 0.80, *known.singles[2:]])
    worse = replace(known.steps[0], deletion=[0.2, 0.1, *known.deletion[2:]])
    moved = replace(samples.with_series(at_0=worse), singles=costly.singles)
    moved = replace(moved, steps=moved.steps | {1000: replace(moved.steps[1000], singles=costly.singles)})
    row = moved.verdict(transfer(bound))
    assert (row["verdict"], row["unit"]) == (verdict, "percent")
    assert row["value"] == pytest.approx(100.0 * expm1(0.78))
    assert "what deletion chose at step 0 costs" in row["message"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (trend(start=0, end=100), "steps 0 and 100 are one set of weights, and so no two measurements"),
        (transfer(5.0, start=0, end=100), "steps 0 and 100 are one set of weights, and so no two measurements"),
        (trend(end=7), "step 7 is not in the series"),
        (trend(series="others"), "the series others was not read, run the audit"),
        (transfer(5.0, start=100, budget=5), "deletion has no removal set at step 100 and budget 5"),
    ],
)
def test_what_cannot_be_compared_is_open_with_the_reason(made: Any, message: str) -> None:
    first = samples.at_step(0, 1 / 6, 0.5)
    row = samples.with_series(at_100=first).verdict(made)
    assert row["verdict"] == "open"
    assert message in row["message"]


# --- statistics ------------------------------------------------------------------------------------------------------


def test_the_interval_of_a_change_covers_it() -> None:
    """Of steps whose prompts go together, as they do: 92 to 97 % of intervals hold the true change."""
    generator, held, given = np.random.default_rng(7), 0, 0
    for _ in range(1500):
        common = np.exp(generator.normal(0.0, 0.4, 16))
        before, after = (level * common * np.exp(generator.normal(0.0, 0.2, 16)) for level in (0.3, 0.5))
        expected = 0.2 * float(np.exp((0.4**2 + 0.2**2) / 2))
        found = statistics.of_statistic(weighted_mean(after - before), 16, Statistics())
        assert found is not None
        if found.interval is not None:  # prompts that go together by chance may leave too few effective ones
            given += 1
            held += found.interval[0] <= expected <= found.interval[1]
    assert given > 1300
    assert 0.92 <= held / given <= 0.97


def test_what_is_the_same_without_any_unit_has_no_interval() -> None:
    found = statistics.of_statistic(lambda weights: np.ones(len(weights)), 16, Statistics())
    assert found is not None
    assert (found.value, found.interval) == (1.0, None)
    assert statistics.of_statistic(lambda weights: np.full(len(weights), np.nan), 16, Statistics()) is None
