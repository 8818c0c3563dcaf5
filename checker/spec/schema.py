"""Holds a document against a JSON schema and says each mistake in words, at its line and column."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any

from jsonschema import Draft4Validator, Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from checker.core import resources
from checker.core.words import counted, enumerated
from checker.spec.document import Date, Document, Where

Words = tuple[str, str, str]  # found, expected, remedy

_TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false",
          "object": "a mapping", "array": "a list"}  # fmt: skip
_BOUNDS = {
    "minimum": ("at least", "raise it"), "exclusiveMinimum": ("more than", "raise it"),
    "maximum": ("at most", "lower it"), "exclusiveMaximum": ("less than", "lower it"),
}  # fmt: skip
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d{1,3}")
_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|0[xb][0-9a-fA-F_]+|\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?)")
_NAMES = (
    ("lower-case words joined by `-` and `/`", "write it as `pruneaudit rules` lists it"),
    ("a name in letters, digits, `.`, `_` and `-`", "choose such a name"),
)
_ORDER = {"type": 0, "unknown": 1}  # what a wrong type or a misspelt key entails is then not repeated
_MOST = 1000  # mistakes that are listed of one file
_LONGEST = 60  # characters of a value that a message repeats


@cache
def audit_schema() -> dict[str, Any]:
    """The JSON schema of an audit file."""
    text = (resources.schemas() / "audit.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check(document: Document, schema: dict[str, Any]) -> None:
    """Adds every departure of the document from the schema to its mistakes, and the numbers that YAML reads otherwise
    than they look."""
    validator = _Validator(schema, format_checker=FormatChecker(["date"]))
    errors = list(islice(validator.iter_errors(document.data), _MOST))
    for error in sorted(errors, key=lambda error: _ORDER.get(str(error.validator), len(_ORDER))):
        _report(document, error, schema)
    if len(errors) == _MOST:  # the rest was not looked at, so nothing in the file can be relied on
        document.wrong.add(())
    for where, text in list(document.written.items()):
        value = document.get(*where)
        if _OTHER_BASE.fullmatch(text) and not document.spoiled(where) and _has_type(value, "number", {}):
            document.complain(
                where,
                f"`{text}`, which YAML reads as {value}",
                "a number in plain decimal",
                f"write {value} if that is meant, else the number without leading zeros or colons",
            )


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that a mistyped word most likely means; None where none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return near[0] if near else None


def enumerate_words(words: Iterable[object], last: str = "or") -> str:
    """`` `a`, `b` or `c` ``."""
    return enumerated([f"`{word}`" for word in words], last) or "nothing"


def resolve(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """A subschema with its ``$ref`` replaced by what it points at in ``$defs``; what stands beside the ref wins."""
    reference = schema.get("$ref")
    if reference is None:
        return dict(schema)
    target = resolve(root["$defs"][reference.rsplit("/", 1)[-1]], root)
    return target | {key: value for key, value in schema.items() if key != "$ref"}


def _has_type(value: Any, name: str, schema: dict[str, Any]) -> bool:
    if isinstance(value, Date):
        return name == "string" and schema.get("format") == "date"
    return bool(Draft4Validator.TYPE_CHECKER.is_type(value, name))  # since draft 6, 1.0 is a whole number


def _type(_: Any, name: str, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    if not _has_type(value, name, schema):
        yield ValidationError("wrong type")


def _one_of(validator: Any, branches: list[dict[str, Any]], value: Any, _: Any) -> Iterator[ValidationError]:
    """Follows the branch that ``kind`` names, so that mistakes are those of one branch; else asks for a kind."""
    if isinstance(value, dict):
        kinds = {kind: branch for branch in branches for kind in _kinds(branch)}
        kind = value.get("kind")
        choose = {"required": ["kind"], "properties": {"kind": {"type": "string", "enum": list(kinds)}}}
        yield from validator.descend(value, kinds.get(kind, choose) if isinstance(kind, str) else choose)


def _kinds(branch: dict[str, Any]) -> list[str]:
    kind = branch["properties"]["kind"]
    return [kind["const"]] if "const" in kind else list(kind["enum"])


def _any_of(validator: Any, branches: list[dict[str, Any]], value: Any, _: Any) -> Iterator[ValidationError]:
    """Follows the branch of the value's type."""
    for branch in branches:
        if _has_type(value, branch["type"], branch):
            yield from validator.descend(value, branch)
            return
    yield ValidationError("type")


