"""The report's figures about pairs, blocks and the checkpoint, against what the tables they are made from say."""

from __future__ import annotations

from dataclasses import replace
from math import exp, expm1, log, sqrt
from typing import Any

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample
from scipy import stats as scipy_stats

from checker.core.records import MethodSettings, Selection, Statistics
from checker.core.statistics import Estimate
from checker.judge.figures.distances import RESAMPLES, Distances
from checker.judge.figures.pairs import in_noise, kinds, pairs
from checker.selection.plan import problem_of
from checker.selection.select import select

LARGER = {pair: max(both) for pair, both in samples.REPLACEMENT.items()}


def of(sample: Sample) -> Distances:
    return Distances(sample.evidence, problem_of(sample.audit, sample.model))


def figures(sample: Sample) -> dict[str, Any]:
    return sample.figures()[0]


def pair(sample: Sample, i: int, j: int) -> dict[str, Any]:
    return next(row for row in figures(sample)["pairs"] if (row["i"], row["j"]) == (i, j))


def geometric(values: Any) -> float:
    return exp(np.mean([log(value) for value in values]))


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_a_pair_shows_both_directions_and_is_as_far_apart_as_the_larger() -> None:
    row = pair(Sample(), 4, 5)
    found = row["replacement"]
    assert [found[name] for name in ("forward", "backward", "max", "mean", "min")] == pytest.approx(
        [0.12, 0.13, 0.13, 0.125, 0.12]
    )
    assert found["class"] == "distinct"
    assert (row["interchange"]["distance"], row["interchange"]["class"]) == (pytest.approx(0.02), "similar")
    assert row["kl_ratio"]["value"] == pytest.approx(0.02 / 0.13)
    assert row["regime"] == "gap"
    assert row["deletion"] == {"i": pytest.approx(0.04), "j": pytest.approx(0.03)}
    assert (row["gap"], row["comparable"], row["reason"], row["note"], row["in_noise"]) == (1, True, None, None, [])


def test_the_interval_is_that_of_the_larger_direction() -> None:
    """Student's t on the log scale with the jackknife's standard error, from the very units of j<-i."""
    sample = Sample()
    values = of(sample).by_method["replacement"][5, 4]
    without = np.log([np.delete(values, unit).mean() for unit in range(16)])
    error = sqrt(15 / 16 * ((without - without.mean()) ** 2).sum())
    half = float(scipy_stats.t.ppf(0.975, 15)) * error
    assert pair(sample, 4, 5)["replacement"]["interval"] == pytest.approx([0.13 * exp(-half), 0.13 * exp(half)])


@pytest.mark.parametrize(
    ("replacement", "interchange", "regime"),
    [(0.05, 0.01, "low"), (0.05, 0.2, "low"), (0.5, 0.9, "reversed"), (0.5, 0.05, "gap"), (0.5, 0.4, "high"),
     (0.1, 0.09, "open")],
)  # fmt: skip
def test_the_regime_of_a_pair(replacement: float, interchange: float, regime: str) -> None:
    sample = Sample(
        replacement={**samples.REPLACEMENT, (2, 3): (replacement, replacement / 2)},
        interchange={**samples.INTERCHANGE, (2, 3): interchange},
    )
    assert pair(sample, 2, 3)["regime"] == regime


def test_a_pair_that_is_not_comparable_says_why_and_has_no_distance() -> None:
    shapes = ("equal",) * 5 + ("wider",) + ("equal",) * 2
    sample = Sample(model=samples.model_facts(block_shapes=shapes))
    row = pair(sample, 4, 5)
    assert (row["comparable"], row["regime"]) == (False, "not_comparable")
    assert row["reason"] == "the parameters of blocks 4 and 5 differ in name or shape"
    assert [row[name] for name in ("replacement", "interchange", "kl_ratio", "worst_kind")] == [None] * 4
    assert row["deletion"] == {"i": pytest.approx(0.04), "j": pytest.approx(0.03)}
    assert figures(sample)["regime"]["metric"]["pairs"] == 5
    assert figures(sample)["classes"]["replacement"] == {
        "similar": 0, "conditional": 0, "distinct": 5, "below_conditional": 0}  # fmt: skip


