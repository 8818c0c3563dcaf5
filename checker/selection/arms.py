"""Methods under constraints -> removal sets: every method at every budget, in its matched and its native form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from checker.core.errors import EvidenceMissing, NotFinite
from checker.core.layouts import Geometry, Layout
from checker.core.questions import Answer, Ask, Problem, Question, RemovalSet, Values
from checker.core.records import Audit, Form, MethodSettings, Selection
from checker.selection.methods import METHODS
from checker.selection.methods.method import Method, Sets
from checker.selection.methods.worst_first import turned_round
from checker.selection.select import select

# Relative steps of each dtype's numbers: similarities of states that carry such rounding are no finer.
RESOLUTION = {"float32": 2.0**-23, "bfloat16": 2.0**-8, "float16": 2.0**-11}


@dataclass(frozen=True)
class Arms:
    """Every removal set that the audit's methods choose, and why some choose none."""

    sets: tuple[RemovalSet, ...]
    gaps: tuple[str, ...]


def scored_by(audit: Audit) -> tuple[str, ...]:
    """The methods whose distances are measured: the audit's protocols, its scoring methods, and always deletion.

    Deletion stands beside the protocols in every table, because neither of them measures removability (design, 3.4).
    """
    turned = {method.of for method in audit.methods if METHODS[method.name].turns_round}
    seeding = {method.seeded_by for method in audit.methods if METHODS[method.name].seeded}
    names = {*audit.protocols, "deletion", *(method.name for method in audit.methods), *turned, *seeding}
    return tuple(name for name, method in METHODS.items() if name in names and method.distances)


def arms(audit: Audit, problem: Problem, ask: Ask) -> Arms:
    """Runs every method at every budget, under every selection's constraints and in its paper's own form.

    A method whose evidence is missing, whose calls end, or that reaches no set, is a gap; the rest go on.
    """
    sets: list[RemovalSet] = []
    gaps: list[str] = []
    for settings in audit.methods:
        within = compared_within(settings, audit.max_gap)
        if within is not None and not any(j - i <= within for i, j in problem.pairs):
            continue  # what cannot exist is no gap; `ModelFacts.nothing_comparable` says why
        runs = _Runs(audit, problem, ask, settings)
        for form, selection in runs.forms():
            for budget in settings.budgets:
                try:
                    chosen = runs.sets(form, selection, budget)
                except EvidenceMissing as missing:
                    gaps.append(f"{runs.name(form, selection, budget)}: {missing}")
                    continue
                if not chosen:
                    procedure = "the ascending order" if runs.method.sets is None else "its procedure"
                    gaps.append(f"{runs.name(form, selection, budget)}: {procedure} reaches no set of that size")
                sets.extend(chosen)
    return Arms(tuple(sets), tuple(dict.fromkeys(gaps)))


def compared_within(settings: MethodSettings, max_gap: int) -> int | None:
    """How far apart the blocks are that a method needs to be comparable; None where it compares none."""
    names = [settings.of if METHODS[settings.name].turns_round else settings.name]
    if METHODS[settings.name].seeded and settings.seeded_by is not None:
        names.append(settings.seeded_by)
    return next(({"pairs": max_gap, "neighbours": 1}[kind] for name in names if (kind := METHODS[name].compares)), None)


