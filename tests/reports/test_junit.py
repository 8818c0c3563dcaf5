"""JUnit XML: valid by the schema of Jenkins, and red exactly where the report's outcome is."""

from __future__ import annotations

from functools import cache
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import reports_sample as samples
import xmlschema
from folders import SCHEMAS
from reports_every import every_method

from checker import reports
from checker.core.rule import Finding
from checker.judge.measured import outcome_of

SCHEMA = SCHEMAS / "junit-10.xsd"
Report = dict[str, Any]


def small(fail_on: str = "error") -> Report:
    report = samples.small()
    report["policy"]["fail_on"] = fail_on
    return report


@cache
def validator() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(SCHEMA))


def suites(report: Report) -> Xml.Element:
    """The root of a report's results; they are valid."""
    text = reports.FORMATS["junit"].render(report)
    validator().validate(text)
    return Xml.fromstring(text.encode())


def case(report: Report, title: str) -> Xml.Element:
    [found] = [case for case in suites(report).iter("testcase") if case.get("name") == title]
    return found


def outcome(element: Xml.Element) -> str:
    return ", ".join(child.tag for child in element) or "passed"


def test_the_schema_tells_the_wrong_from_the_right() -> None:
    text = reports.FORMATS["junit"].render(small())
    assert not validator().is_valid(text.replace("<testcase classname", "<testcase class"))


@pytest.mark.parametrize("report", [samples.sample(), samples.small(), samples.bare(), every_method()])
def test_results_are_valid_and_hold_every_finding(report: Report) -> None:
    root = suites(report)
    named = {(suite.get("name"), case.get("name")) for suite in root for case in suite.iter("testcase")}
    expected = set()
    for finding in report["findings"]:
        family, name = finding["rule"].split("/")
        expected.add((family, name + (f" (claim {finding['claim']})" if finding["claim"] else "")))
    assert named == expected


def test_a_suite_for_each_family_with_what_tells_audits_apart() -> None:
    root = suites(small())
    families = [finding["rule"].split("/")[0] for finding in small()["findings"]]
    assert [suite.get("name") for suite in root] == list(dict.fromkeys(families))
    for suite in root:
        properties = {found.get("name"): found.get("value") for found in suite.iter("property")}
        assert properties == {
            "audit": "smollm2-135m",
            "title": small()["title"],
            "outcome": "fail",
            "waived": "1",
            "version": small()["tool"]["version"],
            **{f"claim {row['id']}": f"{row['verdict']}: {row['decided']}" for row in small()["claims"]},
        }


def test_the_numbers_are_those_of_the_cases() -> None:
    root = suites(small())
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(name) == str(len(suite.findall(f"testcase/{tag}")))
    for name in ("tests", "failures", "errors"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)
    assert (root.get("failures"), root.get("errors")) == ("1", "0")


@pytest.mark.parametrize(
    ("title", "expected", "message"),
    [
        ("contradicted (claim three-layers)", "failure", "found +86.4 % [+74.9, +98.7]; expected at most +60 %; "
         "withdraw it, or state the cost that was measured"),
        ("undisclosed (claim safer)", "skipped", "waived: The claim is quoted as it was published."),
        ("undecided (claim safer)", "skipped", "open, warning, which does not count here: found an interval of [0.81, "
         "3.24]; expected all of it on one side of 2; 88 more windows would settle it"),
        ("inside-floor", "skipped", "not applicable: The model ran in float32, which has no floor."),
        ("unpinned", "passed", None),
    ],
)  # fmt: skip
def test_each_outcome_has_its_element(title: str, expected: str, message: str | None) -> None:
    found = case(small(), title)
    assert outcome(found) == expected
    assert [child.get("message") for child in found] == ([] if message is None else [message])


def test_what_a_policy_counts_is_red_whatever_its_level() -> None:
    report = small("warning")
    undecided = case(report, "undecided (claim safer)")
    assert outcome(undecided) == "error"
    assert undecided[0].get("type") == "warning"
    assert outcome(case(report, "ties-change-result")) == "failure"
    assert outcome(case(report, "undisclosed (claim safer)")) == "skipped"


@pytest.mark.parametrize("fail_on", ["note", "warning", "error", "never"])
@pytest.mark.parametrize("left_out", ["", "contradicted", "undecided", "ties-change-result"])
def test_red_means_what_the_outcome_means(fail_on: Any, left_out: str) -> None:
    report = small(fail_on)
    report["findings"] = [row for row in report["findings"] if row["rule"].split("/")[1] != left_out]
    root = suites(report)
    red = "fail" if root.get("failures") != "0" else "open" if root.get("errors") != "0" else "pass"
    assert red == outcome_of([Finding(**row) for row in report["findings"]], fail_on)


def test_one_case_tells_all_that_a_rule_found_of_a_claim() -> None:
    """And its first element tells the worst: many readers look no further."""
    report = small()
    more = [{"outcome": "pass", "message": "all is well"}, {"outcome": "open", "message": "not measured"}]
    report["findings"] += [report["findings"][0] | change for change in more]
    found = case(report, "contradicted (claim three-layers)")
    assert outcome(found) == "failure"
    assert (found[0].text or "").splitlines() == [
        "smollm2-135m.yaml:41: error, failed: found +86.4 % [+74.9, +98.7]; expected at most +60 %; withdraw it, or "
        "state the cost that was measured",
        "smollm2-135m.yaml:41: error, passed: all is well",
        "smollm2-135m.yaml:41: error, open: not measured",
    ]
