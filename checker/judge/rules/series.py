"""Rules about series: whether the steps of a training run are what their numbers say, and different from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.words import counted, enumerated, listed
from checker.judge.case import Case
from checker.judge.figures.form import SeriesRow, SharedBlocksRow, StepRow

LEAST_STEPS = 3
_NONE = "the audit has no series"
_JUMP = 3.0  # times what lies between its neighbours, by which a step's figure leaves their range
_LEAST_JUMP = 0.02  # relative; less is no discontinuity
_SHOWN = 5


def _each(check: Callable[[SeriesRow], Iterator[Result]]) -> Callable[[Case], Iterator[Result]]:
    """The check of one series, of every series."""

    def of_case(case: Case) -> Iterator[Result]:
        for series in case.figures["series"]:
            yield from check(series)

    of_case.__name__, of_case.__doc__ = check.__name__, check.__doc__
    return of_case


def _unread(series: SeriesRow) -> list[StepRow]:
    return [step for step in series["steps"] if not (step["blocks"] and step["types"])]


def _not_read(series: SeriesRow) -> Result:
    numbers = listed((step["step"] for step in _unread(series)), _SHOWN)
    return undecided(f"{series['name']}: the weights of step {numbers} were not read; run the audit to its end")


def _shared(series: SeriesRow, *, whole: bool, with_last: bool | None) -> list[tuple[StepRow, SharedBlocksRow]]:
    """Steps that have the weights of an earlier one, in whole or in part; with the last step, or not, or either way."""
    last = series["steps"][-1]["step"]
    return [
        (step, shared)
        for step in series["steps"]
        for shared in step["shared"]
        if shared["all"] is whole and with_last in (None, step["step"] == last)
    ]


@rule(
    "series",
    level="error",
    why="Two steps with one set of weights are no two measurements. Public training runs hold such steps, as a branch "
    "that was uploaded twice. A trend over them shows a standstill that never was.",
    remedy="Ask the publisher for the weights of the step, or leave it out.",
    waive="Never; leave one of the two steps out.",
    nothing=_NONE,
)
@_each
def same_weights(series: SeriesRow) -> Iterator[Result]:
    """Two steps before the last share the weights of all blocks."""
    found = _shared(series, whole=True, with_last=False)
    for step, shared in found:
        both = f"the weights of step {shared['step']} in step {step['step']}"
        yield failed(f"{series['name']}: found {both}; expected others; leave one of the two out")
    if not found:
        yield _not_read(series) if _unread(series) else passed(f"{series['name']}: no two steps share all blocks")


@rule(
    "series",
    level="error",
    why="A branch of an early step that serves the final weights makes every early figure one of the end: the gap "
    "seems to be there from the start, and every choice seems to transfer.",
    remedy="Ask the publisher for the weights of the step, or leave it out.",
    waive="When training had ended by that step, and the source says so.",
    nothing=_NONE,
)
@_each
def final_weights_early(series: SeriesRow) -> Iterator[Result]:
    """A step before the last has the weights of the last one."""
    found = _shared(series, whole=True, with_last=True)
    for step, shared in found:
        weights = f"the weights of step {step['step']}, the last one, in step {shared['step']}"
        yield failed(f"{series['name']}: found {weights}; expected its own; leave it out")
    if not found:
        yield _not_read(series) if _unread(series) else passed(f"{series['name']}: only the last step has its weights")


@rule(
    "series",
    level="error",
    why="A step of which some blocks are another step's was put together by mistake, as by one shard that was uploaded "
    "twice. What is measured on it is of no model that was ever trained.",
    remedy="Fetch the step again; where that gives the same, ask the publisher for its weights.",
    waive="When these blocks were frozen in training, and the source says so.",
    nothing=_NONE,
)
@_each
def same_blocks(series: SeriesRow) -> Iterator[Result]:
    """Two steps share the weights of some blocks, and not of all."""
    found = _shared(series, whole=False, with_last=None)
    for step, shared in found:
        blocks = f"block{'' if len(shared['blocks']) == 1 else 's'} {listed(shared['blocks'], _SHOWN)}"
        both = f"{blocks} of step {shared['step']} in step {step['step']}"
        yield failed(f"{series['name']}: found {both}; expected others, as the other blocks are; fetch the step again")
    if not found:
        yield _not_read(series) if _unread(series) else passed(f"{series['name']}: no two steps share single blocks")


@rule(
    "series",
    level="warning",
    why="Loss and the size of weights move smoothly over training. A step that lies far outside of its neighbours is "
    "often of another run, or was stored while weights were written.",
    remedy="Look at the training's own loss at that step, and fetch the step again.",
    waive="When the source tells of a change of the learning rate, the data or the batch there.",
    nothing="no series has a step between two others",
)
@_each
def discontinuity(series: SeriesRow) -> Iterator[Result]:
    """A step's loss, or the norm of one of its blocks, lies far outside of what its neighbours have."""
    known = [step for step in series["steps"] if step["perplexity"] is not None and step["norms"]]
    inner = list(zip(known, known[1:], known[2:], strict=False))
    found = [(step, what) for before, step, after in inner if (what := _jump(before, step, after))]
    for step, what in found:
        found_at = f"found {what} at step {step['step']}"
        yield failed(f"{series['name']}: {found_at}; expected about as much as its neighbours have")
    if inner and not found:
        yield passed(f"{series['name']}: each step lies about where its neighbours do")


