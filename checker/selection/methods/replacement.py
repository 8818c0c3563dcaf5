"""Replacement: can block j stand in for block i? Garcia, "No Free Swap", arXiv 2605.16234 (2026)."""

from __future__ import annotations

from collections.abc import Mapping

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, answered


def layout(base: Layout, i: int, j: int) -> Layout:
    """``i<-j``: slot i runs block j, which stays in its own slot too."""
    return base.with_weights({i: j})


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """KL(base || i<-j) in nats, per ordered pair (i, j), both directions of every pair, per prompt."""
    directed = [direction for i, j in problem.pairs for direction in ((i, j), (j, i))]
    return answered(ask.kl, {(i, j): layout(problem.base, i, j) for i, j in directed})


def scores(means: Mapping[tuple[int, ...], float], problem: Problem) -> dict[int, float]:
    """Per block, the smallest distance over its pairs: of i<-j (``into``), or of both directions' max or mean."""
    partners = {block: list(problem.partners(block)) for block in range(problem.blocks)}
    return {
        block: min(_combined(means[block, each], means[each, block], problem.direction) for each in partners[block])
        for block in partners
        if partners[block]
    }


def _combined(into: float, out_of: float, direction: str) -> float:
    if direction == "into":
        return into
    return max(into, out_of) if direction == "max" else (into + out_of) / 2


METHOD = Method(
    name="replacement",
    summary="smallest KL after a partner's weights stand in for the block",
    source='Garcia 2026, "No Free Swap", arXiv 2605.16234',
    distances=distances,
    scores=scores,
    compares="pairs",
)
