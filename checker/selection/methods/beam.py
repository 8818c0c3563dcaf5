"""Beam search over deletions: keep several sets at every size, under a declared number of evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Layout
from checker.core.questions import Ask, Ground
from checker.core.records import MethodSettings
from checker.selection.methods.method import Method, mean_losses


def sets(ask: Ask, ground: Ground, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """One set: the least mean loss that ``settings.width`` beams find with at most ``settings.calls`` evaluations.

    The search is seeded by a method's block scores, or by the losses of single deletions where the ground holds none:
    the first beams are the blocks of least score, and of larger sets those of least summed score are tried first. No
    set is measured twice. No set where the beams cannot reach the budget under the constraints; EvidenceMissing where
    the calls end before.
    """
    if ground.seeds and settings.calls <= 0:
        raise _ended(settings, ground, budget)
    seeds, losses = _seeded(ask, ground, settings)
    calls = settings.calls - len(losses)
    beam = sorted(losses, key=lambda layers: (losses[layers], layers))[: settings.width]
    for _ in range(1, budget):
        grown = _grown(beam, ground)
        if not grown:
            return ()
        if calls <= 0:
            raise _ended(settings, ground, budget)
        ordered = sorted(grown, key=lambda layers: (sum(seeds[block] for block in layers), layers))[:calls]
        losses = mean_losses(ask, ground, ordered)
        calls -= len(ordered)
        beam = sorted(ordered, key=lambda layers: (losses[layers], layers))[: settings.width]
    return (ground.base.without(beam[0]),) if beam else ()


def _seeded(
    ask: Ask, ground: Ground, settings: MethodSettings
) -> tuple[Mapping[int, float], dict[tuple[int, ...], float]]:
    """The scores that seed the search, and the losses of the single blocks that it begins with."""
    blocks = [block for block in ground.geometry.candidates if not ground.seeds or block in ground.seeds]
    if ground.seeds:
        blocks = sorted(blocks, key=lambda block: (ground.seeds[block], block))[: min(settings.width, settings.calls)]
    losses = mean_losses(ask, ground, [(block,) for block in blocks])
    return ground.seeds or {block: losses[block,] for block in blocks}, losses


def _grown(beam: Iterable[tuple[int, ...]], ground: Ground) -> set[tuple[int, ...]]:
    """Every set of the beam with one more block, as the constraints allow."""
    return {
        tuple(sorted((*layers, block)))
        for layers in beam
        for block in ground.geometry.candidates
        if block not in layers
        and (not ground.seeds or block in ground.seeds)
        and ground.geometry.allows((*layers, block))
    }


def _ended(settings: MethodSettings, ground: Ground, budget: int) -> EvidenceMissing:
    left = " that the scores leave it" if ground.seeds else ""
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
