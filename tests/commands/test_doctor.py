"""What doctor says of a machine and of an audit on it, and that it gives nothing of the environment away."""

from __future__ import annotations

import platform
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_audit
from tiny_files import write_model

from checker import __version__, cli
from checker.measure import machine
from checker.measure.machine import Device

Command = Callable[..., tuple[int, str, str]]
CPU = Device("cpu", "processor", ("float32", "bfloat16", "float16"), 8 * 10**9)
GPU = Device("cuda:0", "a GPU", ("float32", "bfloat16", "float16"), 10**6)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The entry point in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


def rows(out: str) -> dict[str, str]:
    """The last part's lines by name, marks included."""
    part = out.split("\n\n")[1 if "\n\n" in out else 0]
    found = [re.fullmatch(r"  ([✗ ]) (.{17}) (.*)", line) for line in part.splitlines()[1:]]
    return {row[2].strip(): row[1].strip() + row[3] for row in found if row}


# --- this machine ----------------------------------------------------------------------------------------------------


def test_what_this_machine_has(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "models--a--b").mkdir(parents=True)
    monkeypatch.setattr(machine, "devices", lambda: (CPU, GPU))
    monkeypatch.setattr(machine, "total_memory", lambda: 16 * 10**9)
    monkeypatch.setattr(machine, "free_memory", lambda: 8 * 10**9)
    monkeypatch.setattr(machine, "free_disk", lambda folder: 5 * 10**11)
    monkeypatch.setattr(machine, "cores", lambda: 3)
    real = machine.installed
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "gguf" else real(name))
    code, out, err = command("doctor")
    assert (code, err) == (0, "")
    assert out.startswith("This machine\n    python            ")
    assert rows(out) == {
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "pruneaudit": __version__,
        **{name: version(name) for name in ("torch", "transformers", "datasets", "pyarrow", "safetensors")},
        "gguf": "not installed",
        **{name: version(name) for name in ("accelerate", "huggingface_hub", "markdown-it-py", "numpy", "scipy")},
        "cpu": "processor, computes in float32, bfloat16, float16",
        "cuda:0": "a GPU, computes in float32, bfloat16, float16, 1.00 MB free",
        "cores": "3",
        "memory": "16.0 GB, 8.00 GB free",
        "disk": "500 GB free where runs lies",
        "models cached": f"1 in {tmp_path / 'cache'}",
        "datasets cached": f"0 in {tmp_path / 'cache'}",
    }


def test_this_very_machine() -> None:
    [cpu, *_] = machine.devices()
    assert (cpu.name, cpu.dtypes[0]) == ("cpu", "float32")
    assert machine.cores() >= 1
    total, free = machine.total_memory(), machine.free_memory()
    assert 10**8 < free <= total
    here = machine.free_disk(Path("no/such/folder"))
    assert abs(here - machine.free_disk(Path.cwd())) < 10**10


LIMITED = (10**9, 7 * 10**8)  # of the group, of whose 400 MB in use 100 MB hold files that give way
UNLIMITED = (32 * 10**9, 20 * 10**9)  # of the machine
GROUPS = {
    "version 2": (
        {
            "memory.max": 10**9,
            "memory.current": 4 * 10**8,
            "memory.stat": "anon 5\nactive_file 60000000\ninactive_file 40000000",
        },
        LIMITED,
    ),
    "version 1": (
        {
            "memory/memory.limit_in_bytes": 10**9,
            "memory/memory.usage_in_bytes": 4 * 10**8,
            "memory/memory.stat": "inactive_file 100000000\nactive_file 0",
        },
        LIMITED,
    ),
    "version 2, no limit": ({"memory.max": "max", "memory.current": 4 * 10**8}, UNLIMITED),
    "version 1, no limit": (
        {"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": 4 * 10**8},
        UNLIMITED,
    ),
    "no group": ({}, UNLIMITED),
}


@pytest.mark.parametrize(("files", "told"), GROUPS.values(), ids=GROUPS)
def test_memory_of_a_control_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, int | str], told: tuple[int, int]
) -> None:
    (tmp_path / "memory").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(f"{content}\n")
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    memory = SimpleNamespace(total=32 * 10**9, available=20 * 10**9)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: memory)
    assert (machine.total_memory(), machine.free_memory()) == told


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_environment_says_whether_the_network_may_be_used(name: str) -> None:
    for value in ("1", "true", "YES", "on"):
        assert machine.offline({name: value}) == name
    assert machine.offline({name: "0"}) is None
    assert machine.offline({}) is None


