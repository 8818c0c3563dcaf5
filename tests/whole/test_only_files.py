"""Only regular files are read: no device fills the memory, no pipe is waited for, and no file of this machine is shown.

Each test would hang, or take all memory, where a path were opened as it is.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import Command
from sealed_run import sealed_small
from tiny_files import write_model

from checker.checkpoints.digests import file_sha256
from checker.checkpoints.files import locate
from checker.core.errors import CannotRun
from checker.core.files import beginning, opened
from checker.core.records import ModelSource, TextSource
from checker.spec.sources import text_file

SECRET = "root:x:0:0:root:/root:/bin/bash"
SOURCE = "source: {title: T, url: https://example.org/t}"
PUBLISHED = f"""\
pruneaudit: 1
published:
  {SOURCE}
  models: {{m: {{name: M, blocks: 4}}}}
  scores: [{{id: s, model: m, protocol: replacement, direction: into, file: %s}}]
"""
MEASURED = """\
pruneaudit: 1
model: {kind: %s, path: %s}
data:
  scoring: {kind: rows, path: prompts.jsonl, prompts: 8, tokens: 32}
  evaluation: {kind: file, path: %s, window: 64, stride: 32}
budgets: [1]
policy: {extends: %s}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipe that nobody writes, and a text that is no one's business."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.mkfifo("pipe.yaml")
    os.mkfifo("pipe.gguf")
    Path("secret").write_text(f"{SECRET}\n", encoding="utf-8")
    Path("prompts.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    write_model(tmp_path / "model")
    return tmp_path


@pytest.fixture(params=["/dev/zero", "pipe"])
def special(request: pytest.FixtureRequest, here: Path) -> str:
    return str(request.param)


def test_what_is_opened_is_a_regular_file(special: str, here: Path) -> None:
    for read in (opened, file_sha256, lambda path: beginning(path, 10)):
        with pytest.raises(OSError, match="it is a device or a pipe"):
            read(Path(special))
    with pytest.raises(OSError, match="it is a folder"):
        opened(here)
    link = here / "link"
    link.symlink_to("secret")
    assert beginning(link, 4) == b"root:"


@pytest.mark.parametrize("verb", ["validate", "judge", "waivers"])
def test_an_audit_file(command: Command, special: str, verb: str) -> None:
    done = command(verb, f"./{special}" if special == "pipe" else special)
    assert (done.code, done.out) == (2, "")
    assert "found a file that cannot be read (it is a device or a pipe); expected an audit file" in done.err


def test_a_file_of_scores(command: Command, special: str, here: Path) -> None:
    (here / "a.yaml").write_text(PUBLISHED % special, encoding="utf-8")
    done = command("validate", "a.yaml")
    assert done.code == 2
    assert f"found `{special}`, which cannot be read (it is a device or a pipe); expected a CSV file" in done.err


def test_texts_models_and_policies(command: Command, special: str, here: Path) -> None:
    policy = "./pipe.yaml" if special == "pipe" else special
    (here / "a.yaml").write_text(MEASURED % ("gguf", special, special, policy), encoding="utf-8")
    done = command("validate", "a.yaml")
    assert done.code == 2
    found = f"found `{special}`, which is a device or a pipe; expected a file; correct the path\n"
    assert done.err.count(found) == 2
    assert f"found `{policy}`, which is no file; expected a policy file; correct the path\n" in done.err


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_of_a_model(here: Path, name: str) -> None:
    (here / "model" / name).unlink()
    os.mkfifo(here / "model" / name)
    with pytest.raises(CannotRun, match=rf"{name}: found a device or a pipe; expected a regular file"):
        locate(ModelSource("directory", path=str(here / "model")))


def test_a_gguf_file_and_a_text(here: Path) -> None:
    with pytest.raises(CannotRun, match=r"pipe\.gguf: found a device or a pipe; expected a GGUF file"):
        locate(ModelSource("gguf", path="pipe.gguf"))
    with pytest.raises(CannotRun, match="pipe: found a device or a pipe; expected the text that the audit names"):
        text_file(TextSource("file", path="pipe"))


def test_cards_imports_and_the_audit_that_is_expected(command: Command, special: str, here: Path) -> None:
    pack = sealed_small(here / "sealed").folder
    for arguments, code in (
        (("card", pack, "--card", special), 2),
        (("import", special, "--from", "csv"), 2),
        (("verify", pack, "--expect-audit", special), 4),
    ):
        done = command(*arguments)
        assert (done.code, done.out) == (code, "")
        assert "a device or a pipe" in done.err
        assert "Traceback" not in done.err


def test_reports_and_packs_that_are_pipes(command: Command, here: Path) -> None:
    (here / "run").mkdir()
    os.mkfifo(here / "run" / "report.json")
    done = command("report", "run")
    assert (done.code, done.out) == (2, "")
    assert "found no report (it is a device or a pipe); expected the folder of a run" in done.err


@pytest.mark.parametrize("reference", ["./secret", "secret.yaml"])
def test_what_an_audit_names_is_not_shown(command: Command, here: Path, reference: str) -> None:
    (here / "secret.yaml").symlink_to("secret")
    (here / "a.yaml").write_text(MEASURED % ("directory", "model", "prompts.jsonl", reference), encoding="utf-8")
    done = command("validate", "a.yaml")
    assert done.code == 2
    assert "found a text without keys; expected a mapping; start the file with `extends: release`" in done.err
    (here / "b.yaml").write_text(PUBLISHED % "secret", encoding="utf-8")
    scores = command("validate", "b.yaml")
    assert scores.code == 2
    assert "found `secret` with another first line; expected the header `i,j,value`" in scores.err
    assert "root" not in (done.out + done.err + scores.out + scores.err).replace(str(here), "")
