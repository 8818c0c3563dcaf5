"""The checkpoints that claims speak of: what their weights say, kept as facts, so that judging needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from checker.checkpoints.files import Files
from checker.checkpoints.provenance.comparison import Provenance, compared
from checker.checkpoints.provenance.weights import of_files, open_folder
from checker.core.canonical import digest, restored
from checker.core.errors import EvidenceDamaged
from checker.core.facts import CheckpointFacts, ModelFacts
from checker.core.records import Audit
from checker.core.slots import NOT_COMPARED
from checker.spec.claims.removal import Removal

RECORD = "checkpoint"

_QUOTED = 160  # characters


def read(audit: Audit, files: Files) -> tuple[CheckpointFacts, ...]:
    """The facts of every checkpoint that a claim names; ``files`` are the audited model's.

    CannotRun where a checkpoint or the model is no folder of safetensors, or is damaged.
    """
    claims = naming_one(audit)
    if not claims:
        return ()
    base = of_files(files, stack=audit.model.blocks)
    folders = dict.fromkeys(str(claim.checkpoint) for claim in claims)
    provenances = {path: compared(base, open_folder(Path(path), like=base)) for path in folders}
    return tuple(_facts(claim, provenances[str(claim.checkpoint)]) for claim in claims)


def naming_one(audit: Audit) -> list[Removal]:
    """The claims that name a checkpoint, in the order of the audit file."""
    return [claim for claim in audit.claims_of(Removal) if claim.checkpoint is not None]


def _facts(claim: Removal, provenance: Provenance) -> CheckpointFacts:
    changes = [provenance.origins[place].change or 0.0 for place in provenance.retrained]
    return CheckpointFacts(
        claim=claim.id,
        name=PurePath(str(claim.checkpoint)).name,
        blocks=len(provenance.origins),
        layout=None if provenance.layout is None else str(provenance.layout),
        removed=provenance.removed,
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
    )


def key(weights: str | None, claim: Removal) -> str:
    """Under which a claim's checkpoint is recorded, whatever the machine; ``weights`` is the audited model's digest."""
    return digest([weights, claim.id, PurePath(str(claim.checkpoint)).name])


def restore(
    audit: Audit, model: ModelFacts, recorded: Callable[[str], Mapping[str, Any] | None], place: str
) -> tuple[CheckpointFacts, ...]:
    """The facts that a run recorded, by ``key``; EvidenceDamaged where they cannot be of this model."""
    checkpoints = []
    for claim in naming_one(audit):
        record = recorded(key(model.digest, claim))
        if record is None:
            continue
        fact = restored(CheckpointFacts, record, f"{place}, checkpoint")
        last = max((*fact.removed, *(block for group in fact.twins for block in group)), default=0)
        if fact.claim != claim.id or last >= model.blocks or len(set(fact.removed)) == model.blocks:
            raise EvidenceDamaged.at(
                f"{place}, checkpoint",
                f"facts of the claim {fact.claim!r:.40} with blocks up to {last}",
                f"those of {claim.id!r}, of a model of {model.blocks} blocks",
                "restore the file, or measure again with --fresh",
            )
        checkpoints.append(fact)
    return tuple(checkpoints)


def with_layers(audit: Audit, checkpoints: Sequence[CheckpointFacts]) -> Audit:
    """The audit with the blocks filled in that checkpoints lack, where a claim says so and they are nothing but cut."""
    known = [fact for fact in checkpoints if why_another(fact) is None and not _doubtful(fact)]
    removed = {fact.claim: fact.removed for fact in known if fact.cut and fact.removed}
    claims = (
        replace(claim, layers=removed[claim.id])
        if isinstance(claim, Removal) and claim.from_checkpoint and claim.id in removed
        else claim
        for claim in audit.claims
    )
    return replace(audit, claims=tuple(claims))


def why_unknown(claim: Removal, checkpoints: Sequence[CheckpointFacts]) -> str:
    """Why the blocks that a claim's checkpoint lacks are not known."""
    fact = of_claim(claim, checkpoints)
    if fact is None:
        return "the checkpoint that the claim names was not read; run the audit"
    if not fact.cut and fact.layout is not None:
        return f"{fact.name} is more than a removal of blocks: {fact.done}"
    return f"which blocks {fact.name} lacks is not decided: {next(iter(fact.open), 'no block is missing')}"


def of_claim(claim: Removal, checkpoints: Sequence[CheckpointFacts]) -> CheckpointFacts | None:
    """What is known of the checkpoint that a claim names."""
    return next((fact for fact in checkpoints if fact.claim == claim.id), None)


def why_another(fact: CheckpointFacts) -> str | None:
    """Why what is measured is not of the checkpoint, or may not be, whatever blocks it lacks: its slots are others."""
    if fact.slots is None:
        return f"whether {fact.name} is what was measured is open: {NOT_COMPARED}; run the audit again"
    if fact.slots.state == "open":
        return f"whether {fact.name} is what was measured is open: {fact.slots.why}"
    return f"{fact.name} is not what was measured: {fact.slots.why}" if fact.slots.state == "differ" else None


def _doubtful(fact: CheckpointFacts) -> bool:
    """Whether a block is gone that has the very same weights as one that stays."""
    return any(0 < len(set(group) & set(fact.removed)) < len(group) for group in fact.twins)
