"""Ranks, differences of arms and stability over prompts, on tables made by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample, an_audit
from scipy import stats as scipy_stats

from checker.core.facts import Facts
from checker.core.layouts import Geometry, Layout
from checker.core.questions import Evidence, Question, RemovalSet, Values
from checker.core.records import Audit, MethodSettings, Selection, Statistics
from checker.judge.figures import agreement
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances
from checker.selection.arms import RESOLUTION
from checker.selection.plan import problem_of

BLOCKS = 8
Row = dict[str, Any]
PerPrompt = Mapping[int, Sequence[float]]  # per block


def audit_of(*names: str, budgets: tuple[int, ...] = (1, 2), **changes: Any) -> Audit:
    own = tuple(MethodSettings(name, budgets) for name in names)
    free = Selection(spacing=0)
    return an_audit(**({"methods": own, "budgets": budgets, "protocols": {}, "selection": free} | changes))


def distances(audit: Audit, answers: Mapping[str, PerPrompt], blocks: int = BLOCKS) -> Distances:
    """Answers by quantity: of deleting a block (``kl``, ``nll``), or of a block of the unchanged model."""
    base = Layout.base(blocks)

    def answer(question: Question) -> Values | None:
        table = answers.get(question.quantity)
        if table is None:
            return None
        if question.span is not None:
            assert question.layout == base
            return np.array(table[question.span[0]], dtype=np.float64)
        gone = set(range(blocks)) - set(question.layout.slots)
        return np.array(table[gone.pop()], dtype=np.float64) if len(gone) == 1 else None

    prompts = len(next(iter(answers["kl"].values()))) if "kl" in answers else samples.PROMPTS
    facts = Facts(samples.model_facts(blocks), samples.scoring_facts(prompts))
    return Distances(Evidence(audit, facts, answer), problem_of(audit, facts.model))


def steady(means: Sequence[float], prompts: int = 16) -> PerPrompt:
    """The same value in every prompt."""
    return {block: [mean] * prompts for block, mean in enumerate(means)}


def estimate(row: Row | None) -> tuple[float, list[float] | None]:
    assert row is not None
    return row["value"], row["interval"]


# --- scores and ranks ------------------------------------------------------------------------------------------------

DELETION = (0.9, 0.5, 0.3, 0.1, 0.2, 0.4, 0.6, 0.8)
COSINE = (0.1, 0.6, 0.7, 0.95, 0.9, 0.5, 0.4, 0.3)  # block influence is 1 - cosine


def test_scores_stand_per_block_with_their_resolution() -> None:
    found = distances(
        audit_of("block_influence", "cka", "deepest", model=samples.directory("bfloat16")),
        {"kl": steady(DELETION), "cosine": steady(COSINE), "cka": steady(COSINE, prompts=5)},
    )
    rows = {row["method"]: row for row in agreement.scores(found)}
    assert list(rows) == ["deletion", "block_influence", "deepest", "cka"]
    assert rows["deletion"]["values"] == pytest.approx(DELETION)
    assert rows["block_influence"]["values"] == pytest.approx([1 - value for value in COSINE])
    assert rows["deepest"]["values"] == [0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, None], "the last one is never removed"
    assert {name: row["resolution"] for name, row in rows.items()} == {
        "deletion": None, "block_influence": None, "deepest": None, "cka": RESOLUTION["bfloat16"],
    }  # fmt: skip
    assert all(row["source"] for row in rows.values())


def test_every_two_methods_are_compared_once_on_the_blocks_they_share() -> None:
    found = distances(audit_of("block_influence", "deepest"), {"kl": steady(DELETION), "cosine": steady(COSINE)})
    rows = agreement.ranks(found)
    assert [(row["a"], row["b"], row["blocks"]) for row in rows] == [
        ("deletion", "block_influence", 8), ("deletion", "deepest", 7), ("block_influence", "deepest", 7),
    ]  # fmt: skip
    influence = [1 - value for value in COSINE]
    value, interval = estimate(rows[0]["spearman"])
    assert value == pytest.approx(scipy_stats.spearmanr(DELETION, influence).statistic)
    assert interval is not None
    assert interval[0] < value < interval[1]
    assert estimate(rows[0]["kendall"])[0] == pytest.approx(scipy_stats.kendalltau(DELETION, influence).statistic)
    depth = [-float(block) for block in range(7)]
    assert estimate(rows[1]["kendall"]) == (pytest.approx(scipy_stats.kendalltau(DELETION[:7], depth).statistic), None)


def test_too_few_shared_blocks_have_no_rank_correlation() -> None:
    four = distances(audit_of("block_influence"), {"kl": steady(DELETION), "cosine": steady(COSINE)}, blocks=4)
    (row,) = agreement.ranks(four)
    assert (row["blocks"], row["spearman"], row["kendall"]) == (4, None, None)
    level = distances(audit_of("block_influence"), {"kl": steady(DELETION), "cosine": steady([0.5] * 8)})
    (row,) = agreement.ranks(level)
    assert (row["blocks"], row["spearman"], row["kendall"]) == (8, None, None), "a constant has no ranks"


def test_methods_without_evidence_are_left_out() -> None:
    found = distances(audit_of("block_influence", "taylor"), {"kl": steady(DELETION)})
    assert [row["method"] for row in agreement.scores(found)] == ["deletion"]
    assert agreement.ranks(found) == []
    assert [row["method"] for row in agreement.stability(found)] == ["deletion"]


# --- differences of arms ---------------------------------------------------------------------------------------------


def arm(method: str, *layers: int, **fields: Any) -> RemovalSet:
    return RemovalSet(method, len(layers), Layout.base(8).without(layers), **fields)


def costs_of(sample: Sample) -> Costs:
    return Costs(sample.evidence)


def test_only_arms_of_one_budget_form_and_selection_are_compared() -> None:
    arms = [
        arm("deletion", 4), arm("sleb", 5), arm("beam", 6), arm("random", 3, draw=True), arm("random", 2, draw=True),
        arm("deletion", 4, 6), arm("sleb", 3, 5),
        arm("deletion", 5, selection="free"), arm("beam", 3, selection="free"),
        arm("sleb", 2, form="native", selection="native"), arm("deepest", 6, form="native", selection="native"),
        arm("laco", 3, 4, form="native", selection="native"),
    ]  # fmt: skip
    rows = agreement.differences(costs_of(Sample()), arms)
    assert [(row["a"], row["b"], row["budget"], row["form"], row["selection"]) for row in rows] == [
        ("deletion", "sleb", 1, "matched", "matched"),
        ("deletion", "beam", 1, "matched", "matched"),
        ("sleb", "beam", 1, "matched", "matched"),
        ("deletion", "sleb", 2, "matched", "matched"),
        ("deletion", "beam", 1, "matched", "free"),
        ("sleb", "deepest", 1, "native", "native"),
    ]


def test_a_difference_is_paired_over_windows() -> None:
    sample, costs = Sample(), costs_of(Sample())
    (row,) = agreement.differences(costs, [arm("deletion", 4), arm("sleb", 3)])
    assert row["difference"] == pytest.approx(samples.SINGLES[4] - samples.SINGLES[3])
    windows = [costs.nll(Layout.base(8).without([block])) for block in (4, 3)]
    assert windows[0] is not None
    assert windows[1] is not None
    paired = (windows[0] - windows[1]) / samples.WINDOW_TOKENS
    ends = scipy_stats.t.interval(0.95, sample.windows - 1, paired.mean(), scipy_stats.sem(paired))
    assert row["interval"] == pytest.approx(list(ends), rel=1e-6)
    (back,) = agreement.differences(costs, [arm("sleb", 3), arm("deletion", 4)])
    assert back["difference"] == pytest.approx(-row["difference"])
    assert back["interval"] == pytest.approx([-row["interval"][1], -row["interval"][0]])


def test_the_same_set_is_no_difference() -> None:
    (row,) = agreement.differences(costs_of(Sample()), [arm("deletion", 4, 6), arm("sleb", 4, 6)])
    assert (row["difference"], row["interval"]) == (0.0, [0.0, 0.0])


def test_ties_give_the_mean_and_the_outermost_ends() -> None:
    costs = costs_of(Sample())
    tied = [arm("interchange", 3, tie=0, ties=2), arm("interchange", 5, tie=1, ties=2)]
    other = [arm("replacement", 4, tie=0, ties=2), arm("replacement", 6, tie=1, ties=2)]
    (row,) = agreement.differences(costs, [*tied, *other])
    alone = [agreement.differences(costs, [a, b])[0] for a in tied for b in other]
    assert row["difference"] == pytest.approx(np.mean([single["difference"] for single in alone]))
    assert row["interval"] == [
        min(single["interval"][0] for single in alone), max(single["interval"][1] for single in alone),
    ]  # fmt: skip


def test_a_difference_needs_all_its_arms_measured_and_enough_windows() -> None:
    def withheld(question: Question) -> bool:
        return question.text == "evaluation" and question.layout == Layout.base(BLOCKS).without([5])

    tied = [arm("interchange", 3, tie=0, ties=2), arm("interchange", 5, tie=1, ties=2)]
    (row,) = agreement.differences(costs_of(Sample(withheld=withheld)), [*tied, arm("deletion", 4)])
    assert (row["difference"], row["interval"]) == (None, None), "one resolution of the ties is not measured"
    (row,) = agreement.differences(costs_of(Sample(windows=7)), [arm("deletion", 4), arm("sleb", 3)])
    assert row["difference"] == pytest.approx(samples.SINGLES[4] - samples.SINGLES[3])
    assert row["interval"] is None


def test_merged_arms_are_compared_by_what_runs() -> None:
    sample = Sample()
    merged = Layout.parse("(0,1,2,4@3,5,6,7)")
    evidence = sample.evidence

    def answers(question: Question) -> Values | None:
        own = replace(question, layout=Layout.base(BLOCKS).without([6])) if question.layout == merged else question
        return evidence.answers(own)

    costs = Costs(replace(evidence, answers=answers))
    (row,) = agreement.differences(costs, [RemovalSet("laco", 1, merged), arm("deletion", 4)])
    assert row["difference"] == pytest.approx(samples.SINGLES[6] - samples.SINGLES[4]), "not as if 4 were just deleted"


# --- stability -------------------------------------------------------------------------------------------------------


def in_quarters(*quarters: Sequence[float]) -> PerPrompt:
    """Sixteen prompts: the blocks' distances in each quarter of four."""
    return {block: [quarter[block] for quarter in quarters for _ in range(4)] for block in range(len(quarters[0]))}


