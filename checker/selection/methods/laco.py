"""LaCo: layer collapse, merging following blocks into one. Yang et al. 2024, arXiv 2402.11187, algorithm 1.

A merge of the m blocks that follow l gives l the weights ``(1 - m) w_l + sum of w_{l+k}`` and removes the m blocks.
Merges are tried from the top down and kept while the output representations stay similar enough to the base model's.
With m = 1 nothing of w_l is left: the merge is the deletion of block l, and is written as one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from checker.core.layouts import Geometry, Layout, Place
from checker.core.questions import Ask, Problem
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method

_HALVINGS = 12  # of the range of thresholds; similarities closer than its 4,096th part count as equal


@dataclass(frozen=True)
class _Steps:
    """How a collapse walks down the stack."""

    following: int  # blocks that go in one merge, at most
    interval: int = 1  # how far it moves down after a merge
    lowest: int = 0  # the lowest block that others are merged into


def sets(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The matched form: merges where the constraints leave the blocks that go and the block they go into.

    Merged blocks are neighbours, so any spacing leaves merges of one block only: deletions, chosen as LaCo chooses.
    """
    following = 1 if problem.geometry.spacing else _following(problem, budget, settings)
    return _searched(ask, problem, budget, _Steps(following))


def native(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The paper's own form: merges wherever they lie, the last block included, with its interval 2 and lowest block 1.

    Up to ``settings.merge`` blocks become one.
    """
    free = replace(problem, geometry=Geometry(problem.blocks, spacing=0))
    return _searched(ask, free, budget, _Steps(_following(problem, budget, settings), interval=2, lowest=1))


def _following(problem: Problem, budget: int, settings: MethodSettings) -> int:
    return max(1, min(settings.merge - 1, budget, problem.blocks - 2))


def _searched(ask: Ask, problem: Problem, budget: int, steps: _Steps) -> tuple[Layout, ...]:
    """The collapse at the highest threshold that reaches the budget; none where no threshold does."""
    # The higher the threshold, the fewer merges pass it, so halving closes in on the highest that still reaches the
    # budget: _HALVINGS + 1 collapses, each of at most one similarity per block.
    best = _collapse(ask, problem, budget, steps, -1.0)
    if len(best) > problem.blocks - budget:
        return ()
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        layout = _collapse(ask, problem, budget, steps, middle)
        if len(layout) == problem.blocks - budget:
            best, low = layout, middle
        else:
            high = middle
    return (best,)


def _collapse(ask: Ask, problem: Problem, budget: int, steps: _Steps, threshold: float) -> Layout:
    """One pass from the top: merges that keep the similarity above ``threshold``, until the budget is spent."""
    layout, place = problem.base, problem.blocks - 1 - steps.following
    while place >= steps.lowest and len(layout) > problem.blocks - budget:
        following = min(steps.following, budget - (problem.blocks - len(layout)))
        merged = merge(layout, place, following)
        allowed = _allowed(problem, layout, merged, place, following)
        if allowed and float(np.mean(ask.similarity([merged])[merged])) > threshold:
            layout = merged
            place = min(place - steps.interval, len(layout) - 1 - steps.following)
        else:
            place -= 1
    return layout


def _allowed(problem: Problem, layout: Layout, merged: Layout, place: int, following: int) -> bool:
    """Whether the constraints allow a merge, and the blocks' weights can be added.

    What is excluded is neither removed nor merged into.
    """
    if not problem.geometry.allows(merged.removed(problem.blocks)):
        return False
    if following == 1:
        return True
    into, last = layout.places[place].slot, layout.places[place + following].slot
    alike = all((block, block + 1) in problem.pairs for block in range(into, last))  # neighbours of equal shape
    return alike and into in problem.geometry.candidates


def merge(layout: Layout, place: int, following: int) -> Layout:
    """Merges the ``following`` places after number ``place`` into it, and removes them.

    One place merged into another leaves nothing of the other's weights: it stays where it is, and the other goes.
    """
    if following == 1:
        return Layout((*layout.places[:place], *layout.places[place + 1 :]))
    weights: dict[int, float] = defaultdict(float)
    for block, share in layout.places[place].weights:
        weights[block] += (1 - following) * share
    for leaving in layout.places[place + 1 : place + 1 + following]:
        for block, share in leaving.weights:
            weights[block] += share
    kept = tuple(sorted((block, share) for block, share in weights.items() if share))
    collapsed = Place(kept, layout.places[place].slot)
    return Layout((*layout.places[:place], collapsed, *layout.places[place + 1 + following :]))


METHOD = Method(
    name="laco",
    summary="following blocks merged into one while the output stays similar",
    source='Yang et al. 2024, "LaCo", arXiv 2402.11187, algorithm 1',
    sets=sets,
    native=native,
    capped=True,
    compares="neighbours",
)
