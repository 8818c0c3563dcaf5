"""Explains one rule."""

from __future__ import annotations

import textwrap

import click

from checker.commands.command import command
from checker.commands.terminal import printable, tell
from checker.core.errors import UsageError
from checker.judge.rules import RULES
from checker.spec.schema import closest


@command("explain", "pruneaudit explain protocol/undisclosed")
@click.argument("rule")
def explain(rule: str) -> None:
    """Explains one rule: what it checks, why, what to do, and when to waive it."""
    if rule not in RULES:
        near = closest(rule, RULES)
        advice = f"did you mean {near}?" if near else "`pruneaudit rules` lists them"
        raise UsageError.at(None, f"rule {printable(rule)!r}", "one that exists", advice)
    about = RULES[rule]
    tell(f"{about.slug} ({about.level})\n\n{about.summary}")
    for title, text in (("Why", about.why), ("What to do", about.remedy), ("When to waive", about.waive)):
        tell(f"\n{title}\n{textwrap.indent(textwrap.fill(text, 88), '  ')}")
