"""Rules about what the numbers can carry."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from checker.methods import PROTOCOLS
from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule, undecided
from checker.stats import MINIMUM_UNITS, MINIMUM_WINDOWS


@rule(
    "statistics",
    level="warning",
    why="In bfloat16 or float16 the unchanged model itself is some thousandths of a nat away from float32. A "
    "distance of that size says nothing about the layers, and a difference of that size nothing about their order.",
    remedy="Measure in float32, or leave the pairs inside the noise out of any claim.",
    waive="When no claim rests on the pairs and ranks that are named.",
)
def numerical_noise(case: Case) -> Iterator[Result]:
    """Distances, or the gaps between the ranks that select, are not clearly above the numerical floor of the dtype."""
    floor = case.figures["noise_floor"]
    distances = [row for row in case.figures["pairs"] if row["replacement"] or row["interchange"]]
    if case.audit.model.dtype == "float32":
        yield not_applicable("measured in float32")
    elif floor is None:
        yield undecided(f"the numerical floor of {case.audit.model.dtype} is not measured; run the audit")
    elif not distances:
        yield undecided("no distance is measured that could be held against the numerical floor; run the audit")
    else:
        bound = floor["interval"][1] if floor["interval"] else floor["value"]
        told = f"the numerical floor of {floor['dtype']} reaches up to {bound:.3g} nats"
        inside = [f"({row['i']}, {row['j']}) {' and '.join(row['in_noise'])}" for row in distances if row["in_noise"]]
        drowned = ([f"inside it {', '.join(inside)}"] if inside else []) + _close_ranks(case, bound)
        if drowned:
            yield failed(f"{told}; found {'; '.join(drowned)}; expected distances and ranks clearly farther apart")
        else:
            yield passed(f"{told}; every distance and every gap between the ranks that select is clearly above it")


def _close_ranks(case: Case, bound: float) -> list[str]:
    """The protocols whose ranks, as far down as a budget reaches, are closer together than the floor."""
    found = []
    for method in case.audit.methods:
        if method.name not in PROTOCOLS:
            continue
        known = {row[f"{method.name}_score"] for row in case.figures["blocks"] if not row["excluded"]} - {None}
        lowest = sorted(known)[: max(method.budgets) + 1]
        close = sum(after - before <= bound for before, after in pairwise(lowest))
        if close:
            found.append(f"{close} of the {len(lowest) - 1} gaps between the lowest {method.name} scores below it")
    return found


@rule(
    "statistics",
    level="warning",
    why="Fewer than 8 prompts give no interval, and fewer than 16 evaluation windows decide nothing about a "
    "population of texts: claims about it stay open.",
    remedy="Raise `prompts`, or `words` of the evaluation text.",
    waive="When every claim is about this very text (`scope: contract`).",
)
def too_few_units(case: Case) -> Iterator[Result]:
    """There are too few prompts or evaluation windows for the intervals that verdicts need."""
    scoring, evaluation = case.facts.scoring, case.facts.evaluation
    if scoring is None or evaluation is None:
        yield undecided("the texts are not read yet; run the audit")
        return
    windows = len(evaluation.scored)
    told = f"found {scoring.prompts} prompts and {windows} evaluation windows"
    if scoring.prompts < MINIMUM_UNITS or windows < MINIMUM_WINDOWS:
        yield failed(f"{told}; expected at least {MINIMUM_UNITS} and {MINIMUM_WINDOWS}")
    else:
        yield passed(f"{told}; at least {MINIMUM_UNITS} and {MINIMUM_WINDOWS} are needed")
