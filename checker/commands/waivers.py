"""Lists and checks the waivers of an audit."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import click

from checker.commands.command import command, file_argument, out_option, policy_option, set_option
from checker.commands.judge import judged
from checker.commands.terminal import tell
from checker.core.records import Audit
from checker.core.words import counted
from checker.judge.rules import RULES
from checker.judge.waivers import Standing, row, standings
from checker.published.load import any_audit
from checker.published.publication import Publication
from checker.reports.destination import default_out


@command("waivers", "pruneaudit waivers smollm2-135m\npruneaudit waivers my.yaml --out runs/my --json")
@file_argument
@out_option
@policy_option
@set_option
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def waivers(file: str, out: Path | None, overrides: Sequence[str], as_json: bool) -> None:
    """Lists the waivers of an audit file and checks them, without torch.

    Each is held against the rules, the claims and today's date, and against the evidence where there is some. The exit
    code is 1 where one is expired, names nothing that can be waived, or matches no finding.
    """
    audit, _ = any_audit(file, overrides, attached=False)
    matched = _matched(audit, out)
    listed = standings(audit, RULES, matched, date.today().isoformat())
    if as_json:
        tell(json.dumps([row(standing) for standing in listed], indent=2))
    else:
        for line in _lines(file, listed):
            tell(line)
        if listed and matched is None:
            tell("None was held against findings: nothing is measured yet, or --out is missing.")
    sys.exit(0 if all(standing.state == "active" for standing in listed) else 1)


def _matched(audit: Audit | Publication, out: Path | None) -> dict[int, int] | None:
    """How many findings each waiver matches, by its number; None where nothing is measured."""
    evidence = (out or default_out(audit)) / "evidence.db"
    if out is None and isinstance(audit, Audit) and not evidence.is_file():
        return None
    report = judged(audit, evidence, "measure first, or leave --out away")
    return {number: waiver["findings"] or 0 for number, waiver in enumerate(report["waivers"])}


def _lines(file: str, listed: Sequence[Standing]) -> Iterator[str]:
    if not listed:
        yield f"{file}: no waivers"
        return
    yield f"{file}: {counted(len(listed), 'waiver')}"
    for standing in listed:
        waiver = standing.waiver
        about = f"claim {waiver.claim}" if waiver.claim else "the whole audit"
        mark = "✓" if standing.state == "active" else "✗"
        yield f"\n{mark} {standing.state}: {waiver.rule}, {about}"
        yield f"  {waiver.location}: {standing.problem or _holds(standing)}"
        yield f"  reason: {waiver.reason}"


def _holds(standing: Standing) -> str:
    left = "today is its last day" if standing.days == 0 else f"{counted(standing.days, 'day')} left"
    count = standing.findings
    matches = "" if count is None else f"; matches {counted(count, 'finding')}"
    return f"holds until {standing.waiver.expires}, {left}{matches}"
