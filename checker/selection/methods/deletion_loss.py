"""Deletion loss: the loss on the selection text without one block; SLEB's first pass, which SLEB does not stop at."""

from __future__ import annotations

from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, answered, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """Mean NLL per token without the block, per block, per selection prompt, in nats."""
    return answered(ask.loss, {(block,): problem.base.without([block]) for block in range(problem.blocks)})


METHOD = Method(
    name="deletion_loss",
    summary="loss on the selection text without the block, single pass",
    source="the first pass of Song et al. 2024, SLEB, arXiv 2402.09025, algorithm 1",
    distances=distances,
    scores=per_block,
    looks_at="selection",
)
