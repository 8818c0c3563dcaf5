"""One module per family of rules about measurements, and the registers: every rule, and those of each kind of audit."""

from __future__ import annotations

from typing import Any

from checker.core.records import AnyAudit
from checker.core.rule import AnyCase, Result, Rule
from checker.judge.case import Case
from checker.judge.rules import (
    card,
    checkpoint,
    claim,
    data,
    evidence,
    model,
    policy,
    protocol,
    provenance,
    regime,
    selection,
    series,
    spec,
    statistics,
    task,
    waiver,
)
from checker.published import rules as published
from checker.published.publication import Publication

_FAMILIES = (
    spec,
    model,
    data,
    protocol,
    selection,
    statistics,
    regime,
    claim,
    evidence,
    card,
    checkpoint,
    provenance,
    task,
    series,
)
_LAST = (policy, waiver)  # what they conclude rests on the other findings
_OF_BOTH_KINDS: tuple[Rule[AnyCase[AnyAudit]], ...] = (
    spec.values_overridden,
    policy.unknown_rule,
    policy.too_many_waivers,
    policy.too_long_waiver,
    waiver.expired,
    waiver.unknown,
    waiver.of_a_verdict,
    waiver.unmatched,
)


def _of(modules: tuple[object, ...]) -> dict[str, Rule[Any]]:
    return {rule.slug: rule for module in modules for rule in vars(module).values() if isinstance(rule, Rule)}


RULES: dict[str, Rule[Any]] = _of(_FAMILIES) | published.RULES | _of(_LAST)
MEASURED: dict[str, Rule[Case]] = {slug: rule for slug, rule in RULES.items() if slug not in published.RULES}
PUBLISHED: dict[str, Rule[AnyCase[Publication]]] = {
    slug: rule for slug, rule in RULES.items() if slug in published.RULES or rule in _OF_BOTH_KINDS
}

__all__ = ["MEASURED", "PUBLISHED", "RULES", "Case", "Result", "Rule"]
