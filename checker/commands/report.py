"""Renders the reports again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from checker import reports
from checker.commands.command import chosen, command, deliver, format_option
from checker.reports import read


@command("report", "pruneaudit report runs/smollm2-135m --format html --format sarif=audit.sarif")
@click.argument("out", type=click.Path(path_type=Path))
@format_option
def report(out: Path, formats: Sequence[str]) -> None:
    """Renders the reports of a finished run again, from its report.json."""
    content = read.any_report(out)
    wanted = chosen(formats)
    deliver(reports.render(content, out, wanted), reports.printed(content, out, wanted))
