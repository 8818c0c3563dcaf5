"""The report of an audit of published numbers, as tables and sentences: decided once, shown by every format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checker.core import escape
from checker.core.rule import Outcome
from checker.judge.form import PublishedReport
from checker.reports.tables import claims, facts, numbers
from checker.reports.tables.claims import FindingView
from checker.reports.tables.table import Cell, Table, pairs_of
from checker.reports.tables.words import OUTCOMES, Section, Word

_VERDICTS: Mapping[str, str] = {"pass": "holds", "fail": "does not hold", "open": "open"}
_GROUPS = (
    ("pass", "What holds", "Nothing that was checked holds."),
    ("fail", "What does not hold", "Nothing that was checked fails to hold."),
    ("open", "What the numbers leave open", "Nothing is left open."),
)
_SECTIONS = (
    Section("checks", "What the published numbers say of each other", "Checks"),
    Section("questions", "Questions to the source", "Questions"),
    Section("source", "The source, and what was read", "Source"),
    Section("findings", "Findings about the audit itself", "Findings"),
    Section("reading", "How to read this", "How to read this"),
    Section("not-tested", "What was not tested", "Not tested"),
)
_GLOSSARY = (
    Word("Published", "checks",
         "The class of the evidence: the source's own numbers, and what follows from them. Nothing on this page was "
         "measured, and no number on it is reported as if it were."),
    Word("Printed precision", "checks",
         "12.09 stands for every value from 12.085 to 12.095. A check asks whether one set of values fits all the "
         "numbers that belong together; what is recomputed is therefore a range."),
    Word("Holds", "checks",
         "The printed numbers allow what is stated. That is no proof that they were measured."),
    Word("Does not hold", "checks",
         "No values that round to the printed numbers allow what is stated. Somewhere a number, a rule or a "
         "description is another than the source says; which one, the source alone can tell."),
    Word("Open", "checks",
         "The numbers at hand do not decide it. The question says which number would."),
    Word("Where", "source",
         "The place in the source: a table and its row, a section, or a file of its archive."),
    Word("Unstated", "source",
         "What the source leaves unsaid. Every choice is tried, and those that lead to the printed result are "
         "named."),
)  # fmt: skip


@dataclass(frozen=True)
class CheckView:
    """One check, ready to be shown. ``number`` counts from 1 over all groups."""

    number: int
    statement: str
    about: str  # id and place in the audit file
    verdict: Cell
    message: str
    row: Mapping[str, Any]  # the check as it stands in the report

    @property
    def named(self) -> str:
        """The statement with its place, for a line of text."""
        return self.statement.removesuffix(".") + (f" ({self.row['where']})" if self.row["where"] else "")


@dataclass(frozen=True)
class Group:
    """The checks of one outcome; ``empty`` is said where there are none."""

    word: str
    title: str
    empty: str
    checks: tuple[CheckView, ...]


def view(report: PublishedReport) -> dict[str, Any]:
    """All that a template needs; every string in it is one line in which no control character acts."""
    safe: PublishedReport = escape.clean(report)
    groups = _groups(safe)
    return {
        "report": safe,
        "eyebrow": "pruneaudit report of published numbers",
        "closing": "The same checks stand in report.json.",
        "outcome": Cell(OUTCOMES[safe["outcome"]], "", safe["outcome"]),
        "sentence": facts.sentence(safe),
        "about": list(_about(safe)),
        "groups": groups,
        "questions": [check for group in groups for check in group.checks if check.row["question"]],
        "source": _source(safe),
        "caveats": _listing("caveats", "What the source says itself of its numbers", safe["caveats"], "where", "says"),
        "contracts": _contracts(safe),
        "read": _read(safe),
        "files": _listing("files", "Files of scores, by sha256", safe["files"], "file", "sha256"),
        "overrides": claims.overrides(safe) if safe["overrides"] else None,
        "waivers": claims.waivers(safe) if safe["waivers"] else None,
        "findings": {name: _others(safe, name) for name in ("fail", "open", "pass")},
        "not_applicable": claims.together(_others(safe, "not_applicable")),
        "sections": _SECTIONS,
        "glossary": _GLOSSARY,
    }


def lines(report: PublishedReport) -> list[list[str]]:
    """The summary that a person reads in the terminal, in paragraphs; ``report`` is clean."""
    source = ", ".join(text for _, text in _identity(report))
    paragraphs = [[report["title"], facts.verdict(report), f"Source: {source}", f"Policy, {facts.policy(report)}"]]
    paragraphs += [_group_lines(group) for group in _groups(report)]
    if others := _others(report, "fail") + _others(report, "open"):
        findings = [f"  {finding.outcome.mark} {finding.level} {finding.rule}: {finding.message}" for finding in others]
        paragraphs.append(["Findings about the audit itself", *findings])
    return paragraphs


def _group_lines(group: Group) -> list[str]:
    texts = [f"{group.title} ({len(group.checks)})" if group.checks else group.empty]
    for check in group.checks:
        waived = f" (waived: {check.row['waived']})" if check.row["waived"] else ""
        texts.append(f"  {check.verdict.mark} {check.named}: {check.message}{waived}")
        texts += [f"      {text}" for text in (check.row["question"], check.row["does_not_show"]) if text]
    return texts


def _groups(report: PublishedReport) -> tuple[Group, ...]:
    checks = [_check(number, check) for number, check in enumerate(report["checks"], 1)]
    return tuple(
        Group(word, title, empty, tuple(check for check in checks if check.verdict.word == word))
        for word, title, empty in _GROUPS
    )


def _check(number: int, check: Mapping[str, Any]) -> CheckView:
    return CheckView(
        number=number,
        statement=check["statement"] or check["message"],
        about=" ".join(text for text in (check["id"], check["location"]) if text),
        verdict=Cell(_VERDICTS[check["outcome"]], word=check["outcome"]),
        message=claims.sentence(check["message"]),
        row=check,
    )


def _others(report: PublishedReport, outcome: Outcome) -> list[FindingView]:
    """The findings that are no check of a published number."""
    checked = {(check["rule"], check["id"], check["message"]) for check in report["checks"]}
    others = [row for row in report["findings"] if (row["rule"], row["claim"], row["message"]) not in checked]
    return claims.findings({**report, "findings": others}, outcome)


def _identity(report: PublishedReport) -> Iterator[tuple[str, str]]:
    source = report["source"]
    yield "Source", source["title"]
    if source["authors"]:
        yield "Authors", ", ".join(source["authors"])
    version = [source["revision"], f"read on {source['accessed']}" if source["accessed"] else None]
    if any(version):
        yield "Version", ", ".join(filter(None, version))


def _about(report: PublishedReport) -> Iterator[tuple[str, str]]:
    """The few facts that stand beside the verdict."""
    yield from _identity(report)
    yield "Models", ", ".join(model["name"] for model in report["models"])
    yield "Evidence", "published; nothing was measured"
    yield "Audit", report["audit"]["name"]
    yield "Policy", facts.policy(report)
    if report["waivers"]:
        yield "Waivers", claims.waiver_counts(report)


def _source(report: PublishedReport) -> Table:
    rows = [*_identity(report)]
    if report["source"]["url"]:
        rows.append(("Address", report["source"]["url"]))
    for model in report["models"]:
        blocks = "number of blocks not given" if model["blocks"] is None else f"{numbers.count(model['blocks'])} blocks"
        known = "" if model["parameters"] is None else f", {numbers.count(model['parameters'])} parameters"
        rows.append((f"Model {model['id']}", f"{model['name']}, {blocks}{known}"))
    return pairs_of("source-facts", "Source and models", rows)


def _listing(name: str, caption: str, rows: Sequence[Mapping[str, Any]], key: str, value: str) -> Table | None:
    """Two columns of rows as a table; None where there are no rows."""
    return pairs_of(name, caption, [(row[key], row[value]) for row in rows]) if rows else None


_CONTRACT = {
    "text": "Text", "words": "Words", "window": "Window", "stride": "Stride", "tokenizer": "Tokenizer",
    "boundary": "At a window's edge", "special_tokens": "Special tokens", "dtype": "Ran in",
}  # fmt: skip
_COUNTS = {
    "baselines": "Baselines", "scores": "Tables of pair scores", "removals": "Removals",
    "rules": "Selection rules", "statements": "Statements",
}  # fmt: skip


def _contracts(report: PublishedReport) -> list[Table]:
    return [
        pairs_of(f"contract-{place}", f"Contract {contract['id']}: what the source says of it", _contract(contract))
        for place, contract in enumerate(report["contracts"])
    ]


def _contract(contract: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in _CONTRACT.items():
        if (value := contract[key]) is not None:
            yield name, numbers.count(value) if isinstance(value, int) else value
    if contract["unstated"]:
        yield "Left unsaid", ", ".join(_CONTRACT.get(key, key).lower() for key in contract["unstated"])
    if contract["where"]:
        yield "Where", contract["where"]


def _read(report: PublishedReport) -> Table:
    rows = [(title, numbers.count(report["numbers"][name])) for name, title in _COUNTS.items()]
    tool, audit = report["tool"], report["audit"]
    rows += [
        ("Audit", f"{audit['name']} ({audit['file']})"),
        ("sha256 of what was read", audit["digest"]),
        ("Made by", f"{tool['name']} {tool['version']}"),
    ]
    return pairs_of("read", "What was read", rows)
