"""Exports that need no torch: which arm is meant, slices, lists and tables of it, and where its model is."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reports_sample as samples
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from checker import cli
from checker.core.errors import UsageError
from checker.core.files import write_new
from checker.core.layouts import Layout
from checker.core.store import Store
from checker.release.export import FORMATS, Arm, find_arm, mergekit, model_source, prune_layers, ranges, table
from checker.reports.read import read_report

BLOCKS = 12
REPORT = samples.sample(blocks=BLOCKS, budgets=(1, 3), draws=4)
Report = dict[str, Any]


def report_with(*rows: Report, **model: Any) -> Report:
    """The sample with other arms; each row is the first replacement arm with some fields changed."""
    report = copy.deepcopy(REPORT)
    first = next(row for row in report["arms"] if row["method"] == "replacement")
    report["arms"] = [{**first, "budget": len(row["layers"]), **row} for row in rows]
    report["model"] |= model
    return report


def arm_without(*layers: int, **more: Any) -> Arm:
    report = report_with({"layers": list(layers), "method": "chosen", **more})
    return find_arm(report, f"chosen:{report['arms'][0]['budget']}")


# --- which arm -------------------------------------------------------------------------------------------------------


def test_an_arm_is_found_by_method_and_budget() -> None:
    arm = find_arm(REPORT, "replacement:3")
    row = next(row for row in REPORT["arms"] if (row["method"], row["budget"]) == ("replacement", 3))
    assert arm.row == row
    assert arm.layout == Layout.base(BLOCKS).without(row["layers"])


@pytest.mark.parametrize("tie", range(4))
def test_ways_of_breaking_ties_are_told_apart(tie: int) -> None:
    arm = find_arm(REPORT, f"interchange:3:{tie}")
    assert (arm.row["method"], arm.row["budget"], arm.row["tie"]) == ("interchange", 3, tie)


def test_ties_that_matter_are_not_broken_in_silence() -> None:
    rows = [row for row in REPORT["arms"] if (row["method"], row["budget"]) == ("interchange", 3)]
    with pytest.raises(UsageError, match="found 4 arms interchange:3; expected one; choose: ") as caught:
        find_arm(REPORT, "interchange:3")
    for row in rows:
        layers = ",".join(map(str, row["layers"]))
        assert f"interchange:3:{row['tie']} removes {layers} ({row['increase_percent']:+.1f} %)" in str(caught.value)


def test_ties_that_give_the_same_set_need_no_choice() -> None:
    report = report_with({"layers": [2], "tie": 0, "ties": 2}, {"layers": [2], "tie": 1, "ties": 2})
    assert find_arm(report, "replacement:1").row["layers"] == [2]


@pytest.mark.parametrize("name", ["replacement:2", "replacement:3:7", "best:3", "replacement@native:3"])
def test_an_arm_that_is_not_there(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"found no arm {name} in the report; expected one of interchange:1, "
    ) as error:
        find_arm(REPORT, name)
    assert all(f"{method}:3" in str(error.value) for method in ("interchange", "replacement", "deletion", "random"))


@pytest.mark.parametrize(
    "name", ["", "replacement", "replacement:", "replacement:three", "replacement:3:", ":3", "a:-1"]
)
def test_what_names_no_arm(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"--arm: found {name!r}; expected METHOD:BUDGET or METHOD:")):
        find_arm(REPORT, name)


def test_forms_and_constraints_are_told_apart() -> None:
    report = report_with(
        {"layers": [1, 2], "form": "native", "selection": "matched"},
        {"layers": [1, 3], "form": "matched", "selection": "spaced"},
        {"layers": [3, 4], "form": "matched", "selection": "free"},
    )
    found = {name: find_arm(report, f"{name}:2").row["layers"] for name in ("replacement", "replacement@free")}
    assert found == {"replacement": [1, 3], "replacement@free": [3, 4]}
    assert find_arm(report, "replacement@native:2").row["layers"] == [1, 2]
    assert find_arm(report_with(report["arms"][0]), "replacement:2").row["layers"] == [1, 2]


@pytest.mark.parametrize(
    "row",
    [
        {"layers": [1, BLOCKS]},
        {"layers": [1, 1]},
        {"layers": list(range(BLOCKS))},
        {"layers": [1], "budget": 2},
        {"layers": [1], "merged": "(0,mix(1:.5"},
        {"layers": [1], "merged": str(Layout.base(BLOCKS))},
        {"layers": [1], "merged": str(Layout.base(BLOCKS).without([1]).with_weights({2: BLOCKS}))},
    ],
)
def test_a_row_that_cannot_be_true_is_refused(row: Report) -> None:
    report = report_with(row)
    with pytest.raises(UsageError, match=r"report.json: found .*; expected .*; judge again"):
        find_arm(report, f"replacement:{report['arms'][0]['budget']}")


def test_a_report_is_read_and_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report.json: found no report \(No such file"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps({**REPORT, "arms": "none"}))
    with pytest.raises(UsageError, match=r"(?s)found no valid report: .*\$\.arms"):
        read_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    assert read_report(tmp_path) == REPORT


# --- mergekit --------------------------------------------------------------------------------------------------------


@st.composite
def removals(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A number of blocks, and a set of them that leaves at least one."""
    blocks = draw(st.integers(1, 80))
    return blocks, draw(st.lists(st.integers(0, blocks - 1), unique=True, max_size=blocks - 1))


