"""The rows of a report about series: each step, and how steps compare with their neighbours and with the last."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.statistics import Estimate
from checker.judge.figures.distances import outermost, value_row
from checker.judge.figures.form import (
    BetweenRow,
    ChangeRow,
    SeriesRow,
    SharedBlocksRow,
    StepRow,
    StepScoreRow,
    StepSetRow,
    TransferRow,
    ValueRow,
)
from checker.judge.figures.series import QUANTITIES, OverSteps


def row(over: OverSteps) -> SeriesRow:
    """Everything a report says of a series."""
    comparable = over.comparable
    last = [(number, comparable[-1]) for number in comparable[:-1]]
    return {
        "name": over.series.name,
        "in_order": over.series.in_order,
        "steps": [_step(over, number) for number in over.numbers],
        "neighbours": [_between(over, *both) for both in over.neighbours()],
        "to_last": [_between(over, *both) for both in last],
        "sentence": _sentence(over),
    }


def gaps(over: OverSteps) -> Iterator[str]:
    """What of a series is not measured, in words without a remedy."""
    for number in over.numbers:
        step = over.read.get(number)
        if step is None or step.evidence is None or "not all measured" in over.why_not(number):
            yield f"the series {over.series.name}: {over.why_not(number) or f'step {number} is not measured'}"


def _step(over: OverSteps, number: int) -> StepRow:
    read, why = over.read[number], over.why_not(number)
    model = None if read.evidence is None else read.evidence.facts.model
    measured = {name: None if why else over.estimate(name, number) for name in QUANTITIES}
    pooled = None if why else over.pooled((number,))
    return {
        "step": number,
        "tokens": read.checkpoint.tokens,
        "checkpoint": read.checkpoint.name,
        "why_not": why or None,
        "weights": None if model is None else model.digest,
        "blocks": [] if read.facts is None else list(read.facts.blocks),
        "norms": [] if read.facts is None else list(read.facts.norms),
        "dtype": read.checkpoint.source.dtype,
        "types": [] if read.facts is None else list(read.facts.types),
        "shared": list(_shared(over, number)),
        "perplexity": None if why else _perplexity(over, number),
        "gap": _row(measured["gap"]),
        "kl_ratio": _row(measured["kl_ratio"]),
        "replacement": _row(measured["replacement"]),
        "interchange": _row(measured["interchange"]),
        "rank_correlation": _row(measured["rank_correlation"]),
        "pairs": None if pooled is None else len(pooled.pairs),
        "left_out": None if pooled is None else pooled.left_out,
        "scores": [] if why else _scores(over, number),
        "sets": [] if why else _sets(over, number),
    }


def _shared(over: OverSteps, number: int) -> Iterator[SharedBlocksRow]:
    """The earlier steps that have blocks of this one."""
    for earlier in over.numbers:
        if earlier < number and (blocks := over.shared(earlier, number)):
            yield {"step": earlier, "blocks": list(blocks), "all": over.same_weights(earlier, number)}


def _perplexity(over: OverSteps, number: int) -> ValueRow | None:
    costs = over.figures(number).costs
    return _row(costs.perplexity_estimate(costs.unchanged))


def _scores(over: OverSteps, number: int) -> list[StepScoreRow]:
    step = over.figures(number)
    blocks = range(step.distances.problem.blocks)
    return [
        {"method": method, "values": [table.get(block) for block in blocks]}
        for method, table in step.distances.scores.items()
    ]


def _sets(over: OverSteps, number: int) -> list[StepSetRow]:
    step = over.figures(number)
    return [
        {
            "method": chosen.method,
            "budget": chosen.budget,
            "layers": list(chosen.layers),
            "tie": chosen.tie,
            "increase_percent": _row(step.costs.increase(chosen.layout)),
        }
        for chosen in step.sets
    ]


def _between(over: OverSteps, start: int, end: int) -> BetweenRow:
    same = over.same_weights(start, end)
    audit = over.model.audit
    asked = [(method.name, budget) for method in audit.methods for budget in method.budgets]
    chosen = {(removal.method, removal.budget) for removal in over.figures(end).sets}
    changes: list[ChangeRow] = [
        {"quantity": name, "change": None if same else _row(over.change(name, start, end))} for name in QUANTITIES
    ]
    return {
        "start": start,
        "end": end,
        "same_weights": same,
        "changes": changes,
        "correlations": [
            {"method": name, "correlation": None if same else _row(over.correlation(name, start, end))}
            for name in over.figures(end).distances.scores
        ],
        "transfers": [_transfer(over, *each, start, end) for each in asked if each in chosen],
    }


def _transfer(over: OverSteps, method: str, budget: int, start: int, end: int) -> TransferRow:
    overlaps, regrets = over.overlaps(method, budget, start, end), over.regrets(method, budget, start, end)
    values = [regret.value for regret in regrets]
    return {
        "method": method,
        "budget": budget,
        "overlap": [min(overlaps), max(overlaps)] if overlaps else None,
        "regret_percent": [min(values), max(values)] if values else None,
        "interval": outermost([regret.interval for regret in regrets]) if regrets else None,
    }


def _row(estimate: Estimate | None) -> ValueRow | None:
    return estimate and value_row(estimate)


def _sentence(over: OverSteps) -> str:
    """What follows of the gap between the first comparable step and the last, and what does not."""
    steps = over.comparable
    if len(steps) < 2 or over.same_weights(steps[0], steps[-1]):
        return "Fewer than two steps can be compared, so nothing follows about training."
    start, end = steps[0], steps[-1]
    gap, ratio = (_moves(over.change(name, start, end)) for name in ("gap", "kl_ratio"))
    between = f"From step {start} to step {end}"
    if gap == "grows" and ratio == "falls":
        return (
            f"{between} the gap between replacement and interchange grows and their ratio falls: the two tests come "
            "apart in both measures. It does not follow that they choose other blocks; overlap and regret show that."
        )
    if gap == "grows":
        return (
            f"{between} the gap between replacement and interchange grows, and a fall of their ratio is not shown. An "
            "absolute gap grows with the scale of both distances, so it does not follow that the tests come apart."
        )
    if gap == "falls":
        return (
            f"{between} the gap between replacement and interchange falls. It does not follow that they choose the "
            "same blocks; overlap and regret show that."
        )
    return (
        f"{between} the prompts do not decide whether the gap between replacement and interchange grows or falls. It "
        "does not follow that it stays as it is."
    )


def _moves(change: Estimate | None) -> str:
    """Which way an interval shows a change; empty where it shows none."""
    if change is None or change.decisive is None:
        return ""
    low, high = change.decisive
    return "grows" if low > 0.0 else "falls" if high < 0.0 else ""
