"""Claims about what a checkpoint, or the model without blocks, scores on tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from checker.core.records import Claim
from checker.core.words import counted, enumerated
from checker.spec import tasks
from checker.spec.claims.file_number import check_name
from checker.spec.claims.kind import Kind, Numbers, rests_on, stated
from checker.spec.document import Document, Where
from checker.spec.schema import closest, enumerate_words

Bound = Literal["at_least", "drop_at_most", "retains_at_least"]
BOUNDS: tuple[Bound, ...] = ("at_least", "drop_at_most", "retains_at_least")
_SUBJECTS = ("of", "layers", "method")


@dataclass(frozen=True)
class TaskScore(Claim):
    """The score of the checkpoint ``of``, of the model without ``layers`` or without those a method chooses.

    Of several ``tasks`` it is the mean, in which each counts alike.
    """

    kind: str = field(default="task", init=False)
    tasks: tuple[str, ...]
    metric: str
    of: str | None = None
    layers: tuple[int, ...] | None = None
    method: str | None = None
    budget: int | None = None
    at_least: float | None = None  # percent; or one of the other two
    drop_at_most: float | None = None  # percentage points
    retains_at_least: float | None = None  # percent of the model's score
    above_chance: bool | None = None  # whether chance is taken from both scores first; of ``retains_at_least``

    @property
    def blocks(self) -> tuple[int, ...]:
        return self.layers or ()

    @property
    def bound(self) -> tuple[Bound, float]:
        """Which of the three bounds it states, and at what."""
        name = next(name for name in BOUNDS if getattr(self, name) is not None)
        return name, getattr(self, name)

    @property
    def on(self) -> str:
        """The tasks, as sentences name them."""
        names = enumerated(self.tasks)
        return names if len(self.tasks) == 1 else f"the mean of {names}"


def _values(document: Document, where: Where) -> dict[str, Any]:
    values = stated(document, where)
    if "task" in values:
        values["tasks"] = [values.pop("task")]
    return values


def said(claim: TaskScore) -> str:
    """The bound in words: retains at least 95 % of the model's acc above chance."""
    name, bound = claim.bound
    if name == "at_least":
        return f"scores at least {bound:g} % {claim.metric} on {claim.on}"
    if name == "drop_at_most":
        return f"scores at most {bound:g} percentage points less {claim.metric} on {claim.on} than the model"
    chance = "above chance" if claim.above_chance else "with chance counted in"
    return f"retains at least {bound:g} % of the model's {claim.metric} on {claim.on}, {chance}"


def _decided(claim: TaskScore) -> str:
    documents = "these very documents" if claim.scope == "contract" else "a population of documents like these"
    return f"{_subject(claim)} {said(claim)}, on {documents}; {rests_on(claim)}"


def _subject(claim: TaskScore) -> str:
    if claim.of is not None:
        return f"the checkpoint {claim.of}"
    if claim.layers is not None:
        return f"the model without block{'' if len(claim.layers) == 1 else 's'} {enumerated(sorted(claim.layers))}"
    return f"the model without the {counted(claim.budget or 0, 'block')} that {claim.method} chooses"


def _numbers(claim: TaskScore) -> Numbers:
    yield "percent", claim.bound[1]
    if claim.of is None:
        yield "blocks", claim.budget if claim.layers is None else len(claim.layers)


def _check(document: Document, where: Where) -> None:
    _one_of(document, where, _SUBJECTS, "no subject", "add one, for instance `of`, with a checkpoint's name")
    _one_of(document, where, BOUNDS, "no bound", "add one, for instance `drop_at_most: 2`")
    check_name(document, where)
    names = [tasks.name_of(settings["task"]) for _, settings in tasks.items(document)]
    for named in ((*where, "task"), *document.items(*where, "tasks")):
        name = document.sound(*named)
        if name is not None and name not in names and not document.doubted(("tasks",)):
            near = closest(tasks.name_of(name), names)
            remedy = f"did you mean `{near}`?" if near else "add it to `tasks: {run: [...]}`"
            document.complain(named, f"`{name}`", f"a task of the audit: {enumerate_words(names)}", remedy)


def _one_of(document: Document, where: Where, names: Sequence[str], none: str, remedy: str) -> None:
    """Adds the mistake of a claim that has several of these keys, or none."""
    if any(len(bad) > len(where) and bad[: len(where)] == where for bad in document.wrong):
        return
    present = [name for name in names if document.get(*where, name) is not None]
    if len(present) > 1:
        found = f"both `{present[0]}` and `{present[1]}`"
        document.complain(where, found, "one of them", "take one of them away", key=(*where, present[1]))
    elif not present:
        document.complain(where, none, f"one of {enumerate_words(names)}", remedy, key=where)


KIND = Kind(TaskScore, _decided, _numbers, one_of=("task", "tasks"), check=_check, values=_values)
