"""The formats of the report: one module per format, and this register of them."""

from __future__ import annotations

import json as _json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from .. import resources
from ..errors import UsageError
from . import html, json, markdown, text
from .format import Format

FORMATS: dict[str, Format] = {
    "html": html.FORMAT,
    "md": markdown.FORMAT,
    "json": json.FORMAT,
    "text": text.FORMAT,
}
DEFAULT_FORMATS = ("html", "md", "json")
summary = text.summary

_SHOWN = 10
# A report that never was a file holds its intervals as tuples.
_ARRAYS = Draft202012Validator.TYPE_CHECKER.redefine("array", lambda _, value: isinstance(value, list | tuple))
_VALIDATOR = extend(Draft202012Validator, type_checker=_ARRAYS)  # type: ignore[no-untyped-call]


def render(report: Mapping[str, Any], out: Path, formats: Sequence[str] = DEFAULT_FORMATS) -> dict[str, Path]:
    """Writes the report into the folder ``out``; format name -> file.

    Everything is rendered before anything is written, and each file appears whole or not at all. UsageError for an
    unknown format, ValueError where the report is not valid.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"--format: found {unknown[0]!r}; expected {', '.join(FORMATS)}; choose one of these")
    check(report)
    texts = {name: FORMATS[name].render(report) for name in dict.fromkeys(formats)}
    out.mkdir(parents=True, exist_ok=True)
    return {name: _write(out / FORMATS[name].file, rendered) for name, rendered in texts.items()}


def check(report: Mapping[str, Any]) -> None:
    """ValueError where a report does not follow schemas/report.schema.json; it names each place and what is wrong."""
    mistakes = [f"{place}: found {value!r}; expected a finite number" for place, value in _not_finite(report, "$")]
    mistakes += [_mistake(error) for error in _errors(report)]
    if mistakes:
        more = f"\n… and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise ValueError("the report does not follow report.schema.json:\n" + "\n".join(mistakes[:_SHOWN]) + more)


def _errors(report: Mapping[str, Any]) -> Iterator[ValidationError]:
    schema = _json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))
    yield from _VALIDATOR(schema).iter_errors(report)


def _mistake(error: ValidationError) -> str:
    message = error.message if len(error.message) <= 300 else f"{error.message[:140]} … {error.message[-140:]}"
    expected = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    return f"{error.json_path}: {message}" + (f" ({expected})" if expected else "")


def _not_finite(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """NaN and infinities, which JSON cannot hold and a schema's `number` lets through."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{position}]")


def _write(path: Path, rendered: str) -> Path:
    """Writes beside the target and renames, so that a reader never finds half a report."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(rendered, encoding="utf-8", newline="\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
