"""Waivers: which findings they accept, and how each of them stands on a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from checker.core.records import COMPLETENESS, AnyAudit, Waiver
from checker.core.rule import Finding
from checker.judge.form import WaiverRow, WaiverState, row_of
from checker.spec import schema

_NEVER = (COMPLETENESS, "policy/too-many-waivers")  # nor findings about the waivers themselves


@dataclass(frozen=True)
class Standing:
    """How a waiver stands on a day."""

    waiver: Waiver
    state: WaiverState
    days: int  # until its last day; below 0 once that is over
    findings: int | None  # that it matches; None where there is no evidence to hold it against
    problem: str  # empty where it is active


def _may_be_waived(rule: str) -> bool:
    return rule not in _NEVER and not rule.startswith("waiver/")


def applied(waivers: Sequence[Waiver], findings: Iterable[Finding], today: str) -> tuple[list[Finding], Counter[int]]:
    """The findings, with the reason of the first waiver that holds for each; and how many each waiver matches, by its
    number. A waiver that has expired still matches; it waives nothing. ``today`` is an ISO date."""
    matched: Counter[int] = Counter()
    results = []
    for finding in findings:
        for number, waiver in enumerate(waivers):
            if _fits(waiver, finding):
                matched[number] += 1
                if waiver.expires >= today and finding.waived is None:
                    finding = replace(finding, waived=waiver.reason)
        results.append(finding)
    return results, matched


def _fits(waiver: Waiver, finding: Finding) -> bool:
    about_it = waiver.rule == finding.rule and waiver.claim in (None, finding.claim)
    return about_it and finding.outcome in ("fail", "open") and _may_be_waived(finding.rule)


def names_nothing(waiver: Waiver, known_rules: Collection[str], claims: Collection[str]) -> str:
    """What was found and expected where a waiver names a rule or claim that it cannot be of; else empty."""
    if waiver.rule not in known_rules:
        remedy = _remedy(waiver.rule, known_rules)
        return f"found a waiver of rule {waiver.rule!r}; expected a rule that exists; {remedy}"
    if not _may_be_waived(waiver.rule):
        return f"found a waiver of {waiver.rule}; expected a rule that can be waived; take the waiver out"
    if waiver.claim is not None and waiver.claim not in claims:
        remedy = _remedy(waiver.claim, claims)
        return f"found a waiver for claim {waiver.claim!r}; expected one of the audit's claims; {remedy}"
    return ""


def _remedy(word: str, known: Iterable[str]) -> str:
    near = schema.closest(word, sorted(known))
    return f"did you mean {near!r}?" if near else "correct it, or take the waiver out"


def standings(
    audit: AnyAudit, known_rules: Collection[str], matched: Mapping[int, int] | None, today: str
) -> list[Standing]:
    """How each of the audit's waivers stands; ``matched`` is None where nothing is measured that they could be held
    against. The first that is wrong with a waiver is its state: unknown, expired, unmatched."""
    rows = []
    for number, waiver in enumerate(audit.waivers):
        days = (date.fromisoformat(waiver.expires) - date.fromisoformat(today)).days
        findings = None if matched is None else matched.get(number, 0)
        state: WaiverState = "active"
        problem = names_nothing(waiver, known_rules, audit.places)
        if problem:
            state = "unknown"
        elif days < 0:
            state, problem = "expired", _EXPIRED.format(waiver.expires)
        elif findings == 0:
            state, problem = "unmatched", _UNMATCHED
        rows.append(Standing(waiver, state, days, findings, problem))
    return rows


_EXPIRED = "expired on {}; expected a date that has not passed; mend what the rule found, or renew it with a new reason"
_UNMATCHED = "matches no finding; expected one that is failed or open; take it out"


def row(standing: Standing) -> WaiverRow:
    """A waiver as report.json publishes it."""
    held = {"state": standing.state, "days_left": standing.days, "findings": standing.findings}
    return row_of(WaiverRow, standing.waiver, **held, location=standing.waiver.location.place)
