"""An ``Ask`` that answers from plain functions and keeps what it was asked: methods without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from checker.core.errors import EvidenceMissing
from checker.core.layouts import Geometry, Layout, pairs_within
from checker.core.questions import Ground, HiddenQuantity, Span, Values

Answer = Callable[[Any], float | list[float]]


def _missing(_: object) -> float:
    raise EvidenceMissing("not measured")


class Table:
    """Answers each quantity by a function of what is asked: one number, or one per prompt (or portion)."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.times: list[int] = []  # how many things each question was about

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._of("kl", layouts)

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._of("loss", layouts)

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        return self._of("similarity", layouts)

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        return self._of(quantity, spans)

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        return self._of("taylor", blocks)

    def layouts(self, quantity: str) -> list[Layout]:
        """The different layouts that were asked for, in order."""
        return list(dict.fromkeys(key for name, key in self.asked if name == quantity))

    def _of(self, quantity: str, keys: Iterable[Any]) -> dict[Any, Values]:
        wanted, answer = list(keys), self.answers.get(quantity, _missing)
        self.asked += [(quantity, key) for key in wanted]
        self.times.append(len(wanted))
        return {key: np.atleast_1d(np.asarray(answer(key), dtype=np.float64)) for key in wanted}


def removed_from(layout: Layout, blocks: int) -> tuple[int, ...]:
    return tuple(sorted(set(range(blocks)) - set(layout.slots)))


def additive(singles: list[float]) -> Answer:
    """A loss that grows by each removed block's own amount."""
    return lambda layout: 3.0 + sum(singles[block] for block in removed_from(layout, len(singles)))


def ground_of(geometry: Geometry, seed: int = 0, max_gap: int = 1) -> Ground:
    return Ground(geometry.blocks, pairs_within(geometry.blocks, max_gap), geometry, "into", seed)
