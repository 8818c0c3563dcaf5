"""Beam search over deletions: keep several sets at every size, under a declared number of evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Layout
from checker.core.questions import Ask, Problem
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method, mean_losses


def sets(ask: Ask, problem: Problem, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """One set: the least mean loss that ``settings.width`` beams find with at most ``settings.calls`` evaluations.

    The search is seeded by a method's block scores, or by the losses of single deletions where the problem holds none:
    the first beams are the blocks of least score, and of larger sets those of least summed score are tried first. No
    set is measured twice. No set where the beams cannot reach the budget under the constraints; EvidenceMissing where
    the calls end before.
    """
    # Each size begins with the ``width`` best sets of the size before, and adds one more block to each: of n blocks, at
    # most width * n sets are measured, where all sets of k would be n over k. Scores only say on which calls are spent.
    if problem.seeds and settings.calls <= 0:
        raise _ended(settings, problem, budget)
    seeds, losses = _seeded(ask, problem, settings)
    calls = settings.calls - len(losses)
    beam = sorted(losses, key=lambda layers: (losses[layers], layers))[: settings.width]
    for _ in range(1, budget):
        grown = _grown(beam, problem)
        if not grown:
            return ()
        if calls <= 0:
            raise _ended(settings, problem, budget)
        ordered = sorted(grown, key=lambda layers: (sum(seeds[block] for block in layers), layers))[:calls]
        losses = mean_losses(ask, problem, ordered)
        calls -= len(ordered)
        beam = sorted(ordered, key=lambda layers: (losses[layers], layers))[: settings.width]
    return (problem.base.without(beam[0]),) if beam else ()


def _seeded(
    ask: Ask, problem: Problem, settings: MethodSettings
) -> tuple[Mapping[int, float], dict[tuple[int, ...], float]]:
    """The scores that seed the search, and the losses of the single blocks that it begins with."""
    blocks = [block for block in problem.geometry.candidates if not problem.seeds or block in problem.seeds]
    if problem.seeds:
        blocks = sorted(blocks, key=lambda block: (problem.seeds[block], block))[: min(settings.width, settings.calls)]
    losses = mean_losses(ask, problem, [(block,) for block in blocks])
    return problem.seeds or {block: losses[block,] for block in blocks}, losses


def _grown(beam: Iterable[tuple[int, ...]], problem: Problem) -> set[tuple[int, ...]]:
    """Every set of the beam with one more block, as the constraints allow."""
    grown = {larger for layers in beam for larger in problem.geometry.grown(layers)}
    return {layers for layers in grown if not problem.seeds or problem.seeds.keys() >= set(layers)}


def _ended(settings: MethodSettings, problem: Problem, budget: int) -> EvidenceMissing:
    left = " that the scores leave it" if problem.seeds else ""
    return EvidenceMissing(
        f"its {max(settings.calls, 0):,} evaluations{left} end before {budget} blocks are removed; raise `calls`"
    )


METHOD = Method(
    name="beam",
    summary="beam search over deletions by loss on the selection text",
    source="beam search, seeded by a method's scores",
    sets=sets,
    looks_at="selection",
    capped=True,
    seeded=True,
)
