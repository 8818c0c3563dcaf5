"""Answers -> the report's figures about removals: baseline, arms, ranges over ties, random control, removal regime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from checker import stats
from checker.distances import Distances, pair_of
from checker.records import Evidence, Layout, RemovalSet, Values
from checker.regimes import removal_regime, removal_sentence
from checker.stats import MINIMUM_WINDOWS, Estimate

Row = dict[str, Any]


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

    def nll(self, layers: Iterable[int]) -> Values | None:
        """Summed NLL per window without ``layers``, or None where it is not measured."""
        return self.evidence.answer("evaluation", "nll", Layout.base(self.blocks).without(layers))

    def increase(self, layers: Iterable[int]) -> Estimate | None:
        """Cost in percent of the baseline's perplexity, with the paired interval; None where it is not measured."""
        variant = self.nll(layers)
        if variant is None or self.base is None or self.tokens is None:
            return None
        return stats.increase(variant, self.base, self.tokens, self.evidence.audit.statistics)

    def perplexity(self, layers: Iterable[int]) -> float | None:
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
    control = draws_by_budget(costs, sets)
    return [_arm(costs, distances, removal, control.get(removal.budget, [])) for removal in sets]


def _arm(costs: Costs, distances: Distances, removal: RemovalSet, control: list[float]) -> Row:
    cost = costs.increase(removal.layers)
    model = costs.evidence.facts.model
    removed = sum(model.block_parameters[layer] for layer in removal.layers)
    compared = cost is not None and bool(control) and not removal.draw
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
        "p": stats.control_p(cost.value, control) if compared and cost is not None else None,
        "smallest_p": 1 / (1 + len(control)) if compared else None,
        "draws": len(control) if compared else None,
        "stability": None if removal.draw else stability(distances, removal),
        "spacing": costs.evidence.audit.selection.spacing,
    }


def stability(distances: Distances, removal: RemovalSet) -> float | None:
    """Share of prompt resamples (ties shared evenly) in which the method chooses this very set."""
    if removal.method not in distances.by_method:
        return None
    ties = distances.evidence.audit.selection.ties
    chosen = distances.selections(removal.method, removal.budget, distances.ground.geometry, ties)
    return min(1.0, float(chosen[removal.layers]))


def draws_by_budget(costs: Costs, sets: Sequence[RemovalSet]) -> dict[int, list[float]]:
    """Measured costs of the random draws, in percent, per budget."""
    found: dict[int, list[float]] = defaultdict(list)
    for removal in sets:
        cost = costs.increase(removal.layers) if removal.draw else None
        if cost is not None:
            found[removal.budget].append(cost.value)
    return dict(found)


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
    found: dict[str, list[tuple[int, ...]]] = {"replacement": [], "interchange": []}
    complete = True
    for row in rows:
        if row["method"] in found and row["budget"] == budget:
            found[row["method"]].append(tuple(row["layers"]))
            complete = complete and row["ties"] <= sum(
                1 for other in rows if (other["method"], other["budget"]) == (row["method"], budget)
            )
    return found, complete


def overlap(rows: Sequence[Row], budgets: Sequence[int]) -> list[Row]:
    """How many blocks the two protocols' selections share at each budget, least and most over the resolutions."""
    table = []
    for budget in budgets:
        sets, _ = _resolutions(rows, budget)
        shared = [len(set(a) & set(b)) for a in sets["replacement"] for b in sets["interchange"]]
        if shared:
            table.append({"budget": budget, "shared_least": min(shared), "shared_most": max(shared), "of": budget})
    return table


def removal(costs: Costs, rows: Sequence[Row], budgets: Sequence[int]) -> list[Row]:
    """The checkpoint's removal regime per budget, over every combination of tie resolutions (design, 3.4)."""
    return [found for budget in budgets if (found := _removal(costs, rows, budget))]


def _removal(costs: Costs, rows: Sequence[Row], budget: int) -> Row | None:
    margin = costs.evidence.audit.statistics.margin
    sets, complete = _resolutions(rows, budget)
    combinations = [(a, b) for a in sets["replacement"] for b in sets["interchange"]]
    if not combinations:
        return None
    differences = [found for a, b in combinations if (found := costs.difference(a, b)) is not None]
    decided = complete and len(differences) == len(combinations) and differences[0].units >= MINIMUM_WINDOWS
    name = removal_regime(differences, margin) if decided else "open"
    values = [difference.value for difference in differences]
    intervals = [difference.interval for difference in differences if difference.interval is not None]
    return {
        "budget": budget,
        "regime": name,
        "margin": margin,
        "resolutions": len(combinations),
        "difference": float(np.mean(values)) if values else None,
        "interval": [min(low for low, _ in intervals), max(high for _, high in intervals)] if intervals else None,
        "sentence": removal_sentence(name, budget, margin),
    }
