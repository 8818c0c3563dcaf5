"""Rules about checkpoints as they are released: what was done to them, and what sets them apart from the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checker.core.facts import CheckpointFacts, ModelFacts, ProvenanceFacts
from checker.core.records import Checkpoint
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.words import enumerated, listed
from checker.judge.case import Case
from checker.judge.rules.provenance import traced

_NAMED = 5  # items of a list
_NONE = "no claim names a checkpoint"


@rule(
    "checkpoint",
    level="error",
    why="Training after a removal wins back much of what it cost, so a checkpoint that was trained shows the cost of "
    "both together. Its quality must not be quoted for a removal alone, nor the cost of the removal for it.",
    remedy="Declare the checkpoint in `checkpoints:` with `healed: true`, or publish the one that was only cut.",
    waive="When the card says on what the checkpoint was trained, and the audit file cannot.",
    nothing=_NONE,
)
def healed_shown_as_removal(case: Case) -> Iterator[Result]:
    """A checkpoint that nothing declares healed has weights that were trained after the removal, or the reverse."""
    declared = {checkpoint.name: checkpoint for checkpoint in case.audit.checkpoints}
    for claim, known in traced(case):
        checkpoint = declared[str(claim.checkpoint)]
        result = undecided(known) if isinstance(known, str) else _healing(checkpoint, known[1])
        yield replace(result, claim=claim.id)


def _healing(checkpoint: Checkpoint, known: ProvenanceFacts) -> Result:
    signs, name = _signs(known), checkpoint.name
    if signs and checkpoint.healed:
        return passed(f"{name} is declared healed, and holds {enumerated(signs)}")
    if signs:
        expected = "the model's own weights, for nothing says that it was trained after the removal"
        remedy = f"declare it: `checkpoints: {{{name}: {{..., healed: true}}}}`"
        return failed(f"{name}: found {enumerated(signs)}; expected {expected}; {remedy}")
    if known.layout is None and known.open:
        return undecided(f"{name}: whether it was trained is not decided: {known.open[0]}")
    if checkpoint.healed:
        remedy = "take `healed: true` away, or name the healed one"
        return failed(f"{name}: found the model's own weights; expected others, for it is declared healed; {remedy}")
    return passed(f"{name} holds the model's own weights, as they are, rounded or merged")


def _signs(known: ProvenanceFacts) -> list[str]:
    """What shows that a checkpoint was trained after its blocks were taken from the model."""
    signs = []
    if known.retrained:
        change = f", relative change up to {known.change:.3g}" if known.change is not None else ""
        signs.append(f"{len(known.retrained)} of {known.blocks} blocks with other weights{change}")
    if known.touched:
        signs.append(f"other values in {listed(known.touched, _NAMED)}")
    return signs


@rule(
    "checkpoint",
    level="warning",
    why="Another tokenizer, vocabulary or context makes another model of a checkpoint: what it costs is then no cost "
    "of removed blocks, and some of its figures cannot be held against the model's at all.",
    remedy="Release the checkpoint with the model's own tokenizer and settings, or say in the card what was changed.",
    waive="When the change is meant, and the card says so.",
    nothing="the audit names no checkpoint",
)
def base_unlike(case: Case) -> Iterator[Result]:
    """A checkpoint's tokenizer, vocabulary or context is not the model's."""
    for fact in case.facts.checkpoints:
        changed = list(_changed(case.facts.model, fact))
        if changed:
            expected, remedy = "those of the model", "release it with them, or say in the card what was changed"
            yield failed(f"{fact.name}: found {enumerated(changed)}; expected {expected}; {remedy}")
        else:
            yield passed(f"{fact.name} has the model's tokenizer, vocabulary and context")


def _changed(model: ModelFacts, fact: CheckpointFacts) -> Iterator[str]:
    if fact.unlike:
        yield f"other tokens ({fact.unlike})"
    if fact.model.vocabulary != model.vocabulary:
        yield f"a vocabulary of {fact.model.vocabulary} and not of {model.vocabulary}"
    if fact.model.context != model.context:
        yield f"a context of {fact.model.context} and not of {model.context}"
