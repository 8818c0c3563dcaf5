"""The section `checkpoints` of an audit file, and the checkpoints that claims name by their folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from checker.core.records import Checkpoint, ModelSource
from checker.spec.document import Document, Where

SECTION = "checkpoints"
_OF_CHECKPOINTS = ("blocks", "healed", "steps", "every", "revisions", "subfolder", "tokens_per_step")


def declared(document: Document) -> dict[str, Where]:
    """The paths of the declared checkpoints, by their names; series are none of them."""
    return {name: where for name, where in _all_declared(document).items() if not _is_series(document, where)}


def series_declared(document: Document) -> dict[str, Where]:
    """The paths of the declared series, by their names."""
    return {name: where for name, where in _all_declared(document).items() if _is_series(document, where)}


def _all_declared(document: Document) -> dict[str, Where]:
    section = document.get(SECTION)
    return {str(name): (SECTION, name) for name in section} if isinstance(section, dict) else {}


def _is_series(document: Document, where: Where) -> bool:
    section = document.get(*where)
    return isinstance(section, dict) and "steps" in section


def named_by(document: Document, where: Where) -> str:
    """The name of the checkpoint that a claim names: as it is declared, or the path of its folder.

    Of an absolute path it is the last part, for names stand in reports, and folders of this machine do not.
    """
    written = str(document.get(*where, "checkpoint"))
    if written in declared(document):
        return written
    return Path(written).name if Path(written).is_absolute() else str(Path(written))


def checkpoints(document: Document, model: ModelSource) -> tuple[Checkpoint, ...]:
    """The checkpoints of a document in which nothing is wrong; ``model`` says how they run where they do not."""
    known = [_declared(document, name, where, model) for name, where in declared(document).items()]
    unnamed: dict[str, Checkpoint] = {}
    for where in by_path(document):
        name, path = named_by(document, where), str(_folder(document, where))
        source = ModelSource("directory", path=path, dtype=model.dtype, device=model.device, blocks=model.blocks)
        unnamed.setdefault(name, Checkpoint(name, source, document.place((*where, "checkpoint")), by_path=True))
    return (*known, *unnamed.values())


def check(document: Document) -> None:
    """Adds the mistake of claims that name different folders by one name."""
    folders: dict[str, Path] = {}
    for where in by_path(document):
        name, folder = named_by(document, where), _folder(document, where)
        if name in declared(document) or folders.setdefault(name, folder) != folder:
            remedy = f"declare it in `{SECTION}` under a name of its own, and name that"
            document.complain((*where, "checkpoint"), f"a further checkpoint called `{name}`", "one of a name", remedy)


def by_path(document: Document) -> Iterator[Where]:
    """The claims that name a checkpoint by its folder."""
    for where in document.items("claims"):
        written = document.sound(*where, "checkpoint")
        if isinstance(written, str) and written not in declared(document):
            yield where


def _folder(document: Document, where: Where) -> Path:
    value = (*where, "checkpoint")
    return document.resolve(value, str(document.get(*value)))


def _declared(document: Document, name: str, where: Where, model: ModelSource) -> Checkpoint:
    section, place = document.get(*where), document.place(where)
    unsaid = {key: getattr(model, key) for key in ("dtype", "device") if key not in section}
    found = replace(source(document, where), **unsaid, blocks=model.blocks)
    return Checkpoint(name, found, place, deletions=section.get("blocks", False), healed=section.get("healed", False))


def source(document: Document, where: Where) -> ModelSource:
    """The source that the section of the model or of a checkpoint names, where nothing is wrong with it."""
    section: dict[str, Any] = dict(document.get(*where))
    if where[0] == SECTION:  # keys of its own, the first of which means another thing of the model
        section = {key: value for key, value in section.items() if key not in _OF_CHECKPOINTS}
    if "path" in section:
        section["path"] = str(document.resolve((*where, "path"), section["path"]))
    return ModelSource(**section)
