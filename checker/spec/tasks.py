"""The section `tasks` of an audit file: which tasks are run, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checker.core.canonical import values_of
from checker.core.records import Task, TaskSubject
from checker.core.words import enumerated
from checker.spec import checkpoints
from checker.spec.document import Document, Where
from checker.spec.schema import closest

MODEL = "model"  # what the audited model is called in `results`
_ENDINGS = (".yaml", ".yml")


def items(document: Document) -> Iterator[tuple[Where, dict[str, Any]]]:
    """The tasks' paths, each with its settings as a mapping; those that are no task at all are left out."""
    for where in document.items("tasks", "run"):
        written = document.get(*where)
        settings = {"task": written} if isinstance(written, str) else written
        if isinstance(settings, dict) and isinstance(settings.get("task"), str) and not document.doubted(where):
            yield where, settings


def is_file(task: str) -> bool:
    """Whether a task is named by a file, and not by one of the harness's names."""
    return task.endswith(_ENDINGS)


def name_of(task: str) -> str:
    """What a task is called in the audit: its name, or its file's without the ending."""
    return Path(task).stem if is_file(task) else task


def file_of(document: Document, where: Where, task: str) -> Path:
    """The file that names a task."""
    value = (*where, "task") if isinstance(document.get(*where), dict) else where
    return document.resolve(value, task)


def tasks(document: Document) -> tuple[Task, ...]:
    """The tasks of a document in which nothing is wrong."""
    made = []
    for where, settings in items(document):
        task = settings["task"]
        path = str(file_of(document, where, task)) if is_file(task) else None
        further = values_of(Task, {key: value for key, value in settings.items() if key != "task"})
        if results := results_of(document, where):
            further["results"] = {subject: str(file) for subject, (_, file) in results.items()}
        made.append(Task(name_of(task), document.place(where), path, **further))
    return tuple(made)


def subjects(document: Document) -> tuple[TaskSubject, ...]:
    """What the tasks are run on."""
    return tuple(document.get("tasks", "on") or ("model", "checkpoints", "claims"))


def results_of(document: Document, where: Where) -> dict[str, tuple[Where, Path]]:
    """The files of results of a task, by what they are of, each with its place; none where it is run here."""
    section = document.sound(*where, "results") if isinstance(document.get(*where), dict) else None
    if not isinstance(section, dict):
        return {}
    places = {str(subject): (*where, "results", subject) for subject in section}
    written = {subject: document.get(*place) for subject, place in places.items()}
    return {
        subject: (places[subject], document.resolve(places[subject], path))
        for subject, path in written.items()
        if isinstance(path, str)
    }


def check(document: Document) -> None:
    """Adds the mistakes of two tasks of one name, and of results of what is not in the audit."""
    for where, _ in items(document):
        for subject, (place, _) in results_of(document, where).items():
            _check_subject(document, place, subject)
    _check_names(document)


def _check_subject(document: Document, place: Where, subject: str) -> None:
    names = [*checkpoints.declared(document)]
    if subject == MODEL and MODEL in names:
        found = f"results of `{MODEL}`, which is a checkpoint's name as well"
        document.complain(place, found, f"`{MODEL}` for the audited model alone", "give the checkpoint another name")
    elif subject not in (MODEL, *names) and not document.doubted((checkpoints.SECTION,)):
        near = closest(subject, [MODEL, *names])
        expected = f"`{MODEL}`, or a checkpoint" + (f": {enumerated(f'`{name}`' for name in names)}" if names else "")
        remedy = f"did you mean `{near}`?" if near else f"declare it in `{checkpoints.SECTION}`"
        document.complain(place, f"results of `{subject}`", expected, remedy, key=place)


def _check_names(document: Document) -> None:
    """Adds the mistake of two tasks of one name, whose figures could not be told apart."""
    seen = set()
    for where, settings in items(document):
        name = name_of(settings["task"])
        if name in seen:
            document.complain(where, f"a second task called `{name}`", "each name once", "take one of the two away")
        seen.add(name)
