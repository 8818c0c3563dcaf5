"""What is known of an audit's checkpoints: read when it runs, kept as facts, so that judging needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from checker.checkpoints import model_facts
from checker.checkpoints.files import locate
from checker.checkpoints.provenance.comparison import Provenance
from checker.core.canonical import digest, restored
from checker.core.errors import CannotRun, EvidenceDamaged
from checker.core.facts import CheckpointFacts, Facts, ModelFacts, ProvenanceFacts
from checker.core.layouts import Layout
from checker.core.records import Audit, Checkpoint
from checker.spec.claims.removal import Removal

RECORD = "checkpoint"

_QUOTED = 160  # characters


def provenance_facts(provenance: Provenance) -> ProvenanceFacts:
    """What the weights of a checkpoint say of it, held against the audited model's."""
    changes = [provenance.origins[place].change or 0.0 for place in provenance.retrained]
    return ProvenanceFacts(
        blocks=len(provenance.origins),
        layout=None if provenance.layout is None else str(provenance.layout),
        removed=() if provenance.undecided else provenance.removed,
        cut=provenance.cut,
        done=", ".join(provenance.done),
        retrained=provenance.retrained,
        change=max(changes, default=None),
        touched=provenance.touched,
        open=provenance.open,
        config=tuple(
            f"{setting.field}: found {str(setting.found)[:_QUOTED]}; expected {str(setting.expected)[:_QUOTED]}"
            for setting in provenance.settings
            if not setting.agrees
        ),
        twins=provenance.twins,
        quantised=provenance.quantised,
        types=provenance.types,
        in_part=provenance.in_part,
        share=provenance.share if provenance.in_part else None,
    )


def headers(audit: Audit, hub_cache: Path | None = None) -> dict[str, ModelFacts | CannotRun]:
    """What the headers of every checkpoint say, by its name, or why that is not known; weights stay unread."""
    found: dict[str, ModelFacts | CannotRun] = {}
    for checkpoint in audit.checkpoints:
        try:
            files = locate(checkpoint.source, hub_cache)
            found[checkpoint.name] = model_facts.facts(files, checkpoint.source)
        except CannotRun as error:
            found[checkpoint.name] = error
    return found


def key(weights: str | None, checkpoint: Checkpoint, contracts: str) -> str:
    """Under which the facts of a checkpoint are recorded, whatever the machine.

    ``weights`` is the audited model's digest, ``contracts`` that of all contracts.
    """
    return digest([weights, checkpoint.name, checkpoint.source.identity, checkpoint.source.dtype, contracts])


def restore(
    audit: Audit, model: ModelFacts, contracts: str, recorded: Callable[[str], Mapping[str, Any] | None], place: str
) -> tuple[CheckpointFacts, ...]:
    """The facts that a run recorded, by ``key``; EvidenceDamaged where they cannot be of this model."""
    checkpoints = []
    for checkpoint in audit.checkpoints:
        unpinned = replace(checkpoint, source=checkpoint.source.unpinned)
        record = recorded(key(model.digest, checkpoint, contracts)) or recorded(key(model.digest, unpinned, contracts))
        if record is None:
            continue
        fact = restored(CheckpointFacts, record, f"{place}, checkpoint")
        if problem := _problem(fact, checkpoint, model):
            raise EvidenceDamaged.at(
                f"{place}, checkpoint", *problem, "restore the file, or measure again with --fresh"
            )
        checkpoints.append(fact)
    return tuple(checkpoints)


def _problem(fact: CheckpointFacts, checkpoint: Checkpoint, model: ModelFacts) -> tuple[str, str] | None:
    """What of facts cannot be of this checkpoint and model, and what could be; None where nothing is wrong."""
    if fact.name != checkpoint.name:
        return f"facts of {fact.name!r:.40}", f"those of {checkpoint.name!r:.40}"
    if (pieces := fact.stretches) is not None:
        stretches = len(pieces.bytes)
        if not stretches or any(number >= stretches for number in (*pieces.model, *pieces.own)):
            return f"pieces of more than {stretches} stretches", "each in one of them"
    known = fact.provenance
    if known is None:
        return None
    last = max((*known.removed, *(block for group in known.twins for block in group)), default=0)
    if last >= model.blocks or len(set(known.removed)) == model.blocks:
        return f"blocks up to {last}, {len(set(known.removed))} of them removed", f"a part of the {model.blocks} blocks"
    try:
        layout = None if known.layout is None else Layout.parse(known.layout)
    except ValueError as error:
        return f"the layout {known.layout!r:.80} ({error})", "a layout"
    if layout is not None and not (len(layout) == known.blocks and layout.within(model.blocks)):
        return f"the layout {str(layout)!r:.80}", f"one of {known.blocks} blocks out of {model.blocks}"
    return None


def with_layers(audit: Audit, facts: Facts) -> Audit:
    """The audit with the blocks filled in that checkpoints lack, where a claim says so and they are nothing but cut."""
    claims = (
        replace(claim, layers=known.removed)
        if isinstance(claim, Removal) and claim.from_checkpoint and (known := _removed(claim, facts)) is not None
        else claim
        for claim in audit.claims
    )
    return replace(audit, claims=tuple(claims))


def _removed(claim: Removal, facts: Facts) -> ProvenanceFacts | None:
    """The provenance of a claim's checkpoint, where it tells for certain which blocks are gone, and nothing else."""
    fact = facts.checkpoint(claim.checkpoint)
    known = None if fact is None else fact.provenance
    if known is None or known.why_another or not (known.cut and known.removed):
        return None
    doubtful = any(0 < len(set(group) & set(known.removed)) < len(group) for group in known.twins)
    return None if doubtful else known


def why_unknown(claim: Removal, facts: Facts) -> str:
    """Why the blocks that a claim's checkpoint lacks are not known."""
    fact = facts.checkpoint(claim.checkpoint)
    if fact is None:
        return "the checkpoint that the claim names was not read; run the audit"
    known = fact.provenance
    if known is None:
        return f"which blocks {fact.name} lacks is not decided: {fact.no_provenance}"
    if not known.cut and known.layout is not None:
        return f"{fact.name} is more than a removal of blocks: {known.done}"
    if known.why_another and known.cut:
        return f"whether {fact.name} is the model without blocks is not decided: {known.why_another}"
    return f"which blocks {fact.name} lacks is not decided: {next(iter(known.open), 'no block is missing')}"


def raw_removals(audit: Audit, facts: Facts) -> dict[str, tuple[Layout, bool]]:
    """Per checkpoint, the layout of the model's own blocks that it was made from, and whether the weights tell it.

    Where they do not, a claim is taken at its word of the blocks that are removed. None is given where neither tells.
    """
    layouts: dict[str, tuple[Layout, bool]] = {}
    for fact in facts.checkpoints:
        if fact.layout is not None:
            layouts[fact.name] = Layout.parse(fact.layout), True
        elif (layers := stated_layers(audit, fact.name, facts.model.blocks)) is not None:
            layouts[fact.name] = Layout.base(facts.model.blocks).without(layers), False
    return layouts


def stated_layers(audit: Audit, name: str, blocks: int) -> Sequence[int] | None:
    """The blocks that the first claim about a checkpoint says it lacks."""
    named = (claim for claim in audit.claims_of(Removal) if claim.checkpoint == name)
    return next((claim.layers for claim in named if claim.layers is not None and not claim.beyond(blocks)), None)
