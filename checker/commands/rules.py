"""Lists the rules."""

from __future__ import annotations

import json

import click

from checker.commands.shape import command
from checker.terminal import tell


@command("rules", "pruneaudit rules --json")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def rules(as_json: bool) -> None:
    """Lists the rules, with their levels."""
    from checker.rules import RULES

    if as_json:
        fields = ("slug", "level", "summary", "why", "remedy", "waive")
        tell(json.dumps([{name: getattr(rule, name) for name in fields} for rule in RULES.values()], indent=2))
        return
    width = max(map(len, RULES))
    for rule in RULES.values():
        tell(f"{rule.slug:<{width}}  {rule.level:<8} {rule.summary}")