EARLY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LATE = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


def test_growing_tranches_are_compared_with_all_prompts() -> None:
    """Three quarters of the prompts say the first blocks, the last quarter says strongly otherwise."""
    found = distances(audit_of(budgets=(1, 2)), {"kl": in_quarters(EARLY, EARLY, EARLY, [4 * x for x in LATE])})
    (row,) = agreement.stability(found)
    assert row["method"] == "deletion"
    portions = {(part["from_quarter"], part["to_quarter"]): part for part in row["portions"]}
    assert list(portions) == [(0, 3), (0, 2), (2, 4), (0, 1)]
    assert {at: estimate(part["rank_correlation"])[0] for at, part in portions.items()} == pytest.approx(
        {(0, 3): -1.0, (0, 2): -1.0, (2, 4): 1.0, (0, 1): -1.0}
    )
    assert estimate(row["halves"])[0] == pytest.approx(-1.0), "the halves say the opposite of each other"
    shared = {at: [(o["budget"], o["shared"], o["of"]) for o in part["overlap"]] for at, part in portions.items()}
    assert shared == {
        (0, 3): [(1, 0, 1), (2, 0, 2)], (0, 2): [(1, 0, 1), (2, 0, 2)],
        (2, 4): [(1, 1, 1), (2, 2, 2)], (0, 1): [(1, 0, 1), (2, 0, 2)],
    }  # fmt: skip