def test_slots_of_different_kinds_are_noted() -> None:
    kinds = ("sliding_attention", "full_attention") * 4
    sample = Sample(model=samples.model_facts(slot_kinds=kinds))
    assert pair(sample, 0, 1)["note"] == "slot 0 is sliding_attention, slot 1 is full_attention"


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("layer_type", "slot 0 is 1, slot 1 is 2"),
        ("attn.scaling", "slot 0 has attn.scaling 1, slot 1 has attn.scaling 2"),
    ],
)
def test_the_mark_by_which_slots_differ_is_named(name: str, note: str) -> None:
    """What the built model says takes the place of the kinds in config.json."""
    kinds = ("sliding_attention", "full_attention") * 4
    marks = {"attn.class": ("Attention",), name: ("1", "2") * 4, "attn.inner.scaling": ("3", "4") * 4}
    sample = Sample(model=samples.model_facts(slot_kinds=kinds, marks=marks))
    assert pair(sample, 0, 1)["note"] == note
    alike = Sample(model=samples.model_facts(slot_kinds=kinds, marks={"attn.class": ("Attention",)}))
    assert pair(alike, 0, 1)["note"] is None


def test_pairs_farther_apart_are_shown_where_they_are_measured() -> None:
    sample = Sample(
        replacement={**samples.REPLACEMENT, **{(i, i + 2): (1.0, 1.0) for i in range(6)}},
        interchange={**samples.INTERCHANGE, **{(i, i + 2): 1.0 for i in range(6)}},
    ).changed(max_gap=2)
    rows = figures(sample)["pairs"]
    assert len(rows) == 13
    assert {row["gap"] for row in rows} == {1, 2}
    assert figures(sample)["regime"]["metric"]["pairs"] == 7  # the adjacent ones only


def test_classes_are_counted_per_protocol_and_cumulative() -> None:
    """Interchange: 0.02, 0.03, 0.04 similar; 0.1, 0.2, 0.3, 2.5 distinct."""
    found = figures(Sample(interchange={**samples.INTERCHANGE, (3, 4): 0.06}))["classes"]
    assert found["interchange"] == {"similar": 2, "conditional": 1, "distinct": 4, "below_conditional": 3}
    assert found["replacement"] == {"similar": 0, "conditional": 0, "distinct": 7, "below_conditional": 0}


def test_what_is_not_measured_is_none_and_not_a_number() -> None:
    found = figures(Sample(withheld=lambda question: sum(not p.own for p in question.layout.places) == 1))
    assert found["protocols"] == ["interchange", "deletion"]
    assert found["classes"]["replacement"] is None
    assert {row["replacement"] for row in found["pairs"]} == {None}
    assert {row["regime"] for row in found["pairs"]} == {"open"}
    assert {row["kl_ratio"] for row in found["pairs"]} == {None}
    assert found["regime"]["metric"]["name"] == "open"
    assert {row["replacement_score"] for row in found["blocks"]} == {None}


def test_one_missing_answer_leaves_its_protocol_unmeasured() -> None:
    """Scores of some pairs would compare blocks that were looked at with blocks that were not."""
    one = of(Sample()).problem.base.with_weights({0: 1, 1: 0})
    found = figures(Sample(withheld=lambda question: question.layout == one))
    assert found["protocols"] == ["replacement", "deletion"]
    assert {row["interchange"] for row in found["pairs"]} == {None}


# --- numerical noise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floor", "expected"),
    [
        (None, []),
        (Estimate(0.01, (0.009, 0.0111), 16), []),
        (Estimate(0.01, (0.009, 0.012), 16), ["interchange"]),
        (Estimate(0.2, None, 3), ["replacement", "interchange"]),
    ],
)
def test_a_distance_is_in_the_noise_unless_its_lower_end_is_above_the_floors_upper_end(
    floor: Estimate | None, expected: list[str]
) -> None:
    row = {
        "replacement": {"max": 0.13, "interval": [0.12, 0.14]},
        "interchange": {"distance": 0.02, "interval": [0.0115, 0.03]},
    }
    assert in_noise(row, floor) == expected


