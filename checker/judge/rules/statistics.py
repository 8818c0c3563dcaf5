"""Rules about what the numbers can carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from checker.core.questions import counted_prompts, counted_windows
from checker.core.records import PROTOCOLS, Statistics
from checker.core.resampling import MINIMUM_UNITS
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.statistics import MINIMUM_WINDOWS
from checker.core.words import examples, listed
from checker.judge.case import Case, each_claim
from checker.judge.claims.stated_cost import published_percent
from checker.judge.figures.form import Ends, distance_of
from checker.spec.claims.removal import Removal


@rule(
    "statistics",
    level="warning",
    why="In bfloat16 or float16 the unchanged model itself is some thousandths of a nat away from float32. A "
    "distance of that size says nothing about the layers, and a difference of that size nothing about their order.",
    remedy="Measure in float32, or leave the pairs inside the noise out of any claim.",
    waive="When no claim rests on the pairs and ranks that are named.",
    nothing="measured in float32",
)
def numerical_noise(case: Case) -> Result | None:
    """Distances, or the gaps between the ranks that select, are not clearly above the numerical floor of the dtype."""
    if case.audit.model.dtype == "float32":
        return None
    floor = case.figures["noise_floor"]
    distances = [row for row in case.figures["pairs"] if row["replacement"] or row["interchange"]]
    if floor is None:
        return undecided(f"the numerical floor of {case.audit.model.dtype} is not measured; run the audit")
    if not distances:
        return undecided("no distance is measured that could be held against the numerical floor; run the audit")
    bound = floor["interval"][1] if floor["interval"] else floor["value"]
    reach = f"the numerical floor of {floor['dtype']} reaches up to {bound:.3g} nats"
    inside = [f"({row['i']}, {row['j']}) {' and '.join(row['in_noise'])}" for row in distances if row["in_noise"]]
    drowned = ([f"inside it {', '.join(inside)}"] if inside else []) + _close_ranks(case, bound)
    if drowned:
        return failed(f"{reach}; found {'; '.join(drowned)}; expected distances and ranks clearly farther apart")
    return passed(f"{reach}; every distance and every gap between the ranks that select is clearly above it")


def _close_ranks(case: Case, bound: float) -> list[str]:
    """The protocols whose ranks, as far down as a budget reaches, are closer together than the floor."""
    sentences = []
    rows = [row for row in case.figures["blocks"] if not row["excluded"]]
    scores = {
        "replacement": {row["replacement_score"] for row in rows},
        "interchange": {row["interchange_score"] for row in rows},
    }
    for method in case.audit.methods:
        known = sorted(score for score in scores.get(method.name, ()) if score is not None)
        lowest = known[: max(method.budgets) + 1]
        close = sum(after - before <= bound for before, after in pairwise(lowest))
        if close:
            sentences.append(f"{close} of the {len(lowest) - 1} gaps between the lowest {method.name} scores below it")
    return sentences


@rule(
    "statistics",
    level="warning",
    why="Fewer than 8 prompts give no interval, and fewer than 16 evaluation windows decide nothing about a "
    "population of texts: claims about it stay open.",
    remedy="Raise `prompts`, or `words` of the evaluation text.",
    waive="When every claim is about this very text (`scope: contract`).",
)
def too_few_units(case: Case) -> Result:
    """There are too few prompts or evaluation windows for the intervals that verdicts need."""
    scoring, evaluation = case.facts.scoring, case.facts.evaluation
    if scoring is None or evaluation is None:
        return undecided("the texts are not read yet; run the audit")
    prompts, windows = len(counted_prompts(case.facts)), len(counted_windows(case.audit, case.facts))
    sentence = f"found {prompts} prompts and {windows} evaluation windows"
    if prompts < MINIMUM_UNITS or windows < MINIMUM_WINDOWS:
        return failed(f"{sentence}; expected at least {MINIMUM_UNITS} and {MINIMUM_WINDOWS}")
    return passed(f"{sentence}; at least {MINIMUM_UNITS} and {MINIMUM_WINDOWS} are needed")


@rule(
    "statistics",
    level="warning",
    why="An interval that does not contain the figure it is printed with belongs to another figure: another run, "
    "another unit, a resampling that is centred elsewhere. Percentile intervals of skewed figures on few units can do "
    "so on their own (Efron and Tibshirani 1993, chapter 13).",
    remedy="Correct the published interval, or take `interval: student_t`, which is built around the estimate.",
    waive="When the source itself explains why the interval lies beside the figure.",
    nothing="no claim states an interval, and those measured by `student_t` are built around their estimates",
)
def interval_beside_estimate(case: Case) -> Iterator[Result]:
    """An interval does not contain the estimate it is printed with."""
    for claim in case.audit.claims_of(Removal):
        if claim.interval is not None:
            yield _published(case, claim)
    if case.audit.statistics.interval != "percentile_bootstrap":
        return
    estimates = _estimates(case)
    beside = [
        f"{name} {value:.4g} [{interval[0]:.4g}, {interval[1]:.4g}]"
        for name, value, interval in estimates
        if not _holds(interval, value)
    ]
    if beside:
        yield failed(f"found {examples(beside)}; expected every measured interval to contain its estimate")
    elif estimates:
        yield passed(f"each of {len(estimates)} measured intervals contains its estimate")
    else:
        yield undecided("no interval is measured; run the audit on at least 8 prompts and evaluation windows")


def _baseline(case: Case) -> float | None:
    row = case.figures["baseline"]
    return row and row["perplexity"]


def _holds(interval: Sequence[float], value: float) -> bool:
    """Whether an interval contains a value, but for the rounding of its arithmetic."""
    slack = 1e-9 * (1.0 + abs(value))
    return interval[0] - slack <= value <= interval[1] + slack


def _published(case: Case, claim: Removal) -> Result:
    interval, value = published_percent(claim, _baseline(case)), claim.equals or 0.0
    if interval is None:
        reason = "its interval is in perplexity, and the baseline it would be held against is not measured"
        return undecided(reason, claim.id)
    sentence = f"published as {value:g} % [{interval[0]:.4g}, {interval[1]:.4g}]"
    if _holds(interval, value):
        return passed(sentence, claim.id)
    return failed(f"{sentence}; expected an interval that contains its estimate", claim.id)


def _estimates(case: Case) -> list[tuple[str, float, Sequence[float]]]:
    """Every measured figure that has an interval, with its name."""
    rows: list[tuple[str, float | None, Ends]] = []
    if (baseline := case.figures["baseline"]) is not None:
        rows += [("baseline", baseline["perplexity"], baseline["interval"])]
    for arm in case.figures["arms"]:
        rows += [(f"{arm['method']} {arm['layers']}", arm["increase_percent"], arm["interval"])]
    for row in case.figures["blocks"]:
        rows += [(f"block {row['block']}", row["single_deletion_increase_percent"], row["interval"])]
    for pair in case.figures["pairs"]:
        parts = {protocol: distance_of(pair, protocol) for protocol in PROTOCOLS} | {"ratio": pair["kl_ratio"]}
        name = f"({pair['i']}, {pair['j']})"
        rows += [(f"{name} {part}", row["value"], row["interval"]) for part, row in parts.items() if row is not None]
    return [(name, value, ends) for name, value, ends in rows if value is not None and ends is not None]


@rule(
    "statistics",
    level="warning",
    why="An increase in percent beside an interval of perplexities reads as if one were the error of the other: a "
    "reader takes [27, 29] for percent. Tables of pruned models print perplexities, texts about them percentages.",
    remedy="Turn the interval into percent of the baseline's perplexity: 100 * (perplexity / baseline - 1).",
    waive="When the published text names both units beside the figures.",
    nothing="no claim states an interval",
)
@each_claim(Removal)
def interval_in_another_unit(case: Case, claim: Removal) -> Result | None:
    """A published estimate is in percent and its interval in perplexity."""
    if claim.interval is None:
        return None
    value, (low, high), baseline = claim.equals or 0.0, claim.interval, _baseline(case)
    figure = f"{value:g} % [{low:g}, {high:g}]"
    if claim.interval_unit == "perplexity":
        return failed(f"found {figure} with `interval_unit: perplexity`; expected the interval in percent")
    if _holds(claim.interval, value):
        return passed(f"{figure}: both in percent")
    if baseline is None:
        return undecided(f"{figure}: the interval may be of perplexities; the baseline is not measured")
    reached = baseline * (1 + value / 100)
    for name, number in (("perplexity", reached), ("difference in perplexity", reached - baseline)):
        if _holds(claim.interval, number):
            contained = f"the {name} that {value:g} % is here, {number:.4g}"
            return failed(f"found {figure}, which contains {contained}; expected the interval in percent")
    return passed(f"{figure}: no perplexity either")


@rule(
    "statistics",
    level="warning",
    why="Those whose audit it is set its thresholds, and each that is looser than usual lets a claim pass that would "
    "not pass otherwise. A reader who is not told takes them for the usual ones.",
    remedy="Take the key out of the audit file, which gives it its default.",
    waive="When the published text gives the threshold beside the figure, and says why it is another.",
)
def loosened(case: Case) -> Result:
    """A threshold of the audit is looser than its default."""
    if found := list(_loose(case)):
        return failed(f"found {listed(found, len(found))}; expected nothing looser than the defaults")
    return passed("every threshold is its default, or stricter")


def _loose(case: Case) -> Iterator[str]:
    """The thresholds that are looser than their defaults, each with its default."""
    declared, default, blocks = case.audit.statistics, Statistics(), case.facts.model.blocks
    for key, side in _SIDES.items():
        value, usual = getattr(declared, key), getattr(default, key)
        if side * value < side * usual:
            yield f"`statistics.{key}: {value:g}` (default {usual:g})"
    if declared.interval != default.interval:
        yield f"`statistics.interval: {declared.interval}` (default {default.interval})"
    left_out = blocks - len(case.audit.geometry(blocks).candidates)
    if 2 * left_out > blocks:
        yield f"a `selection` that leaves out {left_out} of {blocks} blocks (default none)"


# Thresholds, and on which side of its default one is looser: below it, or above.
_SIDES = {"confidence": 1, "resamples": 1, "similar": -1, "conditional": -1, "divergent_ratio": -1, "margin": -1}
