"""Taylor: how much would the loss move, to first order? Molchanov et al. 2019, arXiv 1906.10771, on whole blocks."""

from __future__ import annotations

from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """Sum over a block's parameters of abs(gradient x weight), per block, one value per portion of the prompts.

    The gradient is that of the mean loss over the portion of the selection text, in evaluation mode.
    """
    return {(block,): values for block, values in ask.taylor(range(problem.blocks)).items()}


METHOD = Method(
    name="taylor",
    summary="sum over the block's parameters of abs(gradient x weight)",
    source="Molchanov et al. 2019, arXiv 1906.10771, first-order form, summed over a block",
    distances=distances,
    scores=per_block,
    pooled=True,
    looks_at="selection",
)
