"""On which layouts of the model's own blocks an audit runs its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from checker.core.facts import Facts
from checker.core.layouts import Layout
from checker.core.questions import RemovalSet
from checker.core.records import Audit
from checker.spec import checkpoint_facts
from checker.spec.claims.removal import Removal
from checker.spec.claims.task import TaskScore


@dataclass(frozen=True)
class Subject:
    """A layout that tasks are run on, and what asks for it."""

    kind: Literal["raw", "claimed", "arm"]
    layout: Layout
    checkpoint: str | None = None  # that a raw removal belongs to
    method: str | None = None  # that chose the blocks
    budget: int | None = None


def task_subjects(audit: Audit, facts: Facts, sets: Sequence[RemovalSet]) -> dict[Layout, Subject]:
    """Each layout once, under the first that asks for it; ``sets`` are what the audit's methods chose.

    Of ``tasks.on``, `claims` asks for the layouts that claims about removals and about tasks name, by their blocks or
    by a method, and for the removals that checkpoints were made from; `arms` for every arm that is not a draw.
    """
    layouts: dict[Layout, Subject] = {}
    if audit.tasks:
        for subject in _subjects(audit, facts, sets):
            if subject.layout != Layout.base(facts.model.blocks):
                layouts.setdefault(subject.layout, subject)
    return layouts


def _subjects(audit: Audit, facts: Facts, sets: Sequence[RemovalSet]) -> Iterator[Subject]:
    if "claims" in audit.tasks_on:
        for name, (layout, _) in checkpoint_facts.raw_removals(audit, facts).items():
            yield Subject("raw", layout, name)
        for claim in audit.claims_of(Removal, TaskScore):
            if not (isinstance(claim, Removal) and claim.checkpoint):
                yield from _claimed(audit, claim, facts.model.blocks, sets)
    if "arms" in audit.tasks_on:
        for arm in sets:
            if not arm.draw:
                yield Subject("arm", arm.layout, method=arm.method, budget=arm.budget)


def _claimed(audit: Audit, claim: Removal | TaskScore, blocks: int, sets: Sequence[RemovalSet]) -> Iterator[Subject]:
    """The blocks that a claim names, or every resolution of the ties of the method that it names."""
    if claim.layers is not None and not claim.beyond(blocks):
        yield Subject("claimed", Layout.base(blocks).without(claim.layers))
    for arm in sets:
        primary = arm.form == "matched" and arm.selection == audit.selection.name and not arm.draw
        if primary and claim.method is not None and (arm.method, arm.budget) == (claim.method, claim.budget):
            yield Subject("claimed", arm.layout, method=arm.method, budget=arm.budget)
