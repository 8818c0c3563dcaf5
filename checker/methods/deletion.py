"""Deletion: how far do the model's predictions move when one block is left out?"""

from __future__ import annotations

from collections.abc import Mapping

from checker.methods.shape import Method
from checker.records import Ask, Ground, Values


def distances(ask: Ask, ground: Ground) -> dict[tuple[int, ...], Values]:
    """KL(base || base without the block) in nats, per block, per prompt."""
    layouts = {(block,): ground.base.without([block]) for block in range(ground.blocks)}
    answers = ask.kl(layouts.values())
    return {key: answers[variant] for key, variant in layouts.items()}


def scores(means: Mapping[tuple[int, ...], float], ground: Ground) -> dict[int, float]:
    """Per block, its deletion distance."""
    return {block: means[block,] for block in range(ground.blocks)}


METHOD = Method(
    name="deletion",
    summary="KL after deleting the block",
    source="single-block ablation, scored by KL divergence (design, 3.1)",
    distances=distances,
    scores=scores,
)
