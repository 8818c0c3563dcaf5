"""Answers the questions about one model: store first, then its engine, which is loaded when the first is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from checker.core.errors import EvidenceDamaged
from checker.core.questions import Question, Text, Values
from checker.core.records import Audit
from checker.core.store import Scope, Store
from checker.measure import passes
from checker.measure.engine import Engine
from checker.measure.texts import Cut
from checker.measure.walk import Part, Tick
from checker.selection.cost import block_runs

TEXTS: tuple[Text, ...] = ("scoring", "selection", "evaluation")  # of contracts, on which layouts are measured


class Answering:
    """The questions about one model and their answers, batch by batch."""

    def __init__(
        self,
        audit: Audit,
        store: Store,
        scopes: Mapping[Text, Scope],
        cuts: Mapping[Text, Cut],
        load: Callable[[], Engine],
        tick: Tick,
    ) -> None:
        self.audit, self.store, self.scopes, self.cuts = audit, store, scopes, cuts
        self.load, self.tick = load, tick
        self.loaded: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine on the model, which is loaded when something is to be measured."""
        if self.loaded is None:
            self.loaded = self.load()
        return self.loaded

    def answer(self, questions: Sequence[Question]) -> dict[Question, Values]:
        """Stored answers; what has none is measured first."""
        self.ensure(questions)
        return {question: self._stored(question) for question in questions}

    def ensure(self, questions: Collection[Question]) -> None:
        """Measures what is not stored, batch by batch; what is pooled, over all batches together."""
        begin = self.audit.scoring.begin_tokens_before
        batch_tokens = (self.audit.selecting or self.audit.scoring).batch_tokens
        for text in self.cuts:
            asked = [question for question in questions if question.text == text]
            if not asked:
                continue
            apart = [question for question in asked if not question.pooled]
            for number, batch in enumerate(self.cuts[text].batches):
                if missing := self.missing(apart, number):
                    passes.on_batch(self.engine, batch, begin, missing, partial(self.put, number), self.tick)
            for question in asked:
                if question.pooled and self.missing([question], 0):
                    answers = passes.on_text(self.engine.stack, question, self.cuts[text], begin, batch_tokens)
                    for answered, values in answers.items():
                        self.put(0, answered, values)

    def missing(self, questions: Iterable[Question], batch: int) -> list[Question]:
        return [question for question in questions if not self.store.has(self.scopes[question.text], question, batch)]

    def work(self, questions: Collection[Question], operations: Callable[[Part, int], float]) -> float:
        """What the layouts among the questions take that are not measured yet, those of one text in one prefix tree.

        ``operations`` says what one block, or the head, takes on so many tokens.
        """
        left = 0.0
        for text, cut in self.cuts.items():
            asked = [question for question in questions if question.text == text and question.span is None]
            for number, batch in enumerate(cut.batches if asked else ()):
                missing = {question.layout for question in self.missing(asked, number)}
                left += block_runs(missing) * operations("block", batch.ids.numel())
                left += len(missing) * operations("head", batch.positions * len(batch.ids))
        return left

    def put(self, batch: int, question: Question, values: Values) -> None:
        self.store.put(self.scopes[question.text], question, batch, values)

    def _stored(self, question: Question) -> Values:
        parts = 1 if question.pooled else len(self.cuts[question.text].batches)
        values = self.store.get(self.scopes[question.text], question, parts)
        if values is None:
            raise EvidenceDamaged(f"found no answer for {question.layout} right after measuring it")
        return values
