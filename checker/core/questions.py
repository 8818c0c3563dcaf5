"""What is asked of a model, and what answers: questions, evidence, and the sets that methods choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np

from checker.core.errors import EvidenceMissing
from checker.core.facts import Facts, StepFacts
from checker.core.layouts import Geometry, Layout
from checker.core.records import Audit, Checkpoint, Form, Statistics
from checker.core.timings import TimingFacts

K = TypeVar("K")


def requests_of(task: str) -> Text:
    """The requests of a task as a text, whose units are the requests."""
    return f"task/{task}"


def stretches_of(checkpoint: str) -> Text:
    """The evaluation text in pieces that lie in one stretch of bytes each, for a checkpoint of another tokenizer."""
    return f"stretches/{checkpoint}"


def documents_of(task: str) -> Text:
    """The documents of a task as a text, whose units are the documents and whose quantities its metrics."""
    return f"documents/{task}"


Values = np.ndarray[Any, np.dtype[np.float64]]

Quantity = Literal["kl", "nll", "top1", "similarity", "greedy"]  # of a layout
HiddenQuantity = Literal["cosine", "angle", "cka"]  # of a run of blocks of the unchanged model
# A contract's text: scoring, selection or evaluation; begin_token, one window of the evaluation text without and with
# it. Two hold this baseline against another on the scoring text: float32 against that in float32; of a checkpoint,
# model against the audited model's. Of a task: its requests, and its documents, whose values are those of its metrics.
Text = str
Span = tuple[int, int]  # the first and the last block of a run, inclusive

# Pooled quantities are not means over prompts: they are measured anew on portions of them, (from, to) in quarters. The
# larger stand first, because those too small for a quantity are left out.
PORTIONS = ((0, 4), (0, 3), (0, 2), (2, 4), (0, 1))


@dataclass(frozen=True, order=True)
class Question:
    """One thing to measure: a quantity of one layout, or of a run of its blocks, under one contract.

    The answer is one value per unit, or per portion for pooled quantities:

    * ``kl``: KL to the baseline averaged over a unit's scored positions, in nats
    * ``nll``: summed NLL of a window's scored tokens, in nats
    * ``top1``: share of a window's scored positions where the most likely token is the baseline's
    * ``greedy``: whether each of a window's scored tokens is the most likely one there: 1 or 0
    * ``similarity``: cosine of the layout's hidden states after the last block with the baseline's, mean over tokens
    * ``cosine``: cosine between a run's input and output, mean over tokens
    * ``angle``: arccos of that cosine at the last token, over pi
    * ``cka``: linear CKA of a run's input and output, tokens pooled (per portion)
    * ``taylor``: sum over a block's parameters of abs(gradient x weight) (per portion)
    """

    text: Text
    quantity: Quantity | HiddenQuantity | Literal["taylor"] | str  # of documents, a metric's name
    layout: Layout
    span: Span | None = None

    @property
    def asked(self) -> str:
        """The quantity, and of which run of blocks where it is of one."""
        return self.quantity if self.span is None else f"{self.quantity} {self.span[0]}-{self.span[1]}"

    @property
    def about(self) -> Layout | Span | int:
        """What the quantity is of: a layout, a run of blocks, or one block."""
        if self.span is None:
            return self.layout
        return self.span[0] if self.quantity == "taylor" else self.span

    @property
    def pooled(self) -> bool:
        """Whether the answer is of all units together, per portion."""
        return self.quantity in ("cka", "taylor")


Answer = Callable[[Sequence[Question]], Mapping[Question, Values]]


@dataclass(frozen=True)
class Ask:
    """How a method asks for quantities; who answers (a price list, the store, the engine) is not its concern."""

    answer: Answer
    base: Layout  # the unchanged model
    scored: float = 1.0  # tokens of a selection prompt that losses are means over

    def kl(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, KL to the baseline per scoring prompt, in nats."""
        return self._answers({layout: Question("scoring", "kl", layout) for layout in layouts})

    def loss(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, mean NLL per token of each selection prompt, in nats."""
        sums = self._answers({layout: Question("selection", "nll", layout) for layout in layouts})
        return {layout: values / self.scored for layout, values in sums.items()}

    def similarity(self, layouts: Iterable[Layout]) -> dict[Layout, Values]:
        """Per layout, cosine of its output hidden states with the baseline's, mean over tokens, per scoring prompt."""
        return self._answers({layout: Question("scoring", "similarity", layout) for layout in layouts})

    def hidden(self, quantity: HiddenQuantity, spans: Iterable[Span]) -> dict[Span, Values]:
        """Per run of blocks, a quantity of its input and output: per scoring prompt, or per portion for ``cka``."""
        return self._answers({span: Question("scoring", quantity, self.base, span) for span in spans})

    def taylor(self, blocks: Iterable[int]) -> dict[int, Values]:
        """Per block, sum over its parameters of abs(gradient x weight), per portion of the selection prompts."""
        return self._answers({block: Question("selection", "taylor", self.base, (block, block)) for block in blocks})

    def _answers(self, questions: Mapping[K, Question]) -> dict[K, Values]:
        answers = self.answer(tuple(questions.values()))
        return {key: answers[question] for key, question in questions.items()}


@dataclass(frozen=True)
class Problem:
    """What every method may know: the stack, the pairs that are compared, the constraints."""

    blocks: int
    pairs: tuple[tuple[int, int], ...]  # comparable, i < j
    geometry: Geometry
    direction: str
    seed: int
    seeds: Mapping[int, float] = field(default_factory=dict, hash=False)  # block scores that a search begins with

    @property
    def base(self) -> Layout:
        return Layout.base(self.blocks)

    def partners(self, block: int) -> Iterator[int]:
        for i, j in self.pairs:
            if block in (i, j):
                yield j if block == i else i


@dataclass(frozen=True)
class Evidence:
    """Everything a judge has: the audit, the facts about its files, and the answers that were measured."""

    audit: Audit
    facts: Facts
    answers: Callable[[Question], Values | None]
    checkpoints: Mapping[str, Evidence] = field(default_factory=dict)  # the same of each checkpoint that was read
    timings: Mapping[str, tuple[TimingFacts, ...]] = field(default_factory=dict)  # of checkpoints, the newest last
    series: Mapping[str, tuple[StepEvidence, ...]] = field(default_factory=dict)  # the steps of each

    def answer(self, text: Text, quantity: Quantity, layout: Layout) -> Values | None:
        return self.answers(Question(text, quantity, layout))

    def scores(self, task: str, metric: str, layout: Layout) -> Values | None:
        """A layout's value of a metric per document of a task; None where it is not measured."""
        known = self.facts.task(task)
        if known is None or metric not in known.metrics:
            return None
        return self.answers(Question(documents_of(task), metric, layout))

    @property
    def of_prompts(self) -> Statistics:
        """The audit's statistics, with what is known of the scoring text's prompts as units."""
        counted = counted_prompts(self.facts)
        independent = self.audit.scoring.independent
        return replace(self.audit.statistics, independent=independent, counted=counted)

    @property
    def of_windows(self) -> Statistics:
        """The audit's statistics, with which windows of the evaluation text intervals rest on."""
        return replace(self.audit.statistics, counted=counted_windows(self.audit, self.facts))

    @property
    def ask(self) -> Ask:
        """Lets methods ask for what is stored; EvidenceMissing for the rest."""
        selection, contract = self.facts.selection, self.audit.selecting or self.audit.scoring
        scored = 1.0 if selection is None else selection.tokens - 1.0 - contract.begin_tokens_before
        return Ask(self._stored, Layout.base(self.facts.model.blocks), scored)

    def _stored(self, questions: Sequence[Question]) -> dict[Question, Values]:
        if any(question.quantity == "cka" for question in questions) and (scoring := self.facts.scoring) is not None:
            before = self.audit.scoring.begin_tokens_before  # too few tokens are too few in any further run
            check_tokens(scoring.prompts * (scoring.tokens - before), self.facts.model.hidden)
        answers = {question: self.answers(question) for question in questions}
        missing = [question for question, values in answers.items() if values is None]
        if missing:
            what = _PLURALS.get(missing[0].quantity, f"values of {missing[0].quantity}")
            raise EvidenceMissing(f"{len(missing)} {what} are not measured, the first one of {missing[0].about}")
        return {question: values for question, values in answers.items() if values is not None}


@dataclass(frozen=True)
class StepEvidence:
    """What a judge has of one step of a series; ``why`` says why there is no evidence, where there is none."""

    checkpoint: Checkpoint
    evidence: Evidence | None
    facts: StepFacts | None
    why: str = ""


def counted_prompts(facts: Facts) -> tuple[int, ...]:
    """The prompts that intervals rest on: one of several that are alike."""
    scoring = facts.scoring
    return () if scoring is None else tuple(sorted(set(range(scoring.prompts)) - set(scoring.repeats)))


def counted_windows(audit: Audit, facts: Facts) -> tuple[int, ...]:
    """The evaluation windows that intervals rest on: disjoint stretches of text, and one of several that are alike."""
    evaluation = facts.evaluation
    if evaluation is None:
        return ()
    return tuple(sorted(set(audit.evaluation.disjoint(len(evaluation.scored))) - set(evaluation.repeats)))


_PLURALS = {"kl": "distances", "nll": "losses", "similarity": "similarities", "taylor": "gradients"}


def check_tokens(tokens: int, features: int) -> None:
    """EvidenceMissing where there are too few tokens for CKA, which is near 1 there whatever the states."""
    if tokens <= features:
        raise EvidenceMissing(
            f"CKA needs more tokens than features: found {tokens} tokens and {features} features; raise `prompts` or "
            "`tokens`"
        )


@dataclass(frozen=True)
class RemovalSet:
    """One way in which a method answers a budget."""

    method: str
    budget: int
    layout: Layout  # what runs once the set is removed
    tie: int = 0  # which resolution of the ties
    ties: int = 1  # how many there are; more than are measured where there are over 16
    ties_counted: bool = True  # False: there are more still, too many to count
    draw: bool = False  # one draw of a random control
    form: Form = "matched"
    selection: str = "matched"  # the name of the constraints it obeys; a native form obeys its own
    calls: int = 0  # layouts and passes evaluated to choose it

    @property
    def ways(self) -> str:
        """How many resolutions of the ties there are, in words."""
        return f"{'' if self.ties_counted else 'at least '}{self.ties}"

    @property
    def layers(self) -> tuple[int, ...]:
        """The slots that run no longer, ascending."""
        return self.layout.removed(len(self.layout) + self.budget)

    @property
    def merged(self) -> Layout | None:
        """The layout where blocks were merged and not only deleted."""
        return None if all(place.own for place in self.layout.places) else self.layout
