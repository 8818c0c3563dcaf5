"""What an audit declares about itself, under the policy `release`: every trick ends in a finding that stops the run.

The audit that the tricks are played on passes, so that each finding is the trick's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import evidence_sample as samples
import pytest
from evidence_sample import Sample, claim

from checker.core.records import Audit, MethodSettings, Selection, Statistics
from checker.core.store import Store
from checker.judge.measured import exit_code, judge
from checker.spec import policies

pytestmark = pytest.mark.usefixtures("eight_blocks_predict")

TODAY = date(2030, 6, 15)
WINDOWS = 24
Report = dict[str, Any]
Judge = Callable[..., Report]


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judge]:
    """Judges a sample with its audit changed, under `release`."""
    with Store(tmp_path / "evidence.db") as store:

        def run(sample: Sample | None = None, **changes: Any) -> Report:
            made = (sample or Sample(windows=WINDOWS)).changed(**changes)
            samples.fill(store, made)
            return judge(replace(made.audit, policy=policies.load("release")), store, TODAY)

        yield run


def stopped_by(report: Report) -> dict[str, str]:
    """The rules that stop the run, each with the message of its first finding."""
    stopping = ("warning", "error")
    found = [row for row in report["findings"] if row["outcome"] in ("fail", "open") and row["level"] in stopping]
    assert exit_code(report, report["policy"]["fail_on"]) == (1 if found else 0)
    return {row["rule"]: row["message"] for row in reversed(found)}


def cost(**fields: Any) -> Any:
    return claim("trick", "removal", layers=(4, 6), protocol="interchange", **fields)


def test_the_audit_without_tricks_passes(judged: Judge) -> None:
    assert stopped_by(judged()) == {}


# --- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "by_policy", "told"),
    [
        ({"confidence": 0.5}, True, "`statistics.confidence: 0.5` (default 0.95)"),
        ({"margin": 100.0}, True, "`statistics.margin: 100` (default 0.05)"),
        ({"similar": 999.0, "conditional": 1000.0}, False,
         "`statistics.similar: 999` (default 0.05), `statistics.conditional: 1000` (default 0.1)"),
        ({"divergent_ratio": 1.0}, False, "`statistics.divergent_ratio: 1` (default 0.5)"),
        ({"interval": "percentile_bootstrap", "resamples": 10}, True,
         "`statistics.resamples: 10` (default 1000), `statistics.interval: percentile_bootstrap` (default student_t)"),
    ],
)  # fmt: skip
def test_thresholds_that_are_declared_away(declared: dict[str, Any], by_policy: bool, told: str, judged: Judge) -> None:
    found = stopped_by(judged(statistics=Statistics(**declared), claims=(samples.an_audit().claims[0],)))
    assert found["statistics/loosened"] == f"found {told}; expected nothing looser than the defaults"
    assert ("policy/loosened" in found) == by_policy


def test_a_threshold_at_which_everything_admits_everything(judged: Judge) -> None:
    """Block 0 costs +232 %, its distances are above 1.5 nats, and both protocols back its removal."""
    first = claim("first", "removal", layers=(0,), at_most=300.0, protocol="interchange")
    loose = Statistics(similar=999.0, conditional=1000.0)
    methods = (*samples.an_audit().methods[:3], MethodSettings("random", (1, 2), draws=39))
    report = judged(statistics=loose, claims=(first,), methods=methods)
    assert report["claims"][0]["protocols"]["interchange"]["admits"] == "yes"
    assert "statistics/loosened" in stopped_by(report)


# --- claims that hold whatever is measured ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "also"),
    [
        ({"at_most": 1e12}, set()),
        ({"equals": 0.0, "within": 1e9}, {"policy/loosened"}),
        ({"equals": 7.0, "within": 0.5, "interval": (-100.0, 1e12), "interval_unit": "percent"}, {"policy/loosened"}),
        ({"equals": 5e8, "within": 5e8 - 1}, {"policy/loosened"}),
    ],
)
def test_claims_that_a_uniform_model_meets(stated: dict[str, Any], also: set[str], judged: Judge) -> None:
    report = judged(claims=(cost(**stated),))
    found = stopped_by(report)
    assert report["claims"][0]["verdict"] == "supported"
    assert "and a model that predicts uniformly costs +1.659e+04 %" in found["claim/vacuous"]
    assert found.keys() == {"claim/vacuous", "claim/any-choice-would-do"} | also


def test_a_bound_that_the_costliest_removal_meets(judged: Judge) -> None:
    found = stopped_by(judged(claims=(cost(at_most=400.0),)))
    assert "and the costliest of 20 other sets of that size, by random, costs +348.2 %" in found["claim/vacuous"]
    assert found["claim/any-choice-would-do"] == (
        "found that 20 of 20 random draws of 2 blocks meet the claim too; expected fewer than half"
    )


def test_a_bound_that_half_of_the_random_draws_meet(judged: Judge) -> None:
    found = stopped_by(judged(claims=(cost(at_most=90.0),)))
    assert list(found) == ["claim/any-choice-would-do"]


def test_redundancy_below_a_bound_that_most_pairs_keep(judged: Judge) -> None:
    twins = claim("twins", "redundant", pair=(4, 5), below=1000.0, protocol="interchange")
    assert stopped_by(judged(claims=(twins,))) == {
        "claim/any-choice-would-do": "found that 6 of 6 other pairs are below 1000 nats too under interchange; "
        "expected fewer than half"
    }


# --- what a claim is held against ------------------------------------------------------------------------------------


def test_the_only_pairs_that_fit_are_left_in(judged: Judge) -> None:
    """Of ten blocks, `exclude: [2..9]` leaves one pair; over all nine the regime is another."""
    sample = _ten_blocks()
    high = claim("regime", "regime", metric="high")
    assert judged(sample, claims=(high,))["claims"][0]["verdict"] == "contradicted"
    report = judged(sample, claims=(high,), selection=Selection(exclude=tuple(range(2, 10))))
    found = stopped_by(report)
    assert (report["claims"][0]["verdict"], report["regime"]["metric"]["pairs"]) == ("supported", 1)
    assert "found a metric regime over 1 of 9 comparable adjacent pairs" in found["policy/too-few-pairs"]
    assert "a `selection` that leaves out 8 of 10 blocks (default none)" in found["statistics/loosened"]


def _ten_blocks() -> Sample:
    """Swapping costs little, but for the first two blocks."""
    pairs = [(block, block + 1) for block in range(9)]
    methods = (*(MethodSettings(name, (1,)) for name in ("interchange", "replacement")), MethodSettings("random", (1,)))
    audit: Audit = samples.an_audit(methods=methods, budgets=(1,))
    return Sample(
        audit,
        samples.model_facts(10),
        windows=WINDOWS,
        replacement=dict.fromkeys(pairs, (1.0, 1.1)),
        interchange={pair: 0.95 if pair == (0, 1) else 0.05 for pair in pairs},
        deletion=[0.1] * 10,
        singles=[0.05] * 10,
    )


def test_one_random_draw_at_another_budget(judged: Judge) -> None:
    methods = (*samples.an_audit().methods[:3], MethodSettings("random", (1,), draws=1))
    found = stopped_by(judged(methods=methods))
    assert "policy/required-method" not in found, "there is a random control"
    assert found["policy/too-few-draws"].startswith(
        "found 0 random draws at budget 2; expected at least 21, which is all there are, as the policy demands"
    )
