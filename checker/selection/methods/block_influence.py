"""Block Influence: how much does a block change its input? Men et al. 2024, "ShortGPT", arXiv 2403.03853, eq. 1."""

from __future__ import annotations

from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """1 - mean over tokens of cos(block input, block output), per block, per prompt; each token is one vector."""
    answers = ask.hidden("cosine", [(block, block) for block in range(problem.blocks)])
    return {(first,): 1.0 - values for (first, _), values in answers.items()}


METHOD = Method(
    name="block_influence",
    summary="1 - cosine between the block's input and output, mean over tokens",
    source='Men et al. 2024, "ShortGPT", arXiv 2403.03853, equation 1',
    distances=distances,
    scores=per_block,
)
