"""On which layouts tasks are run: what claims name, what checkpoints were made from, and the arms."""

from __future__ import annotations

from dataclasses import replace

import evidence_sample as samples
import pytest
from evidence_sample import Sample

from checker.core.records import TaskSubject
from checker.selection import plan
from checker.selection.task_layouts import Subject, task_subjects

ALL: tuple[TaskSubject, ...] = ("model", "checkpoints", "claims", "arms")


def asked(sample: Sample) -> list[Subject]:
    sets = plan.arms(sample.audit, plan.problem_of(sample.audit, sample.model), sample.evidence.ask).sets
    found = task_subjects(sample.audit, sample.facts, sets)
    assert all(layout == subject.layout for layout, subject in found.items())
    return list(found.values())


def named(sample: Sample) -> list[tuple[str, str | None, str | None, tuple[int, ...]]]:
    return [(subject.kind, subject.checkpoint, subject.method, subject.layout.removed(8)) for subject in asked(sample)]


def test_claims_ask_for_their_blocks_and_for_what_their_checkpoint_was_made_from() -> None:
    sample = samples.with_tasks(
        samples.on_task(drop_at_most=2.0),
        samples.on_task("cut", layers=(1, 3), drop_at_most=2.0),
        samples.claim("cost", "removal", layers=(5,), at_most=9.0),
        samples.claim("released", "removal", layers=(2,), checkpoint="pruned", at_most=9.0),
    )
    assert named(sample) == [
        ("raw", "pruned", None, (4, 6)),
        ("claimed", None, None, (1, 3)),
        ("claimed", None, None, (5,)),
    ]


@pytest.mark.parametrize("kind", ["removal", "task"])
def test_a_method_asks_for_every_resolution_of_its_ties(kind: str) -> None:
    claim = samples.on_task(method="interchange", budget=2, drop_at_most=2.0)
    if kind == "removal":
        claim = samples.claim("a", "removal", method="interchange", budget=2, at_most=9.0)
    found = named(samples.with_tasks(claim, checkpoints=()))
    assert [each[:3] for each in found] == [("claimed", None, "interchange")] * 2


def test_arms_are_asked_for_but_not_their_control() -> None:
    sample = samples.with_tasks(tasks_on=ALL)
    methods = {subject.method for subject in asked(sample) if subject.kind == "arm"}
    assert methods
    assert methods <= {"interchange", "replacement", "deletion"}
    layouts = [subject.layout for subject in asked(sample)]
    assert len(layouts) == len(set(layouts))


def test_nothing_is_asked_for_that_the_audit_file_leaves_out() -> None:
    claim = samples.on_task(layers=(1, 3), drop_at_most=2.0)
    assert asked(samples.with_tasks(claim, tasks_on=("model", "checkpoints"))) == []
    assert asked(samples.with_tasks(claim).declaring(())) == []
    beyond = replace(claim, layers=(1, 30))
    assert [subject.kind for subject in asked(samples.with_tasks(beyond))] == ["raw"]
