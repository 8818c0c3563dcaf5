"""Judging from a store: the whole report, its outcome, waivers and policy, and evidence that is partly there."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import evidence_sample as samples
import pytest
from evidence_sample import Sample, claim, waiver
from folders import ROOT, TESTS
from processor import slowness

from checker import reports
from checker.core import history
from checker.core.errors import DigestMismatch, EvidenceDamaged, EvidenceMissing
from checker.core.questions import Question
from checker.core.records import Audit, MethodSettings, Policy, Statistics
from checker.core.rule import Finding
from checker.core.store import Store
from checker.judge.measured import exit_code, judge, outcome_of
from checker.judge.rules import MEASURED, RULES
from checker.judge.waivers import refused
from checker.spec import contracts

pytestmark = pytest.mark.usefixtures("eight_blocks_predict")

TODAY = date(2030, 6, 15)
Report = dict[str, Any]
Judge = Callable[..., Report]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as made:
        yield made


@pytest.fixture
def judged(store: Store) -> Judge:
    """Fills the store with a sample and judges its audit, or another one on the same evidence."""

    def run(sample: Sample | None = None, audit: Audit | None = None) -> Report:
        sample = sample or Sample()
        samples.fill(store, sample)
        report = judge(audit or sample.audit, store, TODAY)
        reports.check(report)
        return report

    return run


def findings(report: Report, rule: str) -> list[Report]:
    return [finding for finding in report["findings"] if finding["rule"] == rule]


def verdicts(report: Report) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in report["claims"]}


def of_layers(*layers: int) -> Callable[[Question], bool]:
    """The evaluation answers of removing these blocks."""
    kept = tuple(block for block in range(8) if block not in layers)
    return lambda question: question.text == "evaluation" and question.layout.slots == kept


# --- the whole report ------------------------------------------------------------------------------------------------

SAMPLES = {
    "whole": Sample(),
    "default size": samples.large(),
    "bfloat16": Sample(samples.an_audit(model=samples.directory("bfloat16"))),
    "texts not read": Sample(texts_read=False),
    "only scored": Sample(withheld=lambda question: question.text in ("evaluation", "begin_token")),
    "only evaluated": Sample(withheld=lambda question: question.text == "scoring"),
    "one prompt and one window": Sample(prompts=1, windows=1),
    "seven prompts and windows": Sample(prompts=7, windows=7),
    "equal blocks": Sample(
        replacement={**samples.REPLACEMENT, (4, 5): (0.0, 0.0)}, interchange={**samples.INTERCHANGE, (4, 5): 0.0}
    ),
    "catastrophic": Sample(costs={(4, 6): 800.0}),
    "pruning helps": Sample(costs={(4, 6): -0.1, (3, 5): -0.1}, singles=[-cost for cost in samples.SINGLES]),
    "nothing comparable": Sample(samples.an_audit(claims=()), samples.model_facts(block_shapes=("a", "b") * 4)),
    "nothing asked": Sample(samples.an_audit(protocols={}, methods=(), claims=())),
    "bootstrap": Sample(samples.an_audit(statistics=Statistics(interval="percentile_bootstrap", resamples=200))),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_report_follows_its_schema_whatever_was_measured(name: str, judged: Judge) -> None:
    """``judged`` checks it against schemas/report.schema.json, which lets no NaN through, and the reports render it."""
    report = judged(SAMPLES[name])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert {finding["rule"] for finding in report["findings"]} == set(MEASURED)
    assert [row["id"] for row in report["claims"]] == [made.id for made in SAMPLES[name].audit.claims]
    for made in reports.FORMATS.values():
        assert made.render(report)


def test_an_audit_of_blocks_that_alternate_can_pass(judged: Judge) -> None:
    report = judged(SAMPLES["nothing comparable"])
    assert [row["rule"] for row in report["findings"] if row["outcome"] == "open"] == []
    assert (report["outcome"], {row["method"] for row in report["arms"]}) == ("pass", {"deletion", "random"})
    assert "; no neighbouring blocks are comparable; " in report["summary"]


def test_a_report_says_what_was_audited(judged: Judge) -> None:
    report = judged()
    assert (report["format"], report["title"], report["outcome"]) == ("pruneaudit/report/1", "A sample", "pass")
    assert report["summary"] == (
        "Pass: all 3 claims are supported; the two tests of redundancy diverge on this checkpoint; 6 findings failed "
        "and 0 open."
    )
    assert report["audit"]["file"] == "sample.yaml"
    assert report["protocols"] == ["interchange", "replacement", "deletion"]
    assert report["environment"]["torch"] == "2.13.0"
    assert (report["cost"]["seconds"], report["cost"]["peak_memory_bytes"]) == (60.0, 10**9)
    assert report["begin_token"]["window_tokens"] == 61
    assert report["contracts"]["scoring"]["kinds"] == dict.fromkeys(samples.KINDS, 4)
    assert len(report["contracts"]["evaluation"]["digest"]) == 64
    assert report["not_tested"][-1] == "Longer contexts than the windows of the evaluation contract."


def test_a_claim_that_rests_on_a_test_that_does_not_back_it_fails(judged: Judge) -> None:
    """Both claims are supported by what was measured, and one names a test that says no to its blocks."""
    rests = claim("rests", "removal", layers=(4, 6), at_most=20.0, protocol="replacement")
    other = claim("other", "removal", layers=(4, 6), at_most=20.0, protocol="interchange")
    report = judged(audit=samples.an_audit(claims=(rests, other)))
    assert verdicts(report) == {"rests": "supported", "other": "supported"}
    assert report["outcome"] == "fail"
    assert report["summary"].startswith(
        "Fail: all 2 claims are supported; 1 of 2 claims is not backed by the protocol it names; "
    )
    assert [(row["claim"], row["outcome"], row["level"]) for row in findings(report, "claim/not-backed")] == [
        ("rests", "fail", "error"), ("other", "pass", "error")
    ]  # fmt: skip
    for made in reports.FORMATS.values():
        assert "claim/not-backed" in made.render(report) or "not-backed" in made.render(report)


def test_what_is_decided_stands_beside_what_a_claim_says_in_every_format(judged: Judge) -> None:
    """The words promise 1 %, the keys let everything pass."""
    made = claim("tiny", "removal", layers=(4, 6), at_most=1e12, says="Costs at most 1 %.")
    report = judged(audit=samples.an_audit(claims=(made,)))
    told = "removing blocks 4 and 6 costs at most 1e+12 % perplexity, on a population of texts like this one"
    assert [(row["says"], row["decided"]) for row in report["claims"]] == [
        ("Costs at most 1 %.", f"{told}; names no protocol")
    ]
    for made_of in reports.FORMATS.values():
        text = " ".join(made_of.render(report).replace("\\", "").split())
        assert told[1:] in text
    (finding,) = findings(report, "claim/says-another-number")
    assert (finding["outcome"], finding["level"]) == ("fail", "warning")
    assert finding["message"] == 'found "1 %" in the claim\'s words; expected 1e+12, as in its keys'


def test_the_sentence_begins_with_what_stands_against_the_claims(judged: Judge) -> None:
    wrong = claim("wrong", "removal", layers=(4, 6), at_most=5.0, protocol="replacement")
    right = claim("right", "removal", layers=(4, 6), at_most=20.0)
    unknown = claim("unknown", "trend", series="steps", quantity="gap", start=0, end=9, direction="grows")
    told = judged(audit=samples.an_audit(claims=(right, unknown, wrong)))["summary"]
    assert told.startswith(
        "Fail: 1 of 3 claims is contradicted, 1 is open, 1 is supported; 1 of 3 claims is not backed by the protocol "
        "it names; "
    )
    assert judged(audit=samples.an_audit(claims=(right,)))["summary"].startswith("Pass: the one claim is supported; ")


def test_the_terminal_speaks_of_backing_only_where_a_protocol_could_back(judged: Judge) -> None:
    text = " ".join(reports.summary(judged(), 110).split())
    assert "Removing blocks 4, 6 costs +8.33 % perplexity [7.924, 8.735]; claimed: at most 20 %. replac" in text
    assert "open whether it backs it" not in text
    assert text.count(" backs it") == 2  # interchange, the removal and the twins


def test_contracts_have_no_digest_before_their_texts_were_read(judged: Judge) -> None:
    report = judged(Sample(texts_read=False))
    assert report["environment"] is None
    for contract in filter(None, report["contracts"].values()):
        assert (contract["digest"], contract["text_digest"], contract["tokens_digest"]) == (None, None, None)


def test_the_cost_is_that_of_the_whole_audit_however_it_was_measured(judged: Judge) -> None:
    """Scoring: the base, 21 replacements and interchanges, 8 deletions. Evaluation: the base, 8 single, 21 pairs."""
    cost = judged()["cost"]
    assert cost["layouts"] == 30 + 30
    assert cost["block_runs_without_sharing"] == (22 * 8 + 8 * 7) + (8 + 8 * 7 + 21 * 6)
    assert cost["block_runs"] < cost["block_runs_without_sharing"]
    assert judged(Sample(withheld=of_layers(0)))["cost"] == cost


def test_judging_twice_gives_the_same_report(store: Store, judged: Judge) -> None:
    assert judged() == judge(samples.an_audit(), store, TODAY)


# --- outcome and exit codes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "fail_on", "expected"),
    [
        ({"error": "pass", "warning": "fail", "note": "fail"}, "error", "pass"),
        ({"error": "pass", "warning": "fail", "note": "fail"}, "warning", "fail"),
        ({"error": "pass", "warning": "open", "note": "fail"}, "warning", "open"),
        ({"error": "pass", "warning": "open", "note": "fail"}, "note", "fail"),
        ({"error": "open", "warning": "pass", "note": "pass"}, "error", "open"),
        ({"error": "open", "warning": "fail", "note": "pass"}, "warning", "fail"),
        ({"error": "not_applicable", "warning": "not_applicable", "note": "pass"}, "note", "pass"),
        ({"error": "fail", "warning": "pass", "note": "pass"}, "never", "fail"),
    ],
)
def test_the_outcome_counts_findings_at_or_above_the_level(
    outcomes: dict[str, Any], fail_on: str, expected: str
) -> None:
    found = [Finding("a/b", outcome, level, "message") for level, outcome in outcomes.items()]  # type: ignore[arg-type]
    assert outcome_of(found, fail_on) == expected
    codes = {"pass": 0, "fail": 1, "open": 3}
    report = {"findings": [vars(finding) for finding in found]}
    assert exit_code(report, fail_on) == (0 if fail_on == "never" else codes[expected])


def test_a_waived_finding_does_not_count() -> None:
    assert outcome_of([Finding("a/b", "fail", "error", "message", waived="agreed")], "error") == "pass"


@pytest.mark.parametrize(
    ("at_most", "outcome", "codes"),
    [
        (20.0, "pass", {"error": 0, "warning": 1, "note": 1, "never": 0}),
        (8.5, "open", {"error": 3, "warning": 1, "note": 1, "never": 0}),
        (5.0, "fail", {"error": 1, "warning": 1, "note": 1, "never": 0}),
    ],
)
def test_a_claim_decides_the_outcome_and_the_exit_code(
    at_most: float, outcome: str, codes: dict[str, int], judged: Judge
) -> None:
    """The samples have failed warnings: two claims rest on one of two protocols that diverge."""
    made = claim("a", "removal", layers=(4, 6), at_most=at_most, protocol="interchange")
    report = judged(audit=samples.an_audit(claims=(made,)))
    assert report["outcome"] == outcome
    assert {fail_on: exit_code(report, fail_on) for fail_on in codes} == codes
    strict = judged(audit=samples.an_audit(claims=(made,), policy=Policy(fail_on="warning")))
    assert strict["outcome"] == "fail"


@pytest.mark.parametrize("sample", [SAMPLES["texts not read"], SAMPLES["only scored"], Sample(withheld=of_layers(0))])
def test_an_incomplete_run_never_passes(sample: Sample, judged: Judge) -> None:
    """Whatever policy and waivers say: what was not measured cannot be passed."""
    lenient = dict.fromkeys(RULES, "off")
    audit = replace(sample.audit, waivers=(waiver("evidence/incomplete"),), policy=Policy(rules=lenient), claims=())
    report = judged(sample, audit)
    assert (report["outcome"], exit_code(report, "error")) == ("open", 3)
    assert {(row["outcome"], row["level"], row["waived"]) for row in findings(report, "evidence/incomplete")} == {
        ("open", "error", None)
    }


# --- waivers and policy ----------------------------------------------------------------------------------------------

DIVERGENT = "regime/divergent-on-one-protocol"


def waived(report: Report, rule: str) -> dict[str, str | None]:
    return {row["claim"]: row["waived"] for row in findings(report, rule)}


def test_a_waived_finding_stays_visible_and_no_longer_counts(judged: Judge) -> None:
    made = claim("a", "removal", layers=(4, 6), at_most=5.0, protocol="interchange")
    policy = Policy(waivers=(waiver("claim/contradicted", claim="a"),), commanded=True)
    report = judged(audit=samples.an_audit(claims=(made,), policy=policy))
    assert findings(report, "claim/contradicted")[0]["outcome"] == "fail"
    assert waived(report, "claim/contradicted") == {"a": "agreed with the reviewers"}
    assert report["outcome"] == "pass"
    assert report["summary"].endswith("5 findings failed and 0 open, 1 waived (1 active waiver).")
    assert [row["outcome"] for row in findings(report, "waiver/unmatched")] == ["pass"]


def test_a_waiver_of_a_rule_about_claims_names_its_claim(judged: Judge) -> None:
    one = judged(audit=samples.an_audit(waivers=(waiver(DIVERGENT, claim=samples.TWINS),)))
    assert waived(one, DIVERGENT) == {samples.TWO_BLOCKS: None, samples.TWINS: "agreed with the reviewers"}
    none = judged(audit=samples.an_audit(waivers=(waiver(DIVERGENT),)))
    assert set(waived(none, DIVERGENT).values()) == {None}
    assert [(row["outcome"], row["message"]) for row in findings(none, "waiver/unknown")] == [
        ("fail", f"audit.yaml:20:5: found a waiver of {DIVERGENT} that names no claim; expected the claim that is "
         "meant; add `claim`")
    ]  # fmt: skip
    assert none["outcome"] == "fail"


VERDICT = waiver("claim/contradicted", claim="wrong")
WRONG = claim("wrong", "removal", layers=(4, 6), at_most=5.0)


@pytest.mark.parametrize("rule", ["claim/contradicted", "claim/not-backed", "claim/vacuous"])
@pytest.mark.parametrize("commanded", [False, True])
def test_whose_waiver_of_a_verdict_counts(rule: str, commanded: bool) -> None:
    made = waiver(rule, claim="wrong")
    assert refused(samples.an_audit(waivers=(made,), policy=Policy(commanded=commanded))) == (made,)
    assert refused(samples.an_audit(policy=Policy(waivers=(made,), commanded=commanded))) == (
        () if commanded else (made,)
    )


def test_a_waiver_of_a_verdict_in_the_audit_file_is_a_finding_and_waives_nothing(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(claims=(WRONG,), waivers=(VERDICT,)))
    assert waived(report, "claim/contradicted") == {"wrong": None}
    assert [row["outcome"] for row in findings(report, "waiver/of-a-verdict")] == ["fail"]
    assert [row["state"] for row in report["waivers"]] == ["refused"]
    assert report["summary"].startswith("Fail: the one claim is contradicted; ")


def test_a_verdict_that_a_policy_of_the_command_line_waives_stands_in_the_sentence(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(claims=(WRONG,), policy=Policy(waivers=(VERDICT,), commanded=True)))
    assert waived(report, "claim/contradicted") == {"wrong": "agreed with the reviewers"}
    assert [row["state"] for row in report["waivers"]] == ["active"]
    assert report["summary"].startswith("Pass with 1 finding waived: the one claim is contradicted; ")


def test_a_policy_that_never_fails_lets_nothing_pass(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(claims=(WRONG,), policy=Policy(fail_on="never")))
    assert (report["outcome"], exit_code(report, "never")) == ("fail", 0)
    assert report["summary"].startswith("Fail: the one claim is contradicted; ")


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (waiver(DIVERGENT, expires="2030-06-14", claim=samples.TWINS), "waiver/expired"),
        (waiver("data/contract-not-pinned"), "waiver/unmatched"),
        (waiver(DIVERGENT, claim=samples.DIVERGE), "waiver/unmatched"),
        (waiver("regime/no-such-rule"), "waiver/unknown"),
        (waiver(DIVERGENT, claim="no-such-claim"), "waiver/unknown"),
    ],
)
def test_a_waiver_that_waives_nothing_is_a_finding(made: Any, rule: str, judged: Judge) -> None:
    report = judged(audit=samples.an_audit(waivers=(made,)))
    assert [row["outcome"] for row in findings(report, rule)] == ["fail"]
    assert set(waived(report, DIVERGENT).values()) == {None}
    expected = {"waiver/unmatched": "pass"}.get(rule, "fail")  # the first two count as errors, unmatched as a warning
    assert report["outcome"] == expected


def test_an_expired_waiver_matches_and_no_longer_waives(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(waivers=(waiver(DIVERGENT, expires="2030-06-14", claim=samples.TWINS),)))
    assert [row["outcome"] for row in findings(report, "waiver/unmatched")] == ["pass"]
    assert [row["outcome"] for row in findings(report, "waiver/expired")] == ["fail"]


def test_a_waiver_holds_on_its_last_day(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(waivers=(waiver(DIVERGENT, expires="2030-06-15", claim=samples.TWINS),)))
    assert waived(report, DIVERGENT)[samples.TWINS] == "agreed with the reviewers"


def test_findings_about_waivers_are_not_waived(judged: Judge) -> None:
    old = waiver(DIVERGENT, expires="2030-06-14")
    report = judged(audit=samples.an_audit(waivers=(old, waiver("waiver/expired"))))
    assert [row["waived"] for row in findings(report, "waiver/expired")] == [None, None]
    assert report["outcome"] == "fail"


def test_the_policy_changes_levels_and_switches_rules_off(judged: Judge) -> None:
    raised = judged(audit=samples.an_audit(policy=Policy(rules={DIVERGENT: "error"})))
    assert {row["level"] for row in findings(raised, DIVERGENT)} == {"error"}
    assert (raised["outcome"], exit_code(raised, "error")) == ("fail", 1)
    off = judged(audit=samples.an_audit(policy=Policy(rules={DIVERGENT: "off"})))
    assert [(row["outcome"], row["message"]) for row in findings(off, DIVERGENT)] == [
        ("not_applicable", "switched off by the audit's policy")
    ]


def test_a_rule_that_is_switched_off_says_where(judged: Judge) -> None:
    policy = Policy(rules={"regime": "off"}, sources={"rules.regime": "ours.yaml:3:3"})
    report = judged(audit=samples.an_audit(policy=policy))
    assert [row["message"] for row in findings(report, DIVERGENT)] == [
        "switched off by the audit's policy (ours.yaml:3:3)"
    ]


def test_a_family_has_a_level_and_its_rules_may_have_their_own(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(policy=Policy(rules={"regime": "note", DIVERGENT: "error"})))
    assert {row["level"] for row in findings(report, DIVERGENT)} == {"error"}
    report = judged(audit=samples.an_audit(policy=Policy(rules={"regime": "note"})))
    assert {row["level"] for row in findings(report, DIVERGENT)} == {"note"}


def test_every_waiver_is_in_the_report_with_its_state(judged: Judge) -> None:
    made = (
        waiver(DIVERGENT, expires="2030-06-20", claim=samples.TWO_BLOCKS),
        waiver(DIVERGENT, expires="2030-06-14", claim=samples.TWINS),
        waiver("regime/no-such-rule"),
        waiver("evidence/incomplete"),
        waiver("data/begin-token"),
    )
    report = judged(audit=samples.an_audit(waivers=made))
    assert [(row["rule"], row["state"], row["days_left"], row["findings"]) for row in report["waivers"]] == [
        (DIVERGENT, "active", 5, 1),
        (DIVERGENT, "expired", -1, 1),
        ("regime/no-such-rule", "unknown", 200, 0),
        ("evidence/incomplete", "unknown", 200, 0),
        ("data/begin-token", "unmatched", 200, 0),
    ]
    assert {row["location"] for row in report["waivers"]} == {"audit.yaml:20:5"}
    assert report["summary"].endswith(", 1 waived (1 active waiver).")


def test_a_policy_may_put_up_with_no_waiver_and_that_cannot_be_waived(judged: Judge) -> None:
    made = (waiver(DIVERGENT), waiver("policy/too-many-waivers"))
    report = judged(audit=samples.an_audit(waivers=made, policy=Policy(maximum_waivers=0)))
    assert [(row["outcome"], row["waived"]) for row in findings(report, "policy/too-many-waivers")] == [("fail", None)]
    assert report["outcome"] == "fail"


def test_a_policy_for_a_rule_that_does_not_exist_is_a_finding(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(policy=Policy(rules={"protocol/undisclosd": "off"})))
    assert [row["outcome"] for row in findings(report, "policy/unknown-rule")] == ["fail"]
    assert report["outcome"] == "fail"


def test_a_finding_about_a_claim_says_where_the_claim_stands(judged: Judge) -> None:
    for row in judged()["findings"]:
        assert row["location"] == ("audit.yaml:9:5" if row["claim"] else None)


# --- evidence --------------------------------------------------------------------------------------------------------


def test_a_model_that_was_never_measured_is_missing_evidence(store: Store) -> None:
    with pytest.raises(
        EvidenceMissing, match="found no measurement of this audit's model; expected one; measure first"
    ):
        judge(samples.an_audit(), store)


def test_evidence_of_another_contract_is_not_taken(judged: Judge) -> None:
    """Fewer prompts are another contract: its distances would be other numbers."""
    audit = samples.an_audit()
    report = judged(audit=replace(audit, scoring=replace(audit.scoring, prompts=8)))
    assert report["protocols"] == []
    assert report["outcome"] == "open"
    assert report["contracts"]["scoring"]["digest"] is None


def test_partly_missing_evidence_opens_what_needs_it_and_nothing_else(judged: Judge) -> None:
    report = judged(Sample(withheld=of_layers(4, 6)))
    assert verdicts(report) == {samples.TWO_BLOCKS: "open", samples.TWINS: "supported", samples.DIVERGE: "supported"}
    assert [row["message"] for row in findings(report, "evidence/incomplete")] == [
        "removal sets: 1 of 23 are not measured; run the audit to its end",
        "KL and top-1 agreement of arms: 2 of 8 are not measured; run the audit to its end",
        "removals that claims or checkpoints name: 1 of 1 are not measured; run the audit to its end",
    ]
    assert [row["regime"] for row in report["regime"]["removal"]] == ["tied", "open"]
    assert report["outcome"] == "open"


def test_a_missing_batch_is_a_missing_answer(store: Store, tmp_path: Path, judged: Judge) -> None:
    whole = judged()
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        query = "DELETE FROM answers WHERE quantity = 'nll' AND text = 'evaluation' AND batch = 1"
        assert connection.execute(query).rowcount == 30
    report = judge(samples.an_audit(), store, TODAY)
    assert whole["baseline"] is not None
    assert report["baseline"] is None
    assert {row["increase_percent"] for row in report["arms"]} == {None}


def test_another_claim_needs_no_new_measurement(store: Store, judged: Judge) -> None:
    judged()
    before = store.count()
    further = (
        claim("ties", "removal", method="interchange", budget=2, at_most=20.0),
        claim("single", "removal", layers=(5,), at_most=5.0),
        claim("apart", "redundant", pair=(0, 1), below=0.1),
        claim("cheaper", "comparison", better="interchange", worse="deletion", budget=2),
        claim("tied", "regime", removal="tied", budget=2),
    )
    report = judge(samples.an_audit(claims=further), store, TODAY)
    assert verdicts(report) == {
        "ties": "supported", "single": "supported", "apart": "contradicted", "cheaper": "open", "tied": "supported"
    }  # fmt: skip
    assert store.count() == before


def test_a_claim_about_a_removal_that_was_not_measured_is_a_gap(judged: Judge) -> None:
    report = judged(audit=samples.an_audit(claims=(claim("a", "removal", layers=(0, 1), at_most=20.0),)))
    assert verdicts(report) == {"a": "open"}
    assert [row["message"] for row in findings(report, "evidence/incomplete")] == [
        "removals that claims or checkpoints name: 1 of 1 are not measured; run the audit to its end"
    ]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE answers SET answer = zeroblob(length(answer)) WHERE rowid = 1",
        "UPDATE answers SET digest = 'ab' WHERE quantity = 'nll'",
        "UPDATE records SET content = '{}' WHERE name = 'model'",
    ],
)
def test_damaged_evidence_is_refused(damage: str, store: Store, tmp_path: Path, judged: Judge) -> None:
    judged()
    with sqlite3.connect(tmp_path / "evidence.db") as connection:
        assert connection.execute(damage).rowcount > 0
    with pytest.raises(EvidenceDamaged, match="does not match its digest"):
        judge(samples.an_audit(), store)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scoring", {"repeats": [3, 16]}, "repeats: found [3, 16]; expected numbers below 16, ascending"),
        ("scoring", {"repeats": [3, 3]}, "repeats: found [3, 3]; expected numbers below 16, ascending"),
        ("scoring", {"kinds": ["news"] * 17}, "kinds: found 17 of them; expected one for each of 16"),
        ("evaluation", {"repeats": [9, 2]}, "repeats: found [9, 2]; expected numbers below 20, ascending"),
        ("evaluation", {"repeats": ["a"]}, "repeats[0]: found 'a'; expected a whole number of at least 0"),
        ("evaluation", {"shared_windows": -0.5}, "shared_windows: found -0.5; expected a share"),
        ("evaluation", {"shared_letters": 1.5}, "shared_letters: found 1.5; expected a whole number of at least 0"),
    ],
)
def test_facts_of_texts_that_no_run_writes(
    name: Literal["scoring", "evaluation"], change: dict[str, Any], message: str, store: Store, judged: Judge
) -> None:
    judged()
    audit, facts = samples.an_audit(), Sample().facts
    digests = contracts.contract_digests(audit, facts)
    key = digests["scoring"] if name == "scoring" else contracts.together({**digests, "selection": digests["scoring"]})
    record = store.read_record(name, key)
    assert record is not None
    store.write_record(name, key, record | change)
    with pytest.raises(EvidenceDamaged) as caught:
        judge(audit, store)
    remedy = "restore the file, or measure again with --fresh"
    assert str(caught.value) == f"{store.path}, {name}, {message}; {remedy}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("environment", {"threads": "two"}, "threads: found 'two'; expected a whole number of at least 0"),
        ("environment", {"seconds": []}, "seconds: found []; expected a number"),
        ("environment", {"python": None}, "python: found None; expected text"),
        ("run", {"amount": []}, "amount: found []; expected a mapping"),
        ("run", {"amount": None}, "amount: found None; expected a mapping"),
        ("run", {"verdicts": {"x": "yes"}}, "verdicts, x: found 'yes'; expected Literal['supported', "),
    ],
)
def test_records_of_runs_that_no_run_writes(
    name: str, content: dict[str, Any], message: str, store: Store, judged: Judge
) -> None:
    judged()
    audit = samples.an_audit()
    run: dict[str, Any] = {"measures": "x", "verdicts": {}, "amount": history.amount(audit, Sample().facts)}
    store.write_record(name, audit.name, (run if name == "run" else samples.environment()) | content)
    place = f"{store.path}, run" if name == "run" else "the record of the environment"
    with pytest.raises(EvidenceDamaged) as caught:
        judge(audit, store)
    assert str(caught.value).startswith(f"{place}, {message}")


@pytest.mark.parametrize("content", [{"identity": 1}, {"other": "x"}])
def test_a_record_of_a_text_without_its_name_is_damage(content: dict[str, Any], store: Store, judged: Judge) -> None:
    judged()
    audit = samples.an_audit()
    store.write_record("text", audit.scoring.source.identity, content)
    with pytest.raises(EvidenceDamaged, match=r"text, identity: found (1|None); expected text"):
        judge(audit, store)


def test_evidence_of_an_older_text_is_not_taken(store: Store, tmp_path: Path) -> None:
    """Where a text is at hand, it is the text that names the evidence."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("some prompts", encoding="utf-8")
    audit = samples.an_audit()
    source = replace(audit.scoring.source, path=str(prompts), sha256=None)
    audit = replace(audit, scoring=replace(audit.scoring, source=source))
    samples.fill(store, Sample(audit))
    assert judge(audit, store)["protocols"] == []
    pinned = replace(audit, scoring=replace(audit.scoring, source=replace(source, sha256="0" * 64)))
    with pytest.raises(DigestMismatch, match="expected 0000"):
        judge(pinned, store)
    prompts.unlink()
    assert judge(audit, store)["protocols"] == ["interchange", "replacement", "deletion"]


