"""A stranger's task file -> the settings that lm-evaluation-harness may see, and its rows.

Task files can run code: by `!function`, by what a setting imports or downloads, and by templates. So only settings that
say what is asked and how it is scored are taken, as plain values, and rows are read here, from beside the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checker.checkpoints.trust import existing
from checker.core.errors import CannotRun, InvalidAudit
from checker.measure.text_rows import read_objects
from checker.spec import document as documents
from checker.spec.document import Document, Where

_SPLITS = ("test", "validation", "training", "fewshot")
# What says how a task asks and scores. Everything else is refused by name, for some of it runs code.
_SETTINGS = frozenset({
    "task", "task_alias", "tag", "output_type", "doc_to_text", "doc_to_target", "doc_to_choice", "description",
    "target_delimiter", "fewshot_delimiter", "num_fewshot", "generation_kwargs", "repeats", "filter_list",
    "metric_list", "metadata", "gen_prefix", *(f"{split}_split" for split in _SPLITS),
})  # fmt: skip
_GENERATION = frozenset({"until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k"})
_OF_METRIC = frozenset({"metric", "aggregation", "higher_is_better", "ignore_case", "ignore_punctuation",
                        "ignore_numbers", "regexes_to_ignore"})  # fmt: skip
_FILTERS = frozenset({
    "take_first", "regex", "remove_whitespace", "lowercase", "uppercase", "majority_vote", "take_first_k",
    "multi_choice_regex",
})  # fmt: skip
MOST_DOCUMENTS = 1_000_000


@dataclass(frozen=True)
class TaskFile:
    """A task as a file of the user's describes it."""

    settings: Mapping[str, Any]
    rows: Mapping[str, list[dict[str, Any]]]  # by split


def read(path: Path) -> TaskFile:
    """CannotRun names every setting that is not taken, by line and column, and data that are not there."""
    try:
        document = documents.read(path, str(path), "a task of lm-evaluation-harness", "see the harness's own tasks")
    except InvalidAudit as error:
        raise CannotRun(str(error)) from error
    if not isinstance(document.data, dict):
        document.note(document.place(()), "no mapping", "keys of a task", "see the harness's own tasks")
    else:
        _check(document)
    if document.mistakes:
        raise CannotRun("\n".join(map(str, sorted(document.mistakes))))
    settings = {key: value for key, value in document.data.items() if key in _SETTINGS}
    files = document.data["dataset_kwargs"]["data_files"]
    return TaskFile(settings, {split: list(_rows(path.parent, str(file))) for split, file in files.items()})


def _check(document: Document) -> None:
    """Adds a mistake for everything that is not taken."""
    _only(document, (), _SETTINGS | {"dataset_path", "dataset_kwargs"}, "one of the plain settings of a task")
    if document.get("dataset_path") != "json":
        _refuse(
            document, ("dataset_path",), f"{document.get('dataset_path')!r:.60}", "`json`, JSON lines beside the file"
        )
    files = document.get("dataset_kwargs", "data_files")
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        _refuse(document, ("dataset_kwargs",), "no files by split", "`{data_files: {test: NAME.jsonl}}`")
    _only(document, ("dataset_kwargs",), frozenset({"data_files"}))
    _only(document, ("generation_kwargs",), _GENERATION)
    for where in document.items("metric_list"):
        _only(document, where, _OF_METRIC)
    for where in document.items("filter_list"):
        for step in document.items(*where, "filter"):
            name = document.get(*step, "function")
            if name not in _FILTERS:
                _refuse(document, (*step, "function"), f"{name!r:.60}", f"one of {_listed(_FILTERS)}")
    if document.get("repeats") not in (None, 1):
        _refuse(document, ("repeats",), f"{document.get('repeats')!r:.60}", "1, for answers are paired by document")


def _only(document: Document, where: Where, allowed: frozenset[str], expected: str = "") -> None:
    """Refuses the keys of a mapping that are not allowed."""
    for key in document.get(*where) or ():
        if key not in allowed:
            _refuse(document, (*where, key), f"the setting `{key}`", expected or f"one of {_listed(allowed)}")


def _refuse(document: Document, where: Where, found: str, expected: str) -> None:
    remedy = "a task file may come from anyone, and only what cannot run code is taken; take it away"
    document.complain(where, found, expected, remedy)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    path = existing(folder.resolve(), name)
    if path is None:
        raise CannotRun.at(
            folder / name, "no such file", "the task's documents, as JSON lines", "put it beside the task"
        )
    for number, row in enumerate(read_objects(path), 1):
        if number > MOST_DOCUMENTS:
            raise CannotRun.at(path, f"more than {MOST_DOCUMENTS} documents", "at most so many", "use a part of it")
        yield row
