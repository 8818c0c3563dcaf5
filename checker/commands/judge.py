"""Decides from stored evidence, or from published numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from checker import reports
from checker.commands.command import command, judging_options, show
from checker.core.errors import EvidenceMissing
from checker.core.records import Audit
from checker.core.store import Store
from checker.judge import measured, published
from checker.judge.findings import exit_code
from checker.judge.form import AnyReport
from checker.published.load import any_audit
from checker.published.publication import Publication
from checker.reports.destination import default_out


@command(
    "judge",
    "pruneaudit judge smollm2-135m --format md\npruneaudit judge my.yaml --format github --format sarif=audit.sarif",
)
@judging_options
def judge(file: str, out: Path | None, formats: Sequence[str], overrides: Sequence[str], fail_on: str | None) -> None:
    """Decides from stored evidence, without torch: again, after a change of claims, waivers or policy.

    An audit of published numbers (`published:`) has its evidence in its own file; nothing is measured for it.
    """
    loaded, _ = any_audit(file, overrides, attached=False)
    folder, source = out or default_out(loaded), Path(loaded.path)
    reports.destinations(formats, folder, source)
    report = judged(loaded, folder / "evidence.db", f"measure first: pruneaudit run {file}")
    files = reports.render(report, folder, formats, source)
    show(report, files, reports.printed(report, folder, formats, source))
    sys.exit(exit_code(report, fail_on or loaded.policy.fail_on))


def judged(loaded: Audit | Publication, evidence: Path, remedy: str) -> AnyReport:
    """The report, from the store of a run or from the published numbers in the audit file itself.

    EvidenceMissing, with the ``remedy``, where there is no store.
    """
    if isinstance(loaded, Publication):
        return published.judge(loaded)
    if not evidence.is_file():
        raise EvidenceMissing.at(evidence, "no stored evidence", "what a run leaves", remedy)
    with Store(evidence, create=False) as store:
        return measured.judge(loaded, store)