def _jump(before: StepRow, step: StepRow, after: StepRow) -> str:
    """What jumps at a step, in words; empty where nothing does."""
    losses = [each["perplexity"]["value"] for each in (before, step, after) if each["perplexity"]]
    if _leaves(*losses):
        return "a perplexity of {1:.4g} between {0:.4g} and {2:.4g}".format(*losses)
    for block, norms in enumerate(zip(before["norms"], step["norms"], after["norms"], strict=False)):
        if _leaves(*norms):
            return "block {3} with a norm of {1:.4g} between {0:.4g} and {2:.4g}".format(*norms, block)
    return ""


def _leaves(before: float, value: float, after: float) -> bool:
    """Whether a value lies outside of its neighbours' range by several times its width, and not by a trifle."""
    low, high = min(before, after), max(before, after)
    beyond = max(low - value, value - high)
    return beyond > _JUMP * (high - low) and beyond > _LEAST_JUMP * high


@rule(
    "series",
    level="note",
    why="Steps sort by their numbers, and names do not: step1000 comes before step64 by its letters. A list in another "
    "order is mostly a slip, and a reader takes it for the order of training.",
    remedy="List the steps in the order of their numbers.",
    waive="When the order is meant for the reader alone.",
    nothing=_NONE,
)
@_each
def steps_out_of_order(series: SeriesRow) -> Iterator[Result]:
    """The audit file lists steps in another order than that of their numbers."""
    if series["in_order"]:
        yield passed(f"{series['name']} lists its steps in the order of their numbers")
    else:
        yield failed(f"{series['name']}: found steps in another order; expected them ascending; they were sorted here")


@rule(
    "series",
    level="warning",
    why="Two steps show a difference, and no course: what happens between them may go both ways. A statement about how "
    "something moves over training needs a step in between.",
    remedy="Add steps between the first and the last.",
    waive="When the published text speaks of two checkpoints, and not of training.",
    nothing=_NONE,
)
@_each
def too_few_steps(series: SeriesRow) -> Iterator[Result]:
    """A series has fewer than three steps that can be compared."""
    different = [step for step in series["steps"] if not any(each["all"] for each in step["shared"])]
    number = sum(step["why_not"] is None for step in different)
    if number < LEAST_STEPS and number + len(_unread(series)) >= LEAST_STEPS:
        yield _not_read(series)
    elif number < LEAST_STEPS:
        found = f"{counted(number, 'different step')} that can be compared"
        yield failed(f"{series['name']}: found {found}; expected at least {LEAST_STEPS}; add steps")
    else:
        yield passed(f"{series['name']}: {number} different steps can be compared")


@rule(
    "series",
    level="warning",
    why="Rounding weights to another type moves small distances. Between steps that were stored in different types, "
    "part of what changes is the type.",
    remedy="Measure steps that were stored in one type.",
    waive="When the change of types is smaller than what is claimed, and the source says so.",
    nothing=_NONE,
)
@_each
def mixed_dtype(series: SeriesRow) -> Iterator[Result]:
    """The steps of a series are stored in different number formats."""
    types: dict[tuple[str, ...], list[int]] = {}
    for step in series["steps"]:
        if step["types"]:
            types.setdefault(tuple(step["types"]), []).append(step["step"])
    if len(types) > 1:
        found = enumerated(f"{enumerated(names)} at step {listed(steps, _SHOWN)}" for names, steps in types.items())
        yield failed(f"{series['name']}: found {found}; expected one type at every step; measure steps of one type")
    elif _unread(series):
        yield _not_read(series)
    else:
        yield passed(f"{series['name']}: all steps are stored in {enumerated(next(iter(types)))}")
