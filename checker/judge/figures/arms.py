"""Answers -> the report's figures about arms: their costs, ranges over ties, control and regret."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from checker.core import statistics
from checker.core.questions import Evidence, RemovalSet
from checker.core.records import Audit
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances, pair_of, value_row
from checker.judge.figures.form import ArmRow, RandomRow, RangeRow, ValueRow
from checker.selection.methods import METHODS


def arms(costs: Costs, distances: Distances, sets: Sequence[RemovalSet]) -> list[ArmRow]:
    """One row per removal set that a method chose, measured or not."""
    return [_arm(costs, distances, removal, sets) for removal in sets]


def _arm(costs: Costs, distances: Distances, removal: RemovalSet, sets: Sequence[RemovalSet]) -> ArmRow:
    layout, model = removal.layout, costs.evidence.facts.model
    cost = costs.increase(layout)
    gone = model.saved_by_removing(removal.layers)
    draws = [] if removal.draw else control(costs, sets, removal)
    compared = cost is not None and draws
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
        "p": statistics.control_p(cost.value, draws) if cost and draws else None,
        "smallest_p": 1 / (1 + len(draws)) if compared else None,
        "draws": len(draws) if compared else None,
        "stability": None if removal.draw else stability(distances, removal),
        "regret": regret(costs, sets, removal),
        "spacing": _spacing(costs.evidence.audit, removal),
    }


def selected_on(evidence: Evidence, method: str) -> str:
    """The texts a method chooses on, marked where they overlap the evaluation text; empty where it looks at none."""
    audit, evaluation = evidence.audit, evidence.facts.evaluation
    tuned = " (tuned on its test text)" if evaluation is not None and evaluation.overlaps else ""
    looking = [METHODS[name] for name in _choosing(audit, method) if METHODS[name].looks]
    contracts = [(looker.looks_at == "selection" and audit.selecting) or audit.scoring for looker in looking]
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


def alike(a: RemovalSet, b: RemovalSet) -> bool:
    """Whether two arms may be compared: the same budget, form and constraints."""
    return (a.budget, a.form, a.selection) == (b.budget, b.form, b.selection)


def primary(audit: Audit, removal: RemovalSet) -> bool:
    """Whether an arm is in the comparison that verdicts and regimes rest on."""
    return removal.form == "matched" and removal.selection == audit.selection.name


def regret(costs: Costs, sets: Sequence[RemovalSet], removal: RemovalSet) -> ValueRow | None:
    """What an arm costs above the best of all sets under its constraints, in nats per token, paired; None without."""
    best = [arm for arm in sets if arm.method == "exhaustive" and alike(arm, removal)]
    if not best or removal.draw:
        return None
    above = costs.difference(removal.layout, best[0].layout)
    return above and value_row(above)


def stability(distances: Distances, removal: RemovalSet) -> float | None:
    """Share of prompt resamples (ties shared evenly) in which the method chooses this very set."""
    audit = distances.evidence.audit
    selections = [selection for selection in audit.selections if selection.name == removal.selection]
    if removal.method not in distances.by_method or not selections:
        return None
    geometry = selections[0].geometry(distances.problem.blocks)
    chosen = distances.selections(removal.method, removal.budget, geometry, selections[0].ties)
    return min(1.0, chosen.get(removal.layers, 0.0)) if chosen else None


def control(costs: Costs, sets: Sequence[RemovalSet], arm: RemovalSet) -> list[float]:
    """Measured costs in percent of the random draws that an arm is held against: those under its own constraints.

    A draw of the arm's own set is left out. Chance would have had to choose that set against the others; counted as a
    draw, it would keep the cheapest set of a small model from ever being better than chance.
    """
    drawn = [removal.layout for removal in sets if removal.draw and alike(removal, arm)]
    return [cost.value for layout in drawn if layout != arm.layout and (cost := costs.increase(layout))]


def ranges(rows: Sequence[ArmRow]) -> list[RangeRow]:
    """Each method's arm at a budget as a range over the resolutions of its ties."""
    grouped: dict[tuple[str, int, str, str], list[ArmRow]] = defaultdict(list)
    for row in rows:
        if not row["draw"]:
            grouped[row["method"], row["budget"], row["form"], row["selection"]].append(row)
    return [_range(group) for group in grouped.values()]


def _range(group: Sequence[ArmRow]) -> RangeRow:
    costs = [row["increase_percent"] for row in group if row["increase_percent"] is not None]
    intervals = [row["interval"] for row in group if row["interval"] is not None]
    first = group[0]
    return {
        "method": first["method"],
        "budget": first["budget"],
        "form": first["form"],
        "selection": first["selection"],
        "ties": first["ties"],
        "ties_counted": first["ties_counted"],
        "measured": len(costs),
        "least_percent": min(costs, default=None),
        "most_percent": max(costs, default=None),
        "least_low": min((low for low, _ in intervals), default=None),
        "most_high": max((high for _, high in intervals), default=None),
    }


def random_control(rows: Sequence[ArmRow]) -> list[RandomRow]:
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
