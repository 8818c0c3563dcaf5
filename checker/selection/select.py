"""Scores -> removal sets: ascending, spaced, with every way of breaking ties (design, 3.3).

Sets of blocks are integers here, one bit per block: a selection is repeated on hundreds of resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checker.core.layouts import Geometry

MEASURED_TIES = 16
_EXPLORED = 20_000  # partial sets looked at before counting ties is given up


@dataclass(frozen=True)
class Selected:
    """The removal sets that scores lead to, one per resolution of the ties, the lower index first."""

    sets: tuple[tuple[int, ...], ...]
    total: int  # resolutions that lead to different sets; at least this many where ``counted`` is False
    counted: bool = True


def select(scores: Mapping[int, float], geometry: Geometry, budget: int, ties: str = "all") -> Selected:
    """Takes blocks in ascending order of score, each one that stays clear of those already taken.

    Equal scores are tied. ``ties="lower"`` takes the lower index; ``"all"`` follows every order of equals and returns
    the first ``MEASURED_TIES`` different sets. No set at all where the greedy order cannot reach the budget.
    """
    if not 0 < budget < geometry.blocks:
        return Selected((), 0)
    # Depth first through the orders of equals, with partial sets on a stack. What may follow depends only on what is
    # taken, so a set that comes up again is passed over: the work grows with the different sets, not with the orders.
    groups = _tied(scores, geometry)
    near = _near(geometry)
    reached: dict[int, None] = {}
    seen: set[int] = set()
    pending = [(0, 0, 0, budget)]  # taken, blocked by what is taken, first group that may have something left, to take
    while pending and len(seen) < _EXPLORED:
        taken, blocked, group, left = pending.pop()
        if taken in seen:
            continue
        seen.add(taken)
        if not left:
            reached[taken] = None
            continue
        while group < len(groups) and not groups[group] & ~blocked:
            group += 1
        if group == len(groups):
            continue
        for together in _choices(groups[group] & ~blocked, near, left, ties):
            shadow = blocked
            for block in _bits(together):
                shadow |= near[block]
            pending.append((taken | together, shadow, group, left - together.bit_count()))
    sets = tuple(tuple(_bits(taken)) for taken in list(reached)[:MEASURED_TIES])
    return Selected(sets, len(reached), counted=all(taken in seen for taken, *_ in pending))


def _tied(scores: Mapping[int, float], geometry: Geometry) -> list[int]:
    """The candidates' groups of equal score, in ascending order."""
    groups: dict[float, int] = {}
    for block in geometry.candidates:
        if block in scores:
            groups[scores[block]] = groups.get(scores[block], 0) | 1 << block
    return [groups[score] for score in sorted(groups)]


def _near(geometry: Geometry) -> list[int]:
    """Per block, what it keeps out once it is taken: itself and its neighbours within the spacing."""
    around = (1 << (2 * geometry.spacing + 1)) - 1
    return [around << block >> geometry.spacing for block in range(geometry.blocks)]


def _choices(free: int, near: list[int], left: int, ties: str) -> list[int]:
    """What may be taken next out of tied blocks, the one to follow first standing last."""
    if free & (free - 1) == 0:
        return [free]
    if ties == "lower":
        return [free & -free]
    # Blocks that all fit beside each other are all taken, in whatever order.
    if free.bit_count() <= left and all(near[block] & free == 1 << block for block in _bits(free)):
        return [free]
    return [1 << block for block in reversed(_bits(free))]


def _bits(mask: int) -> list[int]:
    bits = []
    while mask:
        low = mask & -mask
        bits.append(low.bit_length() - 1)
        mask ^= low
    return bits
