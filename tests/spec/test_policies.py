"""Policies: what is in force, where each value comes from, and the ready ones on evidence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import evidence_sample as samples
import jsonschema
import pytest
import yaml
from evidence_sample import Sample, claim
from folders import SPECS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource

from checker.core import resources
from checker.core.errors import InvalidAudit
from checker.core.records import Audit, BuiltOn, Location, MethodSettings, Policy, Waiver
from checker.core.rule import Level
from checker.core.store import Store
from checker.judge.measured import exit_code, judge
from checker.judge.rules import RULES
from checker.published.load import any_audit
from checker.reports.tables import facts
from checker.spec import policies
from checker.spec.schema import audit_schema

pytestmark = pytest.mark.usefixtures("eight_blocks_predict")

READY = ("release", "research", "review")
TODAY = date(2030, 6, 15)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a policy file, or an audit file with a ``policy``."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def an_audit(policy: str) -> str:
    data = f"""
  scoring: {{kind: rows, path: {SPECS}/data/prompts.jsonl, prompts: 8, tokens: 32}}
  evaluation: {{kind: file, path: {SPECS}/data/evaluation.txt, window: 64, stride: 32}}"""
    model = f"{{kind: directory, path: {SPECS}/models/tiny}}"
    return f"pruneaudit: 1\nmodel: {model}\ndata: {data}\nbudgets: [1]\n{policy}"


def in_force(path: Path, *overrides: str) -> Policy:
    return any_audit(path, overrides, attached=False)[0].policy


# --- what is in force ------------------------------------------------------------------------------------------------


def test_an_audit_without_a_policy_has_the_default(write: Write) -> None:
    found = in_force(write("a.yaml", an_audit("")))
    assert found == Policy()
    assert (found.fail_on, found.extends, dict(found.sources)) == ("error", (), {})


def test_every_key_arrives() -> None:
    found = in_force(SPECS / "accept" / "every_key.yaml")
    assert found == Policy(
        fail_on="warning",
        rules={"protocol/undisclosed": "note", "claim/undecided": "off"},
        required_methods=("interchange", "random"),
        required_budgets=(1,),
        minimum_windows=4,
        maximum_interval_width_percent=50.0,
        minimum_confidence=0.9,
        maximum_margin=0.1,
        maximum_within=20.0,
        minimum_resamples=500,
        minimum_pairs=0.25,
        minimum_draws=19,
        maximum_waivers=5,
        maximum_waiver_days=400,
        extends=found.extends,
        sources=found.sources,
    )
    assert [(base.name, base.ready) for base in found.extends] == [("plain.yaml", False)]
    text = (SPECS / "accept" / "every_key.yaml").read_text(encoding="utf-8").splitlines()
    for key, place in found.sources.items():
        file, line, column = place.split(":")
        assert file == "every_key.yaml"
        assert text[int(line) - 1][int(column) - 1 :].startswith(key.removeprefix("rules."))
    assert set(found.sources) == {
        "fail_on", "rules.protocol/undisclosed", "rules.claim/undecided", "required_methods", "required_budgets",
        "minimum_windows", "maximum_interval_width_percent", "minimum_confidence", "maximum_margin", "maximum_within",
        "minimum_resamples", "minimum_pairs", "minimum_draws", "maximum_waivers", "maximum_waiver_days",
    }  # fmt: skip


def test_the_nearest_value_counts_and_its_place_is_known(write: Write) -> None:
    write("far.yaml", "fail_on: note\nrequired_methods: [random, sleb]\nminimum_windows: 30\nmaximum_waivers: 2\n")
    write("near.yaml", "extends: far.yaml\nfail_on: warning\nrequired_methods: [cka]\nmaximum_waivers: 0\n")
    found = in_force(write("a.yaml", an_audit("policy:\n  extends: near.yaml\n  fail_on: error\n")))
    assert (found.fail_on, found.sources["fail_on"]) == ("error", "a.yaml:9:3")
    assert (found.required_methods, found.sources["required_methods"]) == (("cka",), "near.yaml:3:1"), "a whole list"
    assert (found.minimum_windows, found.sources["minimum_windows"]) == (30, "far.yaml:3:1")
    assert (found.maximum_waivers, found.sources["maximum_waivers"]) == (0, "near.yaml:4:1"), "0 is a value"
    assert [base.name for base in found.extends] == ["near.yaml", "far.yaml"]


def test_the_level_of_a_rule_goes_before_that_of_its_family_and_near_before_far(write: Write) -> None:
    write("far.yaml", 'rules: {claim/undecided: error, claim: "off", data/begin-token: note}\n')
    write("near.yaml", "extends: far.yaml\nrules: {claim: note, claim/contradicted: warning}\n")
    found = policies.load(
        str(write("near.yaml", "extends: far.yaml\nrules: {claim: note, claim/contradicted: warning}"))
    )
    assert found.rules == {"claim": "note", "claim/contradicted": "warning", "data/begin-token": "note"}
    assert found.level("claim/contradicted", "error") == "warning"
    assert found.level("claim/undecided", "error") == "note", "the nearer family goes before the farther rule"
    assert found.level("data/begin-token", "warning") == "note"
    assert found.level("data/contract-not-pinned", "warning") == "warning"
    assert found.source("claim/undecided") == found.sources["rules.claim"] == "near.yaml:2:9"
    assert found.source("data/begin-token") == "far.yaml:1:47"
    assert found.source("data/contract-not-pinned") is None
    far = policies.load(str(write("far.yaml", "rules: {claim/undecided: error, claim: note}\n")))
    assert far.level("claim/undecided", "warning") == "error"


def test_a_rule_of_the_same_first_letters_is_of_another_family() -> None:
    found = Policy(rules={"claim": "note"}, sources={"rules.claim": "a.yaml:1:1"})
    assert found.level("claims/any", "error") == "error"
    assert found.source("claims/any") is None


@pytest.mark.parametrize("rules", [{"evidence/incomplete": "off"}, {"evidence": "off"}, {"evidence": "note"}])
def test_no_policy_touches_completeness(rules: Mapping[str, str]) -> None:
    found = Policy(rules=rules, sources={f"rules.{name}": "a.yaml:1:1" for name in rules})
    assert found.level("evidence/incomplete", "error") == "error"
    assert found.source("evidence/incomplete") is None


# --- the command line ------------------------------------------------------------------------------------------------

SOFT = 'policy: {fail_on: never, rules: {claim: "off", policy: "off"}, maximum_waivers: 9}\n'


def test_a_policy_of_the_command_line_takes_the_place_of_the_files_own(write: Write) -> None:
    """What is audited cannot soften the gate: nothing that the file's policy says is left."""
    found = in_force(write("a.yaml", an_audit(SOFT)), "policy={extends: release}")
    assert found == policies.load("release")
    assert "a.yaml" not in str(found)


