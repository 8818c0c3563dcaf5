"""Beam search over deletions: keep several sets at every size, under a declared number of evaluations."""

from __future__ import annotations

from checker.errors import EvidenceMissing
from checker.layouts import Layout
from checker.methods.shape import Method, mean_losses
from checker.records import Ask, Ground, MethodSettings


def sets(ask: Ask, ground: Ground, budget: int, settings: MethodSettings) -> tuple[Layout, ...]:
    """One set: the least mean loss that ``settings.width`` beams find with at most ``settings.calls`` evaluations.

    The first size is measured whole and seeds the order in which larger sets are tried: sets of blocks that are cheap
    to delete alone come first. No set is measured twice. No set where the beams cannot reach the budget under the
    constraints; EvidenceMissing where the calls end before.
    """
    singles = mean_losses(ask, ground, [(block,) for block in ground.geometry.candidates])
    beam = sorted(singles, key=lambda layers: (singles[layers], layers))[: settings.width]
    calls = settings.calls - len(singles)
    for _ in range(1, budget):
        grown = {
            tuple(sorted((*layers, block)))
            for layers in beam
            for block in ground.geometry.candidates
            if block not in layers and ground.geometry.allows((*layers, block))
        }
        if not grown:
            return ()
        if calls <= 0:
            raise EvidenceMissing(
                f"its {settings.calls:,} evaluations end before {budget} blocks are removed; raise `calls`"
            )
        ordered = sorted(grown, key=lambda layers: (sum(singles[block,] for block in layers), layers))[:calls]
        losses = mean_losses(ask, ground, ordered)
        calls -= len(ordered)
        beam = sorted(ordered, key=lambda layers: (losses[layers], layers))[: settings.width]
    return (ground.base.without(beam[0]),) if beam else ()


METHOD = Method(
    name="beam",
    summary="beam search over deletions by loss on the selection text",
    source="beam search, seeded by single deletions",
    sets=sets,
    looks_at="selection",
    capped=True,
)
