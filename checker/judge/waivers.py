"""Waivers: which findings they accept, and how each of them stands on a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from checker.core.records import COMPLETENESS, AnyAudit, Waiver
from checker.core.rule import Finding, Rule
from checker.judge.form import WaiverRow, WaiverState, row_of
from checker.spec import schema

# Nor are findings about the waivers themselves.
_NEVER = (COMPLETENESS, "policy/too-many-waivers", "policy/too-long-waiver")
# What decides whether a claim holds. Nobody whose claim it is accepts these findings for others.
_OF_VERDICTS = ("claim/contradicted", "claim/not-backed", "claim/vacuous")


@dataclass(frozen=True)
class Standing:
    """How a waiver stands on a day."""

    waiver: Waiver
    state: WaiverState
    days: int  # until its last day; below 0 once that is over
    findings: int | None  # that it matches; None where there is no evidence to hold it against
    problem: str  # empty where it is active


def of(audit: AnyAudit) -> tuple[Waiver, ...]:
    """The waivers of an audit file, then those of the policy in force."""
    return (*audit.waivers, *audit.policy.waivers)


def refused(audit: AnyAudit) -> tuple[Waiver, ...]:
    """The waivers of a verdict that no policy of the command line has: they waive nothing."""
    accepted = audit.policy.waivers if audit.policy.commanded else ()
    return tuple(waiver for waiver in of(audit) if waiver.rule in _OF_VERDICTS and waiver not in accepted)


def _may_be_waived(rule: str) -> bool:
    return rule not in _NEVER and not rule.startswith("waiver/")


def applied(audit: AnyAudit, findings: Iterable[Finding], today: str) -> tuple[list[Finding], Counter[int]]:
    """The findings, with the reason of the first waiver that holds for each; and how many each waiver matches, by its
    number. A waiver that is refused or has expired still matches; it waives nothing. ``today`` is an ISO date."""
    matched: Counter[int] = Counter()
    results, without = [], refused(audit)
    for finding in findings:
        for number, waiver in enumerate(of(audit)):
            if _fits(waiver, finding):
                matched[number] += 1
                if waiver.expires >= today and waiver not in without and finding.waived is None:
                    finding = replace(finding, waived=waiver.reason)
        results.append(finding)
    return results, matched


def _fits(waiver: Waiver, finding: Finding) -> bool:
    items = (finding.claim, None) if finding.rule.startswith("published/") else (finding.claim,)
    about_it = waiver.rule == finding.rule and waiver.claim in items
    return about_it and finding.outcome in ("fail", "open") and _may_be_waived(finding.rule)


def names_nothing(waiver: Waiver, known_rules: Mapping[str, Rule[Any]], claims: Collection[str]) -> str:
    """What was found and expected where a waiver names a rule or claim that it cannot be of; else empty."""
    if waiver.rule not in known_rules:
        remedy = _remedy(waiver.rule, known_rules)
        return f"found a waiver of rule {waiver.rule!r}; expected a rule that exists; {remedy}"
    if not _may_be_waived(waiver.rule):
        return f"found a waiver of {waiver.rule}; expected a rule that can be waived; take the waiver out"
    if waiver.claim is None and known_rules[waiver.rule].of_claims:
        return f"found a waiver of {waiver.rule} that names no claim; expected the claim that is meant; add `claim`"
    if waiver.claim is not None and waiver.claim not in claims:
        remedy = _remedy(waiver.claim, claims)
        return f"found a waiver for claim {waiver.claim!r}; expected one of the audit's claims; {remedy}"
    return ""


def _remedy(word: str, known: Iterable[str]) -> str:
    near = schema.closest(word, sorted(known))
    return f"did you mean {near!r}?" if near else "correct it, or take the waiver out"


def standings(
    audit: AnyAudit, known_rules: Mapping[str, Rule[Any]], matched: Mapping[int, int] | None, today: str
) -> list[Standing]:
    """How each of the audit's waivers stands; ``matched`` is None where nothing is measured that they could be held
    against. The first that is wrong with a waiver is its state: unknown, refused, expired, unmatched."""
    rows, without = [], refused(audit)
    for number, waiver in enumerate(of(audit)):
        days = (date.fromisoformat(waiver.expires) - date.fromisoformat(today)).days
        findings = None if matched is None else matched.get(number, 0)
        state: WaiverState = "active"
        problem = names_nothing(waiver, known_rules, audit.places)
        if problem:
            state = "unknown"
        elif waiver in without:
            state, problem = "refused", REFUSED
        elif days < 0:
            state, problem = "expired", _EXPIRED.format(waiver.expires)
        elif findings == 0:
            state, problem = "unmatched", _UNMATCHED
        rows.append(Standing(waiver, state, days, findings, problem))
    return rows


REFUSED = (
    "waives a verdict, which an audit file cannot, nor a policy that it names; expected the waiver in a policy that "
    "the command line names; correct the claim, or have that policy waive it"
)
_EXPIRED = "expired on {}; expected a date that has not passed; mend what the rule found, or renew it with a new reason"
_UNMATCHED = "matches no finding; expected one that is failed or open; take it out"


def row(standing: Standing) -> WaiverRow:
    """A waiver as report.json publishes it."""
    held = {"state": standing.state, "days_left": standing.days, "findings": standing.findings}
    return row_of(WaiverRow, standing.waiver, **held, location=standing.waiver.location.place)
