"""Audit file -> ``Audit``: schema, meaning, attached files and the model's headers, all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from checker.checkpoints import digests, files, model_facts
from checker.core import resources
from checker.core.canonical import from_json
from checker.core.errors import CannotRun, InvalidAudit, Mistake, UsageError
from checker.core.facts import ModelFacts
from checker.core.files import absolute, lacking
from checker.core.records import (
    Audit,
    EvaluationContract,
    MethodSettings,
    Policy,
    ScoringContract,
    Statistics,
    TextSource,
    Timing,
)
from checker.spec import checkpoints, claims, consistency, policies, schema, series, sources, tasks
from checker.spec import document as documents
from checker.spec.document import Document, Where

DEFAULT_METHODS = ("interchange", "replacement", "deletion")
DEFAULT_PROTOCOLS: Mapping[str, Mapping[str, str]] = {"replacement": {}, "interchange": {}}


@dataclass(frozen=True)
class Opened:
    """An audit file as it was read, before it is held against the schema."""

    file: Path
    document: Document
    overrides: tuple[tuple[str, str], ...]

    @property
    def published(self) -> bool:
        """Whether it is an audit of published numbers."""
        return isinstance(self.document.data, dict) and "published" in self.document.data


@dataclass(frozen=True)
class Checked:
    """A valid audit, its file, what its model's headers say, and what could not be checked on this machine."""

    audit: Audit
    document: Document
    facts: ModelFacts | None
    notes: tuple[str, ...]

    def against(self, facts: ModelFacts) -> None:
        """InvalidAudit where the file goes beyond a model that was not at hand when it was checked."""
        consistency.check_blocks(self.document, facts)
        if self.document.mistakes:
            raise InvalidAudit(self.document.mistakes)


def check(
    path: str | Path, overrides: Sequence[str] = (), *, hub_cache: Path | None = None, attached: bool = True
) -> Checked:
    """The audit of a file or of a packaged name, with the model's facts and notes on what was not checked.

    ``overrides`` are texts like ``data.scoring.prompts=8``. ``attached=False`` leaves out whatever lies outside of the
    audit file (texts, model): for evidence that was measured on another machine. InvalidAudit holds every mistake;
    UsageError where the file is an audit of published numbers.
    """
    return _check_measured(read(path, overrides), hub_cache, attached=attached)


def check_text(text: str, name: str, folder: Path, overrides: Sequence[str] = (), *, attached: bool = True) -> Checked:
    """As ``check``, of the text of a file that is called ``name`` and need not be there, nor ``folder`` around it."""
    return _check_measured(read_text(text, name, folder, overrides), attached=attached)


def read(path: str | Path, overrides: Sequence[str] = ()) -> Opened:
    """The audit file of a path or of a packaged name, with ``overrides`` in it; InvalidAudit where it is not YAML."""
    file, name = _find(path)
    if not file.stem.strip("."):
        expected = "a name beside dots, which the folder of evidence is called by"
        raise InvalidAudit([Mistake(name, 0, 0, f"a file called `{file.name}`", expected, "give it another name")])
    document = documents.read(file, name)
    return Opened(file, document, tuple(map(document.override, overrides)))


def read_text(text: str, name: str, folder: Path, overrides: Sequence[str] = ()) -> Opened:
    """As ``read``, of the text of a file that is called ``name`` and need not be there, nor ``folder`` around it."""
    document = documents.read_text(text, name, folder)
    return Opened(folder / name, document, tuple(map(document.override, overrides)))


def _check_measured(opened: Opened, hub_cache: Path | None = None, *, attached: bool = True) -> Checked:
    if opened.published:
        raise UsageError.at(
            absolute(opened.file),
            "an audit of published numbers",
            "one that names a model",
            "decide it with `pruneaudit judge`, which measures nothing",
        )
    return check_opened(opened, hub_cache, attached=attached)


