"""Averaging: may two blocks both run the mean of their weights? Garcia, "No Free Swap", arXiv 2605.16234 (2026)."""

from __future__ import annotations

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, answered, least_over_partners


def layout(base: Layout, i: int, j: int) -> Layout:
    """The mean of both blocks' weights in both slots."""
    mean = {i: 0.5, j: 0.5}
    return base.with_weights({i: mean, j: mean})


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """KL(base || averaged) in nats, per pair (i, j) with i < j, per prompt."""
    return answered(ask.kl, {(i, j): layout(problem.base, i, j) for i, j in problem.pairs})


METHOD = Method(
    name="averaging",
    summary="smallest KL after the block and a partner both run the mean of their weights",
    source='Garcia 2026, "No Free Swap", arXiv 2605.16234, the averaging protocol',
    distances=distances,
    scores=least_over_partners,
    compares="pairs",
)
