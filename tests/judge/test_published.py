"""Judging published numbers: findings, waivers, policy, exit codes, and what it needs (neither torch nor a store)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import published_sample as samples
import pytest
import yaml
from click.testing import CliRunner, Result
from folders import ROOT

from checker import reports
from checker.cli import group
from checker.judge import findings, published
from checker.judge.rules import PUBLISHED
from checker.published import rules as published_rules

TODAY = date(2030, 6, 15)
FAULT = {"removals": [{**samples.FULL["removals"][0], "increase": "+6.0"}], "baselines": samples.FULL["baselines"]}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """An audit file of a block, in the working folder."""
    monkeypatch.chdir(tmp_path)

    def written(block: dict[str, Any], **keys: Any) -> Path:
        content = {"pruneaudit": 1, **keys, "published": {**samples.BASE, **block}}
        Path("paper.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return Path("paper.yaml")

    return written


def command(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments)


def judged(block: dict[str, Any], **keys: Any) -> dict[str, Any]:
    report = published.judge(samples.publication(block, **keys), TODAY)
    reports.check(report)
    return report


# --- the report ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.BLOCKS)
def test_the_report_follows_its_schema_and_renders(name: str) -> None:
    report = judged(samples.BLOCKS[name])
    for found in reports.FORMATS.values():
        assert found.render(report)


def test_every_rule_stands_in_the_report() -> None:
    report = judged(samples.FULL)
    assert {finding["rule"] for finding in report["findings"]} == set(PUBLISHED)


def test_checks_are_the_decided_findings_about_published_numbers_what_holds_first() -> None:
    report = judged(samples.FULL)
    outcomes = [check["outcome"] for check in report["checks"]]
    assert outcomes == sorted(outcomes, key=("pass", "fail", "open").index)
    shown = {(c["rule"], c["outcome"], c["id"], c["message"]) for c in report["checks"]}
    assert shown == {
        (f["rule"], f["outcome"], f["claim"], f["message"])
        for f in report["findings"]
        if f["rule"] in published_rules.RULES and f["outcome"] != "not_applicable"
    }


def test_a_check_says_what_where_and_how(write: Write) -> None:
    report = judged(samples.FULL)
    (row,) = [c for c in report["checks"] if (c["rule"], c["id"]) == ("published/increase-does-not-follow", "row-3")]
    assert (row["outcome"], row["level"], row["waived"]) == ("fail", "error", None)
    assert (row["where"], row["statement"]) == ("Table 1, row 3", "perplexity 11.00, increase +11.0 %")
    assert row["recomputed"] == "+9.89 to +10.11 %"  # 10.995 / 10.005 and 11.005 / 9.995
    assert row["location"].startswith("paper.yaml:")
    assert row["question"].startswith("Table 1, row 3: which baseline")
    assert row["does_not_show"].startswith("It does not show which of the three numbers is wrong")
    assert (report["evidence"], report["numbers"]["removals"]) == ("published", 3)


def test_the_digest_covers_the_file_the_overrides_and_the_scores(write: Write) -> None:
    table = {"scores": [{"id": "s", "model": "m", "protocol": "interchange", "file": "s.csv", "where": "T"}]}
    digests = []
    for value in ("0.1", "0.2"):
        Path("s.csv").write_text(f"i,j,value\n0,1,{value}\n", encoding="utf-8")
        path = write(table)
        for given in ([], ["--set", "title=Other"]):
            done = command("judge", str(path), *given, "--format", "json=-", "--fail-on", "never")
            assert done.exit_code == 0, done.output
            digests.append(json.loads(done.stdout)["audit"]["digest"])
    assert len(set(digests)) == 4


def test_an_unsaid_part_of_a_contract_is_named_as_not_tested() -> None:
    report = judged({"contracts": {"c": {"words": 5000, "unstated": ["boundary", "stride"]}}})
    assert report["not_tested"][-1] == (
        "Contract c: the source leaves boundary, stride unsaid, so nobody can be sure to measure the same."
    )


# --- outcome, policy, waivers ----------------------------------------------------------------------------------------


def test_the_outcome_and_the_summary() -> None:
    only = {"published": "off", "published/increase-does-not-follow": "error"}
    report = judged(samples.FULL, policy={"rules": only})
    assert report["outcome"] == "fail"
    assert report["summary"] == "Fail: of 3 checks 1 holds, 1 does not hold, 1 is open."
    assert judged({}, policy={"rules": only})["summary"] == (
        "Pass under the audit's own policy: there was nothing to check."
    )


def test_a_policy_moves_levels_as_everywhere() -> None:
    report = judged(FAULT, policy={"rules": {"published": "note"}})
    assert report["outcome"] == "pass"
    assert {check["level"] for check in report["checks"]} == {"note"}
    off = judged(FAULT, policy={"rules": {"published": "off"}})
    assert off["checks"] == []
    told = {f["message"] for f in off["findings"] if f["rule"].startswith("published/")}
    assert told == {"switched off by the audit's policy (paper.yaml:4:5)"}


def test_a_waiver_names_a_row_and_shows_in_the_check() -> None:
    waiver = {
        "rule": "published/increase-does-not-follow",
        "claim": "row-2",
        "reason": "Known.",
        "expires": "2030-12-31",
    }
    only = {"rules": {"published": "off", "published/increase-does-not-follow": "error"}}
    report = judged(FAULT, waivers=[waiver], policy=only)
    assert report["outcome"] == "pass"
    assert [(check["id"], check["waived"]) for check in report["checks"]] == [("row-2", "Known.")]
    assert report["waivers"][0]["state"] == "active"
    assert report["summary"].endswith("1 waived (1 active waiver).")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"claim": "row-9"}, "unknown"),
        ({"expires": "2030-01-01"}, "expired"),
        ({"rule": "claim/undecided"}, "unmatched"),
    ],
)
def test_a_waiver_that_does_not_fit_is_a_finding(change: dict[str, str], state: str) -> None:
    waiver = {
        "rule": "published/increase-does-not-follow",
        "claim": "row-2",
        "reason": "Known.",
        "expires": "2030-12-31",
    }
    report = judged(FAULT, waivers=[{**waiver, **change}])
    assert report["waivers"][0]["state"] == state
    (finding,) = [f for f in report["findings"] if f["rule"].startswith("waiver/") and f["outcome"] == "fail"][:1]
    assert finding["rule"] == f"waiver/{state}"


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "given", "code"),
    [
        (FAULT, [], 1),
        (FAULT, ["--fail-on", "never"], 0),
        (FAULT, ["--set", "policy.rules={published: note}"], 0),
        ({"removals": samples.FULL["removals"][2:]}, ["--set", "policy.rules={published: note, "
          "published/increase-does-not-follow: error}"], 3),
        ({}, [], 0),
    ],
)  # fmt: skip
def test_exit_codes_are_those_of_every_audit(write: Write, block: dict[str, Any], given: list[str], code: int) -> None:
    path = write(block)
    for name in ("text", "json", "sarif", "junit"):
        assert command("judge", str(path), *given, "--format", name).exit_code == code
    report = json.loads(Path("runs/paper/report.json").read_text(encoding="utf-8"))
    if "--fail-on" not in given:
        assert findings.exit_code(report, report["policy"]["fail_on"]) == code


def test_judge_writes_the_reports_and_report_renders_them_again(write: Write) -> None:
    done = command("judge", str(write(FAULT)))
    assert done.exit_code == 1
    assert "wrote runs/paper/report.html" in done.output
    written = sorted(path.name for path in Path("runs/paper").iterdir())
    assert written == ["report.html", "report.json", "report.md"]
    before = Path("runs/paper/report.md").read_text(encoding="utf-8")
    Path("runs/paper/report.md").unlink()
    assert command("report", "runs/paper", "--format", "md").exit_code == 0
    assert Path("runs/paper/report.md").read_text(encoding="utf-8") == before


def test_validate_takes_it(write: Write) -> None:
    done = command("validate", str(write(samples.FULL)))
    assert (done.exit_code, done.output) == (0, "paper.yaml: valid\n")


def test_waivers_are_held_against_the_numbers(write: Write) -> None:
    waiver = {
        "rule": "published/increase-does-not-follow",
        "claim": "row-2",
        "reason": "Known.",
        "expires": "2999-12-31",
    }
    done = command("waivers", str(write(FAULT, waivers=[waiver])))
    assert done.exit_code == 0, done.output
    assert "matches 1 finding" in done.output


@pytest.mark.parametrize("name", ["plan", "run", "doctor"])
def test_a_command_that_needs_a_model_says_what_to_use(write: Write, name: str) -> None:
    done = command(name, str(write(samples.FULL)))
    assert done.exit_code == 2
    assert "found an audit of published numbers; expected one that names a model; decide it with" in done.output


def test_it_is_judged_without_torch_and_without_a_store(write: Write) -> None:
    """In a process of its own, where importing the one or opening the other fails."""
    path = write(samples.FULL)
    program = textwrap.dedent(f"""
        import sys
        for name in ("torch", "transformers", "datasets", "pyarrow"):
            sys.modules[name] = None
        from checker.core.store import Store
        from checker.judge import report
        Store.__init__ = report.report_figures = None
        sys.argv = ["pruneaudit", "judge", {str(path)!r}, "--format", "html", "--format", "json"]
        from checker.cli import main
        main()
    """)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert Path("runs/paper/report.html").is_file()
