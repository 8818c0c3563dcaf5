"""Renders the reports again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from checker.commands.shape import chosen, command, format_option
from checker.terminal import tell


@command("report", "pruneaudit report runs/smollm2-135m --format html")
@click.argument("out", type=click.Path(path_type=Path))
@format_option
def report(out: Path, formats: Sequence[str]) -> None:
    """Renders the reports of a finished run again, from its report.json."""
    from checker import exports, reports

    content = exports.read_report(out)
    for written in reports.render(content, out, chosen(formats)).values():
        tell(f"wrote {written}")