def test_overlap_counts_shared_blocks_under_the_constraints() -> None:
    moved = (0.1, 0.5, 0.2, 0.4, 0.3, 0.6, 0.7, 0.8)
    found = distances(audit_of(budgets=(2, 3), selection=Selection(1, exclude=(0,))), {
        "kl": in_quarters(EARLY, moved, moved, moved),
    })  # fmt: skip
    (row,) = agreement.stability(found)
    first_quarter = next(part for part in row["portions"] if (part["from_quarter"], part["to_quarter"]) == (0, 1))
    assert [overlap["shared"] for overlap in first_quarter["overlap"]] == [0, 0], "1, 3, 5 against 2, 4, 6"
    whole = next(part for part in row["portions"] if (part["from_quarter"], part["to_quarter"]) == (2, 4))
    assert [overlap["shared"] for overlap in whole["overlap"]] == [2, 3]
    out_of_reach = distances(audit_of(budgets=(5,)), {"kl": steady(DELETION)})
    geometry = Geometry(BLOCKS, spacing=1)
    tight = Distances(out_of_reach.evidence, replace(out_of_reach.problem, geometry=geometry))
    (row,) = agreement.stability(tight)
    assert [part["overlap"] for part in row["portions"]] == [[{"budget": 5, "shared": None, "of": 5}]] * 4


