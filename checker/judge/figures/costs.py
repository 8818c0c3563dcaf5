"""Answers -> the report's figures about removals: baseline, arms, ranges over ties, random control, removal regime."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from checker.core import statistics
from checker.core.layouts import Layout
from checker.core.questions import Evidence, RemovalSet, Values
from checker.core.records import Audit, Statistics
from checker.core.statistics import MINIMUM_WINDOWS, Estimate
from checker.judge.figures.distances import Distances, pair_of
from checker.judge.figures.regimes import removal_regime, removal_sentence
from checker.selection.methods import METHODS, PROTOCOLS

Row = dict[str, Any]
Removal = Iterable[int] | Layout
OVERLAP = 8  # words in a row that two texts share by more than chance


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
    def _increases(self) -> dict[Layout, Estimate | None]:
        return {}

    def layout(self, removal: Removal) -> Layout:
        """What runs once a removal is made: of layers alone, or the layout itself where blocks were merged too."""
        return removal if isinstance(removal, Layout) else Layout.base(self.blocks).without(removal)

    def nll(self, removal: Removal) -> Values | None:
        """Summed NLL per window after a removal, or None where it is not measured."""
        return self.evidence.answer("evaluation", "nll", self.layout(removal))

    def increase(self, removal: Removal) -> Estimate | None:
        """Cost in percent of the baseline's perplexity, with the paired interval; None where it is not measured."""
        layout = self.layout(removal)
        if layout not in self._increases:
            self._increases[layout] = self._increase(layout)
        return self._increases[layout]

    def _increase(self, layout: Layout) -> Estimate | None:
        variant = self.nll(layout)
        if variant is None or self.base is None or self.tokens is None:
            return None
        return statistics.increase(variant, self.base, self.tokens, self.evidence.audit.statistics)

    def perplexity(self, removal: Removal) -> float | None:
        """Perplexity after a removal, or None where it is not measured."""
        variant = self.nll(removal)
        return None if variant is None or self.tokens is None else statistics.perplexity(variant, self.tokens)

    def per_token(self, quantity: str, removal: Removal) -> float | None:
        """Mean over scored positions of ``kl`` or ``top1``, whose answers are means per window."""
        values = self.evidence.answer("evaluation", "kl" if quantity == "kl" else "top1", self.layout(removal))
        return None if values is None or self.tokens is None else float(values @ self.tokens / self.tokens.sum())

    def difference(self, one: Removal, other: Removal) -> Estimate | None:
        """Paired difference in mean NLL, ``one`` minus ``other``, in nats per token."""
        a, b = self.nll(one), self.nll(other)
        if a is None or b is None or self.tokens is None:
            return None
        return statistics.nll_difference(a, b, self.tokens, self.evidence.audit.statistics)

    @cached_property
    def singles(self) -> dict[int, Estimate]:
        """What deleting each single block costs, where it is measured."""
        found = {block: self.increase((block,)) for block in range(self.blocks)}
        return {block: cost for block, cost in found.items() if cost is not None}


def baseline(costs: Costs) -> Row | None:
    """Perplexity of the unchanged model, with its interval; None where it is not measured."""
    if costs.base is None or costs.tokens is None:
        return None
    estimate = statistics.perplexity_interval(costs.base, costs.tokens, costs.evidence.audit.statistics)
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
    return [_arm(costs, distances, removal, sets) for removal in sets]


def _arm(costs: Costs, distances: Distances, removal: RemovalSet, sets: Sequence[RemovalSet]) -> Row:
    layout = removal.layout(costs.blocks)
    cost = costs.increase(layout)
    model = costs.evidence.facts.model
    gone = sum(model.block_parameters[layer] for layer in removal.layers)
    draws = [] if removal.draw else control(costs, sets, removal)
    compared = cost is not None and bool(draws)
    return {
        "method": removal.method,
        "budget": removal.budget,
        "form": removal.form,
        "selection": removal.selection,
        "layers": list(removal.layers),
        "merged": str(removal.merged) if removal.merged else None,
        "tie": removal.tie,
        "ties": removal.ties,
        "ties_counted": removal.ties_counted,
        "draw": removal.draw,
        "calls": removal.calls,
        "perplexity": costs.perplexity(layout),
        "increase_percent": cost and cost.value,
        "interval": cost and pair_of(cost.interval),
        "kl": costs.per_token("kl", layout),
        "top1_agreement": costs.per_token("top1", layout),
        "parameters_removed": gone,
        "parameters_removed_percent": 100.0 * gone / model.parameters,
        "selected_on": selected_on(costs.evidence, removal.method),
        "evidence": "measured",
        "p": statistics.control_p(cost.value, draws) if cost is not None and draws else None,
        "smallest_p": 1 / (1 + len(draws)) if compared else None,
        "draws": len(draws) if compared else None,
        "stability": None if removal.draw else stability(distances, removal),
        "regret": regret(costs, sets, removal),
        "spacing": _spacing(costs.evidence.audit, removal),
    }


