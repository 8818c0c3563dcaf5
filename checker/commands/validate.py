"""Checks audit files without a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from checker.commands.command import command, policy_option, set_option
from checker.commands.terminal import tell
from checker.core.errors import PruneauditError
from checker.published.load import any_audit


@command("validate", "pruneaudit validate audits/*.yaml")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@policy_option
@set_option
def validate(files: Sequence[str], overrides: Sequence[str]) -> None:
    """Checks audit files: grammar and meaning, every mistake at once. Loads no model."""
    worst = 0
    for file in files:
        try:
            _, notes = any_audit(file, overrides)
        except PruneauditError as error:
            tell(str(error), error=True)
            worst = max(worst, error.exit_code)
            continue
        tell(f"{file}: valid")
        for note in notes:
            tell(f"  note: {note}")
    sys.exit(worst)