def test_in_float32_there_is_no_floor_and_in_bfloat16_it_is_measured() -> None:
    assert figures(Sample())["noise_floor"] is None
    low = Sample(samples.an_audit(model=samples.directory("bfloat16")), floor=0.025)
    assert figures(low)["noise_floor"]["value"] == pytest.approx(0.025)
    assert figures(low)["noise_floor"]["dtype"] == "bfloat16"
    assert pair(low, 4, 5)["in_noise"] == ["interchange"]
    assert pair(low, 3, 4)["in_noise"] == []


# --- kinds of prompts ------------------------------------------------------------------------------------------------


def test_kinds_of_prompts_are_told_apart() -> None:
    sample = Sample(spread=0.3)
    found = figures(sample)
    assert [(row["kind"], row["prompts"]) for row in found["kinds"]] == [(kind, 4) for kind in samples.KINDS]
    table = of(sample).by_method["interchange"]
    for number, row in enumerate(found["kinds"]):
        assert row["interchange"] == pytest.approx(geometric(values[number::4].mean() for values in table.values()))
    means = {kind: table[4, 5][number::4].mean() for number, kind in enumerate(samples.KINDS)}
    worst = max(means, key=lambda kind: float(means[kind]))
    assert pair(sample, 4, 5)["worst_kind"]["interchange"] == {"kind": worst, "value": pytest.approx(means[worst])}


def test_a_text_without_kinds_has_none() -> None:
    sample = Sample()
    plain = replace(sample.facts, scoring=replace(samples.scoring_facts(), kinds=("",) * 16))
    evidence = replace(sample.evidence, facts=plain)
    distance = Distances(evidence, problem_of(sample.audit, sample.model))
    assert kinds(distance) == []
    assert {row["worst_kind"] for row in pairs(distance, {})} == {None}


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_blocks_show_their_scores_and_what_deleting_them_costs() -> None:
    rows = figures(Sample())["blocks"]
    assert [row["interchange_score"] for row in rows] == pytest.approx([2.5, 0.3, 0.1, 0.04, 0.02, 0.02, 0.03, 0.2])
    assert [row["replacement_score"] for row in rows] == pytest.approx([2.0, 0.9, 0.5, 0.2, 0.12, 0.13, 0.14, 0.6])
    assert [row["deletion"] for row in rows] == pytest.approx(list(samples.DELETION))
    assert [row["single_deletion_increase_percent"] for row in rows] == pytest.approx(
        [100 * expm1(cost) for cost in samples.SINGLES]
    )
    assert not any(row["excluded"] for row in rows)


@pytest.mark.parametrize(
    ("direction", "scores"),
    [
        ("max", [2.0, 0.9, 0.5, 0.2, 0.13, 0.13, 0.16, 0.6]),
        ("mean", [1.75, 0.7, 0.4, 0.175, 0.125, 0.125, 0.15, 0.5]),
    ],
)
def test_replacement_scores_in_the_published_directions(direction: str, scores: list[float]) -> None:
    sample = Sample().changed(protocols={"replacement": {"direction": direction}, "interchange": {}})
    assert [row["replacement_score"] for row in figures(sample)["blocks"]] == pytest.approx(scores)


def test_prediction_is_the_rank_correlation_of_scores_with_single_deletions() -> None:
    found = {row["method"]: row for row in figures(Sample())["prediction"]}
    scores = [2.5, 0.3, 0.1, 0.04, 0.02, 0.02, 0.03, 0.2]
    assert found["interchange"]["rank_correlation"] == pytest.approx(scipy_stats.spearmanr(scores, samples.SINGLES)[0])
    assert found["interchange"]["blocks"] == 8
    assert found["deletion"]["rank_correlation"] == pytest.approx(1.0)
    low, high = found["deletion"]["interval"]
    assert 0 < low < high <= 1


def test_without_single_deletions_there_is_no_prediction() -> None:
    rows = figures(Sample(withheld=lambda question: question.text == "evaluation"))["prediction"]
    assert [(row["rank_correlation"], row["interval"], row["blocks"]) for row in rows] == [(None, None, 0)] * 3


