"""Random: the control that every other method has to beat, uniform over the sets the constraints leave."""

from __future__ import annotations

import random

from checker.core.canonical import digest
from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method


def sets(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """``draws`` distinct sets, each equally likely; all there are where there are fewer."""
    feasible = problem.geometry.count(budget)
    if feasible <= settings.draws:
        ranks = list(range(feasible))
    else:
        # Seeded per budget, so that adding a budget to an audit changes no other budget's draws.
        generator = random.Random(digest([problem.seed, budget]))
        chosen: dict[int, None] = {}
        while len(chosen) < settings.draws:
            chosen.setdefault(generator.randrange(feasible))
        ranks = list(chosen)
    return tuple(problem.base.without(problem.geometry.nth(budget, rank)) for rank in ranks)


METHOD = Method(
    name="random",
    summary="distinct removal sets drawn uniformly under the same constraints",
    source="random control (design, 3.5)",
    sets=sets,
    control=True,
    looks=False,
)
