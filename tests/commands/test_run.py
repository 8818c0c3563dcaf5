"""What ``pruneaudit run`` shows on its way, and what it says of a model that cannot be measured."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_audit
import torch
from command_line import Command

from checker.measure.blocks import BlockStack
from checker.spec import load


def test_a_run_reads_its_audit_once(tiny: Path, out: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[str] = []
    read = load.read

    def spy(path: str, overrides: Sequence[str]) -> load.Opened:
        files.append(path)
        return read(path, overrides)

    monkeypatch.setattr(load, "read", spy)
    assert command("run", tiny / "audit.yaml", "--out", out).code == 1
    assert files == [str(tiny / "audit.yaml")]


def test_a_model_without_weights(tiny: Path, here: Path, command: Command) -> None:
    shutil.copytree(tiny, here / "bare", ignore=shutil.ignore_patterns("*.safetensors", "measured"))
    done = command("run", "bare/audit.yaml")
    assert (done.code, done.out) == (4, "")
    assert "found no weights; expected model.safetensors" in done.err
    assert [path.name for path in here.iterdir()] == ["bare"]


def test_a_model_with_broken_weights(here: Path, command: Command) -> None:
    file = tiny_audit.write(here / "broken")
    model = tiny_audit.build()
    model.lm_head.weight[3, 3] = torch.nan
    model.save_pretrained(here / "broken" / "model")
    done = command("run", file)
    assert (done.code, done.out) == (4, "")
    assert "prompt 0: found a logit that is not a finite number; expected a finite one" in done.err
    assert "Traceback" not in done.err


def test_running_out_of_memory(tiny: Path, here: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BlockStack, "run", refuse)
    done = command("run", tiny / "audit.yaml")
    assert (done.code, done.out) == (4, "")
    assert re.search(r"^out of memory on a batch of .* lower `batch_tokens` .*evidence so far is kept$", done.err, re.M)
    assert "Traceback" not in done.err


def test_a_pinned_model_that_is_another_one(tiny: Path, here: Path, command: Command) -> None:
    done = command("run", tiny / "audit.yaml", "--set", f"model.sha256={'f' * 64}")
    assert (done.code, done.out) == (2, "")
    message = (
        rf"^{re.escape(str(tiny / 'model'))}: found sha256 [0-9a-f]{{64}}; expected {'f' * 64}, as the audit pins it"
    )
    assert re.search(message, done.err, re.MULTILINE)
    assert list(here.iterdir()) == []


def test_out_that_cannot_be_a_folder(tiny: Path, here: Path, command: Command) -> None:
    (here / "taken").write_text("mine")
    done = command("run", tiny / "audit.yaml", "--out", "taken")
    assert (done.code, done.out) == (2, "")
    assert "Directory 'taken' is a file." in done.err
    assert (here / "taken").read_text() == "mine"


def test_progress_on_a_pipe_is_plain_lines_on_stderr(tiny: Path, here: Path, command: Command) -> None:
    done = command("run", tiny / "audit.yaml", "--out", "out")
    assert done.code == 1
    assert done.err.splitlines() == [
        "reading the model's files: directory",
        "tokenising the texts",
        "loading the model (float32)",
        "measuring   0%",
    ]
    assert done.out.startswith("A tiny model\n✗ Fail: ")
    assert done.out.endswith("wrote out/report.html\nwrote out/report.md\nwrote out/report.json\n")
    assert "measuring" not in done.out


def test_progress_on_a_terminal_is_a_bar(tiny: Path, here: Path) -> None:
    terminal_end, program_end = pty.openpty()
    process = tiny_audit.start("run", tiny / "audit.yaml", "--out", "out", folder=here, stderr=program_end)
    os.close(program_end)
    shown = _read_all(terminal_end)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(r"\r\x1b\[K█*░+ measuring +\d+%", shown), shown
    assert shown.endswith("\r\x1b[K"), "the bar is taken away at the end"
    assert "Loading" not in shown
    assert "it/s" not in shown
    assert output.startswith("A tiny model\n✗ Fail: ")
    assert "\x1b" not in output
    assert "measuring" not in output


def _read_all(descriptor: int) -> str:
    shown = b""
    while select.select([descriptor], [], [], 120)[0]:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(descriptor)
    return shown.decode()
