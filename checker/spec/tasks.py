"""The section `tasks` of an audit file: which tasks are run, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checker.core.canonical import values_of
from checker.core.records import Task, TaskSubject
from checker.spec.document import Document, Where

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
        made.append(Task(name_of(task), document.place(where), path, **further))
    return tuple(made)


def subjects(document: Document) -> tuple[TaskSubject, ...]:
    """What the tasks are run on."""
    return tuple(document.get("tasks", "on") or ("model", "checkpoints", "claims"))


def check(document: Document) -> None:
    """Adds the mistake of two tasks of one name, whose figures could not be told apart."""
    seen = set()
    for where, settings in items(document):
        name = name_of(settings["task"])
        if name in seen:
            document.complain(where, f"a second task called `{name}`", "each name once", "take one of the two away")
        seen.add(name)