def selected_on(evidence: Evidence, method: str) -> str:
    """The texts a method chooses on, marked where they overlap the evaluation text; empty where it looks at none."""
    audit, read = evidence.audit, evidence.facts.evaluation
    tuned = " (tuned on its test text)" if read is not None and read.shared_run >= OVERLAP else ""
    looking = [METHODS[name] for name in _choosing(audit, method) if METHODS[name].looks]
    contracts = [(own.looks_at == "selection" and audit.selecting) or audit.scoring for own in looking]
    names = " and ".join(dict.fromkeys(contract.source.name for contract in contracts))
    return names + tuned if names else ""


def _choosing(audit: Audit, method: str) -> Iterable[str]:
    """The methods whose looking decides what a method chooses: itself, or what it turns round or starts from."""
    for settings in audit.methods:
        if settings.name == method and METHODS[method].turns_round:
            return (settings.of,)
        if settings.name == method and settings.seeded_by:
            return (method, settings.seeded_by)
    return (method,)


def _spacing(audit: Audit, removal: RemovalSet) -> int | None:
    """The spacing an arm obeys; None for native forms, which have constraints of their own."""
    spacings = {selection.name: selection.spacing for selection in audit.selections}
    return spacings.get(removal.selection) if removal.form == "matched" else None


def alike(one: RemovalSet, other: RemovalSet) -> bool:
    """Whether two arms may be compared: the same budget, form and constraints."""
    return (one.budget, one.form, one.selection) == (other.budget, other.form, other.selection)


def primary(audit: Audit, removal: RemovalSet) -> bool:
    """Whether an arm is in the comparison that verdicts and regimes rest on."""
    return removal.form == "matched" and removal.selection == audit.selection.name


def regret(costs: Costs, sets: Sequence[RemovalSet], removal: RemovalSet) -> Row | None:
    """What an arm costs above the best of all sets under its constraints, in nats per token, paired; None without."""
    best = [other for other in sets if other.method == "exhaustive" and alike(other, removal)]
    if not best or removal.draw:
        return None
    above = costs.difference(removal.layout(costs.blocks), best[0].layout(costs.blocks))
    return {"value": above.value, "interval": pair_of(above.interval)} if above else None


def stability(distances: Distances, removal: RemovalSet) -> float | None:
    """Share of prompt resamples (ties shared evenly) in which the method chooses this very set."""
    audit = distances.evidence.audit
    selections = [selection for selection in audit.selections if selection.name == removal.selection]
    if removal.method not in distances.by_method or not selections:
        return None
    geometry = selections[0].geometry(distances.ground.blocks)
    chosen = distances.selections(removal.method, removal.budget, geometry, selections[0].ties)
    return min(1.0, chosen.get(removal.layers, 0.0)) if chosen else None


def control(costs: Costs, sets: Sequence[RemovalSet], arm: RemovalSet) -> list[float]:
    """Measured costs in percent of the random draws that an arm is held against: those under its own constraints.

    A draw of the arm's own set is left out. Chance would have had to choose that set against the others; counted as a
    draw, it would keep the cheapest set of a small model from ever being better than chance.
    """
    drawn = [removal.layers for removal in sets if removal.draw and alike(removal, arm)]
    found = [costs.increase(layers) for layers in drawn if arm.merged or layers != arm.layers]
    return [cost.value for cost in found if cost is not None]


def ranges(rows: Sequence[Row]) -> list[Row]:
    """Each method's arm at a budget as a range over the resolutions of its ties."""
    grouped: dict[tuple[str, int, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if not row["draw"]:
            grouped[row["method"], row["budget"], row["form"], row["selection"]].append(row)
    return [_range(group) for group in grouped.values()]


def _range(group: Sequence[Row]) -> Row:
    costs = [row["increase_percent"] for row in group if row["increase_percent"] is not None]
    intervals = [row["interval"] for row in group if row["interval"] is not None]
    return {
        **{key: group[0][key] for key in ("method", "budget", "form", "selection", "ties", "ties_counted")},
        "measured": len(costs),
        "least_percent": min(costs, default=None),
        "most_percent": max(costs, default=None),
        "least_low": min((low for low, _ in intervals), default=None),
        "most_high": max((high for _, high in intervals), default=None),
    }


def random_control(rows: Sequence[Row]) -> list[Row]:
    """Quartiles of the random draws' costs, per budget and selection."""
    grouped: dict[tuple[int, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["draw"] and row["increase_percent"] is not None:
            grouped[row["budget"], row["selection"]].append(row["increase_percent"])
    return [
        {
            "budget": budget,
            "selection": selection,
            "draws": len(costs),
            "quartiles": list(statistics.quartiles(costs)),
            "least": min(costs),
            "most": max(costs),
        }
        for (budget, selection), costs in sorted(grouped.items())
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
