"""Every rule over published numbers, waivers applied: a publication -> its report, with no torch and no store."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from checker import __version__
from checker.core.canonical import digest
from checker.core.records import Policy
from checker.core.rule import AnyCase
from checker.core.words import counted
from checker.judge import findings, waivers
from checker.judge.findings import Conclusions
from checker.judge.form import PUBLISHED_FORMAT, AuditOutcome, PublishedFacts, PublishedReport
from checker.judge.rules import PUBLISHED, RULES
from checker.published import rules as published
from checker.published.publication import Publication, PublishedContract
from checker.spec import policies

_DETAILS = ("where", "statement", "recomputed", "question", "does_not_show")
_ORDER = ("pass", "fail", "open")  # what holds first


def judge(publication: Publication, today: date | None = None) -> PublishedReport:
    """The report of an audit of published numbers, in the form of schemas/published.schema.json."""
    day = (today or date.today()).isoformat()
    conclusions = findings.conclude(PUBLISHED, AnyCase(publication, day, RULES))
    outcome = findings.outcome_of(conclusions.findings, publication.policy.fail_on)
    checks = _checks(conclusions)
    return {
        "format": PUBLISHED_FORMAT,
        "title": publication.title,
        "outcome": outcome,
        "summary": _summary(outcome, checks, conclusions, publication.policy),
        **_facts(publication),
        "policy": policies.row(publication.policy),
        "waivers": [waivers.row(standing) for standing in conclusions.standings],
        "checks": checks,
        "findings": [findings.row(finding) for finding in conclusions.findings],
        "not_tested": _not_tested(publication),
    }


def _facts(publication: Publication) -> PublishedFacts:
    source = publication.source
    return {
        "audit": {
            "name": publication.name,
            "file": publication.path.replace("\\", "/").rsplit("/", 1)[-1],
            "digest": digest([publication.text, publication.overrides, publication.files]),
        },
        "overrides": [{"key": key, "value": value} for key, value in publication.overrides],
        "tool": {"name": "pruneaudit", "version": __version__},
        "evidence": "published",
        "source": {**vars(source), "authors": list(source.authors)},
        "files": [{"file": name, "sha256": sha256} for name, sha256 in publication.files],
        "models": [
            {
                "id": model.id,
                "name": model.name,
                "blocks": model.blocks,
                "parameters": model.config and model.config.parameters,
            }
            for model in publication.models.values()
        ],
        "contracts": [_contract(contract) for contract in publication.contracts.values()],
        "caveats": [vars(caveat) for caveat in publication.caveats],
        "numbers": {
            name: len(getattr(publication, name)) for name in ("baselines", "scores", "removals", "rules", "statements")
        },
    }


def _contract(contract: PublishedContract) -> dict[str, Any]:
    row = {**vars(contract), "unstated": list(contract.unstated)}
    del row["location"]
    return row


def _checks(conclusions: Conclusions) -> list[dict[str, Any]]:
    """What rules about published numbers decided or left open, what holds first; the order of the rules is kept."""
    rows = []
    for finding, result in zip(conclusions.findings, conclusions.results, strict=True):
        if finding.rule in published.RULES and finding.outcome in _ORDER:
            row: dict[str, Any] = {**findings.row(finding)}
            rows.append({"id": row.pop("claim"), **row, **{name: getattr(result, name) for name in _DETAILS}})
    return sorted(rows, key=lambda row: _ORDER.index(row["outcome"]))


def _summary(outcome: AuditOutcome, checks: list[dict[str, Any]], conclusions: Conclusions, policy: Policy) -> str:
    """The verdict in one sentence."""
    came_out = findings.came_out(outcome, policy, _against(conclusions, policy), conclusions.findings)
    outcomes = Counter(check["outcome"] for check in checks)
    words = {"pass": ("holds", "hold"), "fail": ("does not hold", "do not hold"), "open": ("is open", "are open")}
    decided = ", ".join(f"{outcomes[name]} {words[name][outcomes[name] != 1]}" for name in _ORDER)
    parts = [f"of {counted(len(checks), 'check')} {decided}" if checks else "there was nothing to check"]
    counts = conclusions.counts
    checked = sum(check["waived"] is None and check["outcome"] != "pass" for check in checks)
    if further := counts["fail"] + counts["open"] - checked:
        parts.append(f"{counted(further, 'finding')} about the audit itself")
    if conclusions.waived:
        parts.append(conclusions.waived)
    return f"{came_out}: {'; '.join(parts)}."


def _against(conclusions: Conclusions, policy: Policy) -> list[findings.About]:
    """What stands against the numbers by rules that are errors of their own; what is switched off may well do."""
    rules = {slug: policy.level(slug, rule.level) for slug, rule in published.RULES.items() if rule.level == "error"}
    found = [finding for finding in conclusions.findings if finding.rule in rules]
    return [
        (finding.rule, finding.claim)
        for finding in found
        if finding.outcome in ("fail", "open") or rules[finding.rule] == "off"
    ]


def _not_tested(publication: Publication) -> list[str]:
    """What this report does not say."""
    sentences = [
        "Nothing was measured: every figure here is the source's own or computed from the source's own.",
        "That numbers follow from each other does not show that they were measured as described.",
    ]
    for contract in publication.contracts.values():
        if contract.unstated:
            sentences.append(
                f"Contract {contract.id}: the source leaves {', '.join(contract.unstated)} unsaid, so nobody can be "
                "sure to measure the same."
            )
    return sentences
