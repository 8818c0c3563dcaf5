"""A file that people have -> the draft of an audit of published numbers. It decides nothing (docs/importing.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from checker.core.errors import UsageError
from checker.core.escape import one_line
from checker.core.exact_json import read_json_text
from checker.published.importers import IMPORTERS
from checker.published.importers import draft as drafts
from checker.published.importers.importer import Request
from checker.published.importers.tables import KEYS
from checker.spec.harness_results import LARGEST_RESULTS, is_results

_SPLIT = re.compile(rf",(?=(?:{'|'.join(KEYS)})=)")
_OPTIONS = {"columns": "--map", "records": "--records", "base": "--base", "blocks": "--blocks"}
_SUFFIXES = {
    ".md": "card", ".markdown": "card", ".yaml": "mergekit", ".yml": "mergekit", ".csv": "csv", ".tsv": "csv"
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """A draft as an audit file, how many blanks it has, and what could not be understood."""

    text: str
    blanks: int
    not_understood: tuple[str, ...]


def imported(request: Request, kind: str | None = None) -> Imported:
    """The draft of a file; ``kind`` is a name in IMPORTERS, found out where it is None.

    UsageError where the file is of no known kind, holds nothing to import, or does not take an option that was given;
    InvalidAudit where it is YAML that cannot be read.
    """
    importer = IMPORTERS[kind or kind_of(request.path)]
    for name, option in _OPTIONS.items():
        if getattr(request, name) not in (None, {}) and name not in importer.options:
            takers = ", ".join(each.name for each in IMPORTERS.values() if name in each.options)
            raise UsageError.at(
                option,
                f"it for {importer.summary}",
                f"it only with --from {takers}",
                "leave it out, or say with --from what the file is",
            )
    if request.base is not None and not request.base.exists():
        raise UsageError.at(request.base, "nothing there", "the unpruned model, after --base", "check the path")
    draft = importer.draft(request)
    text = drafts.render(draft)
    return Imported(text, drafts.blanks(text), tuple(one_line(line, 400) for line in draft.not_understood))


def kind_of(path: Path) -> str:
    """What kind of file it is, by its name and its first lines; UsageError where that does not tell."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return "model"
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix == ".json":
        return "harness" if is_results(read_json_text(path, LARGEST_RESULTS, "a JSON file")) else "json"
    raise UsageError.at(path, "a file of no known kind", f"one of {', '.join(IMPORTERS)}", "say which with --from")


def columns(mappings: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """``i=layer_a,j=layer_b,value=replacement_max`` -> the names of the columns; `value` may be given several times."""
    names: dict[str, tuple[str, ...]] = {}
    for part in (part for mapping in mappings for part in _SPLIT.split(mapping)):
        key, sign, name = (piece.strip() for piece in part.partition("="))
        if key not in KEYS or not sign or not name or (key in names and key != "value"):
            raise UsageError.at(
                "--map",
                f"{one_line(part, 60)!r}",
                f"{', '.join(KEYS)}, each with the name of a column and only `value` more than once",
                "write it like --map i=layer_a,j=layer_b,value=replacement_max",
            )
        names[key] = (*names.get(key, ()), name)
    if ("low" in names) != ("high" in names) or ("low" in names and len(names.get("value", ())) > 1):
        raise UsageError.at(
            "--map",
            "an interval that belongs to no one column",
            "`low` and `high` together, with a single `value`",
            "import the columns one by one",
        )
    return names
