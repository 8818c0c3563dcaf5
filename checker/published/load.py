"""An audit file of published numbers -> ``Publication``; and an audit file of either kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from checker.checkpoints.config_sizes import ConfigSizes
from checker.core.errors import InvalidAudit
from checker.core.files import absolute
from checker.core.records import Audit, Policy
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

_DECIMALS = ("perplexity", "increase", "value", "bound", "below", "at_least", "p", "at_most", "correlation", "total",
             "fewer", "fewer_percent")  # fmt: skip
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
    files = check.check(document)
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    return _publication(opened, policies.merged(chain), files)


def _publication(opened: spec.Opened, policy: Policy, files: check.FilesRead) -> Publication:
    """The record of a document without mistakes, with the files that `check` read."""
    document = opened.document
    baselines, scores = enumerate(items(document, "baselines"), 1), enumerate(items(document, "scores"))
    return Publication(
        name=opened.file.stem,
        title=document.data.get("title", opened.file.stem),
        path=str(absolute(opened.file)),
        text=document.text,
        overrides=opened.overrides,
        source=Source(**_values(document, ("published", "source"))),
        models={str(where[-1]): _model(document, where, files.configs) for where in items(document, "models")},
        waivers=policies.waivers(document),
        policy=policy,
        contracts=_by_key(document, "contracts", PublishedContract),
        baselines=tuple(_record(document, where, Baseline, id=f"baseline-{number}") for number, where in baselines),
        scores=tuple(_scores(document, where, files.tables.get(number)) for number, where in scores),
        removals=tuple(_record(document, where, Removal) for where in items(document, "removals")),
        rules=tuple(_record(document, where, SourceRule) for where in items(document, "rules")),
        statements=tuple(_of_kind(document, where) for where in items(document, "statements")),
        caveats=tuple(Caveat(**_values(document, where)) for where in items(document, "caveats")),
        files=files.digests,
    )


def _model(document: Document, where: Where, configs: Mapping[str, ConfigSizes]) -> PublishedModel:
    """A model with what its configuration tells; that says its blocks where the audit file does not."""
    key, values = str(where[-1]), _values(document, where)
    config = configs.get(key)
    values = {"blocks": config.blocks if config else None, **values, "config": config}
    return PublishedModel(id=key, location=document.place(where), **values)


def _by_key(document: Document, name: str, kind: Callable[..., R]) -> dict[str, R]:
    return {str(where[-1]): _record(document, where, kind, id=where[-1]) for where in items(document, name)}


def _record(document: Document, where: Where, kind: Callable[..., R], **defaults: Any) -> R:
    return kind(**defaults | _values(document, where), location=document.place(where))


def _values(document: Document, where: Where) -> dict[str, Any]:
    """A section's values in the form that records have them in: decimals as printed numbers, lists as tuples, and
    without the choices that the source leaves unsaid, which records have as None."""
    values = {key: _value(document, (*where, key)) for key in document.get(*where)}
    return {key: value for key, value in values.items() if not (key in _CHOICES and value == UNSTATED)}


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


def _of_kind(document: Document, where: Where) -> Statement:
    values = _values(document, where)
    kind = STATEMENTS[values.pop("kind")]
    if kind is Sum and values.pop("of", None) == "counts":
        values |= {"parts": tuple(part.exact for part in values["parts"]), "total": values["total"].exact}
    return kind(**values, location=document.place(where))


def _scores(document: Document, where: Where, file: ScoreFile | None) -> Scores:
    values = {key: value for key, value in _values(document, where).items() if key not in ("file", "values")}
    inline = range(len(document.get(*where, "values") or ()))
    rows = file.rows if file else tuple(_score(document, (*where, "values", row)) for row in inline)
    return Scores(**values, rows=rows, location=document.place(where))


def _score(document: Document, where: Where) -> Score:
    i, j, *numbers = document.get(*where)
    value, *ends = (printed_at(document, (*where, place)) for place, _ in enumerate(numbers, 2))
    return Score(i, j, value, (ends[0], ends[1]) if ends else None)