@given(removals())
def test_half_open_ranges_are_the_blocks_that_stay(removal: tuple[int, list[int]]) -> None:
    blocks, removed = removal
    found = list(ranges(Layout.base(blocks).without(removed)))
    assert [block for first, end in found for block in range(first, end)] == sorted({*range(blocks)} - {*removed})
    assert all(0 <= first < end <= blocks for first, end in found)
    assert all(end < following for (_, end), (following, _) in pairwise(found))  # as few slices as there can be


def test_mergekit_gets_passthrough_slices() -> None:
    arm = arm_without(3, 4, 9)
    content = yaml.safe_load(mergekit(arm, "org/base"))
    assert content == {
        "slices": [
            {"sources": [{"model": "org/base", "layer_range": [0, 3]}]},
            {"sources": [{"model": "org/base", "layer_range": [5, 9]}]},
            {"sources": [{"model": "org/base", "layer_range": [10, BLOCKS]}]},
        ],
        "merge_method": "passthrough",
        "dtype": REPORT["model"]["dtype"],
    }
    assert "chosen at budget 3" in mergekit(arm, "org/base").splitlines()[0]


def test_whole_blocks_may_run_in_other_places() -> None:
    swapped = Layout.base(BLOCKS).without([5]).with_weights({1: 2, 2: 1})
    content = yaml.safe_load(mergekit(arm_without(5, merged=str(swapped)), "org/base"))
    assert [part["sources"][0]["layer_range"] for part in content["slices"]] == [
        [0, 1],
        [2, 3],
        [1, 2],
        [3, 5],
        [6, 12],
    ]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"kind": "hub", "source": "org/name", "revision": "abc123"}, "org/name@abc123"),
        ({"kind": "hub", "source": "org/name", "revision": None}, "org/name"),
        ({"kind": "directory", "source": "folder", "revision": None}, "folder"),
    ],
)
def test_the_base_is_the_audited_model_unless_it_is_named(model: Report, name: str) -> None:
    arm = find_arm(report_with({"layers": [3]}, **model), "replacement:1")
    assert yaml.safe_load(mergekit(arm))["slices"][0]["sources"][0]["model"] == name
    assert yaml.safe_load(mergekit(arm, "org/other"))["slices"][1]["sources"][0]["model"] == "org/other"


def test_mergekit_is_given_no_gguf() -> None:
    arm = find_arm(report_with({"layers": [3]}, kind="package", source="a_package/model.Q4_1.gguf"), "replacement:1")
    with pytest.raises(UsageError, match=r"found a model read from GGUF \(a_package/model.Q4_1.gguf\); .*`--base`"):
        mergekit(arm)
    assert "org/base" in mergekit(arm, "org/base")


def test_nothing_of_a_report_ends_a_comment() -> None:
    report = report_with({"layers": [3]}, kind="hub", source="org/x\nslices: []\u2028merge_method: linear")
    arm = find_arm(report, "replacement:1")
    content = yaml.safe_load(mergekit(arm, "org/base"))
    assert (len(content["slices"]), content["merge_method"]) == (2, "passthrough")


# --- lists and tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [(3, 5, 9), (9, 3, 5)])
def test_a_list_of_layers(layers: tuple[int, ...]) -> None:
    assert prune_layers(arm_without(*layers)) == "3,5,9\n"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_table_has_a_row_per_block() -> None:
    arm = find_arm(REPORT, "replacement:3")
    rows = rows_of(table(arm))
    removed = set(arm.row["layers"])
    assert [int(row["block"]) for row in rows] == list(range(BLOCKS))
    assert {int(row["block"]) for row in rows if row["kept"] == "no"} == removed
    kept = [row for row in rows if row["kept"] == "yes"]
    assert [int(row["new_number"]) for row in kept] == list(range(BLOCKS - 3))
    assert [row["weights"] for row in kept] == [row["block"] for row in kept]
    for row, block in zip(rows, REPORT["blocks"], strict=True):
        assert float(row["block_deletion"]) == block["deletion"]
        assert float(row["block_single_deletion_increase_percent"]) == block["single_deletion_increase_percent"]
        assert (row["method"], row["budget"], row["tie"]) == ("replacement", "3", "0")
        assert float(row["arm_perplexity"]) == arm.row["perplexity"]
        assert [float(row["arm_increase_low"]), float(row["arm_increase_high"])] == arm.row["interval"]


def test_what_was_not_measured_is_empty_in_the_table() -> None:
    report = samples.bare(blocks=4)
    arm = find_arm(report, "replacement:1")
    assert all(
        row["arm_perplexity"] == row["arm_increase_low"] == row["block_deletion"] == "" for row in rows_of(table(arm))
    )


