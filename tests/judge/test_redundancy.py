"""Claims that all pairs are redundant: one pair contradicts them, and all of them, measured, support them."""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

import evidence_sample as samples
import pytest
from evidence_sample import Sample, claim
from scipy import stats as scipy_stats

from checker.core.records import Statistics


def universal(below: float, pairs: str = "adjacent", **fields: Any) -> Any:
    return claim("a", "redundant", pairs=pairs, below=below, **{"protocol": "interchange"} | fields)


def flat(value: float = 0.02, **others: float) -> dict[tuple[int, int], float]:
    """Interchange distances of the seven adjacent pairs: the same everywhere but for ``b0``, ``b1`` ..."""
    return {(i, i + 1): others.get(f"b{i}", value) for i in range(7)}


def half() -> float:
    """Half of an interval on the log scale, at 16 prompts that vary by a tenth."""
    return float(scipy_stats.t.ppf(0.975, 15)) * 0.1 / sqrt(16)


def test_all_pairs_below_support_the_claim() -> None:
    row = Sample().verdict(universal(2.64))
    assert row["verdict"] == "supported"
    assert row["message"] == (
        "interchange distance below for all 7 pairs, the farthest (0, 1) 2.5 nats [2.37, 2.637]; claimed: every "
        "adjacent pair below 2.64 nats"
    )
    assert (row["value"], row["unit"], row["threshold"]) == (pytest.approx(2.5), "nats", 2.64)
    assert row["range"] == {"lower": None, "upper": 2.64}
    assert row["counterexamples"] == []


def test_one_pair_contradicts_the_claim_and_is_listed() -> None:
    row = Sample().verdict(universal(0.35))
    assert row["verdict"] == "contradicted"
    assert row["message"] == (
        "interchange distance not below for 1 of 7 measured pairs: (0, 1) 2.5 nats [2.37, 2.637]; claimed: every "
        "adjacent pair below 0.35 nats"
    )
    assert row["counterexamples"] == [
        {"protocol": "interchange", "i": 0, "j": 1, "value": pytest.approx(2.5),
         "interval": pytest.approx([2.5 * exp(-half()), 2.5 * exp(half())], rel=1e-3)}
    ]  # fmt: skip


def test_many_counterexamples_are_counted_and_the_farthest_five_named() -> None:
    row = Sample().verdict(universal(0.01))
    assert row["message"] == (
        "interchange distance not below for 7 of 7 measured pairs: (0, 1) 2.5 nats [2.37, 2.637], (1, 2) 0.3 nats "
        "[0.2844, 0.3164], (6, 7) 0.2 nats [0.1896, 0.2109], (2, 3) 0.1 nats [0.09481, 0.1055], (3, 4) 0.04 nats "
        "[0.03792, 0.04219] and 2 more; claimed: every adjacent pair below 0.01 nats"
    )
    assert [(found["i"], found["j"]) for found in row["counterexamples"]] == [(i, i + 1) for i in range(7)]


def test_a_pair_whose_interval_reaches_across_the_bound_leaves_the_claim_open() -> None:
    row = Sample().verdict(universal(2.55))
    single = Sample().verdict(claim("a", "redundant", pair=(0, 1), below=2.55, protocol="interchange"))
    assert row["verdict"] == "open"
    assert row["message"] == (
        "interchange distance not shown to be below for 1 of 7 pairs: (0, 1) 2.5 nats [2.37, 2.637]; claimed: every "
        f"adjacent pair below 2.55 nats; the interval does not decide it: about {single['further_units']} further "
        "prompts would, if value and spread stay"
    )
    assert row["further_units"] == single["further_units"] > 0


def test_the_units_that_settle_the_claim_settle_its_least_clear_pair() -> None:
    two = Sample(interchange=flat(b2=0.98, b4=0.95))
    pairs = [claim("a", "redundant", pair=pair, below=1.0, protocol="interchange") for pair in ((2, 3), (4, 5))]
    needed = [two.verdict(pair)["further_units"] for pair in pairs]
    assert needed[0] > needed[1]
    row = two.verdict(universal(1.0))
    assert "for 2 of 7 pairs: (2, 3) 0.98 nats" in row["message"]
    assert row["further_units"] == max(needed)


@pytest.mark.parametrize(("excess", "verdict"), [(1.06, "open"), (1.077, "open"), (1.085, "contradicted")])
def test_the_pairs_share_one_error_rate(excess: float, verdict: str) -> None:
    """Seven pairs are seven chances: one just beyond the bound contradicts a claim about it, and not one about all.

    At seven pairs, 0.025 / 7 of Student's t at 15 degrees lies 3.12 standard errors of 0.025 above the bound: 8.1 %.
    """
    sample = Sample(interchange=flat(b3=0.1 * excess))
    alone = sample.verdict(claim("a", "redundant", pair=(3, 4), below=0.1, protocol="interchange"))
    assert alone["verdict"] == "contradicted"
    row = sample.verdict(universal(0.1))
    assert row["verdict"] == verdict
    shared = "; 1 not below alone, but not once 7 pairs share one error rate (Holm)"
    assert row["message"].endswith(shared) == (verdict == "open")
    assert len(row["counterexamples"]) == (verdict == "contradicted")


