"""One module per family of rules. A rule is a function from a case to results; the register names them all."""

from __future__ import annotations

from checker.rules import (
    card,
    claim,
    data,
    evidence,
    model,
    policy,
    protocol,
    provenance,
    published_archive,
    published_comparisons,
    published_controls,
    published_increases,
    published_intervals,
    published_numbers,
    published_removals,
    published_selection,
    published_statements,
    published_statistics,
    published_tables,
    published_trends,
    regime,
    selection,
    spec,
    statistics,
    waiver,
)
from checker.rules.shape import Case, Result, Rule

RULES: dict[str, Rule] = {
    found.slug: found
    for module in (
        *(spec, model, data, protocol, selection, statistics, regime, claim, evidence, card, provenance),
        *(published_statements, published_statistics, published_trends, published_increases, published_tables),
        *(published_selection, published_removals, published_comparisons, published_controls),
        *(published_intervals, published_archive, published_numbers),
        *(policy, waiver),
    )
    for found in vars(module).values()
    if isinstance(found, Rule)
}

__all__ = ["RULES", "Case", "Result", "Rule"]
