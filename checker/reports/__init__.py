"""The formats of the report: one module per format, and this register of them."""

from __future__ import annotations

import json as _json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from checker.core import resources
from checker.core.files import replace
from checker.judge.form import PUBLISHED_FORMAT, AnyReport
from checker.reports import destination, github, html, json, junit, markdown, sarif, text
from checker.reports.destination import Destination
from checker.reports.format import Format
from checker.reports.places import pointing

FORMATS: dict[str, Format] = {
    "html": html.FORMAT,
    "md": markdown.FORMAT,
    "json": json.FORMAT,
    "text": text.FORMAT,
    "sarif": sarif.FORMAT,
    "junit": junit.FORMAT,
    "github": github.FORMAT,
}
DEFAULT_FORMATS = ("html", "md", "json")
summary = text.summary

_SHOWN = 10
_LARGEST = 1e300
# A report that never was a file holds its intervals as tuples.
_ARRAYS = Draft202012Validator.TYPE_CHECKER.redefine("array", lambda _, value: isinstance(value, list | tuple))
_VALIDATOR = extend(Draft202012Validator, type_checker=_ARRAYS)  # type: ignore[no-untyped-call]


def render(
    report: AnyReport, out: Path, formats: Sequence[str] = DEFAULT_FORMATS, audit: Path | None = None
) -> dict[str, Path]:
    """Writes the report; format as it was asked for -> file.

    A format is a name, written into the folder ``out``, or ``NAME=FILE``; what goes to standard output (``NAME=-``) is
    left to `printed`. ``audit`` is the audit file, which formats for code review point at. Everything is rendered
    before anything is written, and each file appears whole or not at all. UsageError as `destinations` says, ValueError
    where the report is not valid.
    """
    goals = destinations(formats, out, audit)
    check(report)
    texts = [(goal.asked, goal.path, _text(goal.format, report, audit)) for goal in goals if goal.path is not None]
    for _, path, rendered in texts:
        replace(path, rendered.encode())
    return {asked: path for asked, path, _ in texts}


def printed(report: AnyReport, out: Path, formats: Sequence[str], audit: Path | None = None) -> str | None:
    """The text of the one format that goes to standard output; None where there is none. Arguments as for `render`."""
    to_print = [goal.format for goal in destinations(formats, out, audit) if goal.path is None]
    return _text(to_print[0], report, audit) if to_print else None


def destinations(formats: Sequence[str], out: Path, audit: Path | None = None) -> tuple[Destination, ...]:
    """Where each format goes; UsageError, before anything is measured, where one cannot go there."""
    return destination.destinations(FORMATS, formats, out, audit)


def _text(format_: Format, report: AnyReport, audit: Path | None) -> str:
    return format_.render(pointing(report, audit) if format_.points else report)


def check(report: Mapping[str, Any]) -> None:
    """ValueError where a report does not follow the schema of its format; it names each place and what is wrong."""
    published_numbers = isinstance(report, Mapping) and report.get("format") == PUBLISHED_FORMAT
    name = "published.schema.json" if published_numbers else "report.schema.json"
    schema = _json.loads((resources.schemas() / name).read_text(encoding="utf-8"))
    mistakes = [f"{place}: found {value!r}; expected a finite number" for place, value in _not_finite(report, "$")]
    mistakes += [_mistake(error) for error in _VALIDATOR(schema).iter_errors(report)]
    if mistakes:
        more = f"\n… and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise ValueError(f"the report does not follow {name}:\n" + "\n".join(mistakes[:_SHOWN]) + more)


def _mistake(error: ValidationError) -> str:
    message = error.message if len(error.message) <= 300 else f"{error.message[:140]} … {error.message[-140:]}"
    expected = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    return f"{error.json_path}: {message}" + (f" ({expected})" if expected else "")


def _not_finite(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """NaN, infinities, and numbers so near them that a step of arithmetic makes one; a schema's `number` lets them
    through."""
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{position}]")
