"""Rules about the checkpoints that claims name: is what is released what the claim says was done?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from checker.core.facts import ProvenanceFacts
from checker.core.layouts import same_removal
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.slots import NOT_COMPARED
from checker.core.words import numbered
from checker.judge.case import Case
from checker.spec.claims.removal import Removal

Known = tuple[str, ProvenanceFacts]  # of a checkpoint: its name, and what its weights say


def traced(case: Case) -> Iterator[tuple[Removal, Known | str]]:
    """The claims that name a checkpoint, with what its weights say; or with why that is not known."""
    for claim in case.audit.claims_of(Removal):
        if claim.checkpoint is not None:
            fact = case.facts.checkpoint(claim.checkpoint)
            if fact is None:
                yield claim, "the checkpoint that the claim names was not read; run the audit"
            elif fact.provenance is None:
                yield claim, f"{fact.name}: where its weights come from is not known: {fact.no_provenance}"
            else:
                yield claim, (fact.name, fact.provenance)


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
    for claim, known in traced(case):
        if not claim.from_checkpoint:
            yield undecided(known, claim.id) if isinstance(known, str) else _layers(case, claim, *known)


def _layers(case: Case, claim: Removal, name: str, fact: ProvenanceFacts) -> Result:
    if fact.layout is None:
        return undecided(f"{name}: which blocks it lacks is not decided: {fact.open[0]}", claim.id)
    sets: list[Sequence[int]] = [row["layers"] for row in case.arms(claim.method, claim.budget)]
    if claim.layers is not None:
        sets = [sorted(claim.layers)]
    if not sets:
        unknown = f"which blocks {claim.method} chooses at budget {claim.budget}"
        return undecided(f"{unknown} is not measured; run the audit", claim.id)
    found = _without(fact.removed) if fact.cut and fact.removed else f"the model with {fact.done}"
    if fact.cut and any(same_removal(layers, fact.removed, fact.twins) for layers in sets):
        return passed(f"{name} is {_without(fact.removed)}, as the claim says", claim.id)
    ways = f" or one of {len(sets) - 1} other ways of breaking ties" if len(sets) > 1 else ""
    expected = f"{_without(sets[0])}{ways}, as the claim says"
    remedy = "correct `layers`, or export the checkpoint again"
    return failed(f"{name}: found {found}; expected {expected}; {remedy}", claim.id)


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
    for claim, known in traced(case):
        yield undecided(known, claim.id) if isinstance(known, str) else _slots(claim, *known)


def _slots(claim: Removal, name: str, fact: ProvenanceFacts) -> Result:
    if fact.slots is None:
        return undecided(f"{name}: {NOT_COMPARED}; run the audit again", claim.id)
    if fact.slots.state == "open":
        return undecided(f"{name}: {fact.slots.why}", claim.id)
    if fact.slots.state == "same":
        return passed(f"every block of {name} runs in a slot like the one it was in", claim.id)
    expected = "every block in a slot like the one it was measured in"
    remedy = "export the checkpoint again, or correct its config.json"
    return failed(f"{name}: found that {fact.slots.why}; expected {expected}; {remedy}", claim.id)


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
    for claim, known in traced(case):
        if isinstance(known, str):
            yield undecided(known, claim.id)
            continue
        name, fact = known
        if fact.config:
            more = len(fact.config) - 1
            others = f"; {more} more of its fields do{'es' if more == 1 else ''} not fit" if more else ""
            yield failed(f"{name}, config.json: {fact.config[0]}; correct it{others}", claim.id)
        else:
            yield passed(f"config.json of {name} fits its {fact.blocks} blocks", claim.id)
