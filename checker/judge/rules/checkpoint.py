"""Rules about checkpoints as they are released: what was done to them, and what sets them apart from the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from checker.core.facts import CheckpointFacts, ModelFacts, ProvenanceFacts
from checker.core.records import Checkpoint
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.words import amount, counted, enumerated, listed
from checker.judge.case import Case
from checker.judge.rules.provenance import traced
from checker.spec.claims.blocks import Blocks
from checker.spec.claims.parameters import Parameters

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
    for claim, known in traced(case):
        checkpoint = case.audit.checkpoint(str(claim.checkpoint))
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
    if checkpoint.healed and known.types:
        unseen = "its training, if any, moved no value farther than rounding to that grid explains"
        return undecided(f"{name} is declared healed, and holds the model's own weights, {_stored(known)}: {unseen}")
    if checkpoint.healed:
        remedy = "take `healed: true` away, or name the healed one"
        return failed(f"{name}: found the model's own weights; expected others, for it is declared healed; {remedy}")
    if known.types:
        return passed(f"{name} holds the model's own weights, {_stored(known)}: no value lies beyond its rounding")
    return passed(f"{name} holds the model's own weights, as they are, rounded or merged")


def _in_part(known: ProvenanceFacts) -> str:
    if not known.in_part:
        return ""
    share = "" if known.share is None else f" ({100 * known.share:.3g} % of a block's parameters)"
    return f" in {enumerated(known.in_part)} alone{share}"


def _stored(known: ProvenanceFacts) -> str:
    return f"quantised ({known.types})"


def _signs(known: ProvenanceFacts) -> list[str]:
    """What shows that a checkpoint was trained after its blocks were taken from the model."""
    signs = []
    if known.retrained:
        change = f", relative change up to {known.change:.3g}" if known.change is not None else ""
        rounded = f", beyond what quantising ({known.types}) explains" if known.types else ""
        found = f"{len(known.retrained)} of {known.blocks} blocks with other weights{_in_part(known)}"
        signs.append(f"{found}{rounded}{change}")
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


@rule(
    "checkpoint",
    level="error",
    why="Embeddings and the head stay when blocks go, so a share of blocks is a larger number than the share of "
    "parameters that goes with them. A card that gives the one for the other promises a smaller model than it has.",
    remedy="Give the share of parameters that the headers tell, or say that the number is a share of blocks.",
    waive="Never; correct the number.",
    nothing="no claim gives a share of parameters",
)
def layers_for_parameters(case: Case) -> Iterator[Result]:
    """A share of blocks is given as a share of parameters."""
    for claim in case.audit.claims_of(Parameters):
        fact = case.facts.checkpoint(claim.of)
        if claim.quantity != "fewer_percent":
            continue
        if fact is None:
            yield undecided(f"{claim.of} was not read; run the audit", claim.id)
            continue
        model, own = case.facts.model, fact.model
        blocks, parameters = (
            100.0 * (1.0 - getattr(own, name) / getattr(model, name)) for name in ("blocks", "parameters")
        )
        sentence = f"{claim.of} has {blocks:.4g} % fewer blocks and {parameters:.4g} % fewer parameters than the model"
        if claim.holds(blocks) and not claim.holds(parameters):
            found = f"the share of blocks claimed as a share of parameters ({sentence})"
            yield failed(f"found {found}; expected {parameters:.4g} %; correct the claim", claim.id)
        else:
            yield passed(f"{sentence}; the claim is not the one for the other", claim.id)


@rule(
    "checkpoint",
    level="error",
    why="A card says how many blocks were removed and how many parameters that saves. Where no choice of so many "
    "blocks has so many parameters, one of the two numbers is wrong, whatever the checkpoint turns out to be.",
    remedy="Count the blocks in the two configurations, and correct the number that does not fit.",
    waive="When more than blocks was taken out of the model, and the card says so.",
    nothing="no checkpoint has claims about its blocks and about its parameters",
)
def blocks_and_parameters(case: Case) -> Iterator[Result]:
    """The numbers of blocks and of parameters that are said to be removed exclude each other."""
    for blocks in case.audit.claims_of(Blocks):
        for parameters in case.audit.claims_of(Parameters):
            if parameters.of == blocks.of and parameters.quantity != "total":
                yield replace(_fit(case.facts.model, blocks, parameters), claim=blocks.id)


def _fit(model: ModelFacts, blocks: Blocks, parameters: Parameters) -> Result:
    sizes = sorted(model.block_parameters)
    least, most = sum(sizes[: blocks.removed]), sum(sizes[len(sizes) - blocks.removed :])
    scale = 100.0 / model.parameters if parameters.quantity == "fewer_percent" else 1.0
    low, high = parameters.bounds
    several = counted(blocks.removed, "block")
    if (low is None or most * scale >= low) and (high is None or least * scale <= high):
        fits = f"as many parameters as {parameters.id} says, {_span(least, most)}, are in {several}"
        return passed(f"{parameters.of}: {fits} of the model")
    claimed = ((low if low is not None and most * scale < low else high) or 0.0) / scale
    mean = sum(sizes) / len(sizes)
    found = f"{_span(claimed, claimed)} parameters claimed by {parameters.id}, which are {claimed / mean:.3g} blocks"
    expected = f"what {several} of the model can have: {_span(least, most)}"
    return failed(f"{parameters.of}: found {found}; expected {expected}; correct one of the two numbers")


def _span(least: float, most: float) -> str:
    return amount(least) if least == most else f"{amount(least)} to {amount(most)}"
