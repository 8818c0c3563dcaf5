"""Rules about the claims' verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from checker.core import rule as shape
from checker.core.records import PROTOCOLS, Claim
from checker.core.rule import Result, failed, passed, rule
from checker.core.words import counted, enumerated, listed
from checker.judge.case import Case, each_claim
from checker.judge.claims.backing import of_named
from checker.judge.figures.form import ArmRow, StepRow, TaskRow, distance_of
from checker.judge.form import BoundsRow
from checker.spec.claims import KINDS, decided, numbers
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.redundancy import Redundancy
from checker.spec.claims.removal import Removal
from checker.spec.claims.task import TaskScore

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
@each_claim(Claim)
def contradicted(case: Case, claim: Claim) -> Result:
    """The measurement contradicts a claim."""
    return _verdict(case, claim, "contradicted", failed)


@rule(
    "claim",
    level="error",
    why="A claim that the evidence cannot decide is not supported: silence would be read as agreement.",
    remedy="Measure more prompts or windows as the message says, narrow the claim, or state it as undecided.",
    waive="When the claim is published as an open question.",
    nothing="the audit has no claims",
)
@each_claim(Claim)
def undecided(case: Case, claim: Claim) -> Result:
    """The evidence does not decide a claim."""
    return _verdict(case, claim, "open", shape.undecided)


def _verdict(case: Case, claim: Claim, against: str, conclude: Callable[[str], Result]) -> Result:
    """``conclude`` where a claim's verdict is ``against``, passed where it is another."""
    row = case.verdict(claim)
    return conclude(row["message"]) if row["verdict"] == against else passed(f"{row['verdict']}: {row['message']}")


@rule(
    "claim",
    level="error",
    why="A reader takes the test that a claim names for its ground. Where that very test does not admit the blocks, or "
    "its scores do not go with what removal costs here, the claim has another ground or none, whatever it measured "
    "(Garcia, arXiv 2605.16234).",
    remedy="Name the protocol that backs the claim, or state the measured cost as that alone and name no protocol.",
    waive="When the published text says itself that the test it names does not bear the claim out.",
    nothing="no claim about the redundancy or removal of layers names a protocol",
)
@each_claim(Removal, Redundancy, TaskScore)
def not_backed(case: Case, claim: Claim) -> Result | None:
    """The protocol that a claim names does not back it."""
    answer, why = of_named(case.verdict(claim))
    if answer == "na":
        return None
    if answer == "open":
        return shape.undecided(f"it is open whether {claim.protocol} backs the claim, which rests on it: {why}")
    if answer == "no":
        return failed(f"found that {claim.protocol} does not back the claim ({why}); expected the claim's ground")
    return passed(f"{claim.protocol} backs it: {why}")


@rule(
    "claim",
    level="warning",
    why='"Neighbouring layers are redundant" speaks of all of them, and one pair that is not refutes it. A mean over '
    "pairs hides such a pair. Redundancy is found for a pair under a test, not for a stack (Garcia, arXiv 2605.16234).",
    remedy="Name the pairs that the claim holds for, or except those that are listed.",
    waive="When the published text itself names the exceptions.",
    nothing="no claim speaks of all pairs",
)
@each_claim(Redundancy)
def universal_with_counterexample(case: Case, claim: Redundancy) -> Result | None:
    """A claim about all pairs has a counterexample among the measured ones."""
    if claim.pairs is None:
        return None
    row = case.verdict(claim)
    counterexamples = row["counterexamples"]
    if counterexamples:
        protocols = " and ".join(dict.fromkeys(example["protocol"] for example in counterexamples))
        farthest = max(counterexamples, key=lambda example: example["value"])
        pairs = len({(example["i"], example["j"]) for example in counterexamples})
        return failed(
            f"found {counted(pairs, 'pair')} not below {claim.below:g} nats under {protocols}, the "
            f"farthest ({farthest['i']}, {farthest['j']}) at {farthest['value']:.4g} nats; expected none"
        )
    if row["verdict"] == "supported":
        return passed(f"no counterexample among the pairs: {row['message']}")
    return shape.undecided(f"no counterexample is known, and not every pair is shown to hold: {row['message']}")


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
@each_claim(Claim)
def point_estimate_only(case: Case, claim: Claim) -> Result | None:
    """A claim holds for the point estimate, and not for its interval."""
    row = case.verdict(claim)
    bounds = row["range"]
    if bounds is None or not row["unit"]:
        return None
    if row["value"] is None:
        return shape.undecided("no figure is known that could be held against the bound")
    if row["scope"] == "contract":
        return passed("claimed of this very text, which the figure itself decides")
    figure = f"{row['value']:.4g} {row['unit']}"
    if not _within(bounds, [row["value"], row["value"]]):
        return passed(f"the point estimate, {figure}, does not satisfy the claim either")
    satisfied = f"the point estimate, {figure}, satisfies the claim"
    if row["interval"] is None:
        return failed(f"{satisfied}, and has no interval; expected one")
    ends = f"[{row['interval'][0]:.4g}, {row['interval'][1]:.4g}]"
    if _within(bounds, row["interval"]):
        return passed(f"the whole interval of {figure} satisfies the claim: {ends}")
    return failed(f"{satisfied}, and its interval {ends} does not; expected both")


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
@each_claim(Removal)
def scope_unlike_figure(_: Case, claim: Removal) -> Result:
    """A removal claim states a kind of figure that does not fit the texts it speaks of."""
    value_alone = claim.equals is not None and claim.interval is None
    stated = "a bound" if claim.equals is None else "a value" if value_alone else "a value with its interval"
    texts, expected = "this very text", "a value alone, or `scope: population`"
    if claim.scope == "population":
        texts, expected = "texts like this one", "a bound, or an interval beside the value"
    sentence = f"found {stated} of {texts} (`scope: {claim.scope}`)"
    if value_alone == (claim.scope == "contract"):
        return passed(sentence)
    return failed(f"{sentence}; expected {expected}")


