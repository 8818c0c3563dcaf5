"""Tasks on one model: its layouts answer all requests in one prefix tree, and the harness scores what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from checker.core.layouts import Layout
from checker.core.questions import Quantity, Question, Values, documents_of, requests_of
from checker.measure import harness
from checker.measure.answering import Answering
from checker.measure.harness import LoadedTask
from checker.measure.task_requests import TokenRequests

_ASKED: tuple[Quantity, ...] = ("nll", "greedy")  # of every request whose answer is a likelihood


class TaskRun:
    """The tasks of an audit on one model, which ``subject`` names: `model`, or a checkpoint's name."""

    def __init__(
        self,
        subject: str,
        tasks: Sequence[LoadedTask],
        requests: Mapping[str, TokenRequests],
        answering: Answering,
        tokenizer: Any,
    ) -> None:
        self.subject, self.tasks, self.requests = subject, tasks, requests
        self.answering, self.tokenizer = answering, tokenizer

    def measure(self, base: Layout, layouts: Sequence[Layout]) -> None:
        """Scores every layout on every task; the whole model, ``base``, alone where a task is not run on layouts."""
        for task in self.tasks:
            wanted = list(dict.fromkeys(layouts)) if task.facts.of_layouts else [base]
            missing = [layout for layout in wanted if self._missing(task, layout)]
            if not missing:
                continue
            if task.facts.imported:
                if self.subject in task.imported:
                    self._put(task, base, task.imported[self.subject])
            elif task.facts.generates:
                written = harness.generated(task, self.answering.engine.stack.model, self.tokenizer)
                self._put(task, base, task.scores(written))
            else:
                self._answer(task, missing)

    def questions(self, layouts: Sequence[Layout]) -> list[Question]:
        """What is asked of layouts."""
        texts = [requests_of(task.facts.name) for task in self.tasks if task.facts.of_layouts]
        return [Question(text, quantity, layout) for text in texts for layout in layouts for quantity in _ASKED]

    def _missing(self, task: LoadedTask, layout: Layout) -> bool:
        return bool(self.answering.missing(self._documents(task, layout), 0))

    def _documents(self, task: LoadedTask, layout: Layout) -> list[Question]:
        return [Question(documents_of(task.facts.name), metric, layout) for metric in task.facts.metrics]

    def _answer(self, task: LoadedTask, layouts: Sequence[Layout]) -> None:
        text, requests = requests_of(task.facts.name), self.requests[task.facts.name]
        asked = {layout: [Question(text, quantity, layout) for quantity in _ASKED] for layout in layouts}
        answers = self.answering.answer([question for questions in asked.values() for question in questions])
        for layout, (nll, greedy) in asked.items():
            self._put(task, layout, task.scores(requests.answers(answers[nll], answers[greedy])))

    def _put(self, task: LoadedTask, layout: Layout, scores: Mapping[str, Sequence[float]]) -> None:
        for question in self._documents(task, layout):
            values: Values = np.array(scores[question.quantity], dtype=np.float64)
            self.answering.put(0, question, values)