def test_no_secret_of_the_environment_is_shown(command: Command, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    secrets = {
        "HF_TOKEN": "hf_secret1",
        "HUGGING_FACE_HUB_TOKEN": "hf_secret2",
        "HF_ENDPOINT": "http://me:hf_secret3@127.0.0.1:9/hf_secret4",
        "AWS_SECRET_ACCESS_KEY": "hf_secret5",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for offline in ("1", "0"):
        monkeypatch.setenv("HF_HUB_OFFLINE", offline)
        _, out, err = command("doctor", tiny / "audit.yaml")
        assert "secret" not in out + err
        assert "me:" not in out + err


# --- an audit here ---------------------------------------------------------------------------------------------------


def test_an_audit_that_has_all_it_needs(command: Command, tiny: Path, tmp_path: Path) -> None:
    code, out, err = command("doctor", tiny / "audit.yaml", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.endswith("\n\nEverything is here, or can be fetched.\n")
    assert f"\n\nWhat {tiny / 'audit.yaml'} needs\n" in out
    found = rows(out)
    assert list(found) == [
        "packages", "model", "scoring text", "evaluation text", "device", "memory", "disk", "time",
    ]  # fmt: skip
    size = (tiny / "model" / "model.safetensors").stat().st_size / 1000
    assert found["packages"] == "torch, transformers are installed"
    assert found["model"] == f"at hand, {size:.0f} kB of weights in {tiny / 'model'}"
    assert found["scoring text"] == f"at hand, {tiny / 'prompts.jsonl'}"
    assert found["evaluation text"] == f"at hand, {tiny / 'evaluation.txt'}"
    assert found["device"] == "cpu (processor), in float32"
    assert re.fullmatch(r"about [\d.]+ (kB|MB) beside the program itself, of [\d.]+ GB free", found["memory"])
    assert re.fullmatch(rf"at most about \d+ kB of evidence in {tmp_path}/out, of [\d.]+ [GT]B free", found["disk"])
    assert re.fullmatch(r"about [\d.]+ s on this processor", found["time"])
    assert not (tmp_path / "out").exists()


def test_what_a_run_stores_fits_in_what_was_announced(command: Command, tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path)
    announced = rows(command("doctor", file, "--out", tmp_path / "out")[1])["disk"]
    with tiny_audit.one_thread():
        command("run", file, "--out", tmp_path / "out")
    [kilobytes] = re.findall(r"at most about (\d+) kB", announced)
    assert (tmp_path / "out" / "evidence.db").stat().st_size < 1000 * int(kilobytes)


MISSING = {
    "text": (
        "data.evaluation.path=nowhere.txt",
        "evaluation text",
        r"✗.*/nowhere\.txt: found no such file; expected the text that the audit names; check its path",
    ),
    "pinned text": (f"data.evaluation.sha256={'f' * 64}", "evaluation text", r"✗.*evaluation\.txt: found sha256 .*"),
    "model": ("model.path=nowhere", "model", r"✗.*/nowhere: found no such folder; expected one with config\.json .*"),
    "hub model": (
        "model={kind: hub, repo: no-such-org/no-such-model}",
        "model",
        "✗no-such-org/no-such-model, to be fetched from the hub, which HF_HUB_OFFLINE forbids",
    ),
    "hub text": (
        "data.evaluation={kind: hub, repo: org/texts, split: test, window: 32, stride: 16}",
        "evaluation text",
        "✗org/texts/test, to be fetched from the hub, which HF_HUB_OFFLINE forbids",
    ),
}


@pytest.mark.parametrize(("change", "name", "told"), MISSING.values(), ids=MISSING)
def test_what_is_missing_is_named_and_exits_4(
    command: Command, monkeypatch: pytest.MonkeyPatch, tiny: Path, change: str, name: str, told: str
) -> None:
    monkeypatch.chdir(tiny)
    code, out, err = command("doctor", "audit.yaml", "--set", change)
    assert (code, err) == (4, "")
    assert re.fullmatch(told, rows(out)[name])
    assert out.endswith(f"\n\nMissing: {name}.\n")
    assert ("cost" in rows(out)) == (name == "model")


def test_what_can_be_fetched_is_not_missing(command: Command, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    """And nobody asks the hub whether it is there."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was used"))
    code, out, _ = command("doctor", tiny / "audit.yaml", "--set", "model={kind: hub, repo: org/name}")
    assert (code, rows(out)["model"]) == (0, "org/name, to be fetched from the hub")
    assert rows(out)["cost"] == "not known until the model is here"


def test_checkpoints_are_looked_at_like_the_model(command: Command, tmp_path: Path) -> None:
    section = (
        "{pruned: {kind: directory, path: model}, low: {kind: directory, path: model, dtype: bfloat16}, "
        "bare: {kind: directory, path: bare}, packed: {kind: gguf, path: m.gguf}, away: {kind: hub, repo: no-org/no}}"
    )
    file = tiny_audit.write(tmp_path, checkpoints=section)
    (tmp_path / "m.gguf").write_bytes(b"no GGUF")
    write_model(tmp_path / "bare", 2)
    (tmp_path / "bare" / "tokenizer.json").unlink()
    code, out, err = command("doctor", file)
    found, alone = rows(out), rows(command("doctor", file, "--set", "checkpoints={}")[1])
    assert (code, err) == (4, "")
    assert out.endswith("\n\nMissing: checkpoint bare, checkpoint packed, checkpoint away.\n")
    size = (tmp_path / "model" / "model.safetensors").stat().st_size / 1000
    assert found["checkpoint pruned"] == f"at hand, {size:.0f} kB of weights in {tmp_path / 'model'}"
    assert found["checkpoint bare"] == "✗found no tokenizer files beside the weights; copy those of the base model"
    assert f"  ✗ checkpoint packed {tmp_path}/m.gguf: found " in out
    assert found["checkpoint away"] == "✗no-org/no, to be fetched from the hub, which HF_HUB_OFFLINE forbids"
    assert found["packages"] == "torch, transformers, gguf, accelerate are installed"
    assert found["device, low"] == "cpu (processor), in bfloat16"
    assert [name for name in found if name.startswith("device")] == ["device", "device, low"]
    assert found["cost"] == "without packed and away: not known until at hand"
    assert "cost" not in alone
    # Beside a checkpoint as large as the model are the model's last states, its embedding, norm and head:
    # 12 x 24 x 32 and 2 x 203 x 32 + 32 values of four bytes, which make 89 kB.
    assert alone["memory"].startswith("about 953 kB beside the program itself")
    assert found["memory"].startswith("about 1.04 MB beside the program itself")


DEVICES = {
    "too little memory": ((CPU, GPU), "auto", "float32", "memory", r"✗about .* of 1\.00 MB free: too little"),
    "no such device": ((CPU,), "cuda", "float32", "device", r"✗cuda is not here; use `device: auto`"),
    "no such dtype": (
        (Device("cpu", "processor", ("float32",), 8 * 10**9),),
        "auto",
        "bfloat16",
        "device",
        r"✗cpu does not compute in bfloat16, but in float32",
    ),
}


@pytest.mark.parametrize(("found", "device", "dtype", "name", "told"), DEVICES.values(), ids=DEVICES)
def test_a_machine_that_does_not_do(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Path,
    found: tuple[Device, ...],
    device: str,
    dtype: str,
    name: str,
    told: str,
) -> None:
    monkeypatch.setattr(machine, "devices", lambda: found)
    monkeypatch.setattr(machine, "free_memory", lambda: 8 * 10**9)
    change = f"model={{kind: directory, path: {tiny / 'model'}, dtype: {dtype}, device: {device}}}"
    code, out, _ = command("doctor", tiny / "audit.yaml", "--set", change)
    assert code == 4
    assert re.fullmatch(told, rows(out)[name])
    assert out.endswith(f"\n\nMissing: {name}.\n")


def test_wrong_usage(command: Command, tiny: Path) -> None:
    code, out, err = command("doctor", "--set", "budgets=[1]")
    assert (code, out) == (2, "")
    assert err == "--set: found no FILE; expected the audit file whose values it changes; name one\n"
    code, out, err = command("doctor", tiny / "audit.yaml", "--set", "titel=x")
    assert (code, out) == (2, "")
    assert "did you mean `title`?" in err


# What is not installed is not found: a finder that raises would be another thing than a finder that finds nothing.
_WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = {"torch", "transformers", "datasets", "huggingface_hub", "markdown_it"}
        return None if name.partition(".")[0] in absent else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
from checker.cli import main
main()
"""


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("audit.yaml",), 4)])
def test_without_torch(tiny: Path, arguments: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, "doctor", *arguments],
        cwd=tiny, env=tiny_audit.environment(HF_HUB_OFFLINE="1"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, "")
    assert "    torch             not installed\n" in done.stdout
    assert "    devices           not known without torch\n" in done.stdout
    if arguments:
        assert rows(done.stdout)["packages"] == (
            "✗not installed: torch, transformers; pip install 'pruneaudit[measure]'"
        )
        assert done.stdout.endswith("\n\nMissing: packages, device.\n")
