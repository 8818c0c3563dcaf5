"""Says what this machine has, and what an audit file would need here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from checker.commands import doctor_lines as looked
from checker.commands.command import command, out_option, set_option
from checker.commands.doctor_lines import Line
from checker.commands.terminal import tell
from checker.core.errors import UsageError
from checker.measure import machine
from checker.reports.destination import default_out
from checker.spec import load


@command("doctor", "pruneaudit doctor\npruneaudit doctor smollm2-135m")
@click.argument("file", required=False)
@out_option
@set_option
def doctor(file: str | None, out: Path | None, overrides: Sequence[str]) -> None:
    """Says which versions, devices, dtypes, memory, disk and sources there are, and what an audit would need here.

    FILE is an audit file or the name of a packaged audit. Exits with 4 where something that FILE needs is missing. The
    model hub is asked for a sign of life, and not at all where HF_HUB_OFFLINE is set.
    """
    if file is None and overrides:
        raise UsageError("--set: found no FILE; expected the audit file whose values it changes; name one")
    audit = None if file is None else load.check(file, overrides, attached=False).audit
    folder = out or (Path("runs") if audit is None else default_out(audit))
    reach = machine.hub(os.environ)
    _show("This machine", looked.this_machine(folder, os.environ, reach))
    if audit is None:
        return
    lines = looked.needs(audit, folder, os.environ, reach)
    _show(f"\nWhat {file} needs", lines)
    missing = [line.name for line in lines if line.missing]
    tell(f"\nMissing: {', '.join(missing)}." if missing else "\nEverything is here, or can be fetched.")
    sys.exit(4 if missing else 0)


def _show(title: str, lines: Sequence[Line]) -> None:
    tell(title)
    for line in lines:
        tell(f"  {'✗' if line.missing else ' '} {line.name:<17} {line.text}")
