"""SARIF: valid by the schema of OASIS, and what the standard says that no schema can."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from email.message import Message
from functools import cache
from typing import Any

import jsonschema
import pytest
import reports_sample as samples
from folders import SCHEMAS
from reports_every import every_method

from checker import reports
from checker.judge.rules import RULES
from checker.reports import sarif

SCHEMA = SCHEMAS / "sarif-schema-2.1.0.json"
Report = dict[str, Any]


@cache
def validator() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def log(report: Report) -> dict[str, Any]:
    """The log of a report; it is valid."""
    found: dict[str, Any] = json.loads(reports.FORMATS["sarif"].render(report))
    validator().validate(found)
    return found


def run(report: Report) -> dict[str, Any]:
    [found] = log(report)["runs"]
    return dict(found)


def results(report: Report) -> dict[tuple[str, str | None], dict[str, Any]]:
    """(rule, claim) -> result."""
    return {(row["ruleId"], row["properties"].get("claim")): row for row in run(report)["results"]}


def test_the_schema_tells_the_wrong_from_the_right() -> None:
    wrong = log(samples.small())
    wrong["runs"][0]["results"][0]["kind"] = "failed"
    assert [error.json_path for error in validator().iter_errors(wrong)] == ["$.runs[0].results[0].kind"]


@pytest.mark.parametrize("report", [samples.sample(), samples.small(), samples.bare(), every_method()])
def test_logs_are_valid_and_name_the_schema_they_follow(report: Report) -> None:
    found = log(report)
    assert found["version"] == "2.1.0"
    assert found["$schema"] == json.loads(SCHEMA.read_text(encoding="utf-8"))["id"]
    assert len(found["runs"][0]["results"]) == len(report["findings"])


def test_every_rule_is_declared_whether_it_has_results_or_not() -> None:
    declared = {rule["id"]: rule for rule in run(samples.small())["tool"]["driver"]["rules"]}
    assert list(declared)[: len(RULES)] == list(RULES)
    for slug, rule in RULES.items():
        row = declared[slug]
        assert row["defaultConfiguration"] == {"level": rule.level}
        assert row["shortDescription"]["text"].replace("{{", "{").replace("}}", "}") == rule.summary
        for text in (rule.why, rule.remedy, rule.waive):
            for form in ("text", "markdown"):
                assert text in row["help"][form].replace("{{", "{").replace("}}", "}")
    # The sample's findings are of rules that there are not: a report that another version judged.
    assert all(rule["fullDescription"]["text"] and rule["help"]["text"] for rule in declared.values())
    assert set(declared) == {*RULES, *(finding["rule"] for finding in samples.small()["findings"])}


def test_results_point_at_their_rule_by_number() -> None:
    found = run(samples.small())
    rules = found["tool"]["driver"]["rules"]
    assert found["results"]
    assert all(rules[row["ruleIndex"]]["id"] == row["ruleId"] for row in found["results"])


@pytest.mark.parametrize(
    ("key", "kind", "level", "own"),
    [
        (("claim/contradicted", "three-layers"), "fail", "error", "error"),
        (("selection/ties-change-result", None), "fail", "warning", "warning"),
        (("claim/undecided", "safer"), "open", "none", "warning"),
        (("contract/unpinned", None), "pass", "none", "error"),
        (("noise/inside-floor", None), "notApplicable", "none", "warning"),
    ],
)
def test_what_did_not_fail_has_no_level_but_its_kind(
    key: tuple[str, str | None], kind: str, level: str, own: str
) -> None:
    row = results(samples.small())[key]
    assert (row["kind"], row["level"], row["properties"]["level"]) == (kind, level, own)


def test_waived_findings_are_suppressed_with_the_reason_and_all_others_are_known_not_to_be() -> None:
    found = results(samples.small())
    waived = found.pop(("protocol/undisclosed", "safer"))
    [waiver, *_] = samples.small()["waivers"]
    _, line, column = waiver["location"].split(":")
    file = {"uri": "smollm2-135m.yaml", "uriBaseId": "%SRCROOT%", "index": 0}
    region = {"startLine": int(line), "startColumn": int(column)}
    assert waived["suppressions"] == [
        {
            "kind": "inSource",
            "status": "accepted",
            "justification": "The claim is quoted as it was published.",
            "location": {"physicalLocation": {"artifactLocation": file, "region": region}},
            "properties": {"expires": waiver["expires"]},
        }
    ]
    assert waived["kind"] == "fail"
    assert [row["suppressions"] for row in found.values()] == [[]] * len(found)
    assert run(samples.small())["properties"]["waived"] == 1


def test_places_are_lines_of_the_audit_file() -> None:
    found = results(samples.small())
    file = {"uri": "smollm2-135m.yaml", "uriBaseId": "%SRCROOT%", "index": 0}
    [place] = found["claim/contradicted", "three-layers"]["locations"]
    assert place["physicalLocation"] == {"artifactLocation": file, "region": {"startLine": 41, "startColumn": 5}}
    assert place["logicalLocations"] == [{"name": "three-layers", "kind": "claim"}]
    [place] = found["selection/ties-change-result", None]["locations"]
    assert place == {"physicalLocation": {"artifactLocation": file, "region": {"startLine": 1}}}


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("my audit.yaml", "my%20audit.yaml"),
        ("javascript:alert(1).yaml", "javascript%3Aalert%281%29.yaml"),
        ("größe#1?.yaml", "gr%C3%B6%C3%9Fe%231%3F.yaml"),
    ],
)
def test_file_names_become_relative_addresses(file: str, uri: str) -> None:
    report = samples.small()
    report["audit"]["file"] = file
    report["findings"][0]["location"] = f"{file}:7:3"
    place = run(report)["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == uri
    assert place["region"] == {"startLine": 7, "startColumn": 3}


@pytest.mark.parametrize(
    "location", [None, "", "policy.yaml:7:3", "--set claims=[a:b]:1:2", "smollm2-135m.yaml", "smollm2-135m.yaml:0:0"]
)
def test_what_has_no_line_in_the_audit_file_points_at_its_first(location: str | None) -> None:
    report = samples.small()
    report["findings"][0]["location"] = location
    place = run(report)["results"][0]["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("smollm2-135m.yaml", {"startLine": 1})


def fingerprints(report: Report) -> list[str]:
    rows = [row["partialFingerprints"] for row in run(report)["results"]]
    assert all(row["primaryLocationLineHash"] == row["ruleClaimAudit/v1"] for row in rows)
    return [row["primaryLocationLineHash"] for row in rows]


def moved(report: Report) -> None:
    for finding in report["findings"]:
        finding["location"] = finding["location"] and "smollm2-135m.yaml:99:1"


def remeasured(report: Report) -> None:
    for finding in report["findings"]:
        finding["message"] = finding["message"].translate(str.maketrans("0123456789", "7418529630"))


def another_claim(report: Report) -> None:
    for finding in report["findings"]:
        finding["claim"] = "another"


def another_audit(report: Report) -> None:
    report["audit"]["name"] = "another"


def test_fingerprints_are_unique_and_outlast_lines_and_figures() -> None:
    report = samples.small()
    report["findings"] += copy.deepcopy(report["findings"][:2])  # a rule may conclude twice on one claim
    before = fingerprints(report)
    assert len(set(before)) == len(before)
    for change in (moved, remeasured):
        changed = copy.deepcopy(report)
        change(changed)
        assert changed != report
        assert fingerprints(changed) == before


@pytest.mark.parametrize("change", [another_claim, another_audit])
def test_fingerprints_tell_claims_and_audits_apart(change: Callable[[Report], None]) -> None:
    report = samples.small()
    before = fingerprints(report)
    change(report)
    assert not set(before) & set(fingerprints(report))


def test_the_run_says_what_ran_and_when() -> None:
    found = run(samples.small())
    assert found["tool"]["driver"]["name"] == "pruneaudit"
    assert found["tool"]["driver"]["version"] == samples.small()["tool"]["version"]
    assert found["automationDetails"]["id"] == "pruneaudit/smollm2-135m/"
    assert found["invocations"] == [
        {
            "executionSuccessful": True,
            "startTimeUtc": "2026-05-20T10:14:03Z",
            "endTimeUtc": "2026-05-20T10:17:38Z",
        }
    ]
    assert found["properties"]["outcome"] == "fail"
    assert "startTimeUtc" not in run(samples.bare())["invocations"][0]


@pytest.mark.parametrize(
    ("written", "shown"), [("2026-05-20T10:14:03+00:00", "2026-05-20T10:14:03Z"), ("yesterday", None)]
)
def test_times_are_in_the_form_that_the_standard_asks_for(written: str, shown: str | None) -> None:
    report = samples.small()
    report["environment"]["started"] = written
    assert run(report)["invocations"][0].get("startTimeUtc") == shown


def test_an_incomplete_audit_did_not_run_to_its_end() -> None:
    report = samples.small()
    told = {"rule": "evidence/incomplete", "outcome": "open", "level": "error", "claim": None, "location": None}
    report["findings"].append({**told, "message": "perplexity is not measured", "waived": None})
    [invocation] = run(report)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"] == [
        {"level": "error", "message": {"text": "perplexity is not measured"}}
    ]


def test_messages_hold_no_links_and_no_placeholders() -> None:
    report = samples.small()
    report["findings"][0]["message"] = "found [here](javascript:alert(1)) and {0}; expected [0.1, 0.2]"
    report["findings"][1]["waived"] = "as [said](https://example.org)"
    rows = run(report)["results"]
    assert rows[0]["message"]["text"] == "found [here] (javascript:alert(1)) and {{0}}; expected [0.1, 0.2]"


@pytest.mark.parametrize("address", ["https://example.org/rules.md", None])
def test_rules_link_to_their_page_only_where_the_project_names_its_address(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = Message()
    about["Project-URL"] = "Changes, https://example.org/changes"
    if address:
        about["Project-URL"] = f"Rules, {address}"
    monkeypatch.setattr(sarif, "metadata", lambda name: {"pruneaudit": about}[name])
    driver = run(samples.small())["tool"]["driver"]
    assert driver.get("informationUri") == address
    assert all(rule.get("helpUri") == (address and f"{address}#{rule['id']}") for rule in driver["rules"][: len(RULES)])
