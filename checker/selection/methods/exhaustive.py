"""Exhaustive: every set the constraints leave, up to a declared number of evaluations; the best that can be reached."""

from __future__ import annotations

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method, mean_losses


def sets(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The set with the least mean loss on the selection text; EvidenceMissing where there are more sets than calls."""
    feasible = problem.geometry.count(budget)
    if feasible > settings.calls:
        raise EvidenceMissing(
            f"budget {budget} leaves {feasible:,} sets, more than the {settings.calls:,} evaluations declared; "
            "raise `calls` to decide it"
        )
    candidates = [problem.geometry.nth(budget, rank) for rank in range(feasible)]
    losses = mean_losses(ask, problem, candidates)
    best = min(candidates, key=lambda layers: (losses[layers], layers), default=None)
    return () if best is None else (problem.base.without(best),)


METHOD = Method(
    name="exhaustive",
    summary="the best of all sets by loss on the selection text",
    source="enumeration",
    sets=sets,
    looks_at="selection",
    capped=True,
)
