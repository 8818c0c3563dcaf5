"""Annotations for GitHub Actions: what failed or is open, on standard output, where the runner looks for them.

Source: "Workflow commands for GitHub Actions" (docs.github.com) for form and escaping. GitHub shows ten annotations of
a kind per step and drops the rest without a word, so the rest is counted here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from checker.core import escape
from checker.judge.form import AnyReport
from checker.reports.format import Format
from checker.reports.places import place
from checker.reports.tables import claims
from checker.reports.tables.claims import FindingView

SHOWN = 10  # of each kind, per step
_KINDS: Mapping[str, str] = {"error": "error", "warning": "warning", "note": "notice"}
_IN_MESSAGES = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTIES = _IN_MESSAGES | str.maketrans({":": "%3A", ",": "%2C"})


def render(report: AnyReport) -> str:
    """One annotation in a line, the gravest first; then what was left out, what is waived, and the summary."""
    safe: AnyReport = escape.clean(report)
    kinds: dict[str, list[str]] = defaultdict(list)
    for finding in sorted(claims.standing(safe), key=lambda finding: bool(finding.waived)):
        kind = "notice" if finding.waived else _KINDS[finding.level]
        kinds[kind].append(_annotation(kind, finding, safe))
    lines = [line for kind in _KINDS.values() for line in kinds[kind][:SHOWN]]
    return "\n".join([*lines, *_closing(safe, kinds)]) + "\n"


def _annotation(kind: str, finding: FindingView, report: AnyReport) -> str:
    at = place(report, finding.location)
    state = "waived" if finding.waived else finding.outcome.text
    title = f"{finding.rule} {state}" + (f" (claim {finding.claim})" if finding.claim else "")
    message = finding.message + (f" (waived: {finding.waived})" if finding.waived else "")
    values = {"file": at.file, "line": str(at.line), "col": str(at.column or ""), "title": title}
    properties = ",".join(f"{name}={value.translate(_IN_PROPERTIES)}" for name, value in values.items() if value)
    return f"::{kind} {properties}::{message.translate(_IN_MESSAGES)}"


def _closing(report: AnyReport, kinds: Mapping[str, list[str]]) -> Iterator[str]:
    """Plain lines, none of which GitHub could take for a command."""
    left = [f"{len(kinds[kind]) - SHOWN} of kind {kind}" for kind in _KINDS.values() if len(kinds[kind]) > SHOWN]
    if left:
        yield f"pruneaudit: not shown: {', '.join(left)}; GitHub shows {SHOWN} of a kind; every other format has all"
    if waived := claims.waived(report):
        yield f"pruneaudit: {waived} {'finding is' if waived == 1 else 'findings are'} waived"
    for name, told in claims.decided(report):
        yield escape.no_command(f"pruneaudit: {name}, {told}")
    yield escape.no_command(f"pruneaudit: {report['summary']}")


FORMAT = Format("github", "report.github.txt", render, printed=True, points=True)