@rule(
    "claim",
    level="warning",
    why="A claim is decided by its keys, and read in its words. Where these state another number, the verdict is of "
    "another claim than the one that is read.",
    remedy="State the same number in `says` and in the keys, or leave `says` out: a sentence is then made of the keys.",
    waive="When the other number is no part of the claim, as that of another model in the same sentence.",
    nothing="no claim's own words state a number of percent, layers, times or nats",
)
@each_claim(Claim)
def says_another_number(case: Case, claim: Claim) -> Result | None:
    """A claim's own words state a number that none of its keys has."""
    said = list(numbers.stated(claim.says))
    if not said:
        return None
    keys = list(KINDS[claim.kind].numbers(claim))
    made = [(each.unit, each.value) for each in numbers.stated(decided(claim))]  # of keys that are words, as `to`
    whole = [("blocks", float(case.figures["model"]["blocks"]))]  # "of 30 layers" counts the model's own
    known = [(unit, number) for unit, number in [*keys, *made, *whole] if number is not None]
    other = [each for each in said if not any(each.unit == unit and each.agrees(number) for unit, number in known)]
    words = ", ".join(dict.fromkeys(f'"{each.written}"' for each in said))
    if not other:
        return passed(f"found {words} in the claim's words, as in its keys")
    first = other[0]
    if (first.unit, None) in keys:
        return shape.undecided(f'found "{first.written}" in the claim\'s words; how many it removes is not known')
    stated = [f"{number:g}" for unit, number in keys if unit == first.unit and number is not None]
    expected = f"{enumerated(stated, 'or')}, as in its keys" if stated else "none, as no key of it has one"
    return failed(f'found "{first.written}" in the claim\'s words; expected {expected}')


@rule(
    "claim",
    level="warning",
    why="Perplexity can stay while tasks are lost: pruned models with little change in it fail at knowledge-intensive "
    "tasks (Jaiswal et al. 2023, arXiv 2310.01382). No audit of perplexity decides a claim about tasks.",
    remedy="Restate the claim as one about perplexity, or measure the tasks (`tasks:`) and claim their scores "
    "(`kind: task`); mark it `about: tasks` so that it stays open until then.",
    waive="When the published text gives the measurement on tasks beside the claim.",
    nothing="no claim is about the cost of a removal",
)
@each_claim(Removal, Comparison)
def perplexity_for_tasks(case: Case, claim: Removal | Comparison) -> Result:
    """A claim about tasks has perplexity alone as its evidence."""
    if isinstance(claim, Removal) and claim.about == "tasks":
        found, expected = "a claim about tasks (`about: tasks`)", "the tasks to be measured"
    elif word := _TASKS.search(claim.says):
        found, expected = f'"{word.group()}" in the claim\'s words', "words about perplexity, or `about: tasks`"
    else:
        return passed("speaks of perplexity, which is what is measured")
    if tasks := _measured_tasks(case, claim):
        return passed(f"found {found}, and {enumerated(tasks)} measured on what it is about")
    return failed(f"found {found}, and perplexity as its evidence; expected {expected}")


