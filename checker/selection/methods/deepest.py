"""Deepest: the blocks before the last one. The simple baseline of Gromov et al. 2024, arXiv 2403.17887, section 4.4."""

from __future__ import annotations

from collections.abc import Mapping

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """Nothing is measured."""
    return {}


def scores(means: Mapping[tuple[int, ...], float], problem: Problem) -> dict[int, float]:
    """Per block but the last, minus its depth: the deeper, the sooner removed."""
    return {block: -float(block) for block in range(problem.blocks - 1)}


def native(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The ``budget`` blocks right before the last one."""
    return (problem.base.without(range(problem.blocks - 1 - budget, problem.blocks - 1)),)


METHOD = Method(
    name="deepest",
    summary="the deepest blocks but the last",
    source="Gromov et al. 2024, arXiv 2403.17887, section 4.4",
    distances=distances,
    scores=scores,
    native=native,
    looks=False,
)