def test_pooled_scores_are_those_of_their_portions() -> None:
    portions = (EARLY, EARLY, LATE, EARLY)  # (0, 4), (0, 3), (0, 2), (2, 4); a quarter was too small
    pooled = {block: [part[block] for part in portions] for block in range(BLOCKS)}
    found = distances(audit_of("taylor"), {"kl": steady(DELETION), "taylor": pooled})
    row = next(row for row in agreement.stability(found) if row["method"] == "taylor")
    correlations = {
        (part["from_quarter"], part["to_quarter"]): estimate(part["rank_correlation"])[0] for part in row["portions"]
    }
    assert correlations == pytest.approx({(0, 3): 1.0, (0, 2): -1.0, (2, 4): 1.0})
    assert estimate(row["halves"])[0] == pytest.approx(-1.0)
    assert [further["prompts"] for further in row["further_prompts"]] == [None, None], "no means over prompts"
    few = distances(audit_of("taylor"), {"kl": steady(DELETION), "taylor": {b: [EARLY[b]] for b in range(BLOCKS)}})
    row = next(row for row in agreement.stability(few) if row["method"] == "taylor")
    assert (row["halves"], row["portions"]) == (None, [])


def test_few_prompts_have_fewer_portions() -> None:
    (row,) = agreement.stability(distances(audit_of(), {"kl": steady(DELETION, prompts=1)}))
    assert row["halves"] is None
    assert all(part["to_quarter"] != 2 for part in row["portions"])
    (row,) = agreement.stability(distances(audit_of(), {"kl": steady(DELETION, prompts=2)}))
    assert [(part["from_quarter"], part["to_quarter"]) for part in row["portions"]] == [(0, 3), (0, 2), (2, 4)]
    assert estimate(row["halves"])[0] == pytest.approx(1.0)


def test_what_rests_on_no_prompts_has_no_stability() -> None:
    found = distances(audit_of("deepest"), {"kl": steady(DELETION)})
    assert [row["method"] for row in agreement.stability(found)] == ["deletion"]


# --- further prompts -------------------------------------------------------------------------------------------------