def check_opened(opened: Opened, hub_cache: Path | None = None, *, attached: bool = True) -> Checked:
    """As ``check``, of a file that was read already and is no audit of published numbers."""
    document = opened.document
    schema.check(document, schema.audit_schema())
    consistency.check(document)
    chain = policies.layers(document)
    facts, notes = None, []
    if attached:
        notes = _check_texts(document)
        _check_tasks(document)
        facts, more = _model_facts(document, ("model",), hub_cache)
        if more and facts is None:
            more = [f"budgets, pairs, layers and windows were not held against the model: {note}" for note in more]
        notes += [*more, *_check_checkpoints(document, hub_cache)]
        series.check_found(document)
        if facts is not None:
            consistency.check_blocks(document, facts)
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    audit = _audit(document, opened.file, opened.overrides, policies.merged(chain))
    if facts is not None and (reason := facts.nothing_comparable(audit.max_gap)):
        notes.append(f"by the headers of the weights, {reason}; {facts.raise_gap}")
    return Checked(audit, document, facts, tuple(notes))


def packaged() -> tuple[str, ...]:
    """The names of the packaged audits."""
    return tuple(sorted(path.stem for path in resources.audits().glob("*.yaml")))


def _find(path: str | Path) -> tuple[Path, str]:
    """The file, and what messages call it. A bare name means a packaged audit, unless a file of that name exists."""
    name = str(path)
    bare = isinstance(path, str) and "/" not in name and Path(name).suffix not in (".yaml", ".yml")
    if not bare or Path(name).is_file():
        return Path(path), name
    if name in packaged():
        file = resources.audits() / f"{name}.yaml"
        return file, str(file)
    near = schema.closest(name, packaged())
    remedy = f"did you mean `{near}`?" if near else "give a file's path or one of these names"
    unknown, expected = f"`{name}`, which is neither a file nor a packaged audit", schema.enumerate_words(packaged())
    raise InvalidAudit([Mistake(name or "audit", 0, 0, unknown, f"a file or {expected}", remedy)])


def _check_texts(document: Document) -> list[str]:
    """Looks for the text files and holds them against their sha256; the notes name packages that are not at hand."""
    notes = []
    for section in ("scoring", "selection", "evaluation"):
        where, file = ("data", section), None
        kind = document.sound(*where, "kind")
        if kind in ("file", "rows"):
            file = _existing(document, (*where, "path"), folder=False)
        elif kind == "package" and not document.doubted(where):
            try:
                file = sources.text_file(_text(document, where))
            except (CannotRun, ImportError, ValueError) as error:  # the latter two from odd packages
                notes.append(f"`data.{section}` was not checked: {error}")
        if file is not None:
            _check_sha256(document, where, file)
    return notes


def _existing(document: Document, where: Where, *, folder: bool) -> Path | None:
    """The path that a value names; None, and a mistake, where there is nothing of the kind."""
    written = document.sound(*where)
    if written is None:
        return None
    path = document.resolve(where, written)
    try:
        exists, fits = path.exists(), path.is_dir() if folder else path.is_file()
    except OSError:  # a name the system cannot take, a folder that may not be entered
        exists = fits = False
    if fits:
        return path
    override = document.place(where).file.startswith(documents.OVERRIDE)
    start = "the working directory" if override else "the audit file's folder"
    problem = f"does not exist (relative paths start at {start})"
    if exists:
        problem = f"is {'a file' if path.is_file() else lacking(path)}"
    document.complain(where, f"`{written}`, which {problem}", "a folder" if folder else "a file", "correct the path")
    return None


def _check_sha256(document: Document, where: Where, file: Path) -> None:
    pinned = document.sound(*where, "sha256")
    if pinned is None:
        return
    try:
        digest = digests.file_sha256(file)
    except OSError as error:
        document.complain(where, f"a file that cannot be read ({error.strerror})", "a text", "see who may read it")
        return
    if digest != pinned:
        remedy = "fetch the file that was pinned, or pin this one if the change is meant"
        document.complain((*where, "sha256"), f"a file with sha256 {digest}", f"{pinned}, as pinned here", remedy)


def _check_tasks(document: Document) -> None:
    """Looks for the files that name tasks, and for those of results."""
    for where, settings in tasks.items(document):
        for place, _ in tasks.results_of(document, where).values():
            _existing(document, place, folder=False)
        if tasks.is_file(settings["task"]):
            value = (*where, "task") if isinstance(document.get(*where), dict) else where
            _existing(document, value, folder=False)


