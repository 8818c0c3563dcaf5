"""Angular distance: how far does a run of blocks turn the last token? Gromov et al. 2024, arXiv 2403.17887, eq. 7.

The paper removes one contiguous run of n blocks, the one that turns it least; that is the native form. In the matched
form each single block has its own angle as score.
"""

from __future__ import annotations

import numpy as np

from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem, Span, Values
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method, per_block


def distances(ask: Ask, problem: Problem) -> dict[tuple[int, ...], Values]:
    """arccos(cos) / pi between a block's input and output at the last token, per block, per prompt; from 0 to 1."""
    answers = ask.hidden("angle", [(block, block) for block in range(problem.blocks)])
    return {(first,): values for (first, _), values in answers.items()}


def native(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """The contiguous run of ``budget`` blocks with the least mean angle between its input and its output.

    The output is taken before the final norm; among equals the run that begins lower.
    """
    runs: list[Span] = [(first, first + budget - 1) for first in range(problem.blocks - budget + 1)]
    answers = ask.hidden("angle", runs)
    first, last = min(runs, key=lambda run: (float(np.mean(answers[run])), run))
    return (problem.base.without(range(first, last + 1)),)


METHOD = Method(
    name="angular_distance",
    summary="angle between the block's input and output at the last token",
    source="Gromov et al. 2024, arXiv 2403.17887, equation 7",
    distances=distances,
    scores=per_block,
    native=native,
)
