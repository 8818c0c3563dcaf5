"""Deletion: how far do the model's predictions move when one block is left out?"""

from __future__ import annotations

from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, answered, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """KL(base || base without the block) in nats, per block, per prompt."""
    return answered(ask.kl, {(block,): problem.base.without([block]) for block in range(problem.blocks)})


METHOD = Method(
    name="deletion",
    summary="KL after deleting the block",
    source="single-block ablation, scored by KL divergence (design, 3.1)",
    distances=distances,
    scores=per_block,
)
