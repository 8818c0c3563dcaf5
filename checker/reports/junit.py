"""report.junit.xml: findings as test cases, for what collects test results. The form is the one that Jenkins describes.

JUnit knows no levels. What stands against the report's outcome is red: a failed finding as a failure, an open one as an
error. What does not count (below the level that the policy fails on, waived, not applicable) is skipped, with the
reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from checker.core import escape
from checker.core.rule import weighs
from checker.judge.form import AnyReport, FindingRow
from checker.reports.format import Format
from checker.reports.places import place
from checker.reports.tables import claims
from checker.reports.tables.words import CONCLUSIONS

_KINDS = {"fail": "failure", "open": "error"}


def render(report: AnyReport) -> str:
    """One test suite for each family of rules, one case for each rule and claim."""
    safe: AnyReport = escape.clean(report)
    families: dict[str, dict[tuple[str, str | None], list[FindingRow]]] = defaultdict(lambda: defaultdict(list))
    for finding in safe["findings"]:
        family = finding["rule"].partition("/")[0]
        families[family][finding["rule"], finding["claim"]].append(finding)
    root = Xml.Element("testsuites", name=f"pruneaudit {safe['audit']['name']}")
    for family, cases in families.items():
        suite = Xml.SubElement(root, "testsuite", name=family)
        _properties(suite, safe)
        for findings in cases.values():
            suite.append(_case(findings, safe))
        _count(suite)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    Xml.indent(root)
    return escape.markup(f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n')


def _properties(suite: Xml.Element, report: AnyReport) -> None:
    """What tells the audits apart, on every suite: the schema has no room for it above them."""
    properties = Xml.SubElement(suite, "properties")
    for name, value in (
        ("audit", report["audit"]["name"]),
        ("title", report["title"]),
        ("outcome", report["outcome"]),
        ("waived", str(claims.waived(report))),
        ("version", report["tool"]["version"]),
        *claims.decided(report),
    ):
        Xml.SubElement(properties, "property", name=name, value=value)


def _case(findings: Sequence[FindingRow], report: AnyReport) -> Xml.Element:
    claim = findings[0]["claim"]
    family, _, name = findings[0]["rule"].partition("/")
    title = (name or family) + (f" (claim {claim})" if claim else "")
    case = Xml.Element("testcase", classname=f"{report['audit']['name']}.{family}", name=title)
    for outcome, kind in _KINDS.items():
        red = [finding for finding in findings if finding["outcome"] == outcome and _counts(finding, report)]
        if red:
            # One element alone: many readers look no further than the first.
            element = Xml.SubElement(case, kind, type=red[0]["level"], message=red[0]["message"])
            rest = [finding for finding in findings if finding not in red]
            element.text = "\n".join(_line(finding, report) for finding in red + rest)
            return case
    reasons = [_reason(finding) for finding in findings if finding["outcome"] != "pass"]
    if reasons:
        skipped = Xml.SubElement(case, "skipped", message=reasons[0])
        skipped.text = "\n".join(_line(finding, report) for finding in findings)
    return case


def _counts(finding: FindingRow, report: AnyReport) -> bool:
    """Whether a finding counts for the report's outcome."""
    return weighs(finding["level"], finding["waived"], report["policy"]["fail_on"])


def _reason(finding: FindingRow) -> str:
    if finding["waived"] is not None:
        return f"waived: {finding['waived']}"
    if finding["outcome"] == "not_applicable":
        return f"not applicable: {finding['message']}"
    return f"{CONCLUSIONS[finding['outcome']]}, {finding['level']}, which does not count here: {finding['message']}"


def _line(finding: FindingRow, report: AnyReport) -> str:
    at = place(report, finding["location"])
    waived = "" if finding["waived"] is None else f" (waived: {finding['waived']})"
    conclusion = CONCLUSIONS[finding["outcome"]]
    return f"{at.file}:{at.line}: {finding['level']}, {conclusion}: {finding['message']}{waived}"


def _count(suite: Xml.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))


FORMAT = Format("junit", "report.junit.xml", render, points=True)
