"""An ``Ask`` that answers from plain functions and keeps what it was asked: methods without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import Ask, Problem, Question, Values

Answer = Callable[[Any], float | list[float]]


def _missing(_: object) -> float:
    raise EvidenceMissing("not measured")


class Table(Ask):
    """Answers each quantity by a function of what is asked: one number, or one per prompt (or portion)."""

    def __init__(self, **answers: Answer) -> None:
        super().__init__(self._of, Layout(()))
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.times: list[int] = []  # how many things each question was about

    def layouts(self, quantity: str) -> list[Layout]:
        """The different layouts that were asked for, in order."""
        return list(dict.fromkeys(key for name, key in self.asked if name == quantity))

    def _of(self, questions: Sequence[Question]) -> dict[Question, Values]:
        self.times.append(len(questions))
        found = {}
        for question in questions:
            name = "loss" if question.quantity == "nll" else question.quantity
            self.asked.append((name, question.about))
            answer = self.answers.get(name, _missing)
            found[question] = np.atleast_1d(np.asarray(answer(question.about), dtype=np.float64))
        return found


def removed_from(layout: Layout, blocks: int) -> tuple[int, ...]:
    return tuple(sorted(set(range(blocks)) - set(layout.slots)))


def additive(singles: list[float]) -> Answer:
    """A loss that grows by each removed block's own amount."""
    return lambda layout: 3.0 + sum(singles[block] for block in removed_from(layout, len(singles)))


def problem_with(geometry: Geometry, seed: int = 0, max_gap: int = 1) -> Problem:
    return Problem(geometry.blocks, pairs_within(geometry.blocks, max_gap), geometry, "into", seed)
