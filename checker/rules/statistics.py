"""Rules about what the numbers can carry."""

from __future__ import annotations

from collections.abc import Iterator

from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule, undecided
from checker.stats import MINIMUM_UNITS, MINIMUM_WINDOWS


@rule(
    "statistics",
    level="warning",
    why="In bfloat16 or float16 the unchanged model itself is some thousandths of a nat away from float32. A "
    "distance of that size says nothing about the layers.",
    remedy="Measure in float32, or leave the pairs inside the noise out of any claim.",
    waive="When no claim rests on the pairs that are named.",
)
def numerical_noise(case: Case) -> Iterator[Result]:
    """Distances are not clearly above the numerical floor of the dtype."""
    floor = case.figures["noise_floor"]
    if case.audit.model.dtype == "float32":
        yield not_applicable("measured in float32")
    elif floor is None:
        yield undecided(f"the numerical floor of {case.audit.model.dtype} is not measured; run the audit")
    else:
        drowned = [
            f"({row['i']}, {row['j']}) {' and '.join(row['in_noise'])}"
            for row in case.figures["pairs"]
            if row["in_noise"]
        ]
        told = f"the floor of {floor['dtype']} is {floor['value']:.3g} nats"
        if drowned:
            yield failed(f"{told}; found inside it: {', '.join(drowned)}; expected distances clearly above it")
        else:
            yield passed(f"{told}; every distance is clearly above it")


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
