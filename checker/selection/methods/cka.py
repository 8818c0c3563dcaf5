"""Linear CKA between a block's input and output. Kornblith et al. 2019, arXiv 1905.00414, equation 5."""

from __future__ import annotations

from checker.core.questions import Ask, Problem, Values
from checker.selection.methods.method import Method, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """1 - CKA, per block, one value per portion of the prompts: features centred over all tokens of a portion."""
    answers = ask.hidden("cka", [(block, block) for block in range(problem.blocks)])
    return {(first,): 1.0 - values for (first, _), values in answers.items()}


METHOD = Method(
    name="cka",
    summary="1 - linear CKA between the block's input and output over all tokens",
    source="Kornblith et al. 2019, arXiv 1905.00414, equation 5",
    distances=distances,
    scores=per_block,
    pooled=True,
    resolved_by_dtype=True,
)
