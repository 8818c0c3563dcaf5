"""Do methods agree with each other, and with themselves on fewer prompts? Ranks, differences of arms, stability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from checker.core import statistics
from checker.core.questions import PORTIONS, RemovalSet, Values
from checker.core.statistics import Estimate
from checker.judge.figures.arms import alike
from checker.judge.figures.costs import Costs
from checker.judge.figures.distances import Distances, pair_of
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
            "values": [found.get(block) for block in range(distances.problem.blocks)],
            "resolution": RESOLUTION[dtype] if METHODS[method].resolved_by_dtype else None,
        }
        for method, found in distances.scores.items()
    ]


def ranks(distances: Distances) -> list[AgreementRow]:
    """Rank correlation of every two methods' block scores, over the blocks that both score."""
    return [_ranks(distances, one, other) for one, other in combinations(distances.scores, 2)]


def _ranks(distances: Distances, one: str, other: str) -> AgreementRow:
    a, b = distances.scores[one], distances.scores[other]
    common = sorted(a.keys() & b.keys())
    row: AgreementRow = {"a": one, "b": other, "blocks": len(common), "spearman": None, "kendall": None}
    if len(common) >= 5:
        confidence = distances.evidence.audit.statistics.confidence
        x, y = ([table[block] for block in common] for table in (a, b))
        row["spearman"] = _row(statistics.spearman(x, y, confidence))
        row["kendall"] = _row(statistics.kendall(x, y, confidence))
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
    return [
        _difference(costs, group[one], group[other]) for group in arms.values() for one, other in combinations(group, 2)
    ]


def _difference(costs: Costs, one: Sequence[RemovalSet], other: Sequence[RemovalSet]) -> DifferenceRow:
    assert alike(one[0], other[0])
    found = [costs.difference(a.layout, b.layout) for a in one for b in other]
    known = [estimate for estimate in found if estimate is not None]
    intervals = [estimate.interval for estimate in known if estimate.interval is not None]
    complete = len(known) == len(found)
    return {
        "a": one[0].method,
        "b": other[0].method,
        "budget": one[0].budget,
        "form": one[0].form,
        "selection": one[0].selection,
        "difference": float(np.mean([estimate.value for estimate in known])) if known and complete else None,
        "interval": [min(low for low, _ in intervals), max(high for _, high in intervals)]
        if complete and intervals and len(intervals) == len(known)
        else None,
    }


def stability(distances: Distances) -> list[StabilityRow]:
    """Each scoring method on halves and on growing tranches of its prompts."""
    return [_stability(distances, method) for method in distances.scores if distances.by_method[method]]


def _stability(distances: Distances, method: str) -> StabilityRow:
    on = {number: distances.scores_on(method, number) for number in range(1, len(PORTIONS))}
    halves = [on[PORTIONS.index(half)] for half in ((0, 2), (2, 4))]
    return {
        "method": method,
        "halves": _agreement(distances, halves[0], halves[1]) if halves[0] and halves[1] else None,
        "portions": [_portion(distances, method, number, found) for number, found in on.items() if found],
        "further_prompts": [
            {"budget": budget, "prompts": further_prompts(distances, method, budget)}
            for budget in distances.evidence.audit.budgets
        ],
    }


def _portion(distances: Distances, method: str, number: int, found: Mapping[int, float]) -> PortionRow:
    whole, (start, end) = distances.scores[method], PORTIONS[number]
    return {
        "from_quarter": start,
        "to_quarter": end,
        "rank_correlation": _agreement(distances, found, whole),
        "overlap": [
            {"budget": budget, "shared": _shared(distances, found, whole, budget), "of": budget}
            for budget in distances.evidence.audit.budgets
        ],
    }


def _agreement(distances: Distances, one: Mapping[int, float], other: Mapping[int, float]) -> ValueRow | None:
    common = sorted(one.keys() & other.keys())
    if len(common) < 4:
        return None
    x, y = ([table[block] for block in common] for table in (one, other))
    return _row(statistics.spearman(x, y, distances.evidence.audit.statistics.confidence))


def _shared(distances: Distances, one: Mapping[int, float], other: Mapping[int, float], budget: int) -> int | None:
    """Blocks that the selections from two score lists share, the lower index taken among equals."""
    geometry = distances.problem.geometry
    sets = [select(found, geometry, budget, "lower").sets for found in (one, other)]
    return len(set(sets[0][0]) & set(sets[1][0])) if all(sets) else None


def further_prompts(distances: Distances, method: str, budget: int) -> int | None:
    """Further prompts that would settle which block is the last one in and which the first one out.

    None where nothing is left to choose, where no number would (the two are equal), or where the score is no mean over
    prompts. 0 where the prompts at hand settle it.
    """
    if METHODS[method].pooled:
        return None
    found = select(distances.scores[method], distances.problem.geometry, budget, "lower").sets
    if not found:
        return None
    last = max(found[0], key=lambda block: distances.scores[method][block])
    rivals = [b for b in _rivals(distances, method, found[0], last) if b in distances.scores[method]]
    if not rivals:
        return None
    first = min(rivals, key=lambda block: (distances.scores[method][block], block))
    values = _own_values(distances, method, first) - _own_values(distances, method, last)
    return _settling(values, distances)


def _rivals(distances: Distances, method: str, taken: Sequence[int], last: int) -> Iterable[int]:
    """The blocks that could have stood in for the last one taken."""
    rest = [block for block in taken if block != last]
    return (
        block
        for block in distances.problem.geometry.candidates
        if block not in taken and distances.problem.geometry.allows((*rest, block))
    )


def _own_values(distances: Distances, method: str, block: int) -> Values:
    """The per-prompt values that a block's score is the mean of: those of the pair, or block, that gives the score."""
    score, table = distances.scores[method][block], distances.by_method[method]
    near = {key: abs(float(values.mean()) - score) for key, values in table.items() if block in key}
    return table[min(near, key=lambda key: near[key])]


def _settling(values: Values, distances: Distances) -> int | None:
    prompts = len(values)
    spread = float(values.std(ddof=1)) / prompts**0.5 if prompts > 1 else 0.0
    difference = Estimate(float(values.mean()), None, prompts, spread, "linear")
    return statistics.further_units(difference, 0.0, distances.evidence.audit.statistics.confidence)


def _row(estimate: Estimate | None) -> ValueRow | None:
    return None if estimate is None else {"value": estimate.value, "interval": pair_of(estimate.interval)}
