"""One module per family of rules. A rule is a function from a case to results; the register names them all."""

from __future__ import annotations

from checker.rules import claim, data, evidence, model, policy, protocol, regime, selection, statistics, waiver
from checker.rules.shape import Case, Result, Rule

RULES: dict[str, Rule] = {
    found.slug: found
    for module in (model, data, protocol, selection, statistics, regime, claim, evidence, policy, waiver)
    for found in vars(module).values()
    if isinstance(found, Rule)
}

__all__ = ["RULES", "Case", "Result", "Rule"]
