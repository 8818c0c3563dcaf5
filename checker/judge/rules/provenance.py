"""Rules about the pruned checkpoints that claims name: is what was published what the claim says was done?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from checker.core.facts import CheckpointFacts
from checker.core.layouts import same_removal
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.slots import NOT_COMPARED
from checker.core.words import enumerated, listed, numbered
from checker.judge.case import Case
from checker.spec.claimed_checkpoints import naming_one
from checker.spec.claims.removal import Removal

_UNREAD = "the checkpoint that the claim names was not read; run the audit"
_NAMED = 5  # items of a list


def _checkpoints(case: Case) -> Iterator[tuple[Removal, CheckpointFacts | None]]:
    """The claims that name a checkpoint, with what is known of it."""
    known = {fact.claim: fact for fact in case.facts.checkpoints}
    return ((claim, known.get(claim.id)) for claim in naming_one(case.audit))


def _without(layers: Sequence[int]) -> str:
    return f"the model without {numbered('block', layers)}"


@rule(
    "provenance",
    level="error",
    why="What removing some blocks costs is measured here by removing these very blocks. If the checkpoint that is "
    "published lacks others, or had blocks merged or put in another order, the figure is of a model that nobody can "
    "download.",
    remedy="Correct the claim's `layers`, or make the checkpoint again with `pruneaudit export`.",
    waive="When the checkpoint is an older one, kept beside the claim for comparison.",
    nothing="no claim states removed blocks and names a checkpoint beside them",
)
def layers_differ(case: Case) -> Iterator[Result]:
    """A checkpoint lacks other blocks than the claim says were removed."""
    for claim, fact in _checkpoints(case):
        if not claim.from_checkpoint:
            yield undecided(_UNREAD, claim.id) if fact is None else _layers(case, claim, fact)


def _layers(case: Case, claim: Removal, fact: CheckpointFacts) -> Result:
    if fact.layout is None:
        return undecided(f"{fact.name}: which blocks it lacks is not decided: {fact.open[0]}", claim.id)
    sets: list[Sequence[int]] = [row["layers"] for row in case.arms(claim.method, claim.budget)]
    if claim.layers is not None:
        sets = [sorted(claim.layers)]
    if not sets:
        unknown = f"which blocks {claim.method} chooses at budget {claim.budget}"
        return undecided(f"{unknown} is not measured; run the audit", claim.id)
    found = _without(fact.removed) if fact.cut and fact.removed else f"the model with {fact.done}"
    if fact.cut and any(same_removal(layers, fact.removed, fact.twins) for layers in sets):
        return passed(f"{fact.name} is {_without(fact.removed)}, as the claim says", claim.id)
    ways = f" or one of {len(sets) - 1} other ways of breaking ties" if len(sets) > 1 else ""
    expected = f"{_without(sets[0])}{ways}, as the claim says"
    remedy = "correct `layers`, or export the checkpoint again"
    return failed(f"{fact.name}: found {found}; expected {expected}; {remedy}", claim.id)


@rule(
    "provenance",
    level="error",
    why="Training after a removal wins back much of what it cost, so a checkpoint that was trained shows the cost of "
    "both together. Its quality must not be quoted for a removal alone, nor the cost of the removal for it.",
    remedy="Publish the checkpoint that was only cut; or say in the card and in the claim that it was trained after "
    "the removal, and on what, and waive this.",
    waive="When the claim's own words say that the checkpoint was trained afterwards.",
    nothing="no claim names a checkpoint",
)
def retrained(case: Case) -> Iterator[Result]:
    """A checkpoint that is said to be only pruned has weights that were trained after the removal."""
    return (undecided(_UNREAD, claim.id) if fact is None else _training(fact) for claim, fact in _checkpoints(case))


def _training(fact: CheckpointFacts) -> Result:
    signs = []
    if fact.retrained:
        change = f", relative change up to {fact.change:.3g}" if fact.change is not None else ""
        signs.append(f"{len(fact.retrained)} of {fact.blocks} blocks with other weights{change}")
    if fact.touched:
        signs.append(f"other values in {listed(fact.touched, _NAMED)}")
    if signs:
        expected = "the model's own weights, because the claim speaks of a removal and of nothing else"
        remedy = "say in the claim what was done, and waive this"
        return failed(f"{fact.name}: found {enumerated(signs)}; expected {expected}; {remedy}", fact.claim)
    if fact.layout is None and fact.open:
        return undecided(f"{fact.name}: whether it was trained is not decided: {fact.open[0]}", fact.claim)
    return passed(f"{fact.name} holds the model's own weights, as they are, rounded or merged", fact.claim)


@rule(
    "provenance",
    level="error",
    why="What a slot is (sliding or full attention, its window, its scale, its experts, its rotary base) may follow "
    "from its number. Where blocks are renumbered and the configuration does not follow, the published checkpoint runs "
    "them as something else, and what was measured here is of another model.",
    remedy="Make the checkpoint with `pruneaudit export`, which proves it slot by slot, or correct its config.json.",
    waive="Never; take the checkpoint out of the claim instead.",
    nothing="no claim names a checkpoint",
)
def slots_differ(case: Case) -> Iterator[Result]:
    """A checkpoint's blocks run in slots of another kind than in the model."""
    for claim, fact in _checkpoints(case):
        yield undecided(_UNREAD, claim.id) if fact is None else _slots(fact)


def _slots(fact: CheckpointFacts) -> Result:
    if fact.slots is None:
        return undecided(f"{fact.name}: {NOT_COMPARED}; run the audit again", fact.claim)
    if fact.slots.state == "open":
        return undecided(f"{fact.name}: {fact.slots.why}", fact.claim)
    if fact.slots.state == "same":
        return passed(f"every block of {fact.name} runs in a slot like the one it was in", fact.claim)
    expected = "every block in a slot like the one it was measured in"
    remedy = "export the checkpoint again, or correct its config.json"
    return failed(f"{fact.name}: found that {fact.slots.why}; expected {expected}; {remedy}", fact.claim)


@rule(
    "provenance",
    level="warning",
    why="Loaders trust config.json: where it counts blocks that the weights lack, they are filled with random values, "
    "or the model does not load.",
    remedy="Correct config.json; `pruneaudit provenance` lists every field that does not fit.",
    waive="When nothing loads the checkpoint by its config.json.",
    nothing="no claim names a checkpoint",
)
def block_count(case: Case) -> Iterator[Result]:
    """A checkpoint's config.json does not fit the blocks that its weights have."""
    for claim, fact in _checkpoints(case):
        if fact is None:
            yield undecided(_UNREAD, claim.id)
        elif fact.config:
            more = len(fact.config) - 1
            others = f"; {more} more of its fields do{'es' if more == 1 else ''} not fit" if more else ""
            yield failed(f"{fact.name}, config.json: {fact.config[0]}; correct it{others}", claim.id)
        else:
            yield passed(f"config.json of {fact.name} fits its {fact.blocks} blocks", claim.id)
