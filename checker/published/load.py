"""An audit file of published numbers -> ``Publication``; and an audit file of either kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from checker.core.errors import InvalidAudit
from checker.core.records import Audit, Policy, Waiver
from checker.published import check
from checker.published.check import items, printed_at
from checker.published.publication import (
    STATEMENTS,
    UNSTATED,
    Baseline,
    Caveat,
    Publication,
    PublishedContract,
    PublishedModel,
    Removal,
    Score,
    Scores,
    Source,
    SourceRule,
    Statement,
    Sum,
)
from checker.published.score_files import ScoreFile
from checker.spec import consistency, policies, schema
from checker.spec import load as spec
from checker.spec.document import Document, Where

R = TypeVar("R")


_DECIMALS = ("perplexity", "increase", "value", "bound", "below", "at_least", "p", "at_most", "correlation", "total")
_BOUNDS = ("bound", "below", "at_least", "at_most")  # which nobody rounded
_CHOICES = ("score", "symmetrisation", "spacing", "max_gap", "ties", "of", "coefficient", "sides")  # may be unstated


def any_audit(
    path: str | Path, overrides: Sequence[str] = (), *, hub_cache: Path | None = None, attached: bool = True
) -> tuple[Audit | Publication, tuple[str, ...]]:
    """The audit of a file or of a packaged name, and notes on what was not checked; as ``spec.load.check``."""
    opened = spec.read(path, overrides)
    if opened.published:
        return _checked_publication(opened), ()
    checked = spec.check_opened(opened, hub_cache, attached=attached)
    return checked.audit, checked.notes


def _checked_publication(opened: spec.Opened) -> Publication:
    document = opened.document
    check.check_blanks(document)
    schema.check(document, schema.audit_schema())
    consistency.check(document)
    chain = policies.layers(document)
    tables = check.check(document)
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    policy, waivers = policies.merged(chain), spec.waivers(document)
    return publication(document, opened.file, opened.overrides, policy, waivers, tables)


def publication(
    document: Document,
    file: Path,
    overrides: tuple[tuple[str, str], ...],
    policy: Policy,
    waivers: tuple[Waiver, ...],
    tables: Mapping[int, ScoreFile],
) -> Publication:
    """The record of a document without mistakes, with the score files that `check` read."""
    data = document.data["published"]
    found: dict[str, Any] = {
        name: {
            key: kind(id=key, location=document.place(("published", name, key)), **_values(document, name, key))
            for key in data.get(name, {})
        }
        for name, kind in (("models", PublishedModel), ("contracts", PublishedContract))
    }
    return Publication(
        name=file.stem,
        title=document.data.get("title", file.stem),
        path=str(file.resolve()),
        text=document.text,
        overrides=overrides,
        source=Source(**_values(document, "source")),
        waivers=waivers,
        policy=policy,
        baselines=tuple(_each(document, "baselines", _baseline)),
        scores=tuple(_scores(document, number, tables) for number in range(len(data.get("scores", ())))),
        removals=tuple(_each(document, "removals", _removal)),
        rules=tuple(_each(document, "rules", _rule)),
        statements=tuple(_each(document, "statements", _of_kind)),
        caveats=tuple(_each(document, "caveats", _caveat)),
        files=tuple(dict.fromkeys((table.name, table.sha256) for table in tables.values())),
        **found,
    )


def _values(document: Document, *where: str | int) -> dict[str, Any]:
    """A section's values in the form that records have them in: decimals as printed numbers, lists as tuples."""
    path: Where = ("published", *where)
    return {key: _value(document, (*path, key)) for key in document.get(*path)}


def _value(document: Document, where: Where) -> Any:
    value, key = document.get(*where), where[-1]
    if key in _DECIMALS:
        return printed_at(document, where).exact if key in _BOUNDS else printed_at(document, where)
    if key in ("interval", "parts"):
        return tuple(printed_at(document, (*where, number)) for number in range(len(value)))
    if key in ("pair", "layers"):
        return tuple(sorted(value))
    if isinstance(value, list):
        return tuple(map(str, value)) if value and isinstance(value[0], str) else tuple(value)
    return str(value) if isinstance(value, str) else value


def _each(document: Document, name: str, make: Callable[[Document, Where], R]) -> Iterator[R]:
    for where in items(document, name):
        yield make(document, where)


def _baseline(document: Document, where: Where) -> Baseline:
    named = {"id": f"baseline-{int(where[-1]) + 1}"}
    return Baseline(**named | _values(document, *where[1:]), location=document.place(where))


def _caveat(document: Document, where: Where) -> Caveat:
    return Caveat(**_values(document, *where[1:]))


def _removal(document: Document, where: Where) -> Removal:
    return Removal(**_values(document, *where[1:]), location=document.place(where))


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without the choices that the source leaves unsaid, which records have as None."""
    return {key: value for key, value in values.items() if not (key in _CHOICES and value == UNSTATED)}


def _rule(document: Document, where: Where) -> SourceRule:
    return SourceRule(**_stated(_values(document, *where[1:])), location=document.place(where))


def _of_kind(document: Document, where: Where) -> Statement:
    values = _values(document, *where[1:])
    kind = STATEMENTS[values.pop("kind")]
    stated = _stated(values)
    if kind is Sum and stated.pop("of", None) == "counts":
        stated |= {"parts": tuple(part.exact for part in stated["parts"]), "total": stated["total"].exact}
    return kind(**stated, location=document.place(where))


def _scores(document: Document, number: int, tables: Mapping[int, ScoreFile]) -> Scores:
    where: Where = ("published", "scores", number)
    values = _values(document, *where[1:])
    values.pop("file", None)
    inline = values.pop("values", ())
    rows = tables[number].rows if number in tables else tuple(
        _score(document, (*where, "values", row)) for row in range(len(inline))
    )  # fmt: skip
    return Scores(**values, rows=rows, location=document.place(where))


def _score(document: Document, where: Where) -> Score:
    i, j, *_ = document.get(*where)
    value, *ends = (printed_at(document, (*where, place)) for place in range(2, len(document.get(*where))))
    return Score(i, j, value, (ends[0], ends[1]) if ends else None)
