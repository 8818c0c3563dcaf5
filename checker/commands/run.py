"""Measures, judges, reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from checker.commands.shape import (
    chosen,
    command,
    fail_on_option,
    file_argument,
    format_option,
    out_option,
    require_measuring,
    set_option,
    show,
)
from checker.terminal import Progress


@command(
    "run",
    "pruneaudit run smollm2-135m --fail-on never\npruneaudit run my.yaml --set data.scoring.prompts=8 --format html",
)
@file_argument
@out_option
@format_option
@set_option
@fail_on_option
@click.option("--fresh", is_flag=True, help="Put stored evidence aside and measure everything again.")
def run(
    file: str, out: Path | None, formats: Sequence[str], overrides: Sequence[str], fail_on: str | None, fresh: bool
) -> None:
    """Measures what is not stored yet, judges, and writes the reports.

    FILE is an audit file or the name of a packaged audit.
    """
    from checker import spec

    loaded = spec.load(file, overrides)  # mistakes come before torch is imported
    require_measuring()
    from checker.audit import audit

    progress = Progress(sys.stderr.isatty())
    try:
        done = audit(
            file,
            out=out,
            overrides=overrides,
            formats=chosen(formats),
            fail_on=fail_on or loaded.policy.fail_on,
            fresh=fresh,
            progress=progress,
        )
    finally:
        progress.close()
    show(done.report, done.files)
    sys.exit(done.exit_code)
