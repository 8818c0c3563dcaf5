"""Every rule over the evidence, waivers applied: stored answers -> the report, without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from checker.figures import report_figures, stored_evidence
from checker.records import Audit, Evidence, Finding, Outcome
from checker.rules import RULES, Case, Result, Rule
from checker.store import Store

FORMAT = "pruneaudit/report/1"
COMPLETENESS = "evidence/incomplete"  # neither policy nor waiver touches it: an incomplete run never passes
_LEVELS = ("note", "warning", "error")
_EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "open": 3}
Row = dict[str, Any]


def judge(audit: Audit, store: Store, today: date | None = None) -> Row:
    """The report of an audit, from stored evidence.

    Raises EvidenceMissing where this model was never measured in this store; everything less than that is *open* in the
    report, with the reason. Raises EvidenceDamaged where stored bytes do not match their digests.
    """
    evidence = stored_evidence(audit, store)
    figures, gaps = report_figures(evidence, store.read_record("environment", audit.name))
    findings = _findings(evidence, figures, gaps, (today or date.today()).isoformat())
    outcome = outcome_of(findings, audit.policy.fail_on)
    return {
        "format": FORMAT,
        "title": audit.title,
        "outcome": outcome,
        "summary": _summary(outcome, figures, findings),
        **figures,
        "findings": [_finding_row(finding) for finding in findings],
    }


def exit_code(report: Mapping[str, Any], fail_on: str) -> int:
    """The command's exit code (design, 7): 0, 1 where something failed, 3 where something is open."""
    if fail_on == "never":
        return 0
    findings = [Finding(**finding) for finding in report["findings"]]
    return _EXIT_CODES[outcome_of(findings, fail_on)]


def outcome_of(findings: Iterable[Finding], fail_on: str) -> Outcome:
    """fail or open where a finding at or above ``fail_on`` (error where it is ``never``) is so and not waived."""
    least = _LEVELS.index("error" if fail_on == "never" else fail_on)
    counted = {f.outcome for f in findings if f.waived is None and _LEVELS.index(f.level) >= least}
    return "fail" if "fail" in counted else "open" if "open" in counted else "pass"


# --- findings --------------------------------------------------------------------------------------------------------


def _findings(evidence: Evidence, figures: Row, gaps: tuple[str, ...], today: str) -> list[Finding]:
    audit = evidence.audit
    case = Case(audit, evidence.facts, figures, gaps, today, frozenset(RULES))
    found = [
        finding for rule in RULES.values() if not rule.slug.startswith("waiver/") for finding in _of_rule(rule, case)
    ]
    waived, matched = _waive(audit, found, today)
    case = replace(case, matched_waivers=frozenset(matched))
    about_waivers = [
        finding for rule in RULES.values() if rule.slug.startswith("waiver/") for finding in _of_rule(rule, case)
    ]
    return [*waived, *about_waivers]


def _of_rule(rule: Rule, case: Case) -> list[Finding]:
    level = rule.level if rule.slug == COMPLETENESS else case.audit.policy.rules.get(rule.slug, rule.level)
    if level == "off":
        return [Finding(rule.slug, "not_applicable", "note", "switched off by the audit's policy")]
    results = list(rule.check(case))
    if not results:
        raise AssertionError(f"rule {rule.slug} concluded nothing; expected at least one result, whatever the case")
    return [_finding(rule, level, result, case) for result in results]


def _finding(rule: Rule, level: Any, result: Result, case: Case) -> Finding:
    places = {claim.id: claim.location.place for claim in case.audit.claims}
    return Finding(rule.slug, result.outcome, level, result.message, result.claim, places.get(result.claim or ""))


def _waive(audit: Audit, findings: Sequence[Finding], today: str) -> tuple[list[Finding], set[int]]:
    """Findings with the reason of the waiver that matches them; and the numbers of the waivers that match."""
    matched: set[int] = set()
    waived = []
    for finding in findings:
        for number, waiver in enumerate(audit.waivers):
            fits = waiver.rule == finding.rule != COMPLETENESS and waiver.claim in (None, finding.claim)
            if fits and finding.outcome in ("fail", "open"):
                matched.add(number)
                if waiver.expires >= today and finding.waived is None:
                    finding = replace(finding, waived=waiver.reason)
        waived.append(finding)
    return waived, matched


def _finding_row(finding: Finding) -> Row:
    return {
        name: getattr(finding, name) for name in ("rule", "outcome", "level", "claim", "message", "location", "waived")
    }


_REGIMES = {
    "divergent": "the two tests of redundancy diverge on this checkpoint",
    "reversed": "interchange is the stricter of the two tests of redundancy on this checkpoint",
    "low": "neighbouring blocks can stand in for each other on this checkpoint",
    "high": "neighbouring blocks cannot stand in for each other on this checkpoint, and no gap between the two tests "
    "of redundancy is shown",
    "open": "how the two tests of redundancy relate is not decided",
}
_WORDS = {
    "pass": "Nothing stands against the audit's claims",
    "fail": "The audit fails",
    "open": "The audit stays open",
}


def _summary(outcome: str, figures: Row, findings: Sequence[Finding]) -> str:
    """The verdict in one sentence."""
    verdicts = Counter(claim["verdict"] for claim in figures["claims"])
    decided = [f"{verdicts[name]} {name}" for name in ("supported", "contradicted", "open") if verdicts[name]]
    claims = f"of {_number(len(figures['claims']), 'claim')} {', '.join(decided)}" if decided else "it makes no claims"
    counted = [finding for finding in findings if finding.waived is None]
    failed = sum(finding.outcome == "fail" for finding in counted)
    undecided = sum(finding.outcome == "open" for finding in counted)
    waived = len(findings) - len(counted)
    told = f"{_number(failed, 'finding')} failed and {undecided} open" + (f", {waived} waived" if waived else "")
    return f"{_WORDS[outcome]}: {claims}; {_REGIMES[figures['regime']['metric']['name']]}; {told}."


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
