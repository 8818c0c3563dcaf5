"""The story in one function: spec.load -> plan.plan -> measure.measure -> judge.judge -> reports.render.

from checker.audit import audit
result = audit("smollm2-135m")
print(result.summary)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from checker import reports, spec
from checker.judge import exit_code, judge
from checker.measure import Progress, measure, prepare
from checker.records import Audit
from checker.store import Store


@dataclass(frozen=True)
class Audited:
    """A judged audit: the report as report.json holds it, and the files it was written to."""

    report: Mapping[str, Any]
    files: Mapping[str, Path]
    exit_code: int

    @property
    def summary(self) -> str:
        """The report in plain text, as the terminal shows it."""
        return reports.summary(self.report, 100)


def audit(
    path: str | Path,
    *,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    formats: Sequence[str] = reports.DEFAULT_FORMATS,
    fail_on: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Audited:
    """Measures what is missing, judges, and writes the reports into ``out`` (default: ``runs/<audit name>``).

    ``path`` is an audit file or the name of a packaged audit; ``overrides`` are texts like ``data.scoring.prompts=8``;
    ``fresh`` puts stored evidence aside. Raises InvalidAudit, DigestMismatch, CannotRun, NotFinite, EvidenceDamaged;
    where model or texts are not as the audit says, nothing is written.
    """
    loaded = spec.load(path, overrides)
    prepared = prepare(loaded, progress)
    folder = default_out(loaded) if out is None else out
    evidence = folder / "evidence.db"
    if fresh:
        put_aside(evidence)
    with Store(evidence) as store:
        measure(prepared, store, progress)
        report = judge(loaded, store)
    files = reports.render(report, folder, formats)
    return Audited(report, files, exit_code(report, fail_on or loaded.policy.fail_on))


def default_out(loaded: Audit) -> Path:
    return Path("runs") / loaded.name


def put_aside(evidence: Path) -> None:
    """Renames stored evidence to ``evidence-1.db`` or the next free number, so that everything is measured again."""
    if not evidence.exists():
        return
    free = next(name for number in count(1) if not (name := evidence.with_stem(f"{evidence.stem}-{number}")).exists())
    for ending in ("-wal", "-shm", ""):  # the log first: a new file would take it for its own
        beside = evidence.with_name(evidence.name + ending)
        if beside.exists():
            beside.rename(free.with_name(free.name + ending))
