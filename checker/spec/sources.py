"""Finds a text's file and names the text by digest or revision, without tokenising it and without torch."""

from __future__ import annotations

from pathlib import Path

from checker.checkpoints.digests import file_sha256
from checker.checkpoints.files import package_folders
from checker.core.canonical import canonical
from checker.core.errors import CannotRun, DigestMismatch
from checker.core.files import lacking
from checker.core.records import TextSource


def text_file(source: TextSource) -> Path | None:
    """The local file a source reads, or None where it has none (a hub dataset, the model's own samples).

    CannotRun where the file is missing.
    """
    if source.kind in ("hub", "self_generated"):
        return None
    path = _in_package(source) if source.kind == "package" else Path(str(source.path))
    if not path.is_file():
        raise CannotRun.at(path, lacking(path), "the text that the audit names", "check its path")
    return path


def holds_rows(source: TextSource) -> bool:
    """Whether a source is a table of rows (jsonl, parquet, a hub dataset, samples) and not one plain text."""
    file = source.file if source.kind == "package" else source.path
    return source.kind in ("rows", "hub", "self_generated") or str(file).endswith((".jsonl", ".parquet"))


def text_identity(source: TextSource) -> str:
    """What names the text in a contract's digest: the file's sha256, or a hub dataset's name and revision.

    Of the model's own samples it is their seed, which names them only beside the model; answers are keyed by both.
    DigestMismatch where the audit pins another digest.
    """
    if source.kind == "self_generated":
        return canonical([source.kind, source.seed])
    path = text_file(source)
    if path is None:
        return canonical([source.repo, source.config, source.split, source.column, source.revision or "unpinned"])
    digest = file_sha256(path)
    if source.sha256 and source.sha256 != digest:
        raise DigestMismatch(str(path), digest, source.sha256)
    return digest


def _in_package(source: TextSource) -> Path:
    package, file = str(source.package), str(source.file)
    folders = [folder.resolve() for folder in package_folders(package)]
    inside = [path for folder in folders if (path := folder / file).resolve().is_relative_to(folder)]
    if not inside:
        raise CannotRun.at(
            None,
            f"no package {package!r} with a file {file!r} inside its folder",
            "it installed",
            "install the package, or correct `package` and `file`",
        )
    return next((path for path in inside if path.is_file()), inside[0])
