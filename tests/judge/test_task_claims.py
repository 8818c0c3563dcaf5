"""Claims about tasks: decided on paired documents, of checkpoints, layouts and methods."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import evidence_sample as samples
import pytest
from evidence_sample import Sample

from checker import reports
from checker.core.questions import Question, documents_of
from checker.core.records import Claim
from checker.core.store import Store
from checker.judge.form import ClaimRow
from checker.judge.measured import judge

Z = 1.959963984540054
SCORES = (
    "pruned, as it is, scores 57 % [50.07, 63.67] acc on facts and the model 60 % [53.08, 66.54]; "
    "-3 points [-7.051, 0.4614] on 200 documents, 12 of them discordant (3 gained and 9 lost)"
)


def row(claim: Claim, **changes: Any) -> ClaimRow:
    return samples.with_tasks(claim, **changes).verdict(claim)


def verdict(claim: Claim, **changes: Any) -> str:
    return str(row(claim, **changes)["verdict"])


def facts(documents: int = 200, **changes: Any) -> dict[str, Any]:
    return {"tasks": (samples.task_facts("facts", documents, **changes),)}


def wilson(right: int, n: int) -> tuple[float, float]:
    centre = (right / n + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(right * (n - right) / n**3 + Z * Z / (4 * n * n))
    return centre - half, centre + half


# --- decided ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_least", "expected"), [(50.07, "supported"), (50.08, "open"), (63.66, "open"), (63.67, "contradicted")]
)
def test_a_score_is_decided_on_the_unfavourable_end_of_its_interval(at_least: float, expected: str) -> None:
    found = row(samples.on_task(at_least=at_least))
    assert found["verdict"] == expected
    assert found["value"] == pytest.approx(57.0)
    assert found["interval"] == pytest.approx([100 * end for end in wilson(114, 200)], abs=1e-6)
    assert (found["unit"], found["threshold"]) == ("score", at_least)
    assert found["range"] == {"lower": at_least, "upper": None}


@pytest.mark.parametrize(
    ("drop", "expected"), [(7.06, "supported"), (7.05, "open"), (-0.46, "open"), (-0.47, "contradicted")]
)
def test_a_drop_is_decided_on_tangos_interval(drop: float, expected: str) -> None:
    found = row(samples.on_task(drop_at_most=drop))
    assert found["verdict"] == expected
    assert found["value"] == pytest.approx(3.0)
    assert found["interval"] == pytest.approx([-0.4614, 7.051], abs=1e-3)
    assert (found["unit"], found["range"]) == ("points", {"lower": None, "upper": drop})


@pytest.mark.parametrize("above", [False, True])
def test_what_is_retained_is_decided_where_its_interval_ends(above: bool) -> None:
    known = row(samples.on_task(retains_at_least=90.0, above_chance=above))
    assert known["value"] == pytest.approx(100 * (0.57 - 0.25) / (0.6 - 0.25) if above else 95.0)
    low, high = known["interval"] or (0.0, 0.0)
    for bound, expected in (
        (low - 0.01, "supported"),
        (low + 0.01, "open"),
        (high - 0.01, "open"),
        (high + 0.01, "contradicted"),
    ):
        assert verdict(samples.on_task(retains_at_least=bound, above_chance=above)) == expected


def test_a_message_says_both_scores_their_difference_and_on_what() -> None:
    kept = row(samples.on_task(retains_at_least=85.0, above_chance=False))
    assert kept["message"] == (
        f"{SCORES}; it retains 95 % and 91.43 % above chance, 25 %; "
        "claimed: retains at least 85 % of the model's acc on facts, with chance counted in"
    )
    lost = row(samples.on_task(drop_at_most=2.0))
    assert lost["message"] == (
        f"{SCORES}; claimed: scores at most 2 percentage points less acc on facts than the model; the interval does "
        "not decide it: about 2197 further documents would, if value and spread stay, and the task has no more"
    )
    assert lost["further_units"] == 2197


def test_the_same_checkpoint_holds_a_claim_that_the_raw_removal_fails() -> None:
    """And the other way round, where training made it worse."""
    bound: dict[str, Any] = {"drop_at_most": 8.0}
    assert verdict(samples.on_task(**bound)) == "supported"
    assert verdict(samples.on_task(layers=(4, 6), **bound), cut=(2, 30)) == "contradicted"
    worse = {"released": (2, 40), "cut": (3, 9)}
    assert verdict(samples.on_task(**bound), **worse) == "contradicted"
    assert verdict(samples.on_task(layers=(4, 6), **bound), **worse) == "supported"


def test_no_discordant_document_is_decided_as_well() -> None:
    claim = samples.on_task(drop_at_most=2.0)
    same = {"released": (0, 0)}
    assert verdict(claim, **same) == "supported"
    assert verdict(replace(claim, drop_at_most=1.8), **same) == "open"  # z squared of 204 is 1.88 %


def test_a_claim_of_these_very_documents_is_decided_on_the_value() -> None:
    claim = samples.on_task(drop_at_most=3.0, scope="contract")
    assert verdict(claim) == "supported"
    found = row(replace(claim, drop_at_most=2.9))
    assert found["verdict"] == "contradicted"
    assert found["message"].endswith(
        "; claimed of these very documents: scores at most 2.9 percentage points less acc on facts than the model"
    )


def test_a_mean_over_tasks_counts_them_alike() -> None:
    claim = samples.on_task(tasks=("facts", "words"), drop_at_most=8.0)
    found = row(claim)
    assert found["verdict"] == "supported"
    assert found["value"] == pytest.approx(100 * (6 / 200 + 6 / 120) / 2)
    assert "acc on the mean of facts and words" in found["message"]
    assert "on 320 documents of 2 tasks, 24 of them discordant (6 gained and 18 lost)" in found["message"]


def test_every_resolution_of_a_methods_ties_has_to_agree() -> None:
    claim = samples.on_task(method="interchange", budget=2, drop_at_most=20.0)
    found = row(claim)
    assert found["verdict"] == "supported"
    assert "(the 2 ways of breaking ties agree, this one is the nearest to the claim)" in found["message"]
    _, second = [arm.layout for arm in samples.with_tasks(claim).chosen("interchange", 2)]
    missing = row(claim, withheld=lambda question: question.layout == second and question.text == documents_of("facts"))
    assert missing["verdict"] == "open"
    assert missing["message"].startswith("over 1 of 2 ways of breaking ties, 11.5 to 11.5 points [7.056, 16.96]; ")


def test_claims_of_a_population_share_one_error_rate() -> None:
    """Each alone would be supported: one at a p of 0.04, the other at 0.03."""
    claims = [samples.on_task("a", drop_at_most=7.2), samples.on_task("b", layers=(4, 6), drop_at_most=17.2)]
    assert [verdict(claim) for claim in claims] == ["supported", "supported"]
    both = samples.with_tasks(*claims).verdicts(*claims)
    assert [found["verdict"] for found in both] == ["open", "open"]
    assert both[0]["message"].endswith("; decided alone, but not once 2 claims share one error rate of 0.05 (Holm)")


def test_a_protocol_backs_a_claim_on_tasks_as_it_backs_the_removal() -> None:
    claims = [
        samples.on_task(protocol="interchange", drop_at_most=2.0),
        samples.on_task(layers=(4, 6), protocol="interchange", drop_at_most=2.0),
        samples.claim("a", "removal", layers=(4, 6), at_most=20.0, protocol="interchange"),
    ]
    backings = [row(claim)["protocols"]["interchange"] for claim in claims]
    assert backings[0] == backings[1] == backings[2]


# --- open ------------------------------------------------------------------------------------------------------------


def opened(claim: Claim, **changes: Any) -> str:
    found = row(claim, **changes)
    assert found["verdict"] == "open"
    return str(found["message"])


def test_too_few_documents_decide_nothing() -> None:
    few = opened(samples.on_task(at_least=10.0), **facts(12), released=(0, 0))
    assert few.endswith("; 12 documents decide nothing about a population, at least 16 do")
    kept = opened(samples.on_task(retains_at_least=10.0, above_chance=False), **facts(99))
    assert kept.endswith("; 99 documents decide nothing about a population, at least 100 do")
    assert verdict(samples.on_task(retains_at_least=10.0, above_chance=False), **facts(100)) == "supported"


def test_a_part_of_a_task_decides_about_a_population_and_not_about_the_task() -> None:
    claim, limited = samples.on_task(drop_at_most=8.0), facts(whole=1000)
    known = row(claim, **limited)
    assert known["verdict"] == "supported"
    assert "on the first 200 of 1000 documents, 12 of them discordant" in known["message"]
    assert opened(replace(claim, scope="contract"), **limited).endswith(
        "; the claim is about all documents of the task; raise `limit`, or claim it of a population; "
        "claimed of these very documents: scores at most 8 percentage points less acc on facts than the model"
    )


def test_above_chance_needs_a_chance_that_is_known() -> None:
    claim = samples.on_task(retains_at_least=85.0, above_chance=True)
    assert "; what guessing scores on facts is not known; declare `chance:` of the task; " in opened(
        claim, **facts(choices=())
    )
    declared = samples.with_tasks(claim, **facts(choices=())).declaring((samples.task(chance=0.25),))
    assert declared.verdict(claim)["value"] == pytest.approx(100 * 0.32 / 0.35)
    assert row(replace(claim, above_chance=False), **facts(choices=()))["value"] == pytest.approx(95.0)


def test_a_model_at_chance_has_nothing_to_retain() -> None:
    claim = samples.on_task(retains_at_least=85.0, above_chance=False)
    assert (
        "; the model's own 27 % [21.32, 33.54] is not told from guessing, so that what is kept of it says nothing; "
        in opened(claim, right=0.27)
    )


def test_generated_answers_are_of_whole_models_alone() -> None:
    written = facts(output_type="generate_until", choices=())
    assert opened(samples.on_task(layers=(4, 6), at_least=10.0), **written).startswith(
        "facts generates its answers, which runs on whole models alone; name a checkpoint in `of`; claimed: "
    )
    assert verdict(samples.on_task(at_least=10.0), **written) == "supported"


@pytest.mark.parametrize(
    ("fields", "changes", "message"),
    [
        ({"metric": "f1"}, {}, "facts has no f1 of each document: found acc and acc_norm; claim one of them; "),
        ({}, facts(higher_is_better=(False, True)), "of acc on facts less is better, so that it is no score "),
        ({"tasks": ("else",)}, {}, "the task else was not read, run the audit to its end; "),
        ({}, {"checkpoints": ()}, "pruned was not read, run the audit; "),
        ({"layers": (4, 6)}, {"tasks_on": ("model",)},
         "what the model without blocks 4, 6 scores on facts is not measured, add `claims` to `tasks: {on: [...]}`; "),
        ({}, {"tasks_on": ("model",)},
         "what pruned, as it is scores on facts is not measured, add `checkpoints` to `tasks: {on: [...]}`; "),
        ({"method": "random", "budget": 2}, {}, "random draws are a control and not one removal; "),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_says_why_and_what_to_do(
    fields: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    claim = samples.on_task(**{"drop_at_most": 2.0} | fields)
    missing = {"withheld": lambda question: question.text.startswith(documents_of(""))} if "tasks_on" in changes else {}
    assert opened(claim, **changes, **missing).startswith(message)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("(0,1,2,3,4,5)", "what pruned, as it is scores on facts"),
        ("(0,1,2,3,4,5,6,7)", "what the model scores on facts"),
    ],
)
def test_what_is_not_measured_is_named(layout: str, message: str) -> None:
    def withheld(question: Question) -> bool:
        return question.text == documents_of("facts") and str(question.layout) == layout

    found = opened(samples.on_task(drop_at_most=2.0), withheld=withheld)
    assert found.startswith(f"{message} is not measured, run the audit to its end; ")


def test_a_score_needs_no_score_of_the_model() -> None:
    def withheld(question: Question) -> bool:
        return question.text == documents_of("facts") and len(question.layout) == 8

    found = row(samples.on_task(at_least=50.0), withheld=withheld)
    assert found["verdict"] == "supported"
    assert found["message"] == (
        "pruned, as it is, scores 57 % [50.07, 63.67] acc on facts; on 200 documents; "
        "claimed: scores at least 50 % acc on facts"
    )


def test_stored_answers_decide_as_the_measured_ones_do(tmp_path: Path) -> None:
    claim = samples.on_task(retains_at_least=85.0, above_chance=True)
    sample = samples.with_tasks(claim)
    with Store(tmp_path / "evidence.db") as store:
        samples.fill(store, sample)
        report = judge(sample.audit, store)
    reports.check(report)
    assert report["tasks"] == sample.figures()[0]["tasks"]
    assert report["claims"][0] == sample.verdict(claim)
    (said,) = [sentence for sentence in report["not_tested"] if "task" in sentence]
    assert said == (
        "Any text but the two named under contracts, and any task but facts and words: what removing blocks costs is "
        "perplexity."
    )


def test_what_is_missing_of_tasks_is_named() -> None:
    sample: Sample = samples.with_tasks()
    assert sample.figures()[1] == ()
    unread = sample.changed(tasks=(samples.task_facts(),)).figures()[1]
    assert unread == ("the task words was not read; run the audit to its end",)
    gone = samples.with_tasks(withheld=lambda question: question.text == documents_of("facts")).figures()[1]
    assert gone == (
        "the model's answers to the task facts are not all measured; run the audit to its end",
        "the task facts: 2 of 2 checkpoints and layouts are not measured; run the audit to its end",
    )
