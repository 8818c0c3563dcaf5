"""Scores on tasks: of the model, and of everything that is held against it, paired by document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checker.core.words import counted
from checker.judge.figures.form import Ends, ImportedRow, TaskMetricRow, TaskRow, TaskSideRow, ValueRow
from checker.judge.form import Report
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, table

_NONE = Cell("–")
_NO_INTERVAL = "no interval"


@dataclass(frozen=True)
class Shown:
    """One task: its heading, what it is and what of it was asked, in sentences, and a table for each metric."""

    heading: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class _Line:
    """A row of a metric's table: a name, a score, and the side that it is of, where it is not the model."""

    name: str
    score: ValueRow | None
    side: TaskSideRow | None = None


def tasks(report: Report) -> list[Shown]:
    """Every task that was read; none where the audit has none."""
    return [_shown(number, task) for number, task in enumerate(report["tasks"])]


def score(metric: TaskMetricRow, row: ValueRow | None) -> Cell:
    """A score and its interval, in percent where all scores lie from 0 to 1."""
    if row is None:
        return Cell(numbers.NOT_MEASURED)
    write = numbers.share if metric["share"] else numbers.significant
    return Cell(write(row["value"]), _ends(row["interval"], lambda ends: numbers.interval(ends, write)))


def difference(metric: TaskMetricRow, row: ValueRow | None) -> Cell:
    """A difference from the model's score and its interval, in percentage points where scores are percent."""
    if row is None:
        return _NONE
    if not metric["share"]:
        return Cell(
            numbers.change(row["value"]), _ends(row["interval"], lambda ends: numbers.interval(ends, numbers.change))
        )
    points = _ends(row["interval"], lambda ends: numbers.percents([100.0 * end for end in ends]))
    return Cell(numbers.points(100.0 * row["value"]), points)


def asked(task: TaskRow) -> str:
    """On how many documents, and whether these are all."""
    if task["documents"] == task["whole"]:
        return counted_documents(task["documents"])
    return f"the first {numbers.count(task['documents'])} of {counted_documents(task['whole'])}"


def counted_documents(number: int) -> str:
    return f"{numbers.count(number)} {'document' if number == 1 else 'documents'}"


def _shown(number: int, task: TaskRow) -> Shown:
    metrics = enumerate(task["metrics"])
    tables = tuple(_table(f"tasks-{number}-{place}", task["name"], metric) for place, metric in metrics)
    imported = ", imported" if task["evidence"] == "imported" else ""
    return Shown(f"{task['name']}, {asked(task)}{imported}", tuple(_sentences(task)), tables)


def _sentences(task: TaskRow) -> Sequence[str]:
    shots = counted(task["shots"], "worked example") if task["shots"] else "no worked example"
    sentences = [
        f"Version {task['version']} of the task in lm-evaluation-harness {task['harness']}, {task['output_type']}, "
        f"{shots} before each document.",
        f"All that was asked has the digest {task['requests'][:12]}.",
    ]
    sentences += [_imported(row) for row in task["imported"]]
    if task["chat_template"]:
        sentences.append(f"It was asked in a chat template with the digest {task['chat_template'][:12]}.")
    for metric in task["metrics"]:
        if metric["at_chance"]:
            sentences.append(f"By {metric['metric']} the model itself is not told from guessing.")
    return sentences


def _imported(row: ImportedRow) -> str:
    """Where the scores of a model were imported from."""
    whom = "the model" if row["subject"] == "model" else row["subject"]
    samples = "" if row["samples_sha256"] is None else f", samples {row['samples_sha256'][:12]}"
    called = "do not name their model" if row["model"] is None else f"call their model {row['model']}"
    dtype = "" if row["dtype"] is None else f", in {row['dtype']}"
    version = "an unstated version" if row["harness"] is None else row["harness"]
    return (
        f"Scores of {whom} are imported from {row['file']} (sha256 {row['sha256'][:12]}{samples}), of "
        f"lm-evaluation-harness {version}; these results {called}{dtype}, and nothing shows which weights they are of."
    )


def _table(name: str, task: str, metric: TaskMetricRow) -> Table:
    fields: list[Field[_Line]] = [
        Field("What", lambda line: Cell(line.name)),
        Field("Score", lambda line: score(metric, line.score), numeric=True),
        Field(
            "Difference", lambda line: _of_side(line, lambda side: difference(metric, side["difference"])), numeric=True
        ),
        Field("Retained", lambda line: _of_side(line, lambda side: _share(side["retained"])), numeric=True),
        Field(
            "Retained above chance",
            lambda line: _of_side(line, lambda side: _share(side["retained_above_chance"])),
            numeric=True,
        ),
        Field("Gained and lost", lambda line: _of_side(line, _discordant), numeric=True),
    ]
    lines = [_Line("Model", metric["model"]), *(_Line(side["name"], side["score"], side) for side in metric["sides"])]
    notes = [] if metric["chance"] is None else [f"Guessing scores {numbers.share(metric['chance'])}."]
    if not metric["higher_is_better"]:
        notes.append("Less is better.")
    return table(name, f"{metric['metric']} on {task}, paired by document", fields, lines, " ".join(notes))


def _of_side(line: _Line, write: Callable[[TaskSideRow], Cell]) -> Cell:
    return _NONE if line.side is None else write(line.side)


def _share(value: float | None) -> Cell:
    return _NONE if value is None else Cell(numbers.share(value))


def _discordant(side: TaskSideRow) -> Cell:
    """Documents that it alone gets right, and those that the model alone does."""
    if side["gained"] is None or side["lost"] is None:
        return _NONE
    return Cell(f"{numbers.count(side['gained'])} and {numbers.count(side['lost'])}")


def _ends(ends: Ends, write: Callable[[Sequence[float]], str]) -> str:
    return _NO_INTERVAL if ends is None else write(ends)