def test_a_value_of_the_command_line_goes_before_all(write: Write) -> None:
    path = write("a.yaml", an_audit(SOFT))
    found = in_force(path, "policy={extends: release}", "policy.fail_on=note", "policy.rules.claim=warning")
    assert (found.fail_on, found.sources["fail_on"]) == ("note", "--set policy.fail_on=note")
    assert (found.rules["claim"], found.source("claim/undecided")) == ("warning", "--set policy.rules.claim=warning")
    assert found.minimum_windows == 22


def test_a_path_starts_at_the_file_that_names_it_or_at_the_working_directory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("audits/ours/strict.yaml", "extends: ../base.yml\n")
    write("audits/base.yml", "minimum_windows: 40\n")
    write("elsewhere/strict.yaml", "minimum_windows: 50\n")
    audit = write("audits/a.yaml", an_audit("policy: {extends: ours/strict.yaml}\n"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert in_force(audit).minimum_windows == 40
    assert in_force(audit, "policy={extends: strict.yaml}").minimum_windows == 50
    assert policies.load("strict.yaml").minimum_windows == 50
    named = [base.name for base in policies.load("../audits/ours/strict.yaml").extends]
    assert named == ["strict.yaml", "base.yml"], "no folder is named"


def test_no_file_can_pose_as_a_ready_policy(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("release", "fail_on: never\n")
    monkeypatch.chdir(tmp_path)
    assert policies.load("release").fail_on == "warning"
    assert policies.load("./release").fail_on == "never"


def test_a_ready_policy_has_a_mark_that_no_file_has(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is called release, even with the words of the mark in its name, is reported as a file."""
    text = (resources.audits() / "policies" / "release.yaml").read_bytes()
    monkeypatch.chdir(tmp_path)
    (ready, _), mark = policies.load("release").extends, hashlib.sha256(text).hexdigest()
    assert ready == BuiltOn("release", mark, ready=True, version=1)
    assert str(ready) == f"release (ready, version 1, sha256 {mark[:12]}…)"
    for name in ("release", str(ready)):
        (tmp_path / name).write_bytes(text)
        posing, review = policies.load(f"./{name}").extends
        assert (posing.ready, posing.sha256) == (False, mark)
        assert str(posing) == f"file {name} (version 1, sha256 {mark[:12]}…)"
        assert review.ready


def test_the_place_of_a_ready_policys_value_is_none_that_a_file_has(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("release", "fail_on: warning\n")
    monkeypatch.chdir(tmp_path)
    assert policies.load("./release").sources == {"fail_on": "release:1:1"}
    assert re.fullmatch(r"ready/release:\d+:1", policies.load("release").sources["fail_on"])


def test_who_sets_a_level_is_known_in_words(write: Write) -> None:
    write("ours.yaml", "extends: research\nrules: {data: note}\n")
    found = in_force(write("a.yaml", an_audit("policy: {extends: ours.yaml, rules: {model: note}}\n")))
    told = [policies.set_by(found, f"{family}/any") for family in ("claim", "data", "model")]
    assert told == ["the policy research", "the policy file ours.yaml", "the audit's own policy"]


# --- waivers ---------------------------------------------------------------------------------------------------------

WAIVER = "{rule: claim/contradicted, claim: a, reason: Agreed., expires: 2030-07-01}"


def test_the_waivers_of_a_policy_file_and_whether_the_command_line_names_it(write: Write) -> None:
    gate = write("gate.yaml", f"waivers: [{WAIVER}]\n")
    above = write("above.yaml", "extends: gate.yaml\n")
    made = Waiver("claim/contradicted", "Agreed.", "2030-07-01", Location("gate.yaml", 1, 11), "a")
    for path in (gate, above):
        assert (policies.load(str(path)).waivers, policies.load(str(path)).commanded) == ((made,), True)
        named = in_force(write("a.yaml", an_audit("")), f"policy={{extends: {path}}}")
        assert (named.waivers, named.commanded) == ((made,), True)
        own = in_force(write("a.yaml", an_audit(f"policy: {{extends: {path.name}}}\n")), "policy.fail_on=note")
        assert (own.waivers, own.commanded) == ((made,), False)
    nearest = write("nearest.yaml", "extends: gate.yaml\nwaivers: []\n")
    assert policies.load(str(nearest)).waivers == (), "a list takes the place of its list"


def test_a_policy_inside_an_audit_file_has_no_waivers_of_its_own(write: Write) -> None:
    path = write("a.yaml", an_audit(f"policy: {{waivers: [{WAIVER}]}}\n"))
    with pytest.raises(InvalidAudit) as caught:
        in_force(path)
    assert str(caught.value) == (
        f"{path}:7:10: found waivers in an audit file's policy; expected those of the audit file, or of a policy file; "
        "move them to `waivers` of the audit file"
    )


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_a_policy_that_is_loaded_alone_names_the_option(write: Write) -> None:
    with pytest.raises(InvalidAudit) as caught:
        policies.load("relase")
    assert str(caught.value) == (
        "--policy relase: found `relase`, which is not a ready policy; expected `release`, `research` or `review`, "
        "or a path that ends in .yaml; did you mean `release`?"
    )
    assert caught.value.exit_code == 2


def test_a_policy_that_extends_itself(write: Write) -> None:
    path = write("a.yaml", "extends: ./a.yaml\n")
    with pytest.raises(InvalidAudit, match=re.escape(f"{path}:1:10: found `./a.yaml`, which leads back here")):
        policies.load(str(path))


@pytest.mark.parametrize(("length", "fits"), [(policies.LONGEST, True), (policies.LONGEST + 1, False)])
def test_a_chain_is_bounded(write: Write, length: int, fits: bool) -> None:
    write(f"{length}.yaml", "minimum_windows: 3\n")
    for number in range(1, length):
        write(f"{number}.yaml", f"extends: {number + 1}.yaml\n")
    path = write("a.yaml", an_audit("policy: {extends: 1.yaml}\n"))
    if fits:
        assert in_force(path).minimum_windows == 3
        return
    with pytest.raises(InvalidAudit) as caught:
        in_force(path)
    assert str(caught.value) == (
        f"{path.parent / '8.yaml'}:1:10: found policy number 9 of a chain, `9.yaml`; expected at most 8; "
        "build on fewer policies"
    )


@pytest.mark.parametrize("content", [b"\xff", b"fail_on: [", b"fail_on: &a error\n", b"a: b\n" * 300_000])
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(InvalidAudit, match=r"a\.yaml(:\d+:\d+)?: found "):
        policies.load(str(tmp_path / "a.yaml"))


@pytest.mark.parametrize("name", ["a\x00.yaml", "x" * 900 + ".yaml", "/dev/null", "/dev/zero", "~nobody-here/a.yaml"])
def test_an_odd_path_is_a_mistake(name: str) -> None:
    with pytest.raises(InvalidAudit, match="expected a policy file; correct the path"):
        policies.load(name)


_OF_ONE = {"extends", "version"}  # what no policy takes over from the one it is built on

# --- the schema ------------------------------------------------------------------------------------------------------


def schema_file() -> jsonschema.Draft202012Validator:
    """schemas/policy.schema.json as an editor reads it, the audit file's schema beside it."""
    found = {name: json.loads((resources.schemas() / name).read_text(encoding="utf-8"))
             for name in ("policy.schema.json", "audit.schema.json")}  # fmt: skip
    registry: Registry[Any] = Registry().with_resources((name, Resource.from_contents(s)) for name, s in found.items())
    return jsonschema.Draft202012Validator(found["policy.schema.json"], registry=registry)


def test_the_schema_of_a_policy_file_is_the_audits_own() -> None:
    validator = schema_file()
    for path in [*resources.audits().glob("policies/*.yaml"), SPECS / "policies" / "ours.yaml"]:
        assert list(validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []
    assert list(validator.iter_errors(yaml.safe_load((SPECS / "policies" / "wrong.yaml").read_text(encoding="utf-8"))))
    assert audit_schema()["properties"]["policy"]["$ref"] == "#/$defs/policy"


def test_the_levels_of_the_schema_are_those_of_the_records() -> None:
    schema = policies.policy_schema()
    assert schema["$defs"]["level"]["enum"] == [*get_args(Level), "off"]
    assert schema["properties"]["fail_on"]["enum"] == [*get_args(Level), "never"]
    assert set(schema["properties"]) - _OF_ONE == set(vars(Policy())) - {"extends", "sources", "commanded"}
    for name in set(schema["properties"]) - _OF_ONE:
        default = {**schema["$defs"].get(name, {}), **schema["properties"][name]}.get("default")
        assert policies.row(Policy())[name] == default


# --- robustness ------------------------------------------------------------------------------------------------------

_OURS = "extends: release\nfail_on: error\nrules: {selection: warning, claim/undecided: 'off'}\nminimum_windows: 30\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, len(_OURS)),
    cut=st.integers(0, 12),
    new=st.text(alphabet="[]{}:-#&*!|>'\"\n ,0eé./", max_size=4),
)
def test_a_damaged_policy_is_read_or_rejected_but_never_crashes(tmp_path: Path, place: int, cut: int, new: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(_OURS[:place] + new + _OURS[place + cut :], encoding="utf-8")
    try:
        assert isinstance(policies.load(str(path)), Policy)
    except InvalidAudit as error:
        assert error.mistakes
        assert all(mistake.file.startswith(str(path)) for mistake in error.mistakes)


# --- in a line of the reports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Policy(), "the audit's own: fails on errors"),
        (
            Policy(fail_on="never", extends=(BuiltOn("research", "ab" * 32, ready=True, version=1),)),
            "built on research (ready, version 1, sha256 abababababab…): fails on nothing",
        ),
        (
            Policy("note", {"claim": "off"}, ("random",), (1, 3), 1200, 7.5, maximum_waivers=0),
            "the audit's own: fails on every finding, requires random, at budgets 1, 3, at least 1,200 windows, "
            "intervals at most 7.5 % wide, at most 0 waivers, levels set: 1",
        ),
        (
            Policy("error", {}, (), (), None, None, 0.95, 0.05, 5.0, 1000, 0.5, 39),
            "the audit's own: fails on errors, intervals of at least 95 %, a margin of at most 0.05 nats per token, "
            "claimed costs within 5 %, at least 1,000 resamples, at least 50 % of the adjacent pairs, at least 39 "
            "random draws at each claimed budget",
        ),
    ],
)
def test_the_line_of_the_reports(policy: Policy, told: str) -> None:
    assert facts.policy({"policy": policies.row(policy)}).replace("\u202f", " ").replace("\u00a0", " ") == told


# --- the ready ones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READY)
def test_a_ready_policy_sets_levels_of_rules_that_exist(name: str) -> None:
    found = policies.load(name)
    assert policies.ready() == READY
    assert list(policies.unknown_rules(found, RULES)) == []
    assert found.rules


@pytest.mark.parametrize("name", READY)
def test_a_ready_policy_says_why(name: str) -> None:
    """Every key, and every group of levels, has a comment above it."""
    lines = (resources.audits() / "policies" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line[:1].isalpha() and not line.startswith(("extends:", "rules:")) and number > 6:
            assert lines[number - 1].startswith("# "), line
    start = lines.index("rules:")
    assert lines[start + 1].startswith("  # ")


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Judges a sample's audit, or another one on its evidence, under a ready policy."""
    with Store(tmp_path / "evidence.db") as store:

        def run(name: str, audit: Audit | None = None, sample: Sample | None = None) -> dict[str, Any]:
            samples.fill(store, sample or Sample())
            return judge(replace(audit or (sample or Sample()).audit, policy=policies.load(name)), store, TODAY)

        yield run


def failing(report: Mapping[str, Any]) -> set[str]:
    """The rules whose findings fail the run or keep it open, at the policy's own level."""
    levels = ("note", "warning", "error")
    least = levels.index(report["policy"]["fail_on"])
    return {
        finding["rule"]
        for finding in report["findings"]
        if finding["outcome"] in ("fail", "open") and finding["waived"] is None
        and levels.index(finding["level"]) >= least
    }  # fmt: skip


@pytest.mark.parametrize("name", READY)
def test_a_ready_policy_lets_a_careful_audit_pass(name: str, judged: Callable[..., Any]) -> None:
    """Pinned text and weights, both tests, a random control, 24 windows, claims that hold."""
    report = judged(name, sample=Sample(windows=24))
    assert failing(report) == set()
    assert (report["outcome"], exit_code(report, report["policy"]["fail_on"])) == ("pass", 0)


@pytest.mark.parametrize(
    ("name", "at_fault"),
    [
        (
            "release",
            {
                *("claim/contradicted", "protocol/undisclosed"),
                *("policy/required-method", "policy/too-few-windows", "policy/too-few-draws"),
            },
        ),
        ("review", {"claim/contradicted", "protocol/undisclosed"}),
        ("research", set()),
    ],
)
def test_the_ready_policies_stop_at_what_matters_to_their_readers(
    name: str, at_fault: set[str], judged: Callable[..., Any]
) -> None:
    """A claim that is wrong and names no test, 20 windows, no random control."""
    wrong = claim("wrong", "removal", layers=(4, 6), at_most=5.0)
    methods = tuple(MethodSettings(method, (1, 2)) for method in ("interchange", "replacement", "deletion"))
    report = judged(name, sample=Sample(samples.an_audit(claims=(wrong,), methods=methods)))
    assert failing(report) == at_fault
    assert exit_code(report, report["policy"]["fail_on"]) == (1 if at_fault else 0)


@pytest.mark.parametrize("name", READY)
def test_no_ready_policy_passes_an_incomplete_run(name: str, judged: Callable[..., Any]) -> None:
    sample = Sample(windows=24, withheld=lambda question: question.text in ("evaluation", "begin_token"))
    report = judged(name, sample=sample)
    assert "evidence/incomplete" in failing(report)
    assert exit_code(report, report["policy"]["fail_on"]) != 0


def test_the_report_says_what_was_in_force(judged: Callable[..., Any]) -> None:
    report = judged("release")
    assert report["policy"] == policies.row(policies.load("release"))
    assert [(base["name"], base["ready"]) for base in report["policy"]["extends"]] == [
        ("release", True), ("review", True)
    ]  # fmt: skip