def _measured_tasks(case: Case, claim: Removal | Comparison) -> list[str]:
    """The tasks that were measured on all that a claim is about."""
    if isinstance(claim, Removal) and claim.checkpoint is not None:
        wanted: list[tuple[str | None, list[int]]] = [(claim.checkpoint, [])]
    elif isinstance(claim, Removal) and claim.layers is not None:
        wanted = [(None, sorted(claim.layers))]
    else:
        methods = [claim.method] if isinstance(claim, Removal) else [claim.better, claim.worse]
        wanted = [(None, list(arm["layers"])) for name in methods for arm in case.arms(name, claim.budget)]
    return [task["name"] for task in case.figures["tasks"] if wanted and all(_scored(task, *one) for one in wanted)]


def _scored(task: TaskRow, checkpoint: str | None, layers: list[int]) -> bool:
    """Whether a checkpoint as it is, or the model without blocks, has a score on a task."""
    return any(
        side["score"] is not None
        and (side["kind"] == "checkpoint") == (checkpoint is not None)
        and (side["checkpoint"] == checkpoint if checkpoint else list(side["layers"]) == layers)
        for metric in task["metrics"]
        for side in metric["sides"]
    )


@rule(
    "claim",
    level="error",
    why="A bound that every removal keeps says nothing of the blocks that were chosen. One that is kept by a model "
    "that gives every token the same chance says nothing at all.",
    remedy="Claim the measured cost, or the unfavourable end of its interval.",
    waive="When the published text itself says that any blocks would do.",
    nothing="no claim is about the cost of a removal",
)
@each_claim(Removal)
def vacuous(case: Case, claim: Removal) -> Result:
    """A claimed cost holds for the costliest removal of that size too, or for a model that predicts uniformly."""
    bounds, baseline, others = _bounds(case, claim), case.figures["baseline"], _other_sets(case, claim)
    if claim.size is None:
        return shape.undecided("the blocks that its checkpoint lacks are not known; run the audit")
    if baseline is None:
        return shape.undecided("neither the baseline nor a removal is measured; run the audit")
    costs = [row["increase_percent"] for row in others if row["increase_percent"] is not None]
    cheap = max(0.0, min(costs, default=0.0))
    if bounds["lower"] is not None and bounds["lower"] > cheap:
        return passed(f"{_claimed(bounds)}, which leaves out a removal that costs {cheap:+.4g} %")
    uniform = 100.0 * (case.facts.model.vocabulary / baseline["perplexity"] - 1.0)
    found = f"{_claimed(bounds)}, and a model that predicts uniformly costs {uniform:+.4g} %"
    if uniform > 0.0 and _within(bounds, [uniform, uniform]):
        return failed(f"found that {found}; expected a bound that it does not meet")
    return _held_against_the_costliest(others, bounds) if any(row["draw"] for row in others) else passed(found)


def _held_against_the_costliest(others: Sequence[ArmRow], bounds: BoundsRow) -> Result:
    known = [row for row in others if row["increase_percent"] is not None]
    costliest, method = max(((row["increase_percent"] or 0.0, row["method"]) for row in known), default=(0.0, ""))
    sets = counted(len({tuple(row["layers"]) for row in known}), "other set")
    found = f"{_claimed(bounds)}, and the costliest of {sets} of that size, by {method}, costs {costliest:+.4g} %"
    if not _within(bounds, [costliest, costliest]):
        return passed(found)
    if missing := len(others) - len(known):
        return shape.undecided(f"{found}; {missing} further removals of that size are not measured")
    return failed(f"found that {found}; expected a bound that some removal does not meet")


@rule(
    "claim",
    level="warning",
    why="Where half of the removals drawn at random keep a bound, or half of the pairs lie below it, the claim does "
    "not tell the blocks it names from any others: it is about the model.",
    remedy="Claim a tighter bound, or say that most blocks would do.",
    waive="When the claim is meant to be about the model, and its words say so.",
    nothing="no claim of a cost has random draws of its size beside it, and none of redundancy is about one of "
    "several measured pairs",
)
@each_claim(Removal, Redundancy)
def any_choice_would_do(case: Case, claim: Removal | Redundancy) -> Result | None:
    """At least half of the random draws meet a removal claim too, or half of the other pairs one of redundancy."""
    if isinstance(claim, Redundancy):
        return _of_pairs(case, claim)
    if claim.size is None:
        return shape.undecided("the blocks that its checkpoint lacks are not known; run the audit")
    bounds, draws = _bounds(case, claim), [row for row in case.primary(_other_sets(case, claim)) if row["draw"]]
    costs = [row["increase_percent"] for row in draws]
    met = [None if cost is None else _within(bounds, [cost, cost]) for cost in costs]
    return _half(met, f"random draws of {counted(claim.size, 'block')} meet the claim too")


