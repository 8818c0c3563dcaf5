"""Answers -> the report's figures about removals: baseline, arms, ranges over ties, random control, removal regime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from checker import stats
from checker.distances import Distances, pair_of
from checker.methods import PROTOCOLS
from checker.records import Audit, Evidence, Layout, RemovalSet, Statistics, Values
from checker.regimes import removal_regime, removal_sentence
from checker.stats import MINIMUM_WINDOWS, Estimate

Row = dict[str, Any]


def error_rate(settings: Statistics) -> float:
    """The share of errors that ``confidence`` leaves; rounded, or 1 - 0.9 would lie below a p of 1 / 10."""
    return round(1.0 - settings.confidence, 12)


@dataclass(frozen=True)
class Costs:
    """What removals cost in perplexity, under the one evaluation contract."""

    evidence: Evidence

    @property
    def blocks(self) -> int:
        return self.evidence.facts.model.blocks

    @cached_property
    def tokens(self) -> Values | None:
        """Tokens scored per window."""
        evaluation = self.evidence.facts.evaluation
        return None if evaluation is None else np.array(evaluation.scored, dtype=np.float64)

    @cached_property
    def base(self) -> Values | None:
        """Summed NLL per window of the unchanged model."""
        return self.nll(())

    @cached_property
    def _increases(self) -> dict[tuple[int, ...], Estimate | None]:
        return {}

    def nll(self, layers: Iterable[int]) -> Values | None:
        """Summed NLL per window without ``layers``, or None where it is not measured."""
        return self.evidence.answer("evaluation", "nll", Layout.base(self.blocks).without(layers))

    def increase(self, layers: Iterable[int]) -> Estimate | None:
        """Cost in percent of the baseline's perplexity, with the paired interval; None where it is not measured."""
        removed = tuple(sorted(layers))
        if removed not in self._increases:
            self._increases[removed] = self._increase(removed)
        return self._increases[removed]

    def _increase(self, removed: tuple[int, ...]) -> Estimate | None:
        variant = self.nll(removed)
        if variant is None or self.base is None or self.tokens is None:
            return None
        return stats.increase(variant, self.base, self.tokens, self.evidence.audit.statistics)

    def perplexity(self, layers: Iterable[int]) -> float | None:
        """Perplexity without ``layers``, or None where it is not measured."""
        variant = self.nll(layers)
        return None if variant is None or self.tokens is None else stats.perplexity(variant, self.tokens)

    def per_token(self, quantity: str, layers: Iterable[int]) -> float | None:
        """Mean over scored positions of ``kl`` or ``top1``, whose answers are means per window."""
        layout = Layout.base(self.blocks).without(layers)
        values = self.evidence.answer("evaluation", "kl" if quantity == "kl" else "top1", layout)
        return None if values is None or self.tokens is None else float(values @ self.tokens / self.tokens.sum())

    def difference(self, one: Iterable[int], other: Iterable[int]) -> Estimate | None:
        """Paired difference in mean NLL, ``one`` minus ``other``, in nats per token."""
        a, b = self.nll(one), self.nll(other)
        if a is None or b is None or self.tokens is None:
            return None
        return stats.nll_difference(a, b, self.tokens, self.evidence.audit.statistics)

    @cached_property
    def singles(self) -> dict[int, Estimate]:
        """What deleting each single block costs, where it is measured."""
        found = {block: self.increase((block,)) for block in range(self.blocks)}
        return {block: cost for block, cost in found.items() if cost is not None}


def baseline(costs: Costs) -> Row | None:
    """Perplexity of the unchanged model, with its interval; None where it is not measured."""
    if costs.base is None or costs.tokens is None:
        return None
    estimate = stats.perplexity_interval(costs.base, costs.tokens, costs.evidence.audit.statistics)
    return {
        "perplexity": estimate.value,
        "interval": pair_of(estimate.interval),
        "windows": len(costs.tokens),
        "tokens": int(costs.tokens.sum()),
        "nll_per_token": float(costs.base.sum() / costs.tokens.sum()),
    }


# --- arms ------------------------------------------------------------------------------------------------------------


def arms(costs: Costs, distances: Distances, sets: Sequence[RemovalSet]) -> list[Row]:
    """One row per removal set that a method chose, measured or not."""
    return [_arm(costs, distances, removal, [] if removal.draw else control(costs, sets, removal)) for removal in sets]


def _arm(costs: Costs, distances: Distances, removal: RemovalSet, draws: list[float]) -> Row:
    cost = costs.increase(removal.layers)
    model = costs.evidence.facts.model
    removed = sum(model.block_parameters[layer] for layer in removal.layers)
    compared = cost is not None and bool(draws)
    return {
        "method": removal.method,
        "budget": removal.budget,
        "layers": list(removal.layers),
        "tie": removal.tie,
        "ties": removal.ties,
        "draw": removal.draw,
        "perplexity": costs.perplexity(removal.layers),
        "increase_percent": cost and cost.value,
        "interval": cost and pair_of(cost.interval),
        "kl": costs.per_token("kl", removal.layers),
        "top1_agreement": costs.per_token("top1", removal.layers),
        "parameters_removed": removed,
        "parameters_removed_percent": 100.0 * removed / model.parameters,
        "selected_on": "" if removal.draw else costs.evidence.audit.scoring.source.name,
        "evidence": "measured",
        "p": stats.control_p(cost.value, draws) if cost is not None and draws else None,
        "smallest_p": 1 / (1 + len(draws)) if compared else None,
        "draws": len(draws) if compared else None,
        "stability": None if removal.draw else stability(distances, removal),
        "spacing": costs.evidence.audit.selection.spacing,
    }


