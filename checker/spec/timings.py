"""Timings of checkpoints as a store keeps them: written by `pruneaudit time`, read back whenever an audit is judged.

What was timed is the key of a record, and the machine stands in it, so that every machine's timings are at hand on any
other one. None is ever taken for another machine's, and none in the place of measuring: each call measures anew, and
the newest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from checker.core.canonical import digest, restored
from checker.core.errors import RESTORE, EvidenceDamaged
from checker.core.facts import CheckpointFacts, ModelFacts
from checker.core.records import Audit, ModelSource
from checker.core.timings import TimingFacts

RECORD = "timing"


def key(audit: Audit, model: ModelFacts, checkpoint: ModelFacts, source: ModelSource) -> str:
    """Under which the timings of a checkpoint are recorded, whatever the machine; ``source`` is the checkpoint's."""
    return digest([model.digest, audit.model.dtype, checkpoint.digest, source.dtype, asdict(audit.timing)])


def restore(
    audit: Audit,
    model: ModelFacts,
    checkpoints: Sequence[CheckpointFacts],
    recorded: Callable[[str], Sequence[Mapping[str, Any]]],
    place: str,
) -> dict[str, tuple[TimingFacts, ...]]:
    """Every recorded timing of each checkpoint that was read, the newest last; EvidenceDamaged where one is none."""
    sources = {each.name: each.source for each in audit.checkpoints}
    return {
        fact.name: tuple(
            _timing(audit, sources[fact.name], record, f"{place}, timing of {fact.name}")
            for record in recorded(key(audit, model, fact.model, sources[fact.name]))
        )
        for fact in checkpoints
    }


def _timing(audit: Audit, source: ModelSource, record: Mapping[str, Any], place: str) -> TimingFacts:
    timing = restored(TimingFacts, record, place)
    another = timing.settings != audit.timing or (timing.dtype, timing.checkpoint_dtype) != (
        audit.model.dtype,
        source.dtype,
    )
    if problem := timing.misfit or ("a timing of something else" if another else None):
        raise EvidenceDamaged.at(place, problem, "what `pruneaudit time` wrote", RESTORE)
    return timing