def _of_pairs(case: Case, claim: Redundancy) -> Result | None:
    """Of the other pairs within reach; a claim of several pairs says itself that they are alike."""
    protocols = [name for name in PROTOCOLS if claim.protocol in (None, name)]
    pairs = [row for row in case.figures["pairs"] if row["comparable"] and (row["i"], row["j"]) != claim.pair]
    if claim.pair is None or not protocols:
        return None
    known = [[distance_of(row, protocol) for protocol in protocols] for row in pairs]
    met = [None if None in row else all(each["value"] < claim.below for each in row if each) for row in known]
    return _half(met, f"other pairs are below {claim.below:g} nats too under {' and '.join(protocols)}")


def _half(met: Sequence[bool | None], what: str) -> Result | None:
    """Failed where at least half of them meet a claim, whatever those (None) do that are not measured."""
    if not met:
        return None
    sentence = f"{met.count(True)} of {len(met)} {what}"
    if 2 * met.count(True) >= len(met):
        return failed(f"found that {sentence}; expected fewer than half")
    if 2 * (met.count(True) + met.count(None)) >= len(met):
        return shape.undecided(f"{sentence}, and {met.count(None)} are not measured; run the audit to its end")
    return passed(sentence)


def _bounds(case: Case, claim: Removal) -> BoundsRow:
    bounds = case.verdict(claim)["range"]
    assert bounds is not None  # a claim of a cost always names one
    return bounds


def _claimed(bounds: BoundsRow) -> str:
    least = "at most" if bounds["lower"] is None else f"{bounds['lower']:.4g} to"
    return f"the claim allows {least} {bounds['upper']:.4g} %"


def _other_sets(case: Case, claim: Removal) -> list[ArmRow]:
    """The sets of the size that a claim speaks of, without its own."""
    own = [claim.layers] if claim.layers else [tuple(row["layers"]) for row in case.arms(claim.method, claim.budget)]
    return [row for row in case.figures["arms"] if row["budget"] == claim.size and tuple(row["layers"]) not in own]


@rule(
    "claim",
    level="warning",
    why="What is chosen at one step of training need not be a good choice at another. A removal that was chosen on an "
    "earlier checkpoint, and is claimed of the final one, rests on a transfer that has to be shown.",
    remedy="Say at which step the blocks were chosen, and claim the transfer (`kind: transfer`).",
    waive="When the published text names the checkpoint that the blocks were chosen on.",
    nothing="no claim states removed blocks beside a series",
)
def from_another_step(case: Case) -> Iterator[Result]:
    """A claim's blocks are what its protocol chose at a step of a series, and not what it chooses on the model."""
    for claim in case.audit.claims_of(Removal):
        if claim.layers is None or claim.protocol is None or not case.figures["series"]:
            continue
        layers = sorted(claim.layers)
        own = [sorted(arm["layers"]) for arm in case.arms(claim.protocol, len(layers))]
        steps = [
            f"step {step['step']} of {series['name']}"
            for series in case.figures["series"]
            for step in series["steps"]
            if step["weights"] != case.figures["model"]["digest"] and layers in _chosen(step, claim.protocol)
        ]
        if layers in own:
            yield passed(f"{claim.protocol} chooses these blocks on the model itself", claim.id)
        elif steps:
            found = f"the blocks that {claim.protocol} chooses at {listed(steps)}, and not on the model"
            expected = "those that it chooses on the model that the claim is about"
            yield failed(f"found {found}; expected {expected}; claim the transfer", claim.id)
        elif any(not step["sets"] for series in case.figures["series"] for step in series["steps"]):
            yield shape.undecided(
                "what is chosen at some steps of a series is not known; run the audit to its end", claim.id
            )
        elif not own:
            yield shape.undecided(
                f"{claim.protocol} has no set of {counted(len(layers), 'block')} on the model", claim.id
            )
        else:
            yield passed(f"{claim.protocol} chose these blocks at no step of a series", claim.id)


def _chosen(step: StepRow, method: str) -> list[list[int]]:
    return [sorted(chosen["layers"]) for chosen in step["sets"] if chosen["method"] == method]
