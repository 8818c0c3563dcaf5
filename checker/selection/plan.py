"""What an audit needs, each thing once, with its cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from checker.core.canonical import digest
from checker.core.facts import Facts, ModelFacts
from checker.core.layouts import Layout, pairs_within
from checker.core.questions import PORTIONS, Answer, Ask, Problem, Quantity, Question, RemovalSet, Values
from checker.core.records import Audit, MethodSettings
from checker.core.words import enumerated
from checker.selection.arms import arms, compared_within, scored_by
from checker.selection.cost import (
    TOKENS_PER_WORD,
    Cost,
    checkpoint_cost,
    cost,
    kept_cost,
    one_after_the_other,
)
from checker.selection.methods import METHODS
from checker.selection.task_layouts import task_subjects
from checker.spec import checkpoint_facts
from checker.spec.claims.removal import Removal

_NOTHING = Cost(0, 0, 0, 0, 0.0, 0)
DISTANT: tuple[Quantity, ...] = ("kl", "top1")  # how far from the model a removal or a checkpoint is, per prompt


@dataclass(frozen=True)
class Plan:
    """The questions that are known before anything is measured, and an estimate of all of them."""

    scoring: tuple[Question, ...]  # what the scoring methods ask first, of the scoring and of the selection text
    evaluation: tuple[Question, ...]  # those that do not depend on scores
    expected_sets: int  # different removal sets among the arms, as far as is known before scoring
    cost: Cost  # of the model and the checkpoints
    notes: tuple[str, ...] = ()
    raw: tuple[Question, ...] = ()  # how far the model's own blocks, cut as checkpoints were, are from the model
    own: Cost = _NOTHING  # of the model alone
    checkpoints: Mapping[str, Cost] = field(default_factory=dict)
    kept: Cost = _NOTHING  # of keeping the model's last states for the checkpoints

    def whole(self, own: Cost) -> Cost:
        """What everything takes where the model alone takes ``own``."""
        return one_after_the_other([own, self.kept, *self.checkpoints.values()])


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


def plan(audit: Audit, facts: Facts, headers: Mapping[str, ModelFacts] | None = None) -> Plan:
    """What will be measured. Needs headers only; no weights, no tokenizer.

    ``headers`` is what the headers of checkpoints say, by their names, where ``facts`` does not hold what a run read.
    Checkpoints of which neither is known are left out.
    """
    problem = problem_of(audit, facts.model)
    first, adaptive = Asked(_made_up), Asked(_made_up)
    for name in scored_by(audit):
        distances = METHODS[name].distances
        assert distances is not None
        distances(Ask(first, problem.base), problem)
    expected = arms(audit, problem, Ask(adaptive, problem.base)).sets
    deletions = [problem.base.without([block]) for block in range(problem.blocks)]
    released = {name: Facts(known) for name, known in (headers or {}).items()}
    released |= {fact.name: fact.own for fact in facts.checkpoints}
    cut = _cut(audit, facts, released)
    known = list(dict.fromkeys([problem.base, *deletions, *claimed_layouts(audit, facts), *cut.values()]))
    raw = tuple(dict.fromkeys(Question("scoring", quantity, at) for at in cut.values() for quantity in DISTANT))
    evaluation = tuple(Question("evaluation", "nll", layout) for layout in known)
    sets = {removal.layout: None for removal in expected}
    own = cost(audit, facts, [first.questions, *adaptive.steps, raw], [*known, *sets])
    notes = tuple(_notes(audit, facts, released))
    return _with_checkpoints(Plan(first.questions, evaluation, len(sets), own, notes, raw, own), audit, facts, released)


def _with_checkpoints(planned: Plan, audit: Audit, facts: Facts, released: Mapping[str, Facts]) -> Plan:
    """The plan with what checkpoints take beside the model."""
    costs, kept = {}, _NOTHING
    for checkpoint in audit.checkpoints:
        if checkpoint.name not in released:
            continue
        own, read = released[checkpoint.name], facts.checkpoint(checkpoint.name)
        comparable = own.model.vocabulary == facts.model.vocabulary and (read is None or not read.unlike)
        held = (audit, facts.model) if comparable else None
        base = Layout.base(own.model.blocks)
        singles = [base.without([block]) for block in range(own.model.blocks)] if checkpoint.deletions else []
        costs[checkpoint.name] = checkpoint_cost(audit.of_checkpoint(checkpoint), own, [base, *singles], held)
        kept = kept_cost(audit, facts.model) if comparable else kept
    planned = replace(planned, checkpoints=costs, kept=kept)
    return replace(planned, cost=planned.whole(planned.own))


def _cut(audit: Audit, facts: Facts, released: Mapping[str, Facts]) -> dict[str, Layout]:
    """The removal that each checkpoint was made from; of one whose weights were not read, one of as many blocks."""
    cut = {name: layout for name, (layout, _) in checkpoint_facts.raw_removals(audit, facts).items()}
    for name, own in released.items():
        fewer = facts.model.blocks - own.model.blocks
        if facts.checkpoint(name) is None and fewer >= 0 and own.model.hidden == facts.model.hidden:
            layers = checkpoint_facts.stated_layers(audit, name, facts.model.blocks)
            cut[name] = Layout.base(facts.model.blocks).without(layers or range(1, 1 + fewer))
    return cut


def claimed_layouts(audit: Audit, facts: Facts) -> Iterable[Layout]:
    """The removals that claims state by their layers, and those that checkpoints were made from."""
    blocks = facts.model.blocks
    for claim in audit.claims_of(Removal):
        if claim.layers is not None and not claim.beyond(blocks):
            yield Layout.base(blocks).without(claim.layers)
    yield from (layout for layout, _ in checkpoint_facts.raw_removals(audit, facts).values())


def task_layouts(audit: Audit, facts: Facts, sets: Sequence[RemovalSet]) -> list[Layout]:
    """The layouts of the model that the audit's tasks are run on, itself first; ``sets`` are the methods' choices."""
    own = [Layout.base(facts.model.blocks)] if audit.tasks and "model" in audit.tasks_on else []
    return [*own, *task_subjects(audit, facts, sets)]


def _notes(audit: Audit, facts: Facts, released: Mapping[str, Facts]) -> Iterable[str]:
    if facts.evaluation is None:
        yield f"the evaluation text is not tokenised yet: its tokens are estimated at {TOKENS_PER_WORD} a word"
    yield "which sets the methods choose depends on the scores: their number is an estimate until scoring is done"
    if names := enumerated(task.name for task in audit.tasks if not task.results):
        yield f"tasks ({names}) are not in these figures, because how much they ask is known once they are read"
    if unread := [name for name in released if facts.checkpoint(name) is None]:
        names = "which blocks it lacks is" if len(unread) == 1 else "which blocks they lack is"
        yield f"{enumerated(unread)}: {names} known once the weights are read: the removal beside it is estimated"
