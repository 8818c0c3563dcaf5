"""Scores -> removal sets: ascending, spaced, with every way of breaking ties (design, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checker.records import Geometry

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
    allowed = [block for block in geometry.candidates if block in scores]
    found: dict[tuple[int, ...], None] = {}
    seen: set[frozenset[int]] = set()
    pending: list[frozenset[int]] = [frozenset()]
    while pending and len(seen) < _EXPLORED:
        taken = pending.pop()
        if taken in seen:
            continue
        seen.add(taken)
        if len(taken) == budget:
            found.setdefault(tuple(sorted(taken)))
            continue
        clear = [
            block
            for block in allowed
            if all(abs(block - other) > geometry.spacing for other in taken) and block not in taken
        ]
        best = min((scores[block] for block in clear), default=None)
        tied = [block for block in clear if scores[block] == best]
        following = tied[:1] if ties == "lower" else tied
        pending.extend(taken | {block} for block in reversed(following))
    sets = tuple(found)
    return Selected(sets[:MEASURED_TIES], len(sets), counted=not pending)


def rank_of_budget(scores: Mapping[int, float]) -> list[int]:
    """Blocks in ascending order of score, the lower index first among equals."""
    return sorted(scores, key=lambda block: (scores[block], block))
