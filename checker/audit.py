"""The story in one function: spec -> selection -> measure -> judge -> reports.

from checker.audit import audit
result = audit("smollm2-135m")
print(result.summary)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from checker import reports
from checker.core import history
from checker.core.records import Audit
from checker.core.store import Store
from checker.judge.form import Report
from checker.judge.measured import exit_code, judge
from checker.measure.prepare import NoProgress, Prepared, Progress, prepare
from checker.measure.run import measure
from checker.measure.series import measure_series
from checker.reports.destination import default_out
from checker.spec import load
from checker.spec.load import Checked


@dataclass(frozen=True)
class Audited:
    """A judged audit: the report as report.json holds it, and the files it was written to."""

    report: Report
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
    fresh: bool = False,
    progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> Audited:
    """Measures what is missing, judges, and writes the reports into ``out`` (default: ``runs/<audit name>``).

    ``path`` is an audit file or the name of a packaged audit; ``overrides`` are texts like ``data.scoring.prompts=8``;
    ``formats`` are names, or texts like ``sarif=audit.sarif``; ``fresh`` puts stored evidence aside;
    ``trust_remote_code`` repeats what the audit file says of code that comes with the model, which runs only where both
    allow it. Raises UsageError, InvalidAudit, DigestMismatch, CannotRun, NotFinite, EvidenceDamaged; where model or
    texts are not as the audit says, nothing is written.
    """
    checked = load.check(path, overrides)
    folder = out or default_out(checked.audit)
    reports.destinations(formats, folder, Path(checked.audit.path))
    return run(checked, folder, formats, fresh=fresh, progress=progress, trust_remote_code=trust_remote_code)


def run(
    checked: Checked,
    out: Path,
    formats: Sequence[str],
    *,
    fresh: bool = False,
    progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> Audited:
    """As ``audit``, of an audit that was loaded and of formats that have a place in ``out``."""
    audit, shown = checked.audit, progress or NoProgress()
    prepared = prepare(audit, progress, trust_remote_code=trust_remote_code)
    checked.against(prepared.facts.model)  # which may have been downloaded only now
    find = partial(_prepare_step, progress=shown)
    evidence = out / "evidence.db"
    if fresh:
        put_aside(evidence)
    with Store(evidence) as store:
        facts = measure(prepared, store, progress).facts
        for series in audit.series:
            measure_series(audit, series, store, find, shown)
        report = judge(audit, store)
        history.write_run(store, audit, facts, {claim["id"]: claim["verdict"] for claim in report["claims"]})
    files = reports.render(report, out, formats, Path(audit.path))
    return Audited(report, files, exit_code(report, audit.policy.fail_on))


def _prepare_step(asked: Audit, progress: Progress) -> Prepared:
    """The step of a series that an audit asks of; whether its code may run was agreed on for the whole series."""
    return prepare(asked, progress, trust_remote_code=asked.model.trust_remote_code)


def put_aside(evidence: Path) -> None:
    """Renames stored evidence to ``evidence-1.db`` or the next free number, so that everything is measured again."""
    if not evidence.exists():
        return
    free = next(name for number in count(1) if not (name := evidence.with_stem(f"{evidence.stem}-{number}")).exists())
    for ending in ("-wal", "-shm", ""):  # the log first: a new file would take it for its own
        beside = evidence.with_name(evidence.name + ending)
        if beside.exists():
            beside.rename(free.with_name(free.name + ending))
