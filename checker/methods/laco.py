"""LaCo: layer collapse, merging following blocks into one. Yang et al. 2024, arXiv 2402.11187, algorithm 1.

A merge of the m blocks that follow l gives l the weights ``(1 - m) w_l + sum of w_{l+k}`` and removes the m blocks.
Merges are tried from the top down and kept while the output representations stay similar enough to the base model's.
As in the paper's loop, which begins at the highest block minus the size of a merge, the last block is never merged.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from checker.layouts import Geometry, Layout, Place
from checker.methods.shape import Method
from checker.records import Ask, Ground, MethodSettings

_HALVINGS = 12  # of the range of thresholds; similarities closer than its 4,096th part are told apart no more


def sets(ask: Ask, ground: Ground, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The matched form: one block merged at a time, where the constraints leave both it and the block it goes into."""
    return _searched(ask, ground, budget, 1)


def native(ask: Ask, ground: Ground, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The paper's own form: up to ``settings.merge`` blocks become one in each merge, wherever they lie."""
    free = replace(ground, geometry=Geometry(ground.blocks, spacing=0))
    return _searched(ask, free, budget, max(1, min(settings.merge - 1, budget, ground.blocks - 2)))


def _searched(ask: Ask, ground: Ground, budget: int, following: int) -> tuple[Layout, ...]:
    """The collapse at the highest threshold that reaches the budget; none where no threshold does."""
    best = _collapse(ask, ground, budget, following, -1.0)
    if len(best) > ground.blocks - budget:
        return ()
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _collapse(ask, ground, budget, following, middle)
        if len(found) == ground.blocks - budget:
            best, low = found, middle
        else:
            high = middle
    return (best,)


def _collapse(ask: Ask, ground: Ground, budget: int, following: int, threshold: float) -> Layout:
    """One pass from the top: merges that keep the similarity above ``threshold``, until the budget is spent."""
    layout, place = ground.base, ground.blocks - 2 - following
    while place >= 0 and len(layout) > ground.blocks - budget:
        left = budget - (ground.blocks - len(layout))
        merged = merge(layout, place, min(following, left, len(layout) - 2 - place))
        if _allowed(ground, layout, merged, place) and _similarity(ask, merged) > threshold:
            layout = merged
        place = min(place - 1, max(0, len(layout) - 2 - following))
    return layout


def _similarity(ask: Ask, layout: Layout) -> float:
    return float(np.mean(ask.similarity([layout])[layout]))


def _allowed(ground: Ground, layout: Layout, merged: Layout, place: int) -> bool:
    """Whether the constraints allow the merge into number ``place`` of a layout, and the blocks' weights can be added.

    What is excluded is neither removed nor merged into.
    """
    into, slots = layout.places[place].slot, set(merged.slots)
    gone = [slot for slot in range(ground.blocks) if slot not in slots]
    new = [slot for slot in layout.slots if slot not in slots]
    if not new or into not in ground.geometry.candidates or not ground.geometry.allows(gone):
        return False
    return all((block, block + 1) in ground.pairs for block in range(into, max(new)))  # neighbours of equal shape


def merge(layout: Layout, place: int, following: int) -> Layout:
    """Merges the ``following`` places after number ``place`` into it, and removes them."""
    weights: dict[int, float] = defaultdict(float)
    for block, share in layout.places[place].weights:
        weights[block] += (1 - following) * share
    for other in layout.places[place + 1 : place + 1 + following]:
        for block, share in other.weights:
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
)
