"""Where each format goes: ``NAME`` into the run's folder, ``NAME=FILE`` into that file, ``NAME=-`` to stdout."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from checker.core.errors import UsageError
from checker.core.escape import visible
from checker.core.records import Audit
from checker.published.publication import Publication
from checker.reports.format import Format

STANDARD_OUTPUT = "-"
_EVIDENCE = ("evidence.db", "evidence.db-wal", "evidence.db-shm")


@dataclass(frozen=True)
class Destination:
    """One format and its file; ``path`` is None for standard output. ``asked`` is the option as it was given."""

    asked: str
    format: Format
    path: Path | None


def default_out(audit: Audit | Publication) -> Path:
    """The folder of evidence and reports where nobody names one."""
    return Path("runs") / audit.name


def destinations(
    known: Mapping[str, Format], asked: Sequence[str], out: Path, audit: Path | None = None
) -> tuple[Destination, ...]:
    """Where each format that was asked for goes, each once; nothing is written or made.

    UsageError for an unknown format, two formats in one place, a place that is not a file's, and where the audit file
    or the stored evidence would be overwritten.
    """
    goals = tuple(_destination(known, option, out) for option in dict.fromkeys(asked))
    taken: dict[str | None, str] = {}
    kept = {_resolved(path) for path in (*(out / name for name in _EVIDENCE), *([audit] if audit else []))}
    for goal in goals:
        place = _resolved(goal.path) if goal.path else None
        earlier = taken.setdefault(place, goal.format.name)
        if earlier != goal.format.name:
            where = visible(str(goal.path)) if goal.path else "standard output"
            raise UsageError.at(
                "--format",
                f"{earlier} and {goal.format.name}, both for {where}",
                "one format in one place",
                "name a file of its own: --format NAME=FILE",
            )
        if place in kept:
            stored = f"the audit file or the stored evidence at {goal.path}"
            raise _wrong(goal.asked, stored, "a file to write", "name another, which may be replaced")
    return goals


def _destination(known: Mapping[str, Format], asked: str, out: Path) -> Destination:
    name, separator, file = asked.partition("=")
    if name not in known:
        raise UsageError.at("--format", f"{visible(name)!r}", ", ".join(known), "choose one of these")
    if file == STANDARD_OUTPUT or (not separator and known[name].printed):
        return Destination(asked, known[name], None)
    if separator and (not file or file.endswith(("/", os.sep))):
        raise _wrong(asked, f"{visible(file)!r}", "NAME=FILE", "name a file, or `-` to print it")
    path = Path(file) if separator else out / known[name].file
    _writable(asked, path)
    return Destination(asked, known[name], path)


def _writable(asked: str, path: Path) -> None:
    """UsageError where a file can never come to stand: found before hours of measuring, not after."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise _wrong(asked, f"{kind} at {path}", "a file to write", "name another, or `-` to print it")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise _wrong(asked, f"a file at {parent}", "a folder", "name a file in a folder")


def _wrong(asked: str, found: str, expected: str, remedy: str) -> UsageError:
    return UsageError.at(f"--format {visible(asked)}", visible(found), expected, remedy)


def _resolved(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