def _check_checkpoints(document: Document, hub_cache: Path | None) -> list[str]:
    """Looks at the headers of every checkpoint; the notes say which are not at hand."""
    notes = []
    for name, where in checkpoints.declared(document).items():
        _, more = _model_facts(document, where, hub_cache)
        notes += [f"checkpoint {name}: {note}" for note in more]
    for where in checkpoints.by_path(document):
        value = (*where, "checkpoint")
        written = document.get(*value)
        near = schema.closest(written, checkpoints.declared(document))
        if near and not document.resolve(value, written).exists():
            expected = "a name in `checkpoints`, or a folder"
            document.complain(
                value, f"`{written}`, no checkpoint's name and no folder", expected, f"did you mean `{near}`?"
            )
        else:
            _existing(document, value, folder=True)
    return notes


def _model_facts(document: Document, where: Where, hub_cache: Path | None) -> tuple[ModelFacts | None, list[str]]:
    """What the headers of a model say, or why that is not known; a path that leads nowhere is a mistake."""
    kind = document.sound(*where, "kind")
    if kind in ("directory", "gguf") and _existing(document, (*where, "path"), folder=kind == "directory") is None:
        return None, []
    if document.doubted(where) or kind is None:
        return None, []
    source = checkpoints.source(document, where)
    try:
        found = files.locate(source, hub_cache)
        return model_facts.facts(found, source), list(found.warnings)
    except model_facts.NotAudited as error:
        document.complain(where, error.what, "a model that can be audited", error.only)
        return None, []
    except CannotRun as error:
        return None, [str(error)]


def _audit(document: Document, file: Path, overrides: tuple[tuple[str, str], ...], policy: Policy) -> Audit:
    data = document.data
    budgets = tuple(data["budgets"])
    protocols = {name: dict(settings) for name, settings in data.get("protocols", DEFAULT_PROTOCOLS).items()}
    methods = tuple(_method(method, budgets) for method in data.get("methods", DEFAULT_METHODS))
    selections = tuple(consistency.selection(document, where) for where in consistency.selections(document))
    model = checkpoints.source(document, ("model",))
    return Audit(
        name=file.stem,
        title=data.get("title", file.stem),
        path=str(absolute(file)),
        text=document.text,
        overrides=overrides,
        model=model,
        checkpoints=checkpoints.checkpoints(document, model),
        series=series.series(document, model),
        tasks=tasks.tasks(document),
        tasks_on=tasks.subjects(document),
        scoring=_scoring(document, ("data", "scoring")),
        evaluation=_evaluation(document),
        protocols=protocols,
        max_gap=data.get("pairs", {}).get("max_gap", 1),
        budgets=budgets,
        methods=methods,
        selection=selections[0],
        further_selections=selections[1:],
        selecting=_scoring(document, ("data", "selection")) if "selection" in data["data"] else None,
        statistics=from_json(Statistics, data.get("statistics", {})),
        timing=from_json(Timing, data.get("timing", {})),
        claims=claims.claims(document),
        waivers=policies.waivers(document),
        policy=policy,
    )


def _text(document: Document, where: Where) -> TextSource:
    section = _own(document, where, TextSource)
    if "path" in section:
        section["path"] = str(document.resolve((*where, "path"), section["path"]))
    return TextSource(**section)


def _own(document: Document, where: Where, record: type[Any]) -> dict[str, Any]:
    """The keys of a section that are fields of a record: a text's section holds its contract and its source."""
    known = {field.name for field in fields(record)}
    return {key: value for key, value in document.get(*where).items() if key in known}


def _scoring(document: Document, where: Where) -> ScoringContract:
    source = _text(document, where)
    assembly = "windows" if source.kind in ("file", "package") else "rows"
    return ScoringContract(**{"source": source, "assembly": assembly, **_own(document, where, ScoringContract)})


def _evaluation(document: Document) -> EvaluationContract:
    where = ("data", "evaluation")
    return EvaluationContract(source=_text(document, where), **_own(document, where, EvaluationContract))


def _method(method: str | dict[str, Any], budgets: tuple[int, ...]) -> MethodSettings:
    settings = {"kind": method} if isinstance(method, str) else dict(method)
    return from_json(MethodSettings, {"name": settings.pop("kind"), "budgets": budgets, **settings})
