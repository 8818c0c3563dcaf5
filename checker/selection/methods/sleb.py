"""SLEB: delete the block that costs least, then look again. Song et al. 2024, arXiv 2402.09025, algorithm 1."""

from __future__ import annotations

from dataclasses import replace

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method, mean_losses


def sets(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """One set: at each step the allowed block whose deletion leaves the least mean loss; the lower one among equals.

    No set where the steps cannot reach the budget under the constraints.
    """
    taken: tuple[int, ...] = ()
    while len(taken) < budget:
        candidates = list(problem.geometry.grown(taken))
        if not candidates:
            return ()
        losses = mean_losses(ask, problem, candidates)
        taken = min(candidates, key=lambda candidate: (losses[candidate], candidate))
    return (problem.base.without(taken),)


def native(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The paper's own form: the first and the last block are barred, and nothing is spaced."""
    free = replace(problem.geometry, spacing=0, exclude=(0, problem.blocks - 1))
    return sets(ask, replace(problem, geometry=free), budget, settings)


METHOD = Method(
    name="sleb",
    summary="loss on the selection text without the block, looked at again after each removal",
    source='Song et al. 2024, "SLEB", arXiv 2402.09025, algorithm 1',
    sets=sets,
    native=native,
    looks_at="selection",
    capped=True,
)
