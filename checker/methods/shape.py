"""The one shape of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from checker.records import Ask, Ground, MethodSettings, Values

Scores = Mapping[int, Values]  # per block, one value per scoring prompt; their mean is the score


@dataclass(frozen=True)
class Method:
    """A way of choosing which blocks to remove.

    ``distances`` asks for what is measured, per prompt. ``scores`` turns means over prompts (all of them, or a
    resample) into one score per block, without asking again. ``sets`` is for methods that choose whole sets.
    """

    name: str
    summary: str
    source: str
    distances: Callable[[Ask, Ground], Mapping[tuple[int, ...], Values]] | None = None
    scores: Callable[[Mapping[tuple[int, ...], float], Ground], dict[int, float]] | None = None
    sets: Callable[[Ground, int, MethodSettings], tuple[tuple[int, ...], ...]] | None = None