def test_a_merge_is_no_list_and_no_slice_but_a_table() -> None:
    merged = Layout.base(BLOCKS).with_weights({4: {4: -1.0, 5: 1.0, 6: 1.0}}).without([5, 6])
    arm = arm_without(5, 6, merged=str(merged))
    assert arm.layout == merged
    for form in ("mergekit", "prune-layers"):
        with pytest.raises(UsageError, match=rf"--as {form}: found .*mix\(4:-1,5:1,6:1\)@4.*; use `--as checkpoint`"):
            FORMATS[form](arm, "org/base")
    assert [row["weights"] for row in rows_of(table(arm))[3:8]] == ["3", "mix(4:-1,5:1,6:1)", "", "", "7"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    to = tmp_path / "new" / "layers.txt"
    write_new({to: b"3,5\n"}, "export", "--to")
    with pytest.raises(UsageError, match="export overwrites nothing"):
        write_new({to: b"4\n"}, "export", "--to")
    assert to.read_bytes() == b"3,5\n"


# --- where the model is ----------------------------------------------------------------------------------------------

AUDIT = """\
pruneaudit: 1
model: {model}
data:
  scoring: {{kind: file, path: prompts.txt, prompts: 8, tokens: 16}}
  evaluation: {{kind: file, path: text.txt, window: 16, stride: 8}}
budgets: [1]
"""


def run_of(out: Path, model: str, *overrides: tuple[str, str]) -> Report:
    """The evidence of a run of an audit of ``model``, and its report."""
    report = copy.deepcopy(REPORT)
    report["overrides"] = [{"key": key, "value": value} for key, value in overrides]
    text = AUDIT.format(model=model)
    with Store(out / "evidence.db") as store:
        store.write_record("audit", report["audit"]["name"], {"text": text, "overrides": [list(o) for o in overrides]})
    return report


def test_the_evidence_knows_where_the_model_is(tmp_path: Path) -> None:
    package = run_of(
        tmp_path / "a", "{kind: package, package: a_package, file: model.gguf}", ("model.dtype", "bfloat16")
    )
    source = model_source(tmp_path / "a", package)
    assert (source.kind, source.package, source.file) == ("package", "a_package", "model.gguf")
    assert source.dtype == "bfloat16"
    absolute = run_of(tmp_path / "b", f"{{kind: directory, path: {tmp_path / 'model'}}}")
    assert model_source(tmp_path / "b", absolute).path == str(tmp_path / "model")


def test_a_relative_path_needs_the_audit_file(tmp_path: Path) -> None:
    report = run_of(tmp_path, "{kind: directory, path: models/tiny}", ("model.dtype", "float16"))
    with pytest.raises(UsageError, match=r"relative path, tiny; .*`--audit`"):
        model_source(tmp_path, report)
    file = tmp_path / "audits" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(AUDIT.format(model="{kind: directory, path: models/tiny}"))
    source = model_source(tmp_path, report, str(file))
    assert (source.path, source.dtype) == (str(tmp_path / "audits" / "models" / "tiny"), "float16")


def test_without_evidence_the_audit_file_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"evidence.db: found no record of the audit .*`--audit`"):
        model_source(tmp_path, REPORT)
    assert not (tmp_path / "evidence.db").exists()


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    return tmp_path


def command(*arguments: str | Path) -> Result:
    """The command, as Click's own runner starts it; the exit code is the process's."""
    return CliRunner().invoke(cli.group, ["export", *map(str, arguments)])


def test_the_command_offers_every_format() -> None:
    assert f"--as [{'|'.join(FORMATS)}|checkpoint]" in command("--help").output


def test_the_command_prints_or_writes(out: Path) -> None:
    arm = find_arm(REPORT, "deletion:3")
    shown = command(out, "--arm", "deletion:3", "--as", "prune-layers")
    assert (shown.exit_code, shown.stdout) == (0, prune_layers(arm))
    for form, expected in (("csv", table(arm)), ("mergekit", mergekit(arm, "org/base"))):
        to = out / "new" / form
        written = command(out, "--arm", "deletion:3", "--as", form, "--to", to, "--base", "org/base")
        assert (written.exit_code, written.stdout) == (0, f"wrote {to}\n")
        assert to.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arm", "best:3", "--as", "csv"), "--arm: found no arm best:3"),
        (("--arm", "interchange:3", "--as", "csv"), "--arm: found 4 arms interchange:3"),
        (("--arm", "deletion:3", "--as", "checkpoint"), "--to: found none; expected the folder"),
        (("--arm", "deletion:3", "--as", "checkpoint", "--to", "new"), "found no record of the audit"),
        (("--arm", "deletion:3", "--as", "mergekit"), "--as mergekit: found a model read from GGUF"),
    ],
)
def test_wrong_usage_of_the_command(out: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command(out, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert [path.name for path in out.iterdir()] == ["report.json"]
