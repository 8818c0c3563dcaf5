"""Says what changed between two runs or packs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from checker.commands.command import PATH, command
from checker.commands.terminal import tell
from checker.release import diff as compared


@command("diff", "pruneaudit diff runs/before runs/after\npruneaudit diff packs/1.0 packs/1.1 --json")
@click.argument("before", type=PATH)
@click.argument("after", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def diff(before: Path, after: Path, as_json: bool) -> None:
    """Says what changed between two runs or packs: contracts, distances, regimes, removal sets, costs, verdicts.

    Figures under different contracts, or of different models, are not compared. Exits with 1 where a verdict got worse
    (supported, open, contradicted) or a supported claim is no longer made, else with 0.
    """
    changes = compared.difference(compared.report_of(before), compared.report_of(after))
    if as_json:
        tell(json.dumps(changes.as_json(), indent=2, ensure_ascii=False))
    else:
        tell("\n".join(compared.lines(changes)))
    sys.exit(1 if changes.worse else 0)
