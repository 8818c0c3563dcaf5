"""Interchange: may two blocks swap places? Garcia, "No Free Swap", arXiv 2605.16234 (2026)."""

from __future__ import annotations

from collections.abc import Mapping

from checker.methods.shape import Method
from checker.records import Ask, Ground, Layout, Values


def layout(base: Layout, i: int, j: int) -> Layout:
    """Blocks i and j in each other's slots."""
    return base.with_weights({i: j, j: i})


def distances(ask: Ask, ground: Ground) -> dict[tuple[int, ...], Values]:
    """KL(base || swapped) in nats, per pair (i, j) with i < j, per prompt."""
    layouts = {(i, j): layout(ground.base, i, j) for i, j in ground.pairs}
    answers = ask.kl(layouts.values())
    return {pair: answers[variant] for pair, variant in layouts.items()}


def scores(means: Mapping[tuple[int, ...], float], ground: Ground) -> dict[int, float]:
    """Per block, the smallest d_inter over its measured pairs (design, 3.3)."""
    partners = {block: list(ground.partners(block)) for block in range(ground.blocks)}
    return {
        block: min(means[min(block, other), max(block, other)] for other in others)
        for block, others in partners.items()
        if others
    }


METHOD = Method(
    name="interchange",
    summary="smallest KL after swapping the block with a partner",
    source='Garcia 2026, "No Free Swap", arXiv 2605.16234',
    distances=distances,
    scores=scores,
)
