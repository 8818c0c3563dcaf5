"""Annotations: GitHub's commands, read back as its runner reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import reports_sample as samples

from checker import reports

Report = dict[str, Any]
Annotation = tuple[str, dict[str, str], str]


def lines(report: Report) -> list[str]:
    return reports.FORMATS["github"].render(report).splitlines()


def annotations(report: Report) -> list[Annotation]:
    """(kind, properties, message) of every line that is a command."""
    return [read(line) for line in lines(report) if line.lstrip().startswith("::")]


def read(line: str) -> Annotation:
    match = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.*)", line)
    assert match, line
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    return match[1], {name: unescaped(value) for name, value in properties.items()}, unescaped(match[3])


def unescaped(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def findings(number: int, **more: Any) -> list[Report]:
    base = {"rule": "claim/contradicted", "outcome": "fail", "level": "error", "claim": None, "location": None}
    return [{**base, "message": f"message {place}", "waived": None, **more} for place in range(number)]


def test_what_failed_is_open_or_is_waived_becomes_an_annotation_on_its_line() -> None:
    assert annotations(samples.small()) == [
        ("error", {"file": "smollm2-135m.yaml", "line": "41", "col": "5",
                   "title": "claim/contradicted failed (claim three-layers)"},
         "found +86.4 % [+74.9, +98.7]; expected at most +60 %; withdraw it, or state the cost that was measured"),
        ("warning", {"file": "smollm2-135m.yaml", "line": "1", "title": "selection/ties-change-result failed"},
         "found +72.1 % to +131 % among interchange's 4 resolutions; expected one inside the margin; report it"),
        ("warning", {"file": "smollm2-135m.yaml", "line": "1", "title": "claim/undecided open (claim safer)"},
         "found an interval of [0.81, 3.24]; expected all of it on one side of 2; 88 more windows would settle it"),
        ("notice", {"file": "smollm2-135m.yaml", "line": "52", "col": "5",
                    "title": "protocol/undisclosed waived (claim safer)"},
         "found no `protocol`; expected the test the claim rests on; add `protocol: …` (waived: The claim is quoted as "
         "it was published.)"),
    ]  # fmt: skip


def test_percent_signs_colons_and_commas_are_escaped_where_they_would_act() -> None:
    report = samples.small()
    report["audit"]["file"] = "50%: a, b.yaml"
    report["findings"] = findings(1, claim="a:b,c=100%", message="100%: a, b::c", location="50%: a, b.yaml:3:2")
    [first, *_] = lines(report)
    assert first == (
        "::error file=50%25%3A a%2C b.yaml,line=3,col=2,title=claim/contradicted failed (claim a%3Ab%2Cc=100%25)::"
        "100%25: a, b::c"
    )


@pytest.mark.parametrize(("number", "told"), [(10, None), (11, "1 of kind error"), (25, "15 of kind error")])
def test_ten_of_a_kind_and_the_number_of_the_rest(number: int, told: str | None) -> None:
    report = samples.small()
    report["findings"] = findings(number)
    assert len(annotations(report)) == min(number, 10)
    rest = [line for line in lines(report) if "not shown" in line]
    expected = f"pruneaudit: not shown: {told}; GitHub shows 10 of a kind; every other format has all"
    assert rest == ([expected] if told else [])


def test_kinds_are_counted_apart_and_waived_findings_push_nothing_out() -> None:
    report = samples.small()
    report["findings"] = [
        *findings(12, level="note", waived="we know", message="accepted"),
        *findings(8, level="note", message="counts", outcome="open"),
        *findings(11, level="warning"),
        *findings(3, outcome="open"),
    ]
    found = annotations(report)
    assert [kind for kind, _, _ in found] == ["error"] * 3 + ["warning"] * 10 + ["notice"] * 10
    assert [message for kind, _, message in found if kind == "notice"][:8] == ["counts"] * 8
    assert lines(report)[-6:] == [
        "pruneaudit: not shown: 1 of kind warning, 10 of kind notice; GitHub shows 10 of a kind; every other format "
        "has all",
        "pruneaudit: 12 findings are waived",
        *told(report),
        f"pruneaudit: {report['summary']}",
    ]


def told(report: dict[str, Any]) -> list[str]:
    """A line for each claim: its verdict, and what was decided of it."""
    return [f"pruneaudit: claim {row['id']}, {row['verdict']}: {row['decided']}" for row in report["claims"]]


def test_the_last_line_is_the_summary() -> None:
    assert lines(samples.small())[-5:] == [
        "pruneaudit: 1 finding is waived",
        *told(samples.small()),
        f"pruneaudit: {samples.small()['summary']}",
    ]
    report = samples.small() | {"outcome": "pass", "summary": "All is well.", "findings": [], "claims": []}
    assert lines(report) == ["pruneaudit: All is well."]
