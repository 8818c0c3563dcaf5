"""Answers -> what the model, its checkpoints and its layouts score on tasks, paired by document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from checker.core import paired
from checker.core.facts import ImportedFacts, TaskFacts
from checker.core.layouts import Layout
from checker.core.paired import Mean
from checker.core.questions import Evidence, RemovalSet, Values
from checker.core.records import Audit, Task, TaskEvidence
from checker.core.words import numbered
from checker.judge.figures.form import ImportedRow, TaskMetricRow, TaskRow, TaskSideRow, ValueRow
from checker.judge.figures.released import Released
from checker.selection.task_layouts import Subject, task_subjects


@dataclass(frozen=True)
class Side:
    """What is held against the model on tasks: a checkpoint as it is, or a layout of the model's own blocks."""

    evidence: Evidence
    layout: Layout
    subject: Subject | None  # None: a checkpoint as it is
    checkpoint: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is a model of its own, on which answers can be generated."""
        return self.subject is None

    @property
    def name(self) -> str:
        """What readers call it."""
        if self.subject is None:
            return f"{self.checkpoint}, as it is"
        if self.subject.kind == "raw":
            return f"raw removal of {self.subject.checkpoint}"
        if self.subject.method is not None:
            return f"{self.subject.method} at budget {self.subject.budget}"
        return f"without {numbered('block', self.layers)}"

    @property
    def phrase(self) -> str:
        """What sentences call it."""
        return f"{self.name}," if self.subject is None else f"the model without {numbered('block', self.layers)}"

    @property
    def layers(self) -> tuple[int, ...]:
        """The slots of the model that it lacks; none of a checkpoint as it is."""
        if self.subject is None:
            return ()
        return self.layout.removed(self.evidence.facts.model.blocks)

    def values(self, task: str, metric: str) -> Values | None:
        return self.evidence.scores(task, metric, self.layout)


class Tasks:
    """The scores of everything that an audit runs its tasks on."""

    def __init__(self, evidence: Evidence, checkpoints: Mapping[str, Released], sets: Sequence[RemovalSet]) -> None:
        self.evidence, self.checkpoints, self.sets = evidence, checkpoints, sets
        self.confidence = evidence.audit.statistics.confidence

    @property
    def audit(self) -> Audit:
        return self.evidence.audit

    @property
    def facts(self) -> Sequence[TaskFacts]:
        return self.evidence.facts.tasks

    @cached_property
    def model(self) -> Layout:
        return Layout.base(self.evidence.facts.model.blocks)

    def base(self, task: str, metric: str) -> Values | None:
        """The model's own value of a metric per document."""
        return self.evidence.scores(task, metric, self.model)

    def of_checkpoint(self, name: str) -> Side | None:
        """A checkpoint as it is; None where it was not read."""
        known = self.checkpoints.get(name)
        return Side(known.own.evidence, known.own.unchanged, None, name) if known else None

    def of_layout(self, layout: Layout) -> Side:
        return Side(self.evidence, layout, self.layouts.get(layout) or Subject("claimed", layout))

    @cached_property
    def layouts(self) -> dict[Layout, Subject]:
        return task_subjects(self.audit, self.evidence.facts, self.sets)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """All that tasks are run on beside the model: each checkpoint and its raw removal, then the other layouts."""
        released = (
            [self.of_checkpoint(name) for name in self.checkpoints] if "checkpoints" in self.audit.tasks_on else []
        )
        sides = [side for side in released if side is not None]
        sides += [self.of_layout(layout) for layout in self.layouts]
        order = {name: place for place, name in enumerate(self.checkpoints)}
        return tuple(sorted(sides, key=lambda side: order.get(_owner(side) or "", len(order))))

    def chance(self, fact: TaskFacts, values: Values) -> float | None:
        """The score of guessing, as declared, or by the numbers of choices; None where there is none of this metric."""
        declared = self.declared(fact.name).chance
        if not is_share(values):
            return None
        if declared is not None:
            return declared
        return fact.chance if paired.is_binary(values) else None

    def declared(self, name: str) -> Task:
        return next(task for task in self.audit.tasks if task.name == name)

    def at_chance(self, score: Mean, chance: float | None) -> bool | None:
        """Whether a score is not shown to lie above guessing; None where there is no chance or no interval."""
        ends = score.interval(self.confidence)
        return None if chance is None or ends is None else ends[0] <= chance

    def row_of(self, mean: Mean) -> ValueRow:
        ends = mean.interval(self.confidence)
        return {"value": mean.value, "interval": None if ends is None else list(ends)}

    def gaps(self) -> Iterator[str]:
        """What of the tasks is not measured, in words without a remedy."""
        for task in self.audit.tasks:
            fact = self.evidence.facts.task(task.name)
            if fact is None:
                yield f"the task {task.name} was not read"
                continue
            sides = self._sides_of(fact)
            missing = sum(_missing(fact, side.values) for side in sides)
            if "model" in self.audit.tasks_on and _missing(fact, self.base):
                yield f"the model's answers to the task {task.name} are not all measured"
            if missing:
                yield f"the task {task.name}: {missing} of {len(sides)} checkpoints and layouts are not measured"

    def _sides_of(self, fact: TaskFacts) -> list[Side]:
        return [side for side in self.sides if side.whole or fact.of_layouts]

    def rows(self) -> list[TaskRow]:
        return [self._row(fact) for fact in self.facts]

    def _row(self, fact: TaskFacts) -> TaskRow:
        return {
            "name": fact.name,
            "version": fact.version,
            "harness": fact.harness,
            "output_type": fact.output_type,
            "shots": fact.shots,
            "documents": len(fact.documents),
            "whole": fact.whole,
            "requests": fact.requests,
            "chat_template": fact.chat_template,
            "evidence": "imported" if fact.imported else "measured",
            "imported": [_imported(each) for each in fact.imported],
            "metrics": [self._metric(fact, *each) for each in zip(fact.metrics, fact.higher_is_better, strict=True)],
        }

    def _metric(self, fact: TaskFacts, metric: str, higher: bool) -> TaskMetricRow:
        base = self.base(fact.name, metric)
        known = [values for side in self.sides if (values := side.values(fact.name, metric)) is not None]
        chance = None if base is None else self.chance(fact, base)
        own = None if base is None else paired.score(base)
        sides = self._sides_of(fact)
        return {
            "metric": metric,
            "higher_is_better": higher,
            "share": all(map(is_share, known if base is None else [base, *known])),
            "chance": chance,
            "model": own and self.row_of(own),
            "at_chance": None if own is None else self.at_chance(own, chance),
            "sides": [self._side(side, side.values(fact.name, metric), base, chance, higher) for side in sides],
        }

    def _side(
        self, side: Side, own: Values | None, base: Values | None, chance: float | None, higher: bool
    ) -> TaskSideRow:
        both = (own, base) if own is not None and base is not None else None
        means = (_mean(own), _mean(base)) if own is not None and base is not None and higher else None
        binary = both is not None and paired.is_binary(*both)
        gained, lost = paired.discordant(*both) if both and binary else (None, None)
        return {
            "kind": "checkpoint" if side.subject is None else side.subject.kind,
            "name": side.name,
            "checkpoint": _owner(side),
            "method": side.subject.method if side.subject else None,
            "budget": side.subject.budget if side.subject else None,
            "layers": list(side.layers),
            "score": None if own is None else self.row_of(paired.score(own)),
            "difference": both and self.row_of(paired.difference(*both)),
            "retained": means and retained(*means, 0.0),
            "retained_above_chance": retained(*means, chance) if means and chance is not None else None,
            "gained": gained,
            "lost": lost,
        }


