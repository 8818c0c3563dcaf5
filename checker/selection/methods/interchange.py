"""Interchange: may two blocks swap places? Garcia, "No Free Swap", arXiv 2605.16234 (2026)."""

from __future__ import annotations

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, answered, least_over_partners


def layout(base: Layout, i: int, j: int) -> Layout:
    """Blocks i and j in each other's slots."""
    return base.with_weights({i: j, j: i})


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """KL(base || swapped) in nats, per pair (i, j) with i < j, per prompt."""
    return answered(ask.kl, {(i, j): layout(problem.base, i, j) for i, j in problem.pairs})


METHOD = Method(
    name="interchange",
    summary="smallest KL after swapping the block with a partner",
    source='Garcia 2026, "No Free Swap", arXiv 2605.16234',
    distances=distances,
    scores=least_over_partners,
    compares="pairs",
)
