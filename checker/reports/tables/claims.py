"""Claims and findings, in the words and marks that every format shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from checker.core.records import PROTOCOLS
from checker.core.rule import Outcome
from checker.judge.form import AnyReport, BackingRow, ClaimRow, FindingRow, Report, SelectsRow, WaiverRow
from checker.reports.tables import numbers
from checker.reports.tables.table import Cell, Field, Table, pairs_of, table
from checker.reports.tables.words import CONCLUSIONS, VERDICTS


@dataclass(frozen=True)
class Reading:
    """What one protocol says of a claim."""

    protocol: str
    backs: Cell
    criteria: tuple[tuple[str, Cell], ...]
    distance: str  # empty where none decides
    why: str


@dataclass(frozen=True)
class ClaimView:
    """One claim, ready to be shown."""

    id: str
    says: str  # empty where the claim has no words of its own
    decided: str
    about: str
    verdict: Cell
    measured: str
    bound: str  # empty where the claim names none
    message: str
    location: str
    readings: tuple[Reading | None, ...]  # in the order of PROTOCOLS


@dataclass(frozen=True)
class FindingView:
    """One finding, ready to be shown."""

    rule: str
    outcome: Cell
    level: str
    claim: str | None
    message: str
    location: str | None
    waived: str | None


def claims(report: Report) -> list[ClaimView]:
    return [_claim(claim) for claim in report["claims"]]


def findings(report: AnyReport, outcome: Outcome) -> list[FindingView]:
    """The findings with this outcome, the gravest level first, waived ones last."""
    order = ("error", "warning", "note")
    rows = [finding for finding in report["findings"] if finding["outcome"] == outcome]
    rows.sort(key=lambda finding: (finding["waived"] is not None, order.index(finding["level"])))
    return [_finding(finding) for finding in rows]


def standing(report: AnyReport) -> list[FindingView]:
    """What failed, then what is open."""
    return findings(report, "fail") + findings(report, "open")


def waived(report: AnyReport) -> int:
    """How many findings are waived."""
    return sum(finding["waived"] is not None for finding in report["findings"])


def together(findings: list[FindingView]) -> list[FindingView]:
    """Findings that are not applicable, those with one reason as one: what a reader skips shall be short."""
    rules: dict[str, list[str]] = {}
    for finding in findings:
        rules.setdefault(finding.message, []).append(finding.rule)
    first = {finding.message: finding for finding in reversed(findings)}
    return [replace(first[message], rule=", ".join(dict.fromkeys(names))) for message, names in rules.items()]


def decided(report: AnyReport) -> list[tuple[str, str]]:
    """Each measured claim with its verdict and what was decided of it, for formats without tables."""
    if "model" not in report:
        return []
    return [(f"claim {claim['id']}", f"{claim['verdict']}: {claim['decided']}") for claim in report["claims"]]


def waiver_counts(report: AnyReport) -> str:
    """How many waivers there are in each state."""
    counts = Counter(waiver["state"] for waiver in report["waivers"])
    return ", ".join(f"{number} {state}" for state, number in counts.items())


def waivers(report: AnyReport) -> Table:
    """Every waiver, and how it stood when the audit was judged."""
    fields: tuple[Field[WaiverRow], ...] = (
        Field("Rule", lambda waiver: Cell(waiver["rule"])),
        Field("Claim", lambda waiver: Cell(waiver["claim"] or "the whole audit")),
        Field("State", lambda waiver: Cell(waiver["state"], "", "pass" if waiver["state"] == "active" else "fail")),
        Field("Findings", lambda waiver: Cell(numbers.count(waiver["findings"] or 0)), numeric=True),
        Field("Last day", lambda waiver: Cell(waiver["expires"], _left(waiver["days_left"]))),
        Field("Reason", lambda waiver: Cell(waiver["reason"])),
    )
    return table("waivers", "Waivers: findings that are accepted for a time", fields, report["waivers"])


def _left(days: int) -> str:
    if days == 0:
        return "today"
    return f"{numbers.count(abs(days))} {'day' if abs(days) == 1 else 'days'} {'ago' if days < 0 else 'left'}"


def overrides(report: AnyReport) -> Table:
    rows = [(override["key"], override["value"]) for override in report["overrides"]]
    return pairs_of("overrides", "Values of the audit file that were overridden with --set", rows)


_OF_FILES = ("parameters", "size", "blocks")  # kinds of claims that are decided exactly, and have no interval


def verdict(claim: ClaimRow) -> Cell:
    return Cell(claim["verdict"], "", VERDICTS[claim["verdict"]])


def measured(claim: ClaimRow) -> str:
    """The deciding figure with its interval; empty where the claim is not decided by a figure."""
    if claim["value"] is None:
        return "" if claim["unit"] == "" else numbers.NOT_MEASURED
    value = numbers.in_unit(claim["value"], claim["unit"])
    if claim["kind"] in _OF_FILES:
        return value if claim["unit"] else numbers.count(round(claim["value"]))
    return f"{value} {numbers.interval_in_unit(claim['interval'], claim['unit'])}"


def selects(reading: SelectsRow | None) -> str:
    """Provenance in words; empty where the question does not arise."""
    if reading is None:
        return ""
    parts = []
    if reading["share_of_ties"] is not None:
        parts.append(f"{numbers.share(reading['share_of_ties'])} of tie resolutions")
    if reading["share_of_resamples"] is not None:
        parts.append(f"{numbers.share(reading['share_of_resamples'])} of resampled prompts")
    if reading["rank"] is not None:
        of = "" if reading["of"] is None else f" of {numbers.count(reading['of'])}"
        parts.append(f"rank {numbers.count(reading['rank'])}{of}")
    return ", ".join(parts)


def _claim(claim: ClaimRow) -> ClaimView:
    rests = f"rests on {claim['protocol']}" if claim["protocol"] else "names no protocol"
    return ClaimView(
        id=claim["id"],
        says="" if claim["says"] == sentence(claim["decided"]) else claim["says"],
        decided=sentence(claim["decided"]),
        about=f"{claim['kind']} claim, scope {claim['scope']}, {claim['evidence']} evidence, {rests}",
        verdict=verdict(claim),
        measured=measured(claim),
        bound=_bound(claim),
        message=sentence(claim["message"]),
        location=claim["location"] or "",
        readings=tuple(_reading(name, claim["protocols"].get(name)) for name in PROTOCOLS),
    )


def _bound(claim: ClaimRow) -> str:
    """What the claim lets its figure be: both ends where it states a value and how far from it."""
    ends = claim["range"] or {"lower": None, "upper": claim["threshold"]}
    if ends["lower"] is not None and ends["upper"] is not None:
        return " to ".join(numbers.declared(end, claim["unit"]) for end in (ends["lower"], ends["upper"]))
    bound = claim["threshold"]
    return "" if bound is None else numbers.declared(bound, claim["unit"])


def _reading(protocol: str, backing: BackingRow | None) -> Reading | None:
    if backing is None:
        return None
    answers = (("admits", backing["admits"]), ("predicts", backing["predicts"]))
    criteria = [(name, _answer(answer)) for name, answer in answers if answer != "na"]
    provenance = selects(backing["selects"])
    if provenance:
        criteria.append(("selects", Cell(provenance)))
    return Reading(protocol, _answer(backing["backs"]), tuple(criteria), _distance(backing), sentence(backing["why"]))


def sentence(message: str) -> str:
    """A message as it stands alone; in a finding it follows a colon."""
    return message[:1].upper() + message[1:].removesuffix(".") + "."


def _distance(backing: BackingRow) -> str:
    if backing["value"] is None:
        return ""
    bound = "" if backing["threshold"] is None else f", threshold {numbers.declared(backing['threshold'])}"
    return f"{numbers.distance(backing['value'])} nats {numbers.interval(backing['interval'])}{bound}"


def _answer(word: str) -> Cell:
    return Cell("not applicable" if word == "na" else word, word={"yes": "pass", "no": "fail"}.get(word, word))


def _finding(finding: FindingRow) -> FindingView:
    word = "na" if finding["outcome"] == "not_applicable" else finding["outcome"]
    values: dict[str, Any] = {**finding, "outcome": Cell(CONCLUSIONS[finding["outcome"]], word=word)}
    return FindingView(**values)
