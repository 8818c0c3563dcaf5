"""One module per family of rules about measurements; the register names them and the rules about published numbers."""

from __future__ import annotations

from checker.core.rule import Case, Result, Rule
from checker.judge.rules import (
    card,
    claim,
    data,
    evidence,
    model,
    policy,
    protocol,
    provenance,
    regime,
    selection,
    spec,
    statistics,
    waiver,
)
from checker.published import rules as published

_FAMILIES = (spec, model, data, protocol, selection, statistics, regime, claim, evidence, card, provenance)
_ABOUT_ALL = (policy, waiver)  # what they conclude rests on the other findings, so they come last


def _of(modules: tuple[object, ...]) -> dict[str, Rule]:
    return {rule.slug: rule for module in modules for rule in vars(module).values() if isinstance(rule, Rule)}


RULES: dict[str, Rule] = _of(_FAMILIES) | published.RULES | _of(_ABOUT_ALL)

__all__ = ["RULES", "Case", "Result", "Rule"]
