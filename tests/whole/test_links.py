"""Models, texts and audit files behind links of another name: the name that counts is the one in the audit file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import tiny_audit
from command_line import Command

from checker.core.files import absolute


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An audit whose file, model and texts are links to a store of things with other names."""
    tiny_audit.write(tmp_path / "audit", claims="[]")
    held = tmp_path / "held"
    held.mkdir()
    folder = tmp_path / "audit"
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), held / "6f1e")
    (folder / "prompts.jsonl").unlink()
    for name, other in (("model", "1a2b"), ("evaluation.txt", "3c4d.jsonl"), ("audit.yaml", "5e6f.yaml")):
        (folder / name).rename(held / other)
        (folder / name).symlink_to(held / other)
    (folder / "prompts.parquet").symlink_to(held / "6f1e")
    path = held / "5e6f.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("prompts.jsonl", "prompts.parquet"), encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def test_run_judge_and_pack_here_and_elsewhere(
    linked: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tiny_audit.one_thread():
        ran = command("run", "audit.yaml", "--format", "json")
    assert ran.code == 0, ran.err
    report = json.loads(Path("runs/audit/report.json").read_text(encoding="utf-8"))
    assert (report["audit"]["name"], report["audit"]["file"]) == ("audit", "audit.yaml")
    assert report["model"]["source"] == "model"
    assert report["contracts"]["scoring"]["text"] == "prompts.parquet"
    assert command("judge", "audit.yaml", "--format", "json").code == 0
    for options in ((), ("--audit", "audit.yaml")):
        packed = command("pack", "runs/audit", "--to", f"pack{len(options)}", *options)
        assert packed.code == 0, packed.err
        assert command("verify", f"pack{len(options)}", "--expect-audit", "audit.yaml").code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # another machine: the audit file and the evidence, and nothing else
    shutil.copy(linked / "audit.yaml", "audit.yaml")
    shutil.copytree(linked / "runs", "runs")
    judged = command("judge", "audit.yaml", "--format", "json")
    assert judged.code == 0, judged.err
    assert command("pack", "runs/audit", "--audit", "audit.yaml").code == 0


def test_the_name_of_a_path(tmp_path: Path) -> None:
    (tmp_path / "held" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "held")
    real = tmp_path.resolve()
    assert absolute(tmp_path / "link") == real / "link"
    assert absolute(tmp_path / "link" / "inner") == real / "held" / "inner"
    assert absolute(tmp_path / "link" / "..") == real
    assert absolute(tmp_path / "held" / ".." / "link") == real / "link"
