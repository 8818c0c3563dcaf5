"""A series before it is measured: what is at hand of it, and steps that are one set of weights, without loading any."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from command_line import Command
from folders import TESTS

TINY = TESTS / "spec" / "models" / "tiny"
AUDIT = f"""pruneaudit: 1
model: {{kind: hub, repo: owner/run}}
data:
  scoring: {{kind: rows, path: {TESTS}/spec/data/prompts.jsonl, prompts: 2, tokens: 16}}
  evaluation: {{kind: file, path: {TESTS}/spec/data/evaluation.txt, window: 8, stride: 4}}
budgets: [1]
checkpoints:
  steps: {{kind: hub, repo: owner/run, SERIES}}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache as the hub's own library lays it out: blobs by their digest, snapshots of links, a ref per branch."""
    home = tmp_path / "hub" / "models--owner--run"
    weights = (TINY / "model.safetensors").read_bytes()
    branches = {"main": 9, "step0": 0, "step64": 64, "step1000": 9, "step2000": 9, "other": 5}
    for branch, last in branches.items():
        content = {name: (TINY / name).read_bytes() for name in ("config.json", "tokenizer.json")}
        content["model.safetensors"] = weights[:-1] + bytes([last])
        snapshot = home / "snapshots" / hashlib.sha1(branch.encode()).hexdigest()
        snapshot.mkdir(parents=True)
        for name, data in content.items():
            blob = home / "blobs" / hashlib.sha256(data).hexdigest()
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(data)
            (snapshot / name).symlink_to(blob)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / branch).write_text(snapshot.name)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return home


def written(folder: Path, series: str) -> Path:
    path = folder / "audit.yaml"
    path.write_text(AUDIT.replace("SERIES", series))
    return path


def test_a_plan_names_branches_that_serve_one_set_of_weights(cache: Path, tmp_path: Path, command: Command) -> None:
    done = command("plan", written(tmp_path, 'revisions: "step{step}", steps: all'))
    assert done.code == 0, done.err
    lines = " ".join((done.out + done.err).split())
    assert "series steps, 4 steps from 0 to 2000, 4 at hand" in lines
    same = "has the weights of {}: no two measurements can be made of them"
    assert f"note: series steps: step 1000 {same.format('the model')}" in lines
    assert f"note: series steps: step 2000 {same.format('step 1000')}" in lines
    assert "step 2000 has the weights of the model" not in lines  # the last step is the model, as it should be
    assert "step 64 has" not in lines


def test_the_doctor_says_so_too(cache: Path, tmp_path: Path, command: Command) -> None:
    done = command("doctor", written(tmp_path, 'revisions: "step{step}", steps: [0, 1000, 3000]'))
    lines = " ".join((done.out + done.err).split())
    assert "series steps 2 of 3 steps at hand" in lines
    assert "step 3000 is not at hand: hub model owner/run, revision step3000: found nothing in the cache" in lines
    assert "step 1000 has the weights of the model" in lines


def test_steps_are_ordered_by_number_and_tokens_are_read_from_names(cache: Path, tmp_path: Path) -> None:
    from checker.spec import load

    for step, tokens in ((1000, "4B"), (64, "0.25B")):
        (cache / "refs" / f"stage1-step{step}-tokens{tokens}").write_text((cache / "refs" / "step0").read_text())
    series = 'revisions: "stage1-step{step}-tokens{tokens}", steps: '
    for steps in ("all", "[1000, 64]"):
        (known,) = load.check(written(tmp_path, series + steps)).audit.series
        assert [(step.step, step.tokens) for step in known.steps] == [(64, 0.25e9), (1000, 4e9)]
        assert [step.source.revision for step in known.steps] == [
            "stage1-step64-tokens0.25B", "stage1-step1000-tokens4B",
        ]  # fmt: skip


def test_steps_in_folders_of_one_revision(cache: Path, tmp_path: Path) -> None:
    from checker.spec import load

    snapshot = cache / "snapshots" / (cache / "refs" / "main").read_text()
    for step in (7, 20):
        (snapshot / "checkpoints" / f"step-{step}").mkdir(parents=True)
    (known,) = load.check(written(tmp_path, 'subfolder: "checkpoints/step-{step}", steps: all')).audit.series
    assert [(step.step, step.source.file) for step in known.steps] == [
        (7, "checkpoints/step-7"), (20, "checkpoints/step-20"),
    ]  # fmt: skip


def test_two_branches_of_one_number_are_a_mistake(cache: Path, tmp_path: Path, command: Command) -> None:
    (cache / "refs" / "step064").write_text((cache / "refs" / "step0").read_text())
    done = command("validate", written(tmp_path, 'revisions: "step{step}", steps: all'))
    assert done.code == 2
    assert "found step 64 at `step064` and `step64`; expected one place of a number" in done.err


def test_every_step_may_name_its_own_revision(cache: Path, tmp_path: Path, command: Command) -> None:
    steps = "steps: [{step: 3, revision: other, tokens: 12}, {step: 1, revision: step0}]"
    done = command("plan", written(tmp_path, steps))
    assert "series steps, 2 steps from 1 to 3, 2 at hand" in " ".join((done.out + done.err).split())
    done = command("validate", written(tmp_path, "steps: [{step: 3}, {step: 1, revision: step0}]"))
    assert "found steps whose places nothing names; expected a pattern with `{step}` in `revisions`" in done.err
