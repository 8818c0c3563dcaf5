"""Do methods agree with each other, and with themselves on fewer prompts? Ranks, differences of arms, stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from checker.core import rank_correlation, statistics
from checker.core.questions import PORTIONS, RemovalSet, Values
from checker.core.statistics import Estimate
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances, outermost, value_row
from checker.judge.figures.form import AgreementRow, DifferenceRow, PortionRow, ScoreRow, StabilityRow, ValueRow
from checker.selection.arms import RESOLUTION
from checker.selection.methods import METHODS
from checker.selection.select import select


def scores(distances: Distances) -> list[ScoreRow]:
    """Every scoring method's score per block, with the resolution of the dtype where ranks rest on it."""
    dtype = distances.evidence.audit.model.dtype
    return [
        {
            "method": method,
            "source": METHODS[method].source,
            "values": [table.get(block) for block in range(distances.problem.blocks)],
            "resolution": RESOLUTION[dtype] if METHODS[method].resolved_by_dtype else None,
        }
        for method, table in distances.scores.items()
    ]


def ranks(distances: Distances) -> list[AgreementRow]:
    """Rank correlation of every two methods' block scores, over the blocks that both score."""
    return [_ranks(distances, a, b) for a, b in combinations(distances.scores, 2)]


def _ranks(distances: Distances, a: str, b: str) -> AgreementRow:
    tables = distances.scores[a], distances.scores[b]
    common = sorted(tables[0].keys() & tables[1].keys())
    row: AgreementRow = {"a": a, "b": b, "blocks": len(common), "spearman": None, "kendall": None}
    if len(common) >= 5:
        confidence = distances.evidence.audit.statistics.confidence
        x, y = ([table[block] for block in common] for table in tables)
        row["spearman"] = _row(rank_correlation.spearman(x, y, confidence))
        row["kendall"] = _row(rank_correlation.kendall(x, y, confidence))
    return row


def differences(costs: Costs, sets: Sequence[RemovalSet]) -> list[DifferenceRow]:
    """The paired difference in mean NLL of every two methods' arms under the same constraints and budget.

    Over ties: the mean over all combinations of resolutions, and the outermost ends of their intervals.
    """
    arms: dict[tuple[int, str, str], dict[str, list[RemovalSet]]] = {}
    for removal in sets:
        if not removal.draw:
            group = arms.setdefault((removal.budget, removal.form, removal.selection), {})
            group.setdefault(removal.method, []).append(removal)
    return [_difference(costs, a, b) for group in arms.values() for a, b in combinations(group.values(), 2)]


def _difference(costs: Costs, a: Sequence[RemovalSet], b: Sequence[RemovalSet]) -> DifferenceRow:
    differences = [costs.difference(*(arm.layout for arm in pair)) for pair in product(a, b)]
    known = [difference for difference in differences if difference is not None]
    complete = len(known) == len(differences)
    return {
        "a": a[0].method,
        "b": b[0].method,
        "budget": a[0].budget,
        "form": a[0].form,
        "selection": a[0].selection,
        "difference": float(np.mean([difference.value for difference in known])) if complete else None,
        "interval": outermost([difference.interval for difference in known]) if complete else None,
    }


def stability(distances: Distances) -> list[StabilityRow]:
    """Each scoring method on halves and on growing tranches of its prompts."""
    return [_stability(distances, method) for method in distances.scores if distances.by_method[method]]


def _stability(distances: Distances, method: str) -> StabilityRow:
    on = {number: distances.scores_on(method, number) for number in range(1, len(PORTIONS))}
    halves = [on[PORTIONS.index(half)] for half in ((0, 2), (2, 4))]
    return {
        "method": method,
        "halves": _row(distances.correlation(halves[0], halves[1])) if halves[0] and halves[1] else None,
        "portions": [_portion(distances, method, number, scores) for number, scores in on.items() if scores],
        "further_prompts": [
            {"budget": budget, "prompts": further_prompts(distances, method, budget)}
            for budget in distances.evidence.audit.budgets
        ],
    }


def _portion(distances: Distances, method: str, number: int, scores: Mapping[int, float]) -> PortionRow:
    whole, (start, end) = distances.scores[method], PORTIONS[number]
    return {
        "from_quarter": start,
        "to_quarter": end,
        "rank_correlation": _row(distances.correlation(scores, whole)),
        "overlap": [
            {"budget": budget, "shared": _shared(distances, scores, whole, budget), "of": budget}
            for budget in distances.evidence.audit.budgets
        ],
    }


def _shared(distances: Distances, a: Mapping[int, float], b: Mapping[int, float], budget: int) -> int | None:
    """Blocks that the selections from two score lists share, the lower index taken among equals."""
    sets = [select(scores, distances.problem.geometry, budget, "lower").sets for scores in (a, b)]
    return len(set(sets[0][0]) & set(sets[1][0])) if all(sets) else None


def further_prompts(distances: Distances, method: str, budget: int) -> int | None:
    """Further prompts that would settle which block is the last one in and which the first one out.

    None where nothing is left to choose, where no number would (the two are equal), or where the score is no mean over
    prompts. 0 where the prompts at hand settle it.
    """
    if METHODS[method].pooled:
        return None
    scores, geometry = distances.scores[method], distances.problem.geometry
    sets = select(scores, geometry, budget, "lower").sets
    if not sets:
        return None
    last = max(sets[0], key=lambda block: scores[block])
    rest = [block for block in sets[0] if block != last]
    rivals = [b for b in geometry.candidates if b in scores and b not in sets[0] and geometry.allows((*rest, b))]
    if not rivals:
        return None
    first = min(rivals, key=lambda block: (scores[block], block))
    values = _own_values(distances, method, first) - _own_values(distances, method, last)
    audit = distances.evidence.audit
    on_scoring = METHODS[method].looks_at != "selection" or audit.selecting is None
    difference = statistics.mean(values, distances.statistics if on_scoring else audit.statistics)
    return statistics.further_units(difference, 0.0, audit.statistics.confidence)


def _own_values(distances: Distances, method: str, block: int) -> Values:
    """The per-prompt values that a block's score is the mean of: those of the pair, or block, that gives the score."""
    score, table = distances.scores[method][block], distances.by_method[method]
    near = {key: abs(float(values.mean()) - score) for key, values in table.items() if block in key}
    return table[min(near, key=lambda key: near[key])]


def _row(estimate: Estimate | None) -> ValueRow | None:
    return estimate and value_row(estimate)