def test_a_budget_out_of_reach_is_a_gap(judged: Judge) -> None:
    """At spacing 1, deletion takes 1, 3 and 6 of eight blocks first: none that is apart from them is left."""
    deletion = (1.3, 0.01, 0.3, 0.02, 0.5, 0.5, 0.03, 0.5)
    audit = samples.an_audit(methods=(MethodSettings("deletion", (3, 4)),), claims=())
    report = judged(Sample(audit, deletion=deletion))
    assert [row["layers"] for row in report["arms"]] == [[1, 3, 6]]
    assert [row["message"] for row in findings(report, "evidence/incomplete")] == [
        "deletion at budget 4: the ascending order reaches no set of that size"
    ]


# --- without torch, and fast -----------------------------------------------------------------------------------------

_ALONE = """
import sys, time
from datetime import date
from pathlib import Path
sys.path[:0] = sys.argv[1], "."
from checker import reports
from checker.core.store import Store
from checker.judge.measured import judge
import evidence_sample
sample = evidence_sample.large()
with Store(Path(sys.argv[2]), create=False) as store:
    report = judge(sample.audit, store, date(2030, 6, 15))
print(report["outcome"], "torch" in sys.modules, "transformers" in sys.modules, time.process_time())
"""


def test_judging_the_default_size_takes_little_time_and_no_torch(store: Store, tmp_path: Path, judged: Judge) -> None:
    """30 blocks, 16 prompts, 21 windows, three methods at three budgets and 19 draws: under a second, imports included.

    Processor time, and the best of up to three; half as much again, and more on a slow machine, because it may be
    busy with other things.
    """
    judged(samples.large())
    command = [sys.executable, "-c", _ALONE, str(TESTS / "support"), str(tmp_path / "evidence.db")]
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    taken, limit = [], 1.5 * slowness()
    while not taken or (min(taken) >= limit and len(taken) < 3):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=one_thread, cwd=ROOT)
        outcome, torch, transformers, seconds = done.stdout.split()
        assert (outcome, torch, transformers) == ("open", "False", "False")
        taken.append(float(seconds))
    assert min(taken) < limit
