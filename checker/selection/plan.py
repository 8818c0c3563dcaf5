"""What an audit needs, each thing once, with its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from checker.core.canonical import digest
from checker.core.facts import Facts, ModelFacts
from checker.core.layouts import Layout, pairs_within
from checker.core.questions import PORTIONS, Answer, Ask, Problem, Question, RemovalSet, Values
from checker.core.records import Audit, MethodSettings
from checker.selection.arms import arms, compared_within, scored_by
from checker.selection.cost import TOKENS_PER_WORD, Cost, cost
from checker.selection.methods import METHODS
from checker.spec import checkpoint_facts
from checker.spec.claims.removal import Removal


@dataclass(frozen=True)
class Plan:
    """The questions that are known before anything is measured, and an estimate of all of them."""

    scoring: tuple[Question, ...]  # what the scoring methods ask first, of the scoring and of the selection text
    evaluation: tuple[Question, ...]  # those that do not depend on scores
    expected_sets: int  # different removal sets among the arms, as far as is known before scoring
    cost: Cost
    notes: tuple[str, ...] = ()


def problem_of(audit: Audit, facts: ModelFacts) -> Problem:
    """The stack, the comparable pairs within reach, and the constraints."""
    pairs = tuple(pair for pair in pairs_within(facts.blocks, audit.max_gap) if not incomparable(facts, *pair))
    return Problem(facts.blocks, pairs, audit.geometry(facts.blocks), audit.direction, audit.statistics.seed)


def incomparable(facts: ModelFacts, i: int, j: int) -> str | None:
    """Why two blocks cannot be compared, or None where they can."""
    if facts.block_shapes[i] != facts.block_shapes[j]:
        return f"the parameters of blocks {i} and {j} differ in name or shape"
    return None


def nothing_compared(audit: Audit, facts: ModelFacts, settings: MethodSettings) -> str | None:
    """Why a method cannot choose anything, and what would let it: no blocks within its reach are comparable."""
    within = compared_within(settings, audit.max_gap)
    reason = None if within is None else facts.nothing_comparable(within)
    if reason is None or METHODS[settings.name].compares == "neighbours":
        return reason
    return f"{reason}; {facts.raise_gap}"


class Asked:
    """Passes methods' questions on and keeps them, step by step: what a step asks is measured as one prefix tree."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.steps: list[tuple[Question, ...]] = []

    @property
    def questions(self) -> tuple[Question, ...]:
        """Each question once, in the order in which they were asked first."""
        return tuple(dict.fromkeys(question for step in self.steps for question in step))

    def __call__(self, questions: Sequence[Question]) -> Mapping[Question, Values]:
        self.steps.append(tuple(questions))
        return self.answer(questions)


def _made_up(questions: Sequence[Question]) -> dict[Question, Values]:
    """Answers with made-up figures, different for every layout, before anything is measured."""
    answers = {}
    for question in questions:
        about = str(question.about) if isinstance(question.about, Layout) else question.about
        answers[question] = np.full(len(PORTIONS), int(digest(about)[:8], 16) / 2**32 + 0.01)
    return answers


def plan(audit: Audit, facts: Facts) -> Plan:
    """What will be measured. Needs headers only; no weights, no tokenizer."""
    problem = problem_of(audit, facts.model)
    first, adaptive = Asked(_made_up), Asked(_made_up)
    for name in scored_by(audit):
        distances = METHODS[name].distances
        assert distances is not None
        distances(Ask(first, problem.base), problem)
    expected = arms(audit, problem, Ask(adaptive, problem.base)).sets
    deletions = [problem.base.without([block]) for block in range(problem.blocks)]
    known = list(dict.fromkeys([problem.base, *deletions, *claimed_layouts(audit, facts)]))
    evaluation = tuple(Question("evaluation", "nll", layout) for layout in known)
    sets = {removal.layout: None for removal in expected}
    taken = cost(audit, facts, [first.questions, *adaptive.steps], [*known, *sets])
    return Plan(first.questions, evaluation, len(sets), taken, tuple(_notes(audit, facts)))


def claimed_layouts(audit: Audit, facts: Facts) -> Iterable[Layout]:
    """The removals that claims state by their layers, and those that checkpoints were made from."""
    blocks = facts.model.blocks
    for claim in audit.claims_of(Removal):
        if claim.layers is not None and not claim.beyond(blocks):
            yield Layout.base(blocks).without(claim.layers)
    yield from (layout for layout, _ in checkpoint_facts.raw_removals(audit, facts).values())


def task_layouts(audit: Audit, facts: Facts, sets: Iterable[RemovalSet]) -> list[Layout]:
    """The layouts of the model that the audit's tasks are run on."""
    layouts: list[Layout] = []
    if "model" in audit.tasks_on:
        layouts.append(Layout.base(facts.model.blocks))
    if "claims" in audit.tasks_on:
        layouts += claimed_layouts(audit, facts)
    if "arms" in audit.tasks_on:
        layouts += [removal.layout for removal in sets if not removal.draw]
    return list(dict.fromkeys(layouts))


def _notes(audit: Audit, facts: Facts) -> Iterable[str]:
    if facts.evaluation is None:
        yield f"the evaluation text is not tokenised yet: its tokens are estimated at {TOKENS_PER_WORD} a word"
    yield "which sets the methods choose depends on the scores: their number is an estimate until scoring is done"