def apart(difference: float, spread: float, prompts: int = 16) -> PerPrompt:
    """Blocks 0 and 1 differ by ``difference`` on average, up and down by ``spread`` between prompts."""
    wave = np.array([spread if prompt % 2 else -spread for prompt in range(prompts)])
    table: dict[int, Sequence[float]] = {0: [1.0] * prompts, 1: list(1.0 + difference + wave)}
    return table | {block: [5.0 + block] * prompts for block in range(2, BLOCKS)}


def prompts_needed(difference: float, spread: float, prompts: int = 16) -> int:
    """By trying: the least number whose interval leaves 0 out, value and spread staying as they are."""
    deviation = spread * math.sqrt(prompts / (prompts - 1))
    units = prompts
    while scipy_stats.t.ppf(0.975, units - 1) * deviation / math.sqrt(units) >= difference:
        units += 1
    return units - prompts


def further(table: PerPrompt, budget: int = 1, **changes: Any) -> int | None:
    return agreement.further_prompts(distances(audit_of(**changes), {"kl": table}), "deletion", budget)


@pytest.mark.parametrize(("difference", "spread"), [(0.5, 0.1), (0.1, 0.2), (0.05, 0.3), (0.01, 0.1)])
def test_further_prompts_are_found_by_trying(difference: float, spread: float) -> None:
    assert further(apart(difference, spread)) == prompts_needed(difference, spread)


def test_a_settled_choice_needs_no_further_prompts() -> None:
    assert further(apart(0.5, 0.1)) == 0
    assert further(steady(EARLY)) == 0, "no spread at all"
    assert further(steady(EARLY, prompts=3)) == 5, "fewer than eight settle nothing"


def test_equal_blocks_are_never_settled() -> None:
    assert further(steady((0.1, 0.1, *EARLY[2:]))) is None
    assert further(apart(0.0, 0.3)) is None
    assert further(apart(1e-9, 0.3)) is None


def test_the_last_one_in_is_held_against_the_first_one_out() -> None:
    """At budget 2 that is block 1 against block 2, whatever stands between 0 and 1."""
    table = {**steady(EARLY), 2: apart(0.1, 0.2)[1]}
    table = {block: [value + 5.0 * (block > 2) for value in values] for block, values in table.items()}
    table[2] = [value - 1.0 + EARLY[1] for value in apart(0.1, 0.2)[1]]
    assert further(table, 2, budgets=(1, 2)) == prompts_needed(0.1, 0.2)
    assert further(table, 1, budgets=(1, 2)) == 0


def test_only_blocks_that_could_stand_in_are_rivals() -> None:
    """Spaced, block 2 cannot take the place of 3 while 1 is removed; and where nothing is left there is no rival."""
    table = dict(steady((0.9, 0.1, 0.2, 0.2, 0.9, 0.9, 0.9, 0.9)))
    assert further(table, 2, selection=Selection(spacing=1)) == 0
    assert further(table, 2) is None, "free, 2 and 3 are equal"
    only = Selection(0, region=(3, 4))
    assert further(table, 2, selection=only) is None
    assert further(table, 3, selection=only) is None, "no set of that size"


def test_a_pairs_values_are_those_that_give_the_score() -> None:
    sample = Sample()
    found = Distances(sample.evidence, problem_of(sample.audit, sample.model))
    for method, key in (("replacement", (4, 5)), ("interchange", (4, 5)), ("deletion", (4,))):
        assert agreement._own_values(found, method, 4).tolist() == found.by_method[method][key].tolist()
    assert agreement._own_values(found, "replacement", 0).tolist() == found.by_method["replacement"][0, 1].tolist()
    assert agreement.further_prompts(found, "interchange", 1) is None, "both blocks of a pair have its value"
    assert agreement.further_prompts(found, "replacement", 1) is not None


def test_the_audits_confidence_counts() -> None:
    def with_confidence(confidence: float) -> int | None:
        return further(apart(0.05, 0.3), statistics=Statistics(confidence=confidence))

    wide, narrow = with_confidence(0.99), with_confidence(0.8)
    assert wide is not None
    assert narrow is not None
    assert wide > prompts_needed(0.05, 0.3) > narrow
