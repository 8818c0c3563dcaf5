"""Measures, judges, reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from checker import reports
from checker.commands.command import (
    chosen,
    command,
    fail_on_option,
    file_argument,
    format_option,
    out_option,
    policy_option,
    require_measuring,
    set_option,
    show,
    trust_option,
)
from checker.commands.terminal import Progress
from checker.judge.findings import exit_code
from checker.reports.destination import default_out
from checker.spec import load


@command(
    "run",
    "pruneaudit run smollm2-135m --fail-on never\npruneaudit run my.yaml --set data.scoring.prompts=8 --format html",
)
@file_argument
@out_option
@format_option
@policy_option
@set_option
@fail_on_option
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
    loaded, wanted = checked.audit, chosen(formats)
    folder, source = out or default_out(loaded), Path(loaded.path)
    reports.destinations(wanted, folder, source)
    require_measuring()
    from checker import audit

    progress = Progress(sys.stderr.isatty())
    try:
        done = audit.run(checked, folder, wanted, fresh=fresh, progress=progress, trust_remote_code=trust_remote_code)
    finally:
        progress.close()
    show(done.report, done.files, reports.printed(done.report, folder, wanted, source))
    sys.exit(exit_code(done.report, fail_on or loaded.policy.fail_on))
