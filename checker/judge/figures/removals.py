"""The two protocols' arms against each other: overlap, and the removal regime per budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from checker.core.questions import RemovalSet
from checker.core.records import PROTOCOLS, Audit
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import outermost
from checker.judge.figures.form import RemovalRow, SharedRow
from checker.judge.figures.regimes import removal_regime, removal_sentence


def _resolutions(sets: Sequence[RemovalSet], budget: int) -> dict[str, list[RemovalSet]]:
    """Each protocol's sets at a budget, one for each resolution of its ties that was measured."""
    return {name: [arm for arm in sets if (arm.method, arm.budget) == (name, budget)] for name in PROTOCOLS}


def overlap(sets: Sequence[RemovalSet], audit: Audit) -> list[SharedRow]:
    """How many blocks the two protocols' selections share at each budget, least and most over the resolutions."""
    rows: list[SharedRow] = []
    for budget in budgets_of_both(audit):
        pairs = product(*_resolutions(sets, budget).values())
        shared = [len(set(a.layers) & set(b.layers)) for a, b in pairs]
        if shared:
            rows.append({"budget": budget, "shared_least": min(shared), "shared_most": max(shared), "of": budget})
    return rows


def removal(costs: Costs, sets: Sequence[RemovalSet]) -> list[RemovalRow]:
    """The checkpoint's removal regime per budget, over every combination of tie resolutions (design, 3.4).

    One row for every budget at which the audit runs both protocols; without their arms, or their costs, it is open.
    """
    return [_removal(costs, _resolutions(sets, budget), budget) for budget in budgets_of_both(costs.evidence.audit)]


def budgets_of_both(audit: Audit) -> list[int]:
    """The budgets at which the audit lets both protocols choose what to remove, ascending."""
    budgets = {method.name: set(method.budgets) for method in audit.methods}
    return sorted(set.intersection(*(budgets.get(protocol, set()) for protocol in PROTOCOLS)))


def _removal(costs: Costs, sets: Mapping[str, Sequence[RemovalSet]], budget: int) -> RemovalRow:
    margin = costs.evidence.audit.statistics.margin
    pairs = list(product(sets["replacement"], sets["interchange"]))
    differences = [difference for a, b in pairs if (difference := costs.difference(a.layout, b.layout))]
    audit, model = costs.evidence.audit, costs.evidence.facts.model
    nothing = model.nothing_comparable(audit.max_gap)
    reason = _undecidable(sets, len(pairs) - len(differences), differences)
    if nothing:
        reason = f"Neither protocol chooses anything: {nothing}; {model.raise_gap}."
    name = "open" if reason else removal_regime(differences, margin)
    return {
        "budget": budget,
        "regime": name,
        "margin": margin,
        "resolutions": len(pairs),
        "difference": float(np.mean([difference.value for difference in differences])) if differences else None,
        "interval": outermost([difference.interval for difference in differences]),
        "sentence": reason or removal_sentence(name, budget, margin),
    }


def _undecidable(sets: Mapping[str, Sequence[RemovalSet]], missing: int, differences: Sequence[Estimate]) -> str:
    """Why there is no removal regime whatever the costs are; empty where there may be one."""
    absent = [protocol for protocol in PROTOCOLS if not sets[protocol]]
    if absent:
        return f"No removal set of {' and of '.join(absent)} is known at this budget, so there is nothing to compare."
    if missing:
        return "Not every removal that the two protocols chose at this budget is measured."
    if any(resolutions[0].ties > len(resolutions) for resolutions in sets.values()):
        return "The two protocols leave more ways of breaking ties than were measured, so not all are known to agree."
    windows = differences[0].units
    if windows < MINIMUM_WINDOWS:
        return f"{windows} evaluation windows decide nothing about a population; at least {MINIMUM_WINDOWS} do."
    return ""