def test_the_shared_error_rate_is_the_audits() -> None:
    bold = Sample(interchange=flat(b3=0.106)).changed(statistics=Statistics(confidence=0.5))
    assert bold.verdict(universal(0.1))["verdict"] == "contradicted"


@pytest.mark.parametrize(("below", "verdict"), [(2.4989, "supported"), (2.4985, "contradicted")])
def test_of_this_very_text_the_values_decide(below: float, verdict: str) -> None:
    """Within the numerical tolerance, 0.05 % of the distance."""
    row = Sample(spread=0.5).verdict(universal(below, scope="contract"))
    assert row["verdict"] == verdict
    assert row["message"].endswith(f"claimed of this very text: every adjacent pair below {below:g} nats")


def test_few_prompts_decide_nothing() -> None:
    row = Sample(prompts=7).verdict(universal(100.0))
    assert (row["verdict"], row["interval"]) == ("open", None)
    assert "7 prompts decide nothing about a population, at least 8 do" in row["message"]


# --- pairs that are not measured -------------------------------------------------------------------------------------


def test_pairs_beyond_reach_keep_a_claim_about_all_from_being_supported() -> None:
    row = Sample().verdict(universal(100.0, pairs="all"))
    assert row["verdict"] == "open"
    assert row["message"] == (
        "interchange distance not known for 21 of 28 pairs (blocks 0 and 2 are 2 apart, and only pairs up to 1 apart "
        "are measured; raise pairs.max_gap); claimed: every pair below 100 nats"
    )
    assert row["value"] == pytest.approx(2.5)


def test_a_counterexample_contradicts_a_claim_about_all_whatever_is_not_measured() -> None:
    row = Sample().verdict(universal(0.35, pairs="all"))
    assert row["verdict"] == "contradicted"
    assert "not below for 1 of 7 measured pairs" in row["message"]


def test_all_pairs_of_a_model_of_two_blocks_are_one_pair() -> None:
    two = Sample(model=samples.model_facts(2), interchange={(0, 1): 0.02}, replacement={(0, 1): (0.3, 0.2)}).changed(
        budgets=(1,), methods=(), claims=()
    )
    row = two.verdict(universal(0.1, pairs="all"))
    assert (row["verdict"], row["protocols"]["interchange"]["backs"]) == ("supported", "yes")


def test_blocks_that_cannot_be_compared_keep_the_claim_open() -> None:
    shapes = (*["equal"] * 7, "wider")
    row = Sample(model=samples.model_facts(block_shapes=shapes)).verdict(universal(100.0))
    assert row["verdict"] == "open"
    assert "not known for 1 of 7 pairs (blocks 6 and 7 are not comparable" in row["message"]


def test_nothing_measured_leaves_the_claim_open_without_a_figure() -> None:
    row = Sample(withheld=lambda question: question.text == "scoring").verdict(universal(1.0))
    assert (row["verdict"], row["value"], row["unit"]) == ("open", None, "nats")
    assert row["message"].startswith("interchange distance not known for 7 of 7 pairs (the interchange distance of")


# --- protocols -------------------------------------------------------------------------------------------------------


def test_without_a_protocol_both_have_to_agree() -> None:
    near = Sample(interchange=flat())
    row = near.verdict(universal(1.0, protocol=None))
    assert row["verdict"] == "open"
    assert row["message"].startswith("the claim names no protocol, and the answer depends on it: replacement distance")
    assert [(found["protocol"], found["i"]) for found in row["counterexamples"]] == [("replacement", 0)]
    against = near.verdict(universal(0.01, protocol=None))
    assert against["verdict"] == "contradicted"
    assert len(against["counterexamples"]) == 14
    assert near.verdict(universal(3.0, protocol=None))["verdict"] == "supported"


def test_a_protocol_without_distances_between_blocks_decides_nothing() -> None:
    row = Sample().verdict(universal(1.0, protocol="deletion"))
    assert row["message"] == (
        "deletion gives no distance between two blocks; rest the claim on replacement or interchange; claimed: every "
        "adjacent pair below 1 nats"
    )


@pytest.mark.parametrize(
    ("below", "backs", "why"),
    [(3.0, "yes", "so for all 7 pairs: interchange distance 2.5 nats: below the bound at its upper end"),
     (2.5, "open", "so for 1 of 7 pairs: interchange distance 2.5 nats: its interval does not decide"),
     (0.25, "no", "so for 2 of 7 pairs: interchange distance 2.5 nats: not below the bound even at its lower end")],
)  # fmt: skip
def test_a_protocol_backs_the_claim_where_every_pair_is_below(below: float, backs: str, why: str) -> None:
    backing = Sample().verdict(universal(below))["protocols"]["interchange"]
    assert (backing["backs"], backing["why"]) == (backs, why)
    assert (backing["value"], backing["threshold"]) == (pytest.approx(2.5), below)
