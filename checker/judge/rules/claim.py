"""Rules about the claims' verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from checker.core import rule as shape
from checker.core.rule import Result, failed, passed, rule
from checker.core.words import counted
from checker.judge.case import Case
from checker.judge.form import BoundsRow, ClaimRow
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.redundancy import Redundancy
from checker.spec.claims.removal import Removal

# Words of a claim that speak of what a model can do, and not of how well it predicts a text.
_TASKS = re.compile(
    r"\b(accurac(?:y|ies)|tasks?|benchmarks?|downstream|zero-shot|few-shot|reasoning|MMLU|GSM8K|HellaSwag|ARC|PIQA|"
    r"WinoGrande|BoolQ|TruthfulQA|HumanEval)\b",
    re.IGNORECASE,
)


@rule(
    "claim",
    level="error",
    why="A claim that the measurement contradicts must not be published.",
    remedy="Correct the claim to the measured figure and its interval, or withdraw it.",
    waive="When the claim is kept to show what is wrong with it.",
    nothing="the audit has no claims",
)
def contradicted(case: Case) -> Iterator[Result]:
    """The measurement contradicts a claim."""
    return _verdicts(case, "contradicted", failed)


@rule(
    "claim",
    level="error",
    why="A claim that the evidence cannot decide is not supported: silence would be read as agreement.",
    remedy="Measure more prompts or windows as the message says, narrow the claim, or state it as undecided.",
    waive="When the claim is published as an open question.",
    nothing="the audit has no claims",
)
def undecided(case: Case) -> Iterator[Result]:
    """The evidence does not decide a claim."""
    return _verdicts(case, "open", shape.undecided)


def _verdicts(case: Case, against: str, conclude: Callable[[str, str], Result]) -> Iterator[Result]:
    """Every claim: ``conclude`` where its verdict is ``against``, passed where it is another."""
    for claim in case.audit.claims:
        row = case.verdict(claim)
        if row["verdict"] == against:
            yield conclude(row["message"], claim.id)
        else:
            yield passed(f"{row['verdict']}: {row['message']}", claim.id)


@rule(
    "claim",
    level="warning",
    why='"Neighbouring layers are redundant" speaks of all of them, and one pair that is not refutes it. A mean over '
    "pairs hides such a pair. Redundancy is found for a pair under a test, not for a stack (Garcia, arXiv 2605.16234).",
    remedy="Name the pairs that the claim holds for, or except those that are listed.",
    waive="When the published text itself names the exceptions.",
    nothing="no claim speaks of all pairs",
)
def universal_with_counterexample(case: Case) -> Iterator[Result]:
    """A claim about all pairs has a counterexample among the measured ones."""
    for claim in case.audit.claims_of(Redundancy):
        if claim.pairs is not None:
            yield _universal(case, claim)


def _universal(case: Case, claim: Redundancy) -> Result:
    row = case.verdict(claim)
    counterexamples = row["counterexamples"]
    if counterexamples:
        protocols = " and ".join(dict.fromkeys(example["protocol"] for example in counterexamples))
        farthest = max(counterexamples, key=lambda example: example["value"])
        pairs = len({(example["i"], example["j"]) for example in counterexamples})
        return failed(
            f"found {counted(pairs, 'pair')} not below {claim.below:g} nats under {protocols}, the "
            f"farthest ({farthest['i']}, {farthest['j']}) at {farthest['value']:.4g} nats; expected none",
            claim.id,
        )
    if row["verdict"] == "supported":
        return passed(f"no counterexample among the pairs: {row['message']}", claim.id)
    return shape.undecided(
        f"no counterexample is known, and not every pair is shown to hold: {row['message']}", claim.id
    )


@rule(
    "claim",
    level="warning",
    why="A figure that satisfies a bound while its interval does not is one of many that might have come out, of which "
    "some break it: on another text of the same kind the claim may fail. An evaluation is a sample, and a claim about "
    "the model has to allow for that (Miller 2024, arXiv 2411.00640).",
    remedy="Claim the interval's unfavourable end, measure as many further units as the verdict names, or say that the "
    "figure is of this very text (`scope: contract`).",
    waive="When the published text gives the interval and says that it reaches across the bound.",
    nothing="no claim names a bound for a figure",
)
def point_estimate_only(case: Case) -> Iterator[Result]:
    """A claim holds for the point estimate, and not for its interval."""
    for row in map(case.verdict, case.audit.claims):
        if row["range"] is not None and row["unit"]:
            yield _on_interval(row, row["range"])


def _on_interval(row: ClaimRow, bounds: BoundsRow) -> Result:
    if row["value"] is None:
        return shape.undecided("no figure is known that could be held against the bound", row["id"])
    if row["scope"] == "contract":
        return passed("claimed of this very text, which the figure itself decides", row["id"])
    figure = f"{row['value']:.4g} {row['unit']}"
    if not _within(bounds, [row["value"], row["value"]]):
        return passed(f"the point estimate, {figure}, does not satisfy the claim either", row["id"])
    satisfied = f"the point estimate, {figure}, satisfies the claim"
    if row["interval"] is None:
        return failed(f"{satisfied}, and has no interval; expected one", row["id"])
    ends = f"[{row['interval'][0]:.4g}, {row['interval'][1]:.4g}]"
    if _within(bounds, row["interval"]):
        return passed(f"the whole interval of {figure} satisfies the claim: {ends}", row["id"])
    return failed(f"{satisfied}, and its interval {ends} does not; expected both", row["id"])


def _within(bounds: BoundsRow, interval: Sequence[float]) -> bool:
    lower, upper = bounds["lower"], bounds["upper"]
    return (lower is None or lower <= interval[0]) and (upper is None or interval[1] <= upper)


@rule(
    "claim",
    level="warning",
    why="A value belongs to the text it was measured on; an interval or a bound speaks of texts like it (Miller 2024, "
    "arXiv 2411.00640). A bound on one text is read as a promise about others, and a bare value about a population as "
    "if other texts would give the same.",
    remedy="Of this very text, state the value (`equals`) alone; of texts like it, state a bound (`at_most`) or the "
    "value with its interval.",
    waive="When the published text says in words which texts are meant.",
    nothing="no claim is about the cost of a removal",
)
def scope_unlike_figure(case: Case) -> Iterator[Result]:
    """A removal claim states a kind of figure that does not fit the texts it speaks of."""
    for claim in case.audit.claims_of(Removal):
        value_alone = claim.equals is not None and claim.interval is None
        stated = "a bound" if claim.equals is None else "a value" if value_alone else "a value with its interval"
        texts, expected = "this very text", "a value alone, or `scope: population`"
        if claim.scope == "population":
            texts, expected = "texts like this one", "a bound, or an interval beside the value"
        sentence = f"found {stated} of {texts} (`scope: {claim.scope}`)"
        if value_alone == (claim.scope == "contract"):
            yield passed(sentence, claim.id)
        else:
            yield failed(f"{sentence}; expected {expected}", claim.id)


@rule(
    "claim",
    level="warning",
    why="Perplexity can stay while tasks are lost: pruned models with little change in it fail at knowledge-intensive "
    "tasks (Jaiswal et al. 2023, arXiv 2310.01382). No audit of perplexity decides a claim about tasks.",
    remedy="Restate the claim as one about perplexity, or measure the tasks; mark it `about: tasks` so that it stays "
    "open until then.",
    waive="When the published text gives the measurement on tasks beside the claim.",
    nothing="no claim is about the cost of a removal",
)
def perplexity_for_tasks(case: Case) -> Iterator[Result]:
    """A claim about tasks has perplexity alone as its evidence."""
    for claim in case.audit.claims_of(Removal, Comparison):
        if isinstance(claim, Removal) and claim.about == "tasks":
            found, expected = "a claim about tasks (`about: tasks`)", "the tasks to be measured"
        elif word := _TASKS.search(claim.says):
            found, expected = f'"{word.group()}" in the claim\'s words', "words about perplexity, or `about: tasks`"
        else:
            yield passed("speaks of perplexity, which is what is measured", claim.id)
            continue
        yield failed(f"found {found}, and perplexity as its evidence; expected {expected}", claim.id)
