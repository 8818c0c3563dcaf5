"""Where a finding points, for formats that stand beside the audit file: its path, line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from checker.judge.form import AnyReport

_LOCATION = re.compile(r"(?P<file>.*):(?P<line>[1-9][0-9]*):(?P<column>[1-9][0-9]*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A place in the audit file; ``column`` is None where only the file is known, and ``line`` is 1 then."""

    file: str
    line: int = 1
    column: int | None = None


def place(report: AnyReport, location: str | None) -> Place:
    """Where a finding's ``location`` (FILE:LINE:COLUMN) lies; the first line for what concerns the audit as a whole.

    So it does for what was set on the command line, which has no line in any file.
    """
    file = report["audit"]["file"]
    match = _LOCATION.fullmatch(location or "")
    if match is None or PurePath(match["file"]).name != PurePath(file).name:
        return Place(file)
    return Place(file, int(match["line"]), int(match["column"]))


def pointing(report: AnyReport, audit: Path | None) -> AnyReport:
    """The report, its audit file named by its path below the working folder, as a repository would name it.

    Where that is not known, or the file lies elsewhere, the base name stays: no folder of a machine travels with a
    report.
    """
    if audit is None or not audit.resolve().is_relative_to(Path.cwd().resolve()):
        return report
    file = audit.resolve().relative_to(Path.cwd().resolve()).as_posix()
    pointed = report.copy()
    pointed["audit"] = {**report["audit"], "file": file}
    return pointed
