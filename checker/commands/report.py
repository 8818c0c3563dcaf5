"""Renders the reports again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from checker import reports
from checker.commands.command import PATH, command, deliver, format_option
from checker.reports import read


@command("report", "pruneaudit report runs/smollm2-135m --format html --format sarif=audit.sarif")
@click.argument("out", type=PATH)
@format_option
def report(out: Path, formats: Sequence[str]) -> None:
    """Renders the reports of a finished run again, from its report.json."""
    content = read.any_report(out)
    deliver(reports.render(content, out, formats), reports.printed(content, out, formats))
