"""Which protocol backs a claim: admits, predicts and selects, each answered yes, no and open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import expm1
from typing import Any

import evidence_sample as samples
import pytest
from evidence_sample import Sample

from checker.core import statistics
from checker.core.records import Statistics
from checker.core.statistics import Estimate
from checker.judge.claims.backing import below, of_pair, of_removal
from checker.judge.figures import blocks
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances
from checker.selection.plan import problem_of

REDUNDANT = ("replacement", "interchange")
NEAR = Sample(interchange={**samples.INTERCHANGE, (2, 3): 0.05})


def removal(sample: Sample, protocol: str, *sets: tuple[int, ...]) -> dict[str, Any]:
    """What a protocol says of removing each of these sets."""
    distance = Distances(sample.evidence, problem_of(sample.audit, sample.model))
    prediction = blocks.prediction(distance, Costs(sample.evidence).singles)
    return of_removal(distance, prediction, protocol, sets).row()


def directed(direction: str, **changes: Any) -> Sample:
    protocols = {"replacement": {"direction": direction}, "interchange": {}}
    return Sample().changed(protocols=protocols, **changes)


def test_a_block_that_can_be_compared_with_none() -> None:
    row = removal(Sample(model=samples.model_facts(block_shapes=("a", "b") * 4)), "interchange", (4, 6))
    assert (row["admits"], row["backs"]) == ("open", "open")
    assert row["why"].startswith("block 4 has no comparable partner up to 1 apart; ")


# --- admits ----------------------------------------------------------------------------------------------------------


def test_a_protocol_admits_where_every_removed_block_has_a_near_partner_that_stays() -> None:
    """Block 4 lies 0.02 from 5, and 6 lies 0.03 from 5, which stays: the farther of the two decides."""
    row = removal(Sample(), "interchange", (4, 6))
    assert (row["admits"], row["predicts"], row["backs"], row["threshold"]) == ("yes", "open", "open", 0.1)
    assert row["value"] == pytest.approx(0.03)
    assert row["interval"][0] < 0.03 < row["interval"][1] < 0.1
    admits, predicts = row["why"].split("; ")
    assert admits == "every removed block is reorderable below 0.1 nats"
    assert predicts == (
        "it is not shown that its scores predict removal cost here (rank correlation with single-deletion cost 0.99 "
        "[0.82, 1.00] over 8 blocks, p = 0.062 over their shifts in depth)"
    )


def test_a_protocol_refuses_where_a_block_has_only_far_partners() -> None:
    """4<-5 costs 0.12 and 4<-3 0.15: nothing that stays can stand in for block 4."""
    row = removal(Sample(), "replacement", (4, 6))
    assert (row["admits"], row["backs"]) == ("no", "no")
    assert row["value"] == pytest.approx(0.12)
    assert row["why"].startswith("block 4 is not replaceable below 0.1 nats; ")


def test_a_partner_that_goes_as_well_is_none() -> None:
    """With 5 gone, block 4 has to be held against 3; with both gone it has no partner left."""
    row = removal(Sample(), "interchange", (4, 5))
    assert (row["admits"], row["value"]) == ("yes", pytest.approx(0.04))
    row = removal(NEAR, "interchange", (3, 4, 5))
    assert (row["admits"], row["backs"], row["value"]) == ("open", "open", None)
    assert row["why"].startswith("block 4 has no measured partner that stays; ")


def test_a_refused_block_outranks_one_without_a_partner() -> None:
    row = removal(NEAR, "interchange", (3, 4, 5, 0))
    assert (row["admits"], row["why"].split(";")[0]) == ("no", "block 0 is not reorderable below 0.1 nats")
    assert row["value"] == pytest.approx(2.5)


def test_an_interval_across_the_threshold_leaves_it_open() -> None:
    sample = Sample().changed(statistics=Statistics(similar=0.01, conditional=0.03))
    row = removal(sample, "interchange", (4, 6))
    assert (row["admits"], row["backs"], row["threshold"]) == ("open", "open", 0.03)
    assert row["why"].startswith("block 6 may or may not be reorderable below 0.03 nats; ")


def test_without_intervals_nothing_is_admitted() -> None:
    assert removal(Sample(prompts=5), "interchange", (4, 6))["admits"] == "open"


@pytest.mark.parametrize(
    ("direction", "block", "value"), [("into", 4, 0.05), ("into", 5, 0.16), ("max", 4, 0.15), ("mean", 4, 0.175)]
)
def test_replacement_admits_in_the_direction_in_which_it_scores(direction: str, block: int, value: float) -> None:
    """4<-5 is near (0.05), 5<-4 is far (0.9); block 4 may also be stood in for by 3 (4<-3 0.15, 3<-4 0.2)."""
    table = {**samples.REPLACEMENT, (4, 5): (0.05, 0.9)}
    row = removal(directed(direction, replacement=table), "replacement", (block,))
    nearest = {"into": value, "max": 0.2, "mean": 0.175}[direction]
    assert row["value"] == pytest.approx(nearest)
    assert row["admits"] == ("yes" if nearest < 0.1 else "no")


def test_interchange_has_no_direction() -> None:
    rows = [removal(directed(direction), "interchange", (4, 6)) for direction in ("into", "max", "mean")]
    assert rows[0] == rows[1] == rows[2]


def test_of_several_ways_of_breaking_ties_all_must_be_admitted() -> None:
    assert removal(Sample(), "interchange", (4, 6), (3, 5))["admits"] == "yes"
    both = removal(Sample(), "interchange", (4, 6), (0, 5))
    assert (both["admits"], both["backs"]) == ("no", "no")
    assert both["value"] == pytest.approx(2.5)


# --- predicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("singles", "answer", "words"),
    [
        (range(1, 13), "yes", "its scores predict removal cost here"),
        (range(12, 0, -1), "no", "its scores do not predict removal cost here"),
        ((8, 4, 1, 6, 2, 3, 5, 7, 2, 10, 4, 6), "open", "it is not shown that its scores predict removal cost here"),
    ],
)
def test_a_protocol_predicts_where_its_scores_go_with_the_cost_of_single_deletions(
    singles: Sequence[int], answer: str, words: str
) -> None:
    sample = replace(samples.deep(), singles=[0.02 * cost for cost in singles])
    row = removal(sample, "interchange", (1,))
    assert (row["admits"], row["predicts"], row["backs"]) == ("yes", answer, answer)
    assert row["why"].split("; ")[1].split(" (")[0] == words


def test_whether_it_predicts_is_open_while_single_deletions_are_not_measured() -> None:
    sample = Sample(withheld=lambda question: question.text == "evaluation")
    row = removal(sample, "interchange", (4, 6))
    assert (row["admits"], row["predicts"], row["backs"]) == ("yes", "open", "open")
    assert row["why"].endswith("whether its scores predict removal cost here is not known")


# --- selects ---------------------------------------------------------------------------------------------------------


def test_selects_tells_how_often_the_protocol_would_have_chosen_the_set() -> None:
    """Interchange ties 4 and 5: one way leads to 4 and 6, the other to 3 and 5, on every resample."""
    steady = Sample(spread=0.0)
    assert removal(steady, "interchange", (3, 5))["selects"] == {
        "share_of_ties": 0.5, "share_of_resamples": 0.5, "rank": 1, "of": 2}  # fmt: skip
    assert removal(steady, "interchange", (4, 6))["selects"]["rank"] == 2
    assert removal(steady, "interchange", (3, 5), (4, 6))["selects"]["share_of_ties"] == 1.0
    assert removal(steady, "replacement", (4, 6))["selects"] == {
        "share_of_ties": 1.0, "share_of_resamples": 1.0, "rank": 1, "of": 1}  # fmt: skip
    assert removal(steady, "replacement", (0, 2))["selects"] == {
        "share_of_ties": 0.0, "share_of_resamples": 0.0, "rank": None, "of": 1}  # fmt: skip


def test_selects_of_a_budget_that_cannot_be_reached_is_empty() -> None:
    row = removal(Sample(), "interchange", (1, 2, 3, 4, 5, 6))
    assert row["selects"] == {"share_of_ties": None, "share_of_resamples": 0.0, "rank": None, "of": None}


def test_selects_varies_with_the_prompts() -> None:
    """Where scores are close and prompts differ, resampled prompts choose different sets."""
    found = removal(Sample(spread=0.6), "replacement", (4, 6))["selects"]
    assert found["share_of_ties"] == 1.0
    assert 0.3 < found["share_of_resamples"] < 1.0
    assert found["of"] > 1


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "answer"), [(0.1, "yes"), (0.02, "open"), (0.01, "no")])
def test_a_pair_is_backed_below_the_bound(bound: float, answer: str) -> None:
    sample = Sample()
    found = of_pair(
        Distances(sample.evidence, problem_of(sample.audit, sample.model)), "interchange", (5, 4), bound
    ).row()
    assert (found["backs"], found["admits"], found["predicts"], found["selects"]) == (answer, "na", "na", None)
    assert found["value"] == pytest.approx(0.02)
    assert found["threshold"] == bound
    assert found["why"].startswith("interchange distance 0.02 nats: ")


@pytest.mark.parametrize(
    ("interval", "answer"),
    [((0.05, 0.0999), "yes"), ((0.05, 0.1), "open"), ((0.0999, 0.2), "open"), ((0.1, 0.2), "no"), (None, "open")],
)
def test_below_reads_the_interval(interval: tuple[float, float] | None, answer: str) -> None:
    assert below(Estimate(0.07, interval, 16), 0.1) == answer


def test_a_protocol_that_is_not_measured_backs_nothing() -> None:
    sample = Sample(withheld=lambda question: question.text == "scoring")
    for protocol in REDUNDANT:
        row = removal(sample, protocol, (4, 6))
        assert (row["backs"], row["why"]) == ("open", f"{protocol} is not measured")


def test_backing_never_changes_a_verdict() -> None:
    """A removal is decided by its cost alone, whoever admits it."""
    sample = Sample().changed(statistics=replace(Statistics(), similar=1e-5, conditional=1e-4))
    row = sample.verdict(samples.claim("a", "removal", layers=(4, 6), at_most=20.0))
    assert row["verdict"] == "supported"
    assert {row["protocols"][protocol]["backs"] for protocol in REDUNDANT} == {"no"}
    assert row["value"] == pytest.approx(statistics.percent(0.08)) == pytest.approx(100 * expm1(0.08))
