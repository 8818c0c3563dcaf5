"""Policies and waivers at the command line, on planted evidence: what is shown, and what the exit code says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import evidence_sample as samples
import pytest
import tiny_audit
from evidence_sample import Sample

from checker import cli
from checker.core.store import Store
from checker.judge.rules import RULES
from checker.spec import policies

pytestmark = pytest.mark.usefixtures("eight_blocks_predict")

# The audit of tests/evidence_sample.py as a file. Model and texts are not at hand, and not needed.
AUDIT = f"""\
pruneaudit: 1
title: A sample
model: {{kind: directory, path: model, sha256: {samples.digest("weights")}}}
data:
  scoring: {{kind: file, path: prompts.txt, sha256: {samples.digest("prompts.txt")}, prompts: 16, tokens: 32}}
  evaluation:
    {{kind: file, path: evaluation.txt, sha256: {samples.digest("evaluation.txt")}, window: 120, stride: 60}}
budgets: [1, 2]
methods: [interchange, replacement, deletion, {{kind: random, draws: 39, budgets: [2]}}]
claims:
  - {{id: two-blocks, kind: removal, layers: [4, 6], perplexity_increase: {{at_most: 20}}, protocol: interchange}}
  - {{id: twins, kind: redundant, pair: [4, 5], below: 0.1, protocol: interchange}}
