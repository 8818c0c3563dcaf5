"""Interchange: may two blocks swap places? Garcia, "No Free Swap", arXiv 2605.16234 (2026)."""

from __future__ import annotations

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, least_over_partners


def layout(base: Layout, i: int, j: int) -> Layout:
    """Blocks i and j in each other's slots."""
    return base.with_weights({i: j, j: i})


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """KL(base || swapped) in nats, per pair (i, j) with i < j, per prompt."""
    layouts = {(i, j): layout(problem.base, i, j) for i, j in problem.pairs}
    answers = ask.kl(layouts.values())
    return {pair: answers[variant] for pair, variant in layouts.items()}


METHOD = Method(
    name="interchange",
    summary="smallest KL after swapping the block with a partner",
    source='Garcia 2026, "No Free Swap", arXiv 2605.16234',
    distances=distances,
    scores=least_over_partners,
)
