"""All claims of a population share one error rate, whatever their kind: many claims are many chances."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import expm1
from typing import Any

import evidence_sample as samples
import numpy as np
import pytest
from evidence_sample import Sample, claim
from scipy import stats as scipy_stats

from checker.core.questions import Evidence, Question
from checker.core.statistics import Estimate
from checker.judge.claims import removal
from checker.judge.claims.decision import Figures, shared_p, sharing_one_error_rate
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances
from checker.judge.figures.tasks import Tasks
from checker.selection.plan import problem_of

HIGH, LOW = 8.735, 7.924  # the ends of what removing blocks 4 and 6 costs, in percent
ALONE = "; decided alone, but not once {} claims share one error rate of 0.05 (Holm)"


def bound(name: str, **fields: Any) -> Any:
    return claim(name, "removal", layers=(4, 6), **fields)


def verdicts(*claims: Any, **changes: Any) -> list[str]:
    return [row["verdict"] for row in Sample(**changes).verdicts(*claims)]


def test_removals_at_their_bounds_do_not_hold_jointly() -> None:
    close = [bound(name, at_most=HIGH + 0.01) for name in ("one", "two")]
    assert [verdicts(each) for each in close] == [["supported"], ["supported"]]
    rows = Sample().verdicts(*close)
    assert [row["verdict"] for row in rows] == ["open", "open"]
    assert all(row["message"].endswith(ALONE.format(2)) for row in rows)
    assert [row["further_units"] for row in rows] == [None, None]
    far = bound("far", at_most=20.0)
    assert verdicts(close[0], far) == ["supported", "supported"], "what is clear takes nothing from the others"
    assert verdicts(*close, far) == ["open", "open", "supported"]


def test_neither_are_they_contradicted_jointly() -> None:
    close = [bound(name, at_most=LOW - 0.01) for name in ("one", "two")]
    assert verdicts(close[0]) == ["contradicted"]
    assert verdicts(*close) == ["open", "open"]
    assert verdicts(close[0], bound("far", at_most=1.0)) == ["contradicted", "contradicted"]


def test_a_value_with_its_interval_shares_at_its_nearer_end() -> None:
    close = bound("close", equals=8.3, interval=(1.0, HIGH + 0.01), interval_unit="percent")
    other = bound("other", equals=8.3, interval=(LOW - 0.01, 20.0), interval_unit="percent")
    assert [verdicts(close), verdicts(other)] == [["supported"], ["supported"]]
    assert verdicts(close, other) == ["open", "open"]
    below = bound("below", equals=1.0, interval=(0.0, LOW - 0.01), interval_unit="percent")
    above = bound("above", equals=30.0, interval=(HIGH + 0.01, 50.0), interval_unit="percent")
    assert [verdicts(below), verdicts(above)] == [["contradicted"], ["contradicted"]]
    assert verdicts(below, above) == ["open", "open"]


def test_removals_and_comparisons_share_it_together() -> None:
    sample = Sample().changed(selection=replace(samples.an_audit().selection, ties="lower"))
    compared = claim("compared", "comparison", better="interchange", worse="deletion", budget=2)
    row = sample.verdict(compared)
    assert row["interval"] is not None
    close = replace(compared, at_least=0.999 * row["interval"][0])
    both = sample.verdicts(close, bound("bound", at_most=HIGH + 0.01))
    assert [row["verdict"] for row in both] == ["open", "open"]
    assert all(row["message"].endswith(ALONE.format(2)) for row in both)


def test_claims_of_this_very_text_and_about_tasks_take_no_part() -> None:
    close = bound("close", at_most=HIGH + 0.01)
    this_text = bound("this", at_most=HIGH, scope="contract")
    tasks = bound("tasks", at_most=HIGH + 0.01, about="tasks")
    assert verdicts(close, this_text, tasks) == ["supported", "supported", "open"]


def test_resolutions_of_ties_share_by_the_least_clear_of_them() -> None:
    """Interchange chooses 4 and 6 or 3 and 5; the second costs more."""
    chosen = claim("chosen", "removal", method="interchange", budget=2, at_most=11.1)
    alone = Sample().verdict(chosen)
    assert alone["verdict"] == "supported"
    assert verdicts(chosen, bound("far", at_most=20.0)) == ["supported", "supported"]
    assert verdicts(chosen, bound("close", at_most=HIGH + 0.01)) == ["open", "open"]


@pytest.mark.parametrize("units", [16, 22])
def test_the_p_is_twice_the_smaller_of_two(units: int) -> None:
    found = Estimate(2.0, (1.0, 3.0), units, 0.5, "linear")
    p = 2 * scipy_stats.t.sf(2.0, units - 1)
    assert shared_p(found, "open", [(3.0, "below")], [(3.0, "above")]) == pytest.approx(p)
    assert shared_p(found, "open", [(1.0, "above"), (9.0, "below")], [(1.0, "below"), (9.0, "above")]) == (
        pytest.approx(p)
    )
    assert shared_p(replace(found, interval=None), "open", [(3.0, "below")], [(3.0, "above")]) is None
    certain = replace(found, log_standard_error=0.0)
    assert shared_p(certain, "supported", [(2.0, "below")], [(2.0, "above")]) == 0.0


def test_an_end_that_is_too_skewed_gives_no_p() -> None:
    found = Estimate(2.0, (1.9, 2.1), 22, 0.05, "linear", skewness=3.0)
    assert shared_p(found, "open", [(9.0, "below")], [(9.0, "above")]) == 1.0
    assert (shared_p(found, "open", [(1.0, "below")], [(1.0, "above")]) or 0.0) < 1e-9, "the short tail decides"


def test_twenty_removals_at_their_bounds_are_seldom_supported_by_chance() -> None:
    """What each costs lies exactly at its bound. At 95 %, any support of the twenty is meant in 2.5 % of audits."""
    windows, mean, repetitions = 22, 0.08, 600
    sample = Sample(windows=windows)
    pairs = list(combinations(range(8), 2))[:20]
    claims = {str(pair): claim(str(pair), "removal", layers=pair, at_most=100 * expm1(mean)) for pair in pairs}
    generator = np.random.default_rng(8)
    false, alone = 0, 0
    for _ in range(repetitions):
        figures = _figures(sample, mean + 0.05 * generator.standard_normal((8, 8, windows)))
        decisions = {name: removal.KIND.decide(figures, each) for name, each in claims.items()}
        alone += any(decision.verdict == "supported" for decision in decisions.values())
        decisions |= sharing_one_error_rate(decisions, 0.05)
        false += any(decision.verdict == "supported" for decision in decisions.values())
    assert alone >= 0.2 * repetitions, "without sharing, every fourth audit has one at least"
    assert false <= 0.04 * repetitions


def _figures(sample: Sample, costs: np.ndarray) -> Figures:
    """What claims are decided on, of an audit in which removing blocks i and j costs ``costs[i, j]`` per window."""

    def answer(question: Question) -> np.ndarray:
        removed = sorted(set(range(8)) - set(question.layout.slots))
        base = np.full(sample.windows, 3.4)
        return samples.WINDOW_TOKENS * (base + costs[removed[0], removed[1]] if removed else base)

    evidence = Evidence(sample.audit, sample.facts, answer)
    distances = Distances(evidence, problem_of(sample.audit, sample.model))
    unknown: Any = None
    return Figures(distances, Costs(evidence), (), (), unknown, (), {}, Tasks(evidence, {}, ()))
