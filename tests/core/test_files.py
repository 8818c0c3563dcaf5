"""Files that are written: whole or not at all, whatever the disk says; nothing stays of killed processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command
from folders import ROOT
from sealed_run import sealed_small

from checker.core.errors import UsageError
from checker.core.files import replace, scratch, write_new

FULL = "found no way to read or write it (File too large); expected one; see to the path, its permissions and the space"


@contextmanager
def no_room(most: int) -> Iterator[None]:
    """No file may grow beyond ``most`` bytes: as on a full disk, writing fails after the file was made."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def everything(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_new_files_come_together_or_not_at_all(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    with no_room(100), pytest.raises(OSError, match="File too large") as caught:
        write_new({small: b"s", large: b"l" * 101}, "init", "--out")
    assert caught.value.filename == str(large)
    assert not everything(tmp_path)
    write_new({small: b"s", large: b"l" * 101}, "init", "--out")
    assert (small.read_bytes(), large.read_bytes()) == (b"s", b"l" * 101)
    assert everything(tmp_path) == {Path("small"), Path("large")}


def test_nothing_is_overwritten_and_no_link_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"link: found something there; expected nothing, init overwrites nothing"):
        write_new({tmp_path / "first": b"1", link: b"2"}, "init", "--out")
    assert everything(tmp_path) == {Path("link")}


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace(path, b"old")
    with no_room(10), pytest.raises(OSError, match="File too large") as caught:
        replace(path, b"new" * 10)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert everything(tmp_path) == {Path("file")}


@pytest.mark.parametrize(
    ("arguments", "target"),
    [
        (("init", "model", "--out", "new/a.yaml"), "new/a.yaml"),
        (("attest", "sealed", "--to", "new"), "new/test-result.intoto.json"),
        (("import", "scores.csv", "--out", "new/b.yaml"), "new/b.yaml"),
        (("pack", "run", "--to", "new/pack", "--day", "2030-06-15"), "new/pack"),
        (("report", "run", "--format", "html=new/r.html"), "new/r.html"),
        (("card", "sealed", "--card", "README.md", "--block-only"), "README.md"),
        (("export", "run", "--arm", "replacement:1", "--as", "csv", "--to", "new/t.csv"), "new/t.csv"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, arguments: tuple[str, ...], target: str
) -> None:
    """The message names the file, nothing is left, and the same command works once there is room."""
    (tmp_path / "sealed_run").mkdir()
    pack = sealed_small(tmp_path / "sealed_run")
    monkeypatch.chdir(tmp_path)
    Path("sealed").symlink_to(pack.folder)
    Path("run").symlink_to(pack.folder.parent / "run")
    Path("scores.csv").write_text("i,j,value\n0,1,0.5\n1,2,0.25\n", encoding="utf-8")
    Path("README.md").write_text("# A model\n", encoding="utf-8")
    Path("new").mkdir()
    if arguments[0] == "init":
        tiny_audit.write_model(tmp_path / "model")
    before = everything(tmp_path)
    with no_room(200):
        failed = command(*arguments)
    assert (failed.code, failed.out) == (4, "")
    assert failed.err.startswith(f"{target}: {FULL}")
    assert everything(tmp_path) == before
    done = command(*arguments)
    assert done.code == 0, done.err
    assert Path(target).exists()


def test_scratch_goes_when_it_is_left_and_after_a_kill_at_the_next_start(tmp_path: Path) -> None:
    code = """
import os, pathlib, signal, sys
from checker.core.files import scratch
with scratch(pathlib.Path(sys.argv[1])) as folder:
    (folder / "model").mkdir()
    (folder / "model" / "link").symlink_to(sys.argv[1])
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    keep = tmp_path / "keep"
    keep.write_text("kept", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    left = Path(done.stdout.strip())
    assert left.is_dir()
    with scratch(tmp_path) as folder:
        assert not left.exists()
        assert f"-{os.getpid()}-" in folder.name
        with scratch(tmp_path) as another:
            assert folder.is_dir()
            assert another.is_dir()
    assert everything(tmp_path) == {Path("keep")}


@pytest.mark.parametrize("module", ["click", "checker.cli", "checker.commands.run", "yaml", "numpy", "jsonschema"])
def test_an_interrupt_while_importing(tmp_path: Path, module: str) -> None:
    code = f"""
import os, runpy, signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv = ["pruneaudit", "run", "no.yaml"]
runpy.run_module("checker", run_name="__main__", alter_sys=True)
"""
    done = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=tiny_audit.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=tiny_audit.interruptible,
    )
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (130, "")
    assert err.strip() == "interrupted"


def test_evidence_is_used_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    sealed_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    with no_room(0):
        verified = command("verify", "pack")
        judged = command("judge", "sample.yaml", "--out", "run", "--format", "text=-", "--fail-on", "never")
        listed = command("waivers", "sample.yaml", "--out", "run")
        exported = command("export", "run", "--arm", "replacement:1", "--as", "csv")
    assert [done.code for done in (verified, judged, exported)] == [0, 0, 0]
    assert "reproduces" in verified.out
    assert "A sample" in judged.out
    assert "model/weights-not-pinned" in listed.out
    assert everything(tmp_path) == before
