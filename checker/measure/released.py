"""Checkpoints measured as they are, with one set of weights in memory at a time.

How far a checkpoint is from the model needs the logits of both. Of the model, its last hidden states on each batch are
kept, and norm and head to make logits of them again; its blocks are let go of before a checkpoint is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from checker.core.facts import ModelFacts
from checker.core.layouts import Layout
from checker.core.questions import Question, requests_of, stretches_of
from checker.measure.answering import Answering
from checker.measure.blocks import BlockStack
from checker.measure.engine import Engine
from checker.measure.harness import LoadedTask
from checker.measure.prepare import PreparedCheckpoint, Progress
from checker.measure.tasks import TaskRun
from checker.measure.walk import Part
from checker.selection.plan import DISTANT
from checker.spec.contracts import checkpoint_scopes


def operations(model: ModelFacts, part: Part, tokens: int) -> float:
    """Floating-point operations of one block, or of the head, on so many tokens."""
    parameters = sum(model.block_parameters) / model.blocks if part == "block" else model.hidden * model.vocabulary
    return 2.0 * parameters * tokens


@dataclass(frozen=True)
class Reference:
    """What is left of the model: its norm and head, and its last hidden states (W, T, D) by the number of the batch."""

    stack: BlockStack
    states: Mapping[int, torch.Tensor]


def keep(model: Answering, batches: Collection[int]) -> Reference | None:
    """Lets go of the model's blocks; None where its states on no batch of the scoring text are needed any more."""
    if not batches:
        model.loaded = None
        return None
    engine = model.engine
    states = {number: engine.last_states(model.cuts["scoring"].batches[number]) for number in sorted(batches)}
    model.loaded = None  # whatever else is needed of it later is loaded again
    engine.stack.let_go()
    return Reference(engine.stack, states)


class Released:
    """One checkpoint and the questions about it."""

    def __init__(
        self,
        prepared: PreparedCheckpoint,
        tasks: Sequence[LoadedTask],
        model: Answering,
        model_facts: ModelFacts,
        load: Callable[[], Engine],
        progress: Progress,
    ) -> None:
        self.facts, self.deletions, self.progress = prepared.facts, prepared.checkpoint.deletions, progress
        self.incomparable = self.facts.no_distance(model_facts)
        audit, store = model.audit, model.store
        own = audit.of_checkpoint(prepared.checkpoint)
        under = checkpoint_scopes(audit, self.facts, [task.facts for task in tasks], model.scopes["scoring"])
        requests = {requests_of(name): known.cut for name, known in prepared.requests.items()}
        cuts = {**prepared.cuts, **requests}
        self.base = Layout.base(self.facts.model.blocks)
        self.by_stretch: list[Question] = []
        if prepared.stretches is not None:
            text = stretches_of(self.facts.name)
            cuts[text] = prepared.stretches.own
            self.by_stretch.append(Question(text, "nll", self.base))
        self.answering = Answering(own, store, under, cuts, load, self._tick)
        on_tasks = tasks if "checkpoints" in audit.tasks_on else ()
        self.tasks = TaskRun(self.facts.name, on_tasks, prepared.requests, self.answering, prepared.found.tokenizer)

    @property
    def name(self) -> str:
        return self.facts.name

    def questions(self) -> list[Question]:
        """What is asked on the evaluation text."""
        blocks = range(len(self.base)) if self.deletions else ()
        layouts = [self.base, *(self.base.without([block]) for block in blocks)]
        return [Question("evaluation", "nll", layout) for layout in layouts]

    def distant(self) -> list[int]:
        """The batches of the scoring text on which its distance from the model can be measured, and is not yet."""
        batches = () if self.incomparable else self.answering.cuts["scoring"].batches
        return [number for number in range(len(batches)) if self.answering.missing(self._distances, number)]

    @property
    def _distances(self) -> list[Question]:
        return [Question("model", quantity, self.base) for quantity in DISTANT]

    def measure(self, reference: Reference | None) -> None:
        """Measures what is not stored yet, and lets go of the weights."""
        self.answering.ensure([*self.questions(), *self.by_stretch])
        for number in self.distant():
            assert reference is not None
            batch, states = self.answering.cuts["scoring"].batches[number], reference.states[number]
            values = self.answering.engine.gap(batch, reference.stack, states)
            for question, answer in zip(self._distances, values, strict=True):
                self.answering.put(number, question, answer)
        self.tasks.measure(self.base, [self.base])
        self.answering.loaded = None

    def work(self) -> float:
        """Operations on the evaluation text and on tasks that are left."""
        asked = [*self.questions(), *self.by_stretch, *self.tasks.questions([self.base])]
        return self.answering.work(asked, partial(operations, self.facts.model))

    def _tick(self, part: Part, tokens: int) -> None:
        self.progress.advance(operations(self.facts.model, part, tokens))
