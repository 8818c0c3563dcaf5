"""One module per topic of rules about published numbers. A rule is a function from a ``Publication`` to results."""

from __future__ import annotations

from checker.core.rule import AnyCase, Rule
from checker.published.publication import Publication
from checker.published.rules import (
    archive,
    comparisons,
    controls,
    increases,
    intervals,
    numbers,
    removals,
    selection,
    sizes,
    statements,
    statistics,
    tables,
    trends,
)

RULES: dict[str, Rule[AnyCase[Publication]]] = {
    rule.slug: rule
    for module in (
        *(statements, statistics, trends, increases, tables, selection),
        *(removals, comparisons, controls, intervals, archive, numbers, sizes),
    )
    for rule in vars(module).values()
    if isinstance(rule, Rule)
}