"""
DIVERGENT = "regime/divergent-on-one-protocol"
SOON = (date.today() + timedelta(30)).isoformat()
PAST = (date.today() - timedelta(1)).isoformat()


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The entry point, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """The evidence of the sample, where the audit file ``sample.yaml`` looks for it."""
    out = tmp_path / "runs" / "sample"
    out.mkdir(parents=True)
    with Store(out / "evidence.db") as store:
        samples.fill(store, Sample())
    return out


def write(tmp_path: Path, *sections: str) -> Path:
    path = tmp_path / "sample.yaml"
    path.write_text(AUDIT + "\n".join(sections), encoding="utf-8")
    return path


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def outcomes(out: Path, rule: str) -> list[tuple[str, str]]:
    return [(row["outcome"], row["level"]) for row in report(out)["findings"] if row["rule"] == rule]


# --- judge -----------------------------------------------------------------------------------------------------------


def test_the_planted_evidence_is_that_of_the_file(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path)
    done = command("judge", "sample.yaml")
    assert (done.code, done.err) == (0, "")
    assert outcomes(measured, "evidence/incomplete") == [("pass", "error")]
    assert "Policy, the audit's own: fails on errors" in done.out


def test_judging_under_a_policy_of_the_command_line(tmp_path: Path, measured: Path, command: Command) -> None:
    """20 windows are too few for a release, whatever the audit file says of levels."""
    write(tmp_path, 'policy: {fail_on: never, rules: {policy: "off"}}')
    assert command("judge", "sample.yaml").code == 0
    done = command("judge", "sample.yaml", "--policy", "release")
    assert done.code == 1
    assert outcomes(measured, "policy/too-few-windows") == [("fail", "error")]
    found = report(measured)
    assert found["policy"] == policies.row(policies.load("release"))
    assert found["overrides"] == [{"key": "policy", "value": '{extends: "release"}'}]
    built = ", ".join(map(str, policies.load("release").extends))
    assert f"Policy, built on {built}: fails on warnings and errors, requires interchange" in " ".join(done.out.split())
    assert "found 20 evaluation windows; expected at least 22, as the policy demands (ready/release:" in " ".join(
        done.out.split()
    )
    page = (measured / "report.html").read_text(encoding="utf-8")
    assert f"<dt>Policy</dt><dd>built on {built}: fails on warnings and errors" in page


def test_set_goes_before_policy_wherever_it_stands(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path)
    for arguments in (("--policy", "release", "--set", "policy.minimum_windows=20"),
                      ("--set", "policy.minimum_windows=20", "--policy", "release")):  # fmt: skip
        command("judge", "sample.yaml", *arguments)
        assert outcomes(measured, "policy/too-few-windows") == [("pass", "error")]


def test_what_a_policy_of_ones_own_demands(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path)
    (tmp_path / "ours.yaml").write_text(
        "required_methods: [sleb]\nrequired_budgets: [3]\nmaximum_interval_width_percent: 0.5\n"
        "rules: {policy/wide-interval: note}\n"
    )
    assert command("judge", "sample.yaml", "--policy", "ours.yaml").code == 1
    assert outcomes(measured, "policy/required-method") == [("fail", "error")]
    assert outcomes(measured, "policy/required-budget") == [("fail", "error")]
    assert outcomes(measured, "policy/wide-interval") == [("fail", "note"), ("fail", "note")]
    messages = [row["message"] for row in report(measured)["findings"] if row["rule"] == "policy/required-method"]
    assert messages == [
        "found interchange, replacement, deletion, random as methods; expected sleb among them, as the policy demands "
        "(ours.yaml:1:1); add it to `methods` and run the audit"
    ]


def test_a_policy_with_mistakes_stops_the_command(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path)
    (tmp_path / "ours.yaml").write_text("minimum_window: 3\nrules: {claim: strict}\n")
    for name in ("judge", "waivers", "rules"):
        done = command(name, "sample.yaml", "--policy", "./ours.yaml")
        assert (done.code, done.out) == (2, "")
        unknown, level = done.err.splitlines()
        assert unknown.startswith(
            "./ours.yaml:1:1: found the unknown key `minimum_window` in the file; expected one of"
        )
        assert level == (
            "./ours.yaml:2:16: found `strict`; expected `note`, `warning`, `error` or `off`; choose one of these"
        )


def test_validate_holds_a_file_against_the_policy_of_the_command_line(tmp_path: Path, command: Command) -> None:
    assert command("validate", "smollm2-135m-wikitext2", "--policy", "release") == Done(
        0, "smollm2-135m-wikitext2: valid\n", ""
    )
    done = command("validate", "smollm2-135m-wikitext2", "--policy", 'a"b\nc')
    assert done.code == 2
    assert "which is not a ready policy" in done.err


def test_a_run_under_a_policy_measures_the_same_and_judges_otherwise(tmp_path: Path, command: Command) -> None:
    tiny_audit.write(tmp_path, claims="", waivers="")
    with tiny_audit.one_thread():
        done = command("run", "audit.yaml", "--policy", "release", "--format", "json")
    assert done.code == 1
    out = tmp_path / "runs" / "audit"
    assert outcomes(out, "policy/required-method") == [("pass", "error")] * 3
    assert outcomes(out, "policy/too-few-windows") == [("fail", "error")]
    assert outcomes(out, "spec/no-claims") == [("fail", "error")]
    assert command("judge", "audit.yaml", "--format", "json").code == 1, "random weights are implausible in any case"
    assert outcomes(out, "policy/too-few-windows") == [("not_applicable", "error")]


# --- rules -----------------------------------------------------------------------------------------------------------


def test_rules_without_a_policy_have_their_own_levels(command: Command) -> None:
    done = command("rules")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[:2] for line in done.out.splitlines()] == [[rule.slug, rule.level] for rule in RULES.values()]


def test_rules_show_what_is_in_force_and_where_it_is_set(command: Command) -> None:
    done = command("rules", "--policy", "release")
    assert (done.code, done.err) == (0, "")
    policy = policies.load("release")
    values, levels = done.out.split("\n\n")
    assert values.splitlines()[0] == f"Built on: {policy.extends[0]}, {policy.extends[1]}"
    assert [line.split() for line in values.splitlines()[1:]] == [
        ["fail_on", "warning", policy.sources["fail_on"]],
        ["required_methods", "interchange,", "replacement,", "random", policy.sources["required_methods"]],
        ["required_budgets", "none", "default"],
        ["minimum_windows", "22", policy.sources["minimum_windows"]],
        ["maximum_interval_width_percent", "10", policy.sources["maximum_interval_width_percent"]],
        ["minimum_confidence", "0.95", policy.sources["minimum_confidence"]],
        ["maximum_margin", "0.05", policy.sources["maximum_margin"]],
        ["maximum_within", "5", policy.sources["maximum_within"]],
        ["minimum_resamples", "1000", policy.sources["minimum_resamples"]],
        ["minimum_pairs", "0.5", policy.sources["minimum_pairs"]],
        ["minimum_draws", "39", policy.sources["minimum_draws"]],
        ["maximum_waivers", "any", "default"],
        ["maximum_waiver_days", "90", policy.sources["maximum_waiver_days"]],
    ]
    shown = {line.split()[0]: line for line in levels.splitlines()}
    assert list(shown) == list(RULES)
    place = policy.sources["rules.protocol/undisclosed"]
    assert place.startswith("ready/review:")
    assert f"error ({place}; else warning) " in shown["protocol/undisclosed"]
    assert shown["claim/contradicted"].split()[1:3] == ["error", "The"]


def test_rules_in_force_as_json(command: Command) -> None:
    plain = json.loads(command("rules", "--json").out)
    done = command("rules", "--policy", "research", "--json")
    found = json.loads(done.out)
    assert found["policy"] == policies.row(policies.load("research"))
    assert [{key: row[key] for key in plain[0]} for row in found["rules"]] == plain
    rows = {row["slug"]: (row["level"], row["in_force"], row["set_at"]) for row in found["rules"]}
    assert rows["claim/undecided"] == ("error", "note", found["policy"]["sources"]["rules.claim"])
    assert rows["data/begin-token"] == ("warning", "warning", None)


def test_rules_of_an_audit_file(tmp_path: Path, command: Command) -> None:
    write(tmp_path, 'policy: {extends: review, rules: {claim: "off", claim/contradicted: warning}}')
    done = command("rules", "sample.yaml")
    assert done.code == 0
    assert done.out.startswith("Built on: review (ready, version 1, sha256 ")
    levels = {line.split()[0]: line.split()[1] for line in done.out.split("\n\n")[1].splitlines()}
    assert (levels["claim/undecided"], levels["claim/contradicted"]) == ("off", "warning")
    other = command("rules", "sample.yaml", "--policy", "research")
    assert other.out == command("rules", "--policy", "research").out


def test_rules_of_a_policy_that_names_none_that_exists(tmp_path: Path, command: Command) -> None:
    (tmp_path / "ours.yaml").write_text('rules: {protocol/undisclosd: note, evidence/incomplete: "off"}\n')
    done = command("rules", "--policy", "ours.yaml")
    assert done.code == 1
    assert done.err == (
        "ours.yaml:1:9: found a level for 'protocol/undisclosd'; expected a rule or a family of rules that exists; "
        "did you mean 'protocol/undisclosed'?\n"
        "ours.yaml:1:36: found a level for 'evidence/incomplete'; expected its own level, error, as an incomplete run "
        "never passes; take it out of the policy\n"
    )
    assert "evidence/incomplete" in done.out


# --- waivers ---------------------------------------------------------------------------------------------------------

GOOD = f"  - {{rule: {DIVERGENT}, claim: two-blocks, reason: Agreed., expires: {SOON}}}"
BAD = (
    f"  - {{rule: {DIVERGENT}, claim: twins, reason: Old., expires: {PAST}}}",
    f"  - {{rule: protocol/undisclosd, claim: twins, reason: A slip., expires: {SOON}}}",
    f"  - {{rule: protocol/undisclosed, claim: twin, reason: Another., expires: {SOON}}}",
    f"  - {{rule: data/begin-token, reason: Left over., expires: {SOON}}}",
)


def test_an_audit_without_waivers(tmp_path: Path, command: Command) -> None:
    write(tmp_path)
    assert command("waivers", "sample.yaml") == Done(0, "sample.yaml: no waivers\n", "")


def test_waivers_are_listed_and_held_against_the_evidence(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path, "waivers:", GOOD)
    done = command("waivers", "sample.yaml")
    assert done == Done(
        0,
        f"sample.yaml: 1 waiver\n\n✓ active: {DIVERGENT}, claim two-blocks\n"
        f"  sample.yaml:14:5: holds until {SOON}, 30 days left; matches 1 finding\n  reason: Agreed.\n",
        "",
    )
    measured.rename(tmp_path / "elsewhere")
    assert command("waivers", "sample.yaml", "--out", "elsewhere") == done


@pytest.mark.parametrize(("days", "left"), [(0, "today is its last day"), (1, "1 day left")])
def test_a_waiver_holds_through_its_last_day(days: int, left: str, tmp_path: Path, command: Command) -> None:
    last = (date.today() + timedelta(days)).isoformat()
    write(tmp_path, "waivers:", f"  - {{rule: {DIVERGENT}, claim: twins, reason: Agreed., expires: {last}}}")
    done = command("waivers", "sample.yaml")
    assert done.code == 0
    assert f"✓ active: {DIVERGENT}, claim twins\n  sample.yaml:14:5: holds until {last}, {left}\n" in done.out


def test_each_waiver_that_is_wrong_is_named(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path, "waivers:", GOOD, *BAD)
    done = command("waivers", "sample.yaml")
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines()[5:] == [
        "",
        f"✗ expired: {DIVERGENT}, claim twins",
        f"  sample.yaml:15:5: expired on {PAST}; expected a date that has not passed; mend what the rule found, or "
        "renew it with a new reason",
        "  reason: Old.",
        "",
        "✗ unknown: protocol/undisclosd, claim twins",
        "  sample.yaml:16:5: found a waiver of rule 'protocol/undisclosd'; expected a rule that exists; did you mean "
        "'protocol/undisclosed'?",
        "  reason: A slip.",
        "",
        "✗ unknown: protocol/undisclosed, claim twin",
        "  sample.yaml:17:5: found a waiver for claim 'twin'; expected one of the audit's claims; did you mean "
        "'twins'?",
        "  reason: Another.",
        "",
        "✗ unmatched: data/begin-token, the whole audit",
        "  sample.yaml:18:5: matches no finding; expected one that is failed or open; take it out",
        "  reason: Left over.",
    ]


@pytest.mark.parametrize("bad", BAD)
def test_one_wrong_waiver_is_enough(bad: str, tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path, "waivers:", GOOD, bad)
    assert command("waivers", "sample.yaml").code == 1


def test_waivers_before_anything_is_measured(tmp_path: Path, command: Command) -> None:
    """What needs no evidence is checked all the same; that the rest was not is said."""
    write(tmp_path, "waivers:", GOOD, BAD[3])
    done = command("waivers", "sample.yaml")
    assert done.code == 0
    assert f"holds until {SOON}, 30 days left\n" in done.out
    assert done.out.endswith("None was held against findings: nothing is measured yet, or --out is missing.\n")
    write(tmp_path, "waivers:", GOOD, BAD[0])
    assert command("waivers", "sample.yaml").code == 1
    named = command("waivers", "sample.yaml", "--out", "nowhere")
    assert (named.code, named.out) == (3, "")
    assert named.err == (
        "nowhere/evidence.db: found no stored evidence; expected what a run leaves; measure first, or leave --out "
        "away\n"
    )


def test_waivers_as_json_are_those_of_the_report(tmp_path: Path, measured: Path, command: Command) -> None:
    write(tmp_path, "waivers:", GOOD, *BAD)
    found = json.loads(command("waivers", "sample.yaml", "--json").out)
    command("judge", "sample.yaml")
    assert found == report(measured)["waivers"]
    assert [row["state"] for row in found] == ["active", "expired", "unknown", "unknown", "unmatched"]
    assert [row["days_left"] for row in found] == [30, -1, 30, 30, 30]


def test_waivers_are_counted_and_shown_in_every_report_for_readers(
    tmp_path: Path, measured: Path, command: Command
) -> None:
    write(tmp_path, "waivers:", GOOD, BAD[0])
    done = command("judge", "sample.yaml", "--format", "html", "--format", "md", "--format", "text", "--format", "json")
    assert "1 waived (1 active waiver)" in " ".join(done.out.split())
    assert "Waivers: 1 active, 1 expired" in done.out
    for name in ("report.html", "report.md", "report.txt"):
        text = " ".join((measured / name).read_text(encoding="utf-8").split())
        assert "1 active, 1 expired" in text
        assert "Agreed." in text
        assert SOON in text.replace("\\", "")
    assert report(measured)["summary"].endswith("1 waived (1 active waiver).")


def test_a_verdict_is_waived_by_a_policy_of_the_command_line_alone(
    tmp_path: Path, measured: Path, command: Command
) -> None:
    """Neither by the audit file, nor by a policy that it names; and then the sentence says that it was."""
    own = f"{{rule: claim/contradicted, claim: two-blocks, reason: Agreed., expires: {SOON}}}"
    wrong = ("--set", "claims.0.perplexity_increase.at_most=5")
    (tmp_path / "gate.yaml").write_text(f"waivers: [{own}]\n", encoding="utf-8")
    for more in (f"waivers: [{own}]", "policy: {extends: gate.yaml}"):
        write(tmp_path, more)
        done = command("judge", "sample.yaml", *wrong, "--format", "json")
        assert done.code == 1
        told = " ".join(done.out.split())
        assert "✗ Fail: 1 of 2 claims is contradicted, 1 is supported; " in told
        assert "error waiver/of-a-verdict: " in told
        assert "the waiver of claim/contradicted waives a verdict, which an audit file cannot" in told
        assert [row["state"] for row in report(measured)["waivers"]] == ["refused"]
        assert command("waivers", "sample.yaml").code == 1
    write(tmp_path)
    done = command("judge", "sample.yaml", *wrong, "--policy", "gate.yaml", "--format", "json", "--format", "md")
    assert done.code == 0
    begins = "Pass with 1 finding waived: 1 of 2 claims is contradicted, 1 is supported; "
    assert f"✓ {begins}" in " ".join(done.out.split())
    assert report(measured)["summary"].startswith(begins)
    assert "**✓ Pass with 1 finding waived:** 1 of 2 claims" in (measured / "report.md").read_text(encoding="utf-8")
    assert [(row["state"], row["location"]) for row in report(measured)["waivers"]] == [("active", "gate.yaml:1:11")]


@pytest.mark.parametrize(
    ("more", "begins"),
    [
        (("--policy", "research"), "Pass under the policy research: 1 of 2 claims is contradicted, 1 is supported; "),
        (("--policy", "./soft.yaml"), "Pass under the policy file soft.yaml: 1 of 2 claims is contradicted, "),
        (("--set", "policy.rules.claim/contradicted=note"), "Pass under a level that --set gives: 1 of 2 claims is "),
        ((), "Pass under the audit's own policy: 1 of 2 claims is contradicted, 1 is supported; "),
    ],
)
def test_who_lets_a_contradicted_claim_pass_stands_in_front(
    more: tuple[str, ...], begins: str, tmp_path: Path, measured: Path, command: Command
) -> None:
    """In the terminal and in every report: never that nothing stands against it."""
    write(tmp_path, 'policy: {rules: {claim: "off"}}' if not more else "")
    (tmp_path / "soft.yaml").write_text("rules: {claim/contradicted: warning}\n", encoding="utf-8")
    wrong = ("--set", "claims.0.perplexity_increase.at_most=5")
    done = command("judge", "sample.yaml", *wrong, *more, "--format", "json", "--format", "md", "--format", "html")
    assert done.code == 0
    assert f"✓ {begins}" in " ".join(done.out.split())
    assert report(measured)["summary"].startswith(begins)
    came_out, rest = begins.split(": ", 1)
    assert f"**✓ {came_out}:** {rest}" in (measured / "report.md").read_text(encoding="utf-8").replace("\\", "")
    page = (measured / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    assert f"</span>{came_out}</strong> <span>{rest}" in page


def test_a_hostile_waiver_drives_no_terminal(tmp_path: Path, measured: Path, command: Command) -> None:
    write(
        tmp_path, "waivers:", f'  - {{rule: {DIVERGENT}, claim: twins, reason: "a\\u001b[31m\\u202e", expires: {SOON}}}'
    )
    done = command("waivers", "sample.yaml")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