def _additional(_: Any, allowed: bool, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    if allowed or not isinstance(value, dict):
        return
    patterns = schema.get("patternProperties", {})
    for key in value:
        if key not in schema.get("properties", {}) and not any(re.search(pattern, key) for pattern in patterns):
            yield ValidationError("unknown", path=[key], validator="unknown", instance=key)


def _required(_: Any, names: list[str], value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """The keys that are missing, each with the one that needs it; None where the mapping itself does."""
    for name in names if isinstance(value, dict) else ():
        if name not in value:
            yield ValidationError("missing", validator="required", validator_value=(name, None))


def _dependent(_: Any, needs: dict[str, list[str]], value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    for present, names in needs.items() if isinstance(value, dict) else ():
        for name in names if present in value else ():
            if name not in value:
                yield ValidationError("missing", validator="required", validator_value=(name, present))


_Validator: Any = extend(Draft202012Validator, {  # type: ignore[no-untyped-call]
    "type": _type, "oneOf": _one_of, "anyOf": _any_of, "additionalProperties": _additional, "required": _required,
    "dependentRequired": _dependent,
})  # fmt: skip


def _report(document: Document, error: ValidationError, root: dict[str, Any]) -> None:
    where: Where = tuple(error.absolute_path)
    keyword = str(error.validator)
    if keyword == "required":
        name, _ = _limit(error)
        if not document.spoiled((*where, name)):
            document.complain((*where, name), *_missing(error, where, root), key=where)
        if name == "kind":
            document.wrong.add(where)
        return
    if keyword == "uniqueItems":
        where = (*where, _repeated(document.get(*where)))
    if not document.spoiled(where):
        words = _WORDS.get(keyword, _other)(document, where, error)
        document.complain(where, *words, key=where if keyword == "unknown" else None)
    if where[-1:] == ("kind",):  # without it, nothing says what the other keys may be
        document.wrong.add(where[:-1])


def _limit(error: ValidationError) -> Any:
    """What the keyword asks for: a number, a pattern, the choices, the missing name."""
    return error.validator_value


def _missing(error: ValidationError, where: Where, root: dict[str, Any]) -> Words:
    name, present = _limit(error)
    found, expected = f"no `{name}` in {_name(where)}", "it there"
    if present is not None:
        found, expected = f"`{present}` without `{name}`", f"`{name}` beside it"
    # A condition on the whole file names keys and says nothing of them.
    properties = _schema(error).get("properties") or root.get("properties", {})
    missing = resolve(properties.get(name, {}), root)
    choices = missing.get("enum")
    if choices:
        return found, f"{enumerate_words(choices)} there", f"add `{name}: {choices[0]}` or another of these"
    example = missing["const"] if "const" in missing else next(iter(missing.get("examples", [])), None)
    return found, expected, f"add `{name}:`" if example is None else f"add it, for instance `{name}: {_flow(example)}`"


def _schema(error: ValidationError) -> Mapping[str, Any]:
    """The part of the schema that a value departs from."""
    return error.schema if isinstance(error.schema, dict) else {}


def _name(where: Where) -> str:
    """``data.scoring``, ``claims[2]``, or the file for the empty path."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    return f"`{text}`" if text else "the file"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def show(document: Document, where: Where) -> str:
    """A value as a message repeats it: as it was typed, cut where it is long."""
    value = document.get(*where)
    if value is None:
        return "nothing"
    if not where and not isinstance(value, dict | list):  # the whole of a file that may be any file of this machine
        return "a text without keys"
    if isinstance(value, dict | list):
        return {dict: "a mapping", list: "a list"}[type(value)]
    text = document.written.get(where) or json.dumps(value, ensure_ascii=False)
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}`"


def _wrong_type(document: Document, where: Where, error: ValidationError) -> Words:
    kind, value = str(_limit(error)), document.get(*where)
    found, text = show(document, where), document.written.get(where, "")
    expected = _TYPES[kind]
    remedy = _by_example(where, error)
    if value is None:
        return found, expected, f"{remedy}, or take the key away"
    if kind == "string" and isinstance(value, bool | int | float | Date):
        read = json.dumps(value) if isinstance(value, bool) else "a date" if isinstance(value, Date) else "a number"
        return f"{found}, which YAML reads as {read}", expected, f'put it in quotes: "{text}"'
    if kind in ("integer", "number") and isinstance(value, str):
        return _number_as_text(found, text, value, kind) or (found, expected, remedy)
    if kind == "integer" and isinstance(value, float):
        remedy = f"write {int(value)}" if value.is_integer() else "round it"
    if kind == "array" and text:
        remedy = f"write it as a list: [{text}]"
    return found, expected, remedy


def _by_example(where: Where, error: ValidationError) -> str:
    schema = _schema(error)
    example = next(iter(schema.get("examples", [])), schema.get("default"))
    if not where:
        versioned = "pruneaudit" in schema.get("properties", {})
        return f"start the file with `{'pruneaudit: 1' if versioned else 'extends: release'}`"
    if example is None:
        return f"write {_TYPES[str(_limit(error))]}"
    key = "" if isinstance(where[-1], int) else f"{where[-1]}: "
    return f"write it like `{key}{_flow(example)}`"


def _number_as_text(found: str, text: str, value: str, kind: str) -> Words | None:
    """Words for text that looks like a number; None where it does not."""
    expected = _TYPES[kind]
    if text and _EXPONENT.fullmatch(text):
        exact = Decimal(text)
        mantissa, exponent = re.split("[eE]", text)
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
        exponent = exponent if exponent[0] in "+-" else f"+{exponent}"
        plain = [f"{exact:f}"] if abs(exact.adjusted()) <= 15 else []
        forms = plain + ([f"{mantissa}e{exponent}"] if kind == "number" else [])
        return f"{found}, which YAML reads as text", expected, f"write {' or '.join(forms) or 'it out in digits'}"
    if re.fullmatch(r"[-+]?\d+(\.\d+)?", value):
        remedy = "take the quotes away" if not text else f"write {value.lstrip('0') or 0}"
        return f"{found}, which YAML reads as text", expected, remedy
    return None


def _unknown_key(document: Document, where: Where, error: ValidationError) -> Words:
    key, schema = str(where[-1]), _schema(error)
    found = f"the unknown key `{key}` in {_name(where[:-1])}"
    if "patternProperties" in schema:
        return found, *_NAMES[where[0] in ("published", "checkpoints")]
    known = list(schema.get("properties", {}))
    holder = document.get(*where[:-1])
    if not known:
        return found, "no key here", "write `{}`"
    of_kind = f" (for `kind: {holder['kind']}`)" if "kind" in known and "kind" in holder else ""
    near = closest(key, [name for name in known if name not in holder]) or closest(key, known)
    if near and near not in holder:
        document.wrong.add((*where[:-1], near))  # so that it is not called missing as well
    return found, f"one of {enumerate_words(known)}{of_kind}", f"did you mean `{near}`?" if near else "take it away"


def _alternative(document: Document, where: Where, error: ValidationError) -> Words:
    types = " or ".join(_TYPES[branch["type"]] for branch in _limit(error))
    remedy = _by_example(where, error) if {"default", "examples"} & set(_schema(error)) else f"write {types}"
    remedy += ", or take the key away" if document.get(*where) is None else ""
    return show(document, where), types, remedy


def _choice(document: Document, where: Where, error: ValidationError) -> Words:
    choices = _limit(error) if error.validator == "enum" else [_limit(error)]
    near = closest(str(document.get(*where)), [str(item) for item in choices])
    fallback = "choose one of these" if len(choices) > 1 else f"write `{choices[0]}`"
    return show(document, where), enumerate_words(choices), f"did you mean `{near}`?" if near else fallback


def _bound(document: Document, where: Where, error: ValidationError) -> Words:
    relation, remedy = _BOUNDS[str(error.validator)]
    return show(document, where), f"{relation} {_limit(error)}", remedy


def _size(document: Document, where: Where, error: ValidationError) -> Words:
    value, limit = document.get(*where), _limit(error)
    unit = "item" if isinstance(value, list) else "key" if isinstance(value, dict) else "character"
    least = str(error.validator).startswith("min")
    expected = f"{'at least' if least else 'at most'} {counted(limit, unit)}"
    return counted(len(value), unit), expected, "add some" if least else "shorten it"


def _pattern(document: Document, where: Where, error: ValidationError) -> Words:
    schema = _schema(error)
    example = next(iter(schema.get("examples", [])), None)
    remedy = f"write it like `{example}`" if example is not None else "correct it"
    meaning = str(schema.get("description", f"text that matches {_limit(error)}")).split(". ")[0].rstrip(".")
    return show(document, where), meaning[0].lower() + meaning[1:], remedy


def _date(document: Document, where: Where, error: ValidationError) -> Words:
    return show(document, where), "a date", "write it like 2026-12-31"


def _twice(document: Document, where: Where, error: ValidationError) -> Words:
    return f"{show(document, where)} a second time", "each item once", "remove one of the two"


def _repeated(items: list[Any]) -> int:
    """The index of the first item that stands before it as well."""
    return next(index for index, item in enumerate(items) if item in items[:index])


def _other(document: Document, where: Where, error: ValidationError) -> Words:
    return show(document, where), f"what the schema asks for ({error.message})", "see `docs/spec.md`"


_WORDS: dict[str, Callable[[Document, Where, ValidationError], Words]] = {
    "type": _wrong_type,
    "anyOf": _alternative,
    "unknown": _unknown_key,
    "pattern": _pattern,
    "format": _date,
    "uniqueItems": _twice,
    **dict.fromkeys(("enum", "const"), _choice),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"), _bound),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties"), _size),
}
