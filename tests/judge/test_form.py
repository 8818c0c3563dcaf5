"""The types of a report are the schema's: the same keys, the same ones required, the same kinds of value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from checker.core import resources
from checker.judge.form import Report

_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def _of_type(kind: Any) -> set[Any]:
    """What a value of this type may be."""
    if is_typeddict(kind):
        return {"object"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {item for argument in arguments for item in _of_type(argument)}
    if origin is Literal:
        return {f"= {value}" for value in arguments}
    return {_KINDS[kind]} if origin is None else {"array" if origin is Sequence else "object"}


def _of_schema(schema: Mapping[str, Any]) -> set[Any]:
    """What a value may be by the schema."""
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return {"null" if value is None else f"= {value}" for value in values}
    stated = schema["type"]
    return {stated} if isinstance(stated, str) else set(stated)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[dict[str, Any], set[Any]]:
    """A schema without references, and what it lets a value be."""
    if "anyOf" in schema:
        parts = [_resolved(part, root) for part in schema["anyOf"]]
        return parts[0][0], set().union(*(values for _, values in parts))
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return dict(schema), _of_schema(schema)


def differences(kind: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> list[str]:
    """Where a type and a schema differ, one line each."""
    schema, values = _resolved(schema, root)
    typed = _of_type(kind)
    words = {value for value in values if value.startswith("= ")}
    if "string" in typed and words:  # a type may leave the words to the schema
        typed, values = typed - {"string"}, values - words
    found = [] if typed == values else [f"{place}: {sorted(typed)} as a type, {sorted(values)} in the schema"]
    for part in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if is_typeddict(part) or (get_origin(part) is Mapping and get_args(get_args(part)[0])):
            found += _keys(part, schema, root, place)
        elif get_origin(part) is Sequence:
            found += differences(get_args(part)[0], schema["items"], root, f"{place}[]")
        elif get_origin(part) is Mapping:
            found += differences(get_args(part)[1], schema["additionalProperties"], root, f"{place}.*")
    return found


def _hints(kind: Any) -> dict[str, Any]:
    """The type of each key; a mapping whose keys are named may leave each of them out."""
    if is_typeddict(kind):
        return get_type_hints(kind, include_extras=True)
    names, value = get_args(kind)
    return dict.fromkeys(get_args(names), NotRequired[value])


def _keys(kind: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> list[str]:
    hints, properties = _hints(kind), schema["properties"]
    optional = {key for key, hint in hints.items() if get_origin(hint) is NotRequired}
    found = [f"{place}.{key}: only in one of type and schema" for key in sorted(hints.keys() ^ properties.keys())]
    found += [
        f"{place}.{key}: required in one of type and schema"
        for key in sorted((hints.keys() - optional) ^ set(schema["required"]))
    ]
    for key in sorted(hints.keys() & properties.keys()):
        hint = get_args(hints[key])[0] if key in optional else hints[key]
        found += differences(hint, properties[key], root, f"{place}.{key}")
    return found


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))


def test_the_types_of_a_report_are_the_schemas(schema: dict[str, Any]) -> None:
    assert differences(Report, schema, schema, "$") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda schema: schema["$defs"]["arm"]["properties"].pop("kl"), "$.arms[].kl: only in one"),
        (lambda schema: schema["$defs"]["arm"]["required"].remove("kl"), "$.arms[].kl: required in one"),
        (
            lambda schema: schema["$defs"]["arm"]["properties"].update(kl={"type": "number"}),
            "$.arms[].kl: ['null', 'number']",
        ),
        (
            lambda schema: schema["$defs"]["claim"]["properties"]["verdict"]["enum"].append("maybe"),
            "$.claims[].verdict: ",
        ),
        (lambda schema: schema["$defs"]["layers"].update(items={"type": "string"}), "$.arms[].layers[]: ['integer']"),
        (lambda schema: schema["$defs"]["backing"]["properties"].pop("why"), "$.claims[].protocols.interchange.why: "),
    ],
)
def test_a_change_of_the_schema_alone_is_seen(schema: dict[str, Any], change: Any, told: str) -> None:
    changed = json.loads(json.dumps(schema))
    change(changed)
    found = differences(Report, changed, changed, "$")
    assert found
    assert found[0].startswith(told)
