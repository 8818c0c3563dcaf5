"""What rules conclude -> findings: levels by the policy, places, waivers, and the outcome they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from checker.core.canonical import from_json
from checker.core.records import Policy
from checker.core.rule import C, Finding, not_applicable, weighs
from checker.core.words import counted, enumerated
from checker.judge import waivers
from checker.judge.form import AnyReport, AuditOutcome, FindingRow, row_of
from checker.judge.rules import Result, Rule
from checker.judge.waivers import Standing
from checker.spec import policies

About = tuple[str, str | None]  # a rule, and the claim or the published item that it looks at
_EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "open": 3}


@dataclass(frozen=True)
class Conclusions:
    """The findings of every rule, each with the result that it was made of, and how the waivers stand."""

    findings: tuple[Finding, ...]
    results: tuple[Result, ...]
    standings: tuple[Standing, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many findings have each outcome, without those that are waived."""
        return Counter(finding.outcome for finding in self.findings if finding.waived is None)

    @property
    def waived(self) -> str:
        """How many findings are waived and by how many waivers, in words; empty where none is."""
        waived = len(self.findings) - self.counts.total()
        active = sum(standing.state == "active" for standing in self.standings)
        return f"{waived} waived ({counted(active, 'active waiver')})" if waived else ""


def conclude(rules: Mapping[str, Rule[C]], case: C) -> Conclusions:
    """Every rule's findings. Rules about waivers come last, because they look at the others."""
    about_waivers = [rule for rule in rules.values() if rule.slug.startswith("waiver/")]
    others = [rule for rule in rules.values() if rule not in about_waivers]
    first = [pair for rule in others for pair in _of_rule(rule, case)]
    waived, matched = waivers.applied(case.audit, [finding for finding, _ in first], case.today)
    case = replace(case, matched_waivers=frozenset(matched))
    last = [pair for rule in about_waivers for pair in _of_rule(rule, case)]
    return Conclusions(
        (*waived, *(finding for finding, _ in last)),
        tuple(result for _, result in (*first, *last)),
        tuple(waivers.standings(case.audit, case.known_rules, matched, case.today)),
    )


def row(finding: Finding) -> FindingRow:
    """A finding as reports publish it."""
    return row_of(FindingRow, finding)


def exit_code(report: AnyReport, fail_on: str) -> int:
    """The command's exit code (design, 7): 0, 1 where something failed, 3 where something is open."""
    if fail_on == "never":
        return 0
    findings = [from_json(Finding, finding) for finding in report["findings"]]
    return _EXIT_CODES[outcome_of(findings, fail_on)]


def outcome_of(findings: Iterable[Finding], fail_on: str) -> AuditOutcome:
    """fail or open where a finding at or above ``fail_on`` (error where it is ``never``) is so and not waived."""
    outcomes = {f.outcome for f in findings if weighs(f.level, f.waived, fail_on)}
    return "fail" if "fail" in outcomes else "open" if "open" in outcomes else "pass"


def came_out(outcome: AuditOutcome, policy: Policy, against: Sequence[About], findings: Iterable[Finding]) -> str:
    """The outcome as the sentence of the verdict begins; where it passes in spite of what stands ``against`` it, with
    who lets it: a policy that gives these rules another level, or waivers."""
    if outcome != "pass" or not against:
        return outcome.capitalize()
    waived = {(finding.rule, finding.claim) for finding in findings if finding.waived is not None}
    passing = [about for about in against if about in waived]
    under = dict.fromkeys(policies.set_by(policy, about[0]) for about in against if about not in waived)
    waivers = f" with {counted(len(passing), 'finding')} waived" if passing else ""
    return f"Pass{f' under {enumerated(under)}' if under else ''}{waivers}"


def _of_rule(rule: Rule[C], case: C) -> Iterator[tuple[Finding, Result]]:
    policy = case.audit.policy
    level = policy.level(rule.slug, rule.level)
    if level == "off":
        place = policy.source(rule.slug)
        off = f"switched off by the audit's policy{f' ({place})' if place else ''}"
        level, results = "note", [not_applicable(off)]
    else:
        results = rule.results(case)
    for result in results:
        location = case.audit.places.get(result.claim)
        place = location and location.place
        yield Finding(rule.slug, result.outcome, level, result.message, result.claim, place), result
