"""Measures, judges, reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from checker import reports
from checker.commands.command import command, judging_options, require_measuring, show, trust_option
from checker.commands.terminal import Progress
from checker.judge.findings import exit_code
from checker.reports.destination import default_out
from checker.spec import load


@command(
    "run",
    "pruneaudit run smollm2-135m --fail-on never\npruneaudit run my.yaml --set data.scoring.prompts=8 --format html",
)
@judging_options
@click.option("--fresh", is_flag=True, help="Put stored evidence aside and measure everything again.")
@trust_option
def run(
    file: str,
    out: Path | None,
    formats: Sequence[str],
    overrides: Sequence[str],
    fail_on: str | None,
    fresh: bool,
    trust_remote_code: bool,
) -> None:
    """Measures what is not stored yet, judges, and writes the reports.

    FILE is an audit file or the name of a packaged audit.
    """
    checked = load.check(file, overrides)  # mistakes come before torch is imported
    loaded = checked.audit
    folder, source = out or default_out(loaded), Path(loaded.path)
    reports.destinations(formats, folder, source)
    require_measuring()
    from checker import audit

    with closing(Progress(sys.stderr.isatty())) as bar:
        audited = audit.run(checked, folder, formats, fresh=fresh, progress=bar, trust_remote_code=trust_remote_code)
    show(audited.report, audited.files, reports.printed(audited.report, folder, formats, source))
    sys.exit(exit_code(audited.report, fail_on or loaded.policy.fail_on))
