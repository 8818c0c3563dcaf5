"""JSON: records read back, every type of them checked, as evidence comes from strangers; canonical text and digests."""

from __future__ import annotations

import hashlib
import json
from collections import abc
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from checker.core.errors import RESTORE, EvidenceDamaged, refuse_file, refuse_unreadable
from checker.core.files import beginning

R = TypeVar("R")

JSON_LIMIT = 100_000_000  # bytes; the limit that the safetensors library sets itself
_LARGEST = 2**53  # of a whole number: beyond it JSON's readers disagree


class NotOfKind(ValueError):
    """A value of JSON that cannot be what a type says: ``place``, what was ``found`` and what was ``expected``."""

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(f"{place}: found {found}; expected {expected}")
        self.place, self.found, self.expected = place, found, expected


def restored(kind: type[R], record: object, place: str) -> R:
    """As ``from_json``, of stored evidence: EvidenceDamaged where the record is not of its kind."""
    try:
        return from_json(kind, record, place)
    except NotOfKind as error:
        raise EvidenceDamaged.at(error.place, error.found, error.expected, RESTORE) from None


def restored_row(kind: type[R], record: object, place: str) -> R:
    """As ``restored``, of a TypedDict: what is missing in the record is None, and what is no key of it is left out."""
    try:
        row: R = value_of(kind, record, place)
    except NotOfKind as error:
        raise EvidenceDamaged.at(error.place, error.found, error.expected, RESTORE) from None
    return row


def from_json(kind: type[R], record: object, place: str = "") -> R:
    """A dataclass from JSON, which has lists where it has tuples; ``place`` is what messages call the record.

    NotOfKind says what is missing, is no field of ``kind`` or is of another type. Whole numbers are at least 0.
    """
    if not isinstance(record, Mapping):
        raise NotOfKind(place, f"{record!r:.80}", "a mapping")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in record:
        if name not in known:
            raise NotOfKind(place, f"{name!r:.80}, which nothing reads", f"only {', '.join(known)}")
    for name, field in known.items():
        if name not in record and field.default is MISSING and field.default_factory is MISSING:
            raise NotOfKind(place, f"no {name}", "it there")
    return kind(**values_of(kind, record, place))


def values_of(kind: type[Any], values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Values of JSON by the names of a dataclass's fields, as those hold them; NotOfKind where one cannot be."""
    hints = get_type_hints(kind)
    return {name: value_of(hints[name], value, f"{place}, {name}") for name, value in values.items()}


def value_of(hint: Any, value: Any, place: str = "") -> Any:
    """A value of JSON as a field of type ``hint`` holds it; NotOfKind where it cannot."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        (hint,) = (part for part in parts if part is not NoneType)
        return value_of(hint, value, place)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
        if len(kinds) == len(value):
            return tuple(value_of(kinds[number], item, f"{place}[{number}]") for number, item in enumerate(value))
    elif origin is abc.Sequence and isinstance(value, list):
        return [value_of(parts[0], item, f"{place}[{number}]") for number, item in enumerate(value)]
    elif origin is abc.Mapping and isinstance(value, dict):
        return {key: value_of(parts[1], item, f"{place}, {key}") for key, item in value.items()}
    elif is_typeddict(hint) and isinstance(value, dict):
        return values_of(hint, {name: value.get(name) for name in hint.__annotations__}, place)
    elif is_dataclass(hint):
        return from_json(hint, value, place)  # type: ignore[arg-type]
    elif _fits(hint, value):
        return float(value) if hint is float else value
    raise NotOfKind(place, f"{value!r:.80}", _name(hint))


def _fits(hint: Any, value: Any) -> bool:
    """Whether a single value is of a single type."""
    if hint is int:
        return type(value) is int and 0 <= value < _LARGEST
    if hint is float:
        return type(value) in (int, float) and abs(value) < float("inf")
    return value in get_args(hint) if get_origin(hint) is Literal else hint in (str, bool) and type(value) is hint


def _name(hint: Any) -> str:
    words = {int: "a whole number of at least 0", float: "a number", str: "text", bool: "true or false"}
    if is_dataclass(hint) or is_typeddict(hint):
        return "a mapping"
    return words.get(hint, str(hint).replace("typing.", "").replace("collections.abc.", ""))


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: one text per value, so that digests are stable."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of at most 100 MB; CannotRun where it is not one."""
    try:
        data = beginning(path, JSON_LIMIT)
    except OSError as error:
        refuse_unreadable(path, error)
    if len(data) > JSON_LIMIT:
        refuse_file(path, f"more than {JSON_LIMIT} bytes", "a JSON file below that")
    return json_object(path, data)


def json_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object that the bytes of a file hold; CannotRun where they hold none."""
    try:
        value = json.loads(data, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        refuse_file(path, f"something that is not JSON ({error})", "a JSON object")
    if not isinstance(value, dict):
        refuse_file(path, f"a JSON {type(value).__name__}", "a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers may disagree on which of two equal keys counts, so neither is taken.
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key that stands twice")
    return result