class _Runs:
    """One method of an audit, run at its budgets in its forms."""

    def __init__(self, audit: Audit, problem: Problem, ask: Ask, settings: MethodSettings) -> None:
        self.audit, self.problem, self.ask, self.settings = audit, problem, ask, settings
        self.method = METHODS[settings.name]
        self.scored: tuple[dict[int, float], int] | None = None  # scores and what they took, once they are known

    def forms(self) -> Iterable[tuple[Form, Selection]]:
        """The matched form once for each selection, and the native form once where the method has one."""
        if "matched" in self.settings.forms:
            yield from (("matched", selection) for selection in self.audit.selections)
        if "native" in self.settings.forms and self.method.native is not None:
            yield "native", Selection(name="native")

    def name(self, form: Form, selection: Selection, budget: int) -> str:
        """What a gap calls a run. Scores are taken once for all budgets, and so are missing ones."""
        if self.method.sets is None and self.scored is None:
            return self.settings.name
        name = f"{self.settings.name} at budget {budget}"
        if form == "native":
            return f"{name}, in its own form"
        return name if len(self.audit.selections) == 1 else f"{name}, selection {selection.name}"

    def sets(self, form: Form, selection: Selection, budget: int) -> tuple[RemovalSet, ...]:
        """The removal sets of one form at one budget; EvidenceMissing where nothing decides them."""
        chooses = self.method.sets if form == "matched" else self.method.native
        geometry, total, all_counted = selection.geometry(self.problem.blocks), 1, True
        if chooses is None:
            scores, calls = self._scores()
            selected = select(scores, geometry, budget, selection.ties)
            if METHODS[self.settings.of if self.method.turns_round else self.settings.name].resolved_by_dtype:
                _check_resolved(scores, selected.sets, geometry, self.audit.model.dtype)
            layouts = tuple(self.problem.base.without(layers) for layers in selected.sets)
            total, all_counted = selected.total, selected.counted
        else:
            layouts, calls = self._searched(chooses, geometry, budget)
        return tuple(
            RemovalSet(
                self.settings.name,
                budget,
                layout,
                tie=number,
                ties=total,
                ties_counted=all_counted,
                draw=self.method.control,
                form=form,
                selection=selection.name,
                calls=calls,
            )
            for number, layout in enumerate(layouts)
        )

    def _searched(self, chooses: Sets, geometry: Geometry, budget: int) -> tuple[tuple[Layout, ...], int]:
        """What a search finds, and its evaluations: those of the scores that seed it count as its own."""
        settings, problem = self.settings, replace(self.problem, geometry=geometry)
        counted = _Counted(self.ask.answer, settings.calls if self.method.capped else None)
        ask = Ask(counted, self.ask.base, self.ask.scored)
        if self.method.seeded and settings.seeded_by is not None:
            problem = replace(problem, seeds=block_scores(replace(settings, name=settings.seeded_by), problem, ask))
            settings = replace(settings, calls=settings.calls - counted.calls)
        return chooses(ask, problem, budget, settings), counted.calls

    def _scores(self) -> tuple[dict[int, float], int]:
        if self.scored is None:
            counted = _Counted(self.ask.answer, None)
            ask = Ask(counted, self.ask.base, self.ask.scored)
            self.scored = block_scores(self.settings, self.problem, ask), counted.calls
        return self.scored


def block_scores(settings: MethodSettings, problem: Problem, ask: Ask) -> dict[int, float]:
    """A scoring method's score per block, on all prompts."""
    method = METHODS[settings.name]
    if method.turns_round:
        return turned_round(block_scores(replace(settings, name=settings.of), problem, ask))
    assert method.distances is not None
    assert method.scores is not None
    means = {key: whole(method, values) for key, values in method.distances(ask, problem).items()}
    return method.scores(means, problem)


def whole(method: Method, values: Values) -> float:
    """A quantity on all prompts: the mean over them, or the first portion where it is pooled."""
    return float(values[0]) if method.pooled else float(np.mean(values))


def _check_resolved(
    scores: Mapping[int, float], sets: Iterable[tuple[int, ...]], geometry: Geometry, dtype: str
) -> None:
    """A ranking whose decisive step is below the dtype's resolution is no ranking: EvidenceMissing."""
    for layers in sets:
        step = min(_decisive_steps(scores, layers, geometry), default=None)
        if step is not None and step < RESOLUTION[dtype]:
            raise EvidenceMissing(
                f"the step between what is removed and what is kept is {step:.2g}, below the resolution of {dtype}, "
                f"{RESOLUTION[dtype]:.2g}; this is no ranking"
            )


def _decisive_steps(scores: Mapping[int, float], layers: tuple[int, ...], geometry: Geometry) -> Iterable[float]:
    """Per block that might have been removed and is kept, how far its score lies above that of what kept it out.

    That is the removed block of least score among those too near to it, or the last one removed where none is near.
    """
    for block in geometry.candidates:
        if block in scores and block not in layers:
            near = [scores[layer] for layer in layers if abs(layer - block) <= geometry.spacing]
            yield scores[block] - (min(near) if near else max(scores[layer] for layer in layers))


class _Counted:
    """Passes a method's questions on and counts what is evaluated; EvidenceMissing where that exceeds its calls.

    NotFinite where an answer is not finite, whoever gave it: a method never ranks one.
    """

    def __init__(self, answer: Answer, limit: int | None) -> None:
        self.answer, self.limit = answer, limit
        self.evaluated: set[tuple[str, Layout]] = set()

    @property
    def calls(self) -> int:
        return len(self.evaluated)

    def __call__(self, questions: Sequence[Question]) -> Mapping[Question, Values]:
        # All runs of blocks are seen in one pass of the unchanged layout, and so are all blocks' gradients.
        self.evaluated.update((question.quantity, question.layout) for question in questions)
        if self.limit is not None and self.calls > self.limit:
            raise EvidenceMissing(f"it takes more than the {self.limit:,} evaluations declared; raise `calls`")
        answers = self.answer(questions)
        for question in questions:
            if not np.isfinite(answers[question]).all():
                raise NotFinite(str(question.about), "one of its values", question.quantity)
        return answers