# --- the checkpoint --------------------------------------------------------------------------------------------------


def test_the_metric_regime_stands_on_geometric_means_over_adjacent_pairs() -> None:
    found = figures(Sample())["regime"]["metric"]
    replaced, swapped = geometric(LARGER.values()), geometric(samples.INTERCHANGE.values())
    assert (found["name"], found["pairs"]) == ("divergent", 7)
    assert found["replacement_mean"] == pytest.approx(replaced)
    assert found["interchange_mean"] == pytest.approx(swapped)
    assert found["ratio"] == pytest.approx(swapped / replaced)
    assert found["interval"][0] < found["ratio"] < found["interval"][1] < 0.5
    assert found["rank_correlation"]["blocks"] == 8
    assert found["rank_correlation"]["value"] > 0.9


def test_excluded_blocks_are_left_out_of_the_metric_regime() -> None:
    sample = Sample().changed(selection=Selection(exclude=(0, 7)))
    found = figures(sample)
    inner = [pair for pair in samples.REPLACEMENT if 0 not in pair and 7 not in pair]
    assert found["regime"]["metric"]["pairs"] == 5
    assert found["regime"]["metric"]["replacement_mean"] == pytest.approx(geometric(LARGER[pair] for pair in inner))
    assert [row["block"] for row in found["blocks"] if row["excluded"]] == [0, 7]


@pytest.mark.parametrize(("scale", "name"), [(0.01, "low"), (0.24, "open")])
def test_the_metric_regime_reads_intervals(scale: float, name: str) -> None:
    sample = Sample(
        replacement={pair: (scale * one, scale * other) for pair, (one, other) in samples.REPLACEMENT.items()},
        interchange={pair: scale * kl for pair, kl in samples.INTERCHANGE.items()},
        spread=0.6,
    )
    assert figures(sample)["regime"]["metric"]["name"] == name


def test_blocks_that_commute_leave_the_ratio_without_a_value_and_the_regime_open() -> None:
    """A distance of zero has no logarithm; that the pair is not divergent does not follow."""
    found = figures(Sample(interchange={**samples.INTERCHANGE, (4, 5): 0.0}))
    assert found["regime"]["metric"]["ratio"] is None
    assert found["regime"]["metric"]["name"] == "open"
    row = next(row for row in found["pairs"] if row["i"] == 4)
    assert (row["kl_ratio"]["value"], row["regime"]) == (0.0, "gap")


# --- selections on resampled prompts ---------------------------------------------------------------------------------


def test_selections_are_the_same_every_time_and_add_up_to_one() -> None:
    one, other = of(Sample(spread=0.6)), of(Sample(spread=0.6))
    for method in ("interchange", "replacement", "deletion"):
        found = one.selections(method, 2, one.problem.geometry, "all")
        assert found == other.selections(method, 2, other.problem.geometry, "all")
        assert sum(found.values()) == pytest.approx(1.0)
        assert one.selections(method, 2, one.problem.geometry, "all") is found


def test_selections_change_with_the_seed_and_follow_the_resampled_scores() -> None:
    one = of(Sample(spread=0.6))
    other = of(Sample(spread=0.6).changed(statistics=Statistics(seed=7)))
    assert one._resampled("replacement") != other._resampled("replacement")
    share = 0.0
    for scores in one._resampled("replacement"):
        chosen = select(scores, one.problem.geometry, 2, "all").sets
        share += sum(layers == (4, 6) for layers in chosen) / len(chosen) / RESAMPLES
    assert one.selections("replacement", 2, one.problem.geometry, "all")[4, 6] == pytest.approx(share)


def test_a_budget_that_cannot_be_reached_selects_nothing() -> None:
    distance = of(Sample())
    assert distance.selections("interchange", 6, distance.problem.geometry, "all") == {}


def test_a_method_that_the_audit_does_not_run_is_measured_where_it_is_asked_for() -> None:
    """Deletion stands beside the protocols whatever the methods are."""
    sample = Sample().changed(methods=(MethodSettings("interchange", (1,)),))
    assert figures(sample)["protocols"] == ["interchange", "replacement", "deletion"]
