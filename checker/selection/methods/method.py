"""The one shape of a method, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.core.records import MethodSettings

K = TypeVar("K")
Sets = Callable[[Ask, Problem, int, MethodSettings], tuple[Layout, ...]]


@dataclass(frozen=True)
class Method:
    """A way of choosing which blocks to remove: ``distances`` with ``scores``, or ``sets``.

    ``distances`` asks for what is measured: values per prompt, whose mean counts, or per portion of the prompts where
    the quantity is ``pooled``, the first portion being all of them. ``scores`` turns one number per key into one score
    per block (low: remove first), without asking again. ``sets`` chooses layouts for a budget under the problem's
    constraints; ``native`` does so in the form of the method's own paper, which may have other constraints.
    """

    name: str
    summary: str
    source: str
    distances: Callable[[Ask, Problem], Mapping[tuple[int, ...], Values]] | None = None
    scores: Callable[[Mapping[tuple[int, ...], float], Problem], dict[int, float]] | None = None
    sets: Sets | None = None
    native: Sets | None = None
    looks_at: Literal["scoring", "selection"] = "scoring"  # the text its choice rests on
    pooled: bool = False
    capped: bool = False  # may evaluate no more layouts than its settings' ``calls``
    resolved_by_dtype: bool = False  # steps between ranks below the dtype's resolution are no ranking
    seeded: bool = False  # begins with the scores of the method that its settings name
    control: bool = False  # its sets are draws that others are held against
    looks: bool = True  # whether it looks at the model and a text at all
    compares: Literal["pairs", "neighbours"] | None = None  # blocks it has to find comparable, to choose anything
    turns_round: bool = False  # takes the scores of the method that its settings name, with their signs changed

    @property
    def measured_on_prompts(self) -> bool:
        """Whether it has scores of its own that would be others on other prompts."""
        return self.scores is not None and self.looks


def least_over_partners(means: Mapping[tuple[int, ...], float], problem: Problem) -> dict[int, float]:
    """Per block, the least distance over its measured pairs, for distances of unordered pairs (design, 3.3)."""
    partners = {block: list(problem.partners(block)) for block in range(problem.blocks)}
    return {
        block: min(means[min(block, partner), max(block, partner)] for partner in partners[block])
        for block in partners
        if partners[block]
    }


def per_block(means: Mapping[tuple[int, ...], float], problem: Problem) -> dict[int, float]:
    """Per block, its own value, for quantities of single blocks."""
    return {block: means[block,] for block in range(problem.blocks)}


def mean_losses(ask: Ask, problem: Problem, sets: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """Per removal set, the mean loss on the selection text without it, in nats per token."""
    losses = answered(ask.loss, {layers: problem.base.without(layers) for layers in sets})
    return {layers: float(np.mean(values)) for layers, values in losses.items()}


def answered(
    ask: Callable[[Iterable[Layout]], Mapping[Layout, Values]], layouts: Mapping[K, Layout]
) -> dict[K, Values]:
    """By their keys, what is answered of layouts."""
    answers = ask(layouts.values())
    return {key: answers[layout] for key, layout in layouts.items()}