def _imported(fact: ImportedFacts) -> ImportedRow:
    return {
        "subject": fact.subject,
        "file": fact.file,
        "sha256": fact.sha256,
        "samples_sha256": fact.samples_sha256,
        "model": fact.model,
        "dtype": fact.dtype,
        "harness": fact.harness,
    }


def evidence_of(facts: Iterable[TaskFacts]) -> list[TaskEvidence]:
    """The classes of the scores on tasks: measured here, imported from results, or both."""
    return sorted({"imported" if fact.imported else "measured" for fact in facts})


def retained(score: float, base: float, chance: float) -> float | None:
    """What share of the base's score is kept, above chance; None where the base has none above it."""
    return (score - chance) / (base - chance) if base > chance else None


def is_share(values: Values) -> bool:
    """Whether scores are shares of one, which are written in percent."""
    return bool(((values >= 0.0) & (values <= 1.0)).all())


def _mean(values: Values) -> float:
    return float(np.mean(values))


def _owner(side: Side) -> str | None:
    """The checkpoint that a side is, or is the raw removal of."""
    return side.checkpoint if side.subject is None else side.subject.checkpoint


def _missing(fact: TaskFacts, values: Callable[[str, str], Values | None]) -> bool:
    """Whether one of a task's metrics is not measured."""
    return any(values(fact.name, metric) is None for metric in fact.metrics)