def stability(distances: Distances, removal: RemovalSet) -> float | None:
    """Share of prompt resamples (ties shared evenly) in which the method chooses this very set."""
    if removal.method not in distances.by_method:
        return None
    ties = distances.evidence.audit.selection.ties
    chosen = distances.selections(removal.method, removal.budget, distances.ground.geometry, ties)
    return min(1.0, chosen.get(removal.layers, 0.0))


def control(costs: Costs, sets: Sequence[RemovalSet], arm: RemovalSet) -> list[float]:
    """Measured costs in percent of the random draws that an arm is held against.

    A draw of the arm's own set is left out. Chance would have had to choose that set against the others; counted as a
    draw, it would keep the cheapest set of a small model from ever being better than chance.
    """
    drawn = [removal.layers for removal in sets if removal.draw and removal.budget == arm.budget]
    found = [costs.increase(layers) for layers in drawn if layers != arm.layers]
    return [cost.value for cost in found if cost is not None]


def ranges(rows: Sequence[Row]) -> list[Row]:
    """Each method's arm at a budget as a range over the resolutions of its ties."""
    grouped: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if not row["draw"]:
            grouped[row["method"], row["budget"]].append(row)
    return [_range(method, budget, group) for (method, budget), group in grouped.items()]


def _range(method: str, budget: int, group: Sequence[Row]) -> Row:
    costs = [row["increase_percent"] for row in group if row["increase_percent"] is not None]
    intervals = [row["interval"] for row in group if row["interval"] is not None]
    return {
        "method": method,
        "budget": budget,
        "ties": group[0]["ties"],
        "measured": len(costs),
        "least_percent": min(costs, default=None),
        "most_percent": max(costs, default=None),
        "least_low": min((low for low, _ in intervals), default=None),
        "most_high": max((high for _, high in intervals), default=None),
    }


def random_control(rows: Sequence[Row]) -> list[Row]:
    """Quartiles of the random draws' costs, per budget."""
    grouped: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row["draw"] and row["increase_percent"] is not None:
            grouped[row["budget"]].append(row["increase_percent"])
    return [
        {
            "budget": budget,
            "draws": len(costs),
            "quartiles": list(stats.quartiles(costs)),
            "least": min(costs),
            "most": max(costs),
        }
        for budget, costs in sorted(grouped.items())
    ]


# --- the two protocols' arms against each other ----------------------------------------------------------------------


def _resolutions(rows: Sequence[Row], budget: int) -> tuple[dict[str, list[tuple[int, ...]]], bool]:
    """Each protocol's sets at a budget, and whether every resolution of the ties is among them."""
    found: dict[str, list[tuple[int, ...]]] = {protocol: [] for protocol in PROTOCOLS}
    total = dict.fromkeys(PROTOCOLS, 0)
    for row in rows:
        if row["method"] in found and row["budget"] == budget:
            found[row["method"]].append(tuple(row["layers"]))
            total[row["method"]] = row["ties"]
    return found, all(total[protocol] <= len(found[protocol]) for protocol in PROTOCOLS)


def overlap(rows: Sequence[Row], audit: Audit) -> list[Row]:
    """How many blocks the two protocols' selections share at each budget, least and most over the resolutions."""
    table = []
    for budget in budgets_of_both(audit):
        sets, _ = _resolutions(rows, budget)
        shared = [len(set(a) & set(b)) for a in sets["replacement"] for b in sets["interchange"]]
        if shared:
            table.append({"budget": budget, "shared_least": min(shared), "shared_most": max(shared), "of": budget})
    return table


def removal(costs: Costs, rows: Sequence[Row]) -> list[Row]:
    """The checkpoint's removal regime per budget, over every combination of tie resolutions (design, 3.4).

    One row for every budget at which the audit runs both protocols; without their arms, or their costs, it is open.
    """
    return [_removal(costs, rows, budget) for budget in budgets_of_both(costs.evidence.audit)]


def budgets_of_both(audit: Audit) -> list[int]:
    """The budgets at which the audit lets both protocols choose what to remove, ascending."""
    own = {method.name: set(method.budgets) for method in audit.methods}
    return sorted(set.intersection(*(own.get(protocol, set()) for protocol in PROTOCOLS)))


def _removal(costs: Costs, rows: Sequence[Row], budget: int) -> Row:
    margin = costs.evidence.audit.statistics.margin
    sets, complete = _resolutions(rows, budget)
    combinations = [(a, b) for a in sets["replacement"] for b in sets["interchange"]]
    differences = [found for a, b in combinations if (found := costs.difference(a, b)) is not None]
    reason = _undecidable(sets, complete, len(combinations) - len(differences), [d.units for d in differences])
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


def _undecidable(sets: Mapping[str, Sequence[Any]], complete: bool, missing: int, windows: Sequence[int]) -> str:
    """Why there is no removal regime whatever the costs are; empty where there may be one."""
    absent = [protocol for protocol in PROTOCOLS if not sets[protocol]]
    if absent:
        return f"No removal set of {' and of '.join(absent)} is known at this budget, so there is nothing to compare."
    if missing:
        return "Not every removal that the two protocols chose at this budget is measured."
    if not complete:
        return "The two protocols leave more ways of breaking ties than were measured, so not all are known to agree."
    if windows[0] < MINIMUM_WINDOWS:
        return f"{windows[0]} evaluation windows decide nothing about a population; at least {MINIMUM_WINDOWS} do."
    return ""
