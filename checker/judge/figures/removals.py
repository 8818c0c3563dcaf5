"""The two protocols' arms against each other: overlap, and the removal regime per budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from checker.core.questions import RemovalSet
from checker.core.records import PROTOCOLS, Audit
from checker.core.statistics import MINIMUM_WINDOWS
from checker.judge.figures.costs import Costs
from checker.judge.figures.form import RemovalRow, SharedRow
from checker.judge.figures.regimes import removal_regime, removal_sentence


def _resolutions(sets: Sequence[RemovalSet], budget: int) -> dict[str, list[RemovalSet]]:
    """Each protocol's sets at a budget, one for each resolution of its ties that was measured."""
    return {name: [own for own in sets if (own.method, own.budget) == (name, budget)] for name in PROTOCOLS}


def overlap(sets: Sequence[RemovalSet], audit: Audit) -> list[SharedRow]:
    """How many blocks the two protocols' selections share at each budget, least and most over the resolutions."""
    table: list[SharedRow] = []
    for budget in budgets_of_both(audit):
        own = _resolutions(sets, budget)
        shared = [len(set(a.layers) & set(b.layers)) for a in own["replacement"] for b in own["interchange"]]
        if shared:
            table.append({"budget": budget, "shared_least": min(shared), "shared_most": max(shared), "of": budget})
    return table


def removal(costs: Costs, sets: Sequence[RemovalSet]) -> list[RemovalRow]:
    """The checkpoint's removal regime per budget, over every combination of tie resolutions (design, 3.4).

    One row for every budget at which the audit runs both protocols; without their arms, or their costs, it is open.
    """
    return [_removal(costs, _resolutions(sets, budget), budget) for budget in budgets_of_both(costs.evidence.audit)]


def budgets_of_both(audit: Audit) -> list[int]:
    """The budgets at which the audit lets both protocols choose what to remove, ascending."""
    own = {method.name: set(method.budgets) for method in audit.methods}
    return sorted(set.intersection(*(own.get(protocol, set()) for protocol in PROTOCOLS)))


def _removal(costs: Costs, sets: Mapping[str, Sequence[RemovalSet]], budget: int) -> RemovalRow:
    margin = costs.evidence.audit.statistics.margin
    combinations = [(a.layout, b.layout) for a in sets["replacement"] for b in sets["interchange"]]
    differences = [found for a, b in combinations if (found := costs.difference(a, b)) is not None]
    reason = _undecidable(sets, len(combinations) - len(differences), [d.units for d in differences])
    name = "open" if reason else removal_regime(differences, margin)
    values = [difference.value for difference in differences]
    intervals = [difference.interval for difference in differences if difference.interval is not None]
    return {
        "budget": budget,
        "regime": name,
        "margin": margin,
        "resolutions": len(combinations),
        "difference": float(np.mean(values)) if values else None,
        "interval": [min(low for low, _ in intervals), max(high for _, high in intervals)] if intervals else None,
        "sentence": reason or removal_sentence(name, budget, margin),
    }


def _undecidable(sets: Mapping[str, Sequence[RemovalSet]], missing: int, windows: Sequence[int]) -> str:
    """Why there is no removal regime whatever the costs are; empty where there may be one."""
    absent = [protocol for protocol in PROTOCOLS if not sets[protocol]]
    if absent:
        return f"No removal set of {' and of '.join(absent)} is known at this budget, so there is nothing to compare."
    if missing:
        return "Not every removal that the two protocols chose at this budget is measured."
    if any(own[0].ties > len(own) for own in sets.values()):
        return "The two protocols leave more ways of breaking ties than were measured, so not all are known to agree."
    if windows[0] < MINIMUM_WINDOWS:
        return f"{windows[0]} evaluation windows decide nothing about a population; at least {MINIMUM_WINDOWS} do."
    return ""
