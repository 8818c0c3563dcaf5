"""The GitHub action and the pre-commit hook: their steps run here as they run there, by bash, on files good and bad."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny_audit
import yaml

from checker.audit import audit
from checker.core import resources

ROOT = tiny_audit.REPOSITORY
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
[HOOK] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
INSTALL, RUN = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ *inputs\.([a-z-]+) *\}\}")
BAD = "pruneaudit: 1\ntitel: A typing mistake\n"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str
    outputs: str


@dataclass(frozen=True)
class Runner:
    """What GitHub gives a step: a folder to work in, temporary files, a place for outputs."""

    workspace: Path
    temporary: Path

    def step(self, step: dict[str, Any], environment: dict[str, str] | None = None, **inputs: str) -> Done:
        given = {name: str(told.get("default", "")) for name, told in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        # Expressions are put in, as text, wherever they stand.
        script = EXPRESSION.sub(lambda match: given[match[1]], step["run"])
        values = {name: EXPRESSION.sub(lambda m: given[m[1]], text) for name, text in step["env"].items()}
        outputs = self.temporary / "outputs"
        outputs.write_text("")
        (self.temporary / "step.sh").write_text(script, encoding="utf-8")
        github = {"GITHUB_OUTPUT": str(outputs), "GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(self.temporary)}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.temporary / "step.sh")],
            cwd=self.workspace, env=tiny_audit.environment(**github, **values, **(environment or {})),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr, outputs.read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``audits/tiny.yaml`` and the folder ``out`` of its run; tests do not change it."""
    folder = tmp_path_factory.mktemp("measured")
    tiny_audit.write(folder / "audits").rename(folder / "audits" / "tiny.yaml")
    with tiny_audit.one_thread():
        audit(folder / "audits" / "tiny.yaml", out=folder / "out", formats=())
        yield folder


@pytest.fixture
def runner(measured: Path, tmp_path: Path) -> Runner:
    """A runner on which the command is installed: this environment's own."""
    shutil.copytree(measured, tmp_path / "workspace")
    command = tmp_path / "temporary" / "pruneaudit" / "bin" / "pruneaudit"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m checker "$@"\n')
    command.chmod(0o755)
    return Runner(tmp_path / "workspace", tmp_path / "temporary")


# --- the action ------------------------------------------------------------------------------------------------------


def test_the_action_is_composite_and_every_input_is_described_and_used() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in ACTION["runs"]["steps"])
    assert all(told["description"] for told in ACTION["inputs"].values())
    used = {name for step in ACTION["runs"]["steps"] for text in step["env"].values()
            for name in EXPRESSION.findall(text)}  # fmt: skip
    assert used == set(ACTION["inputs"])
    assert ACTION["outputs"]["exit-code"]["value"] == f"${{{{ steps.{RUN['id']}.outputs.exit-code }}}}"


def test_the_action_puts_no_expression_into_a_script_and_uses_no_other_action() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert "uses" not in step


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")
def test_the_action_installs_a_command_that_runs_without_torch(tmp_path: Path) -> None:
    """Without a network: what the package needs is taken from the environment of the tests."""
    (tmp_path / "temporary").mkdir()
    runner = Runner(tmp_path, tmp_path / "temporary")
    packages = str(Path(yaml.__file__).parent.parent)
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": packages}
    done = runner.step(INSTALL, offline, python=sys.executable)
    assert (done.code, done.err) == (0, "")
    (tmp_path / "audit.yaml").write_text(BAD)
    done = runner.step(RUN, {"PYTHONPATH": packages}, audit="smollm2-135m-wikitext2\naudit.yaml", command="validate")
    assert done.code == 2
    assert done.out.startswith("smollm2-135m-wikitext2: valid\n")
    assert "audit.yaml:2:1: found the unknown key `titel`" in done.err
    installed = next((tmp_path / "temporary" / "pruneaudit" / "lib").glob("python*")) / "site-packages"
    assert (installed / "checker" / "cli.py").is_file()
    assert not (installed / "torch").exists()


def test_the_action_judges_and_passes_the_exit_code_on(runner: Runner) -> None:
    done = runner.step(RUN, audit="audits/tiny.yaml", out="out")
    assert (done.code, done.outputs) == (1, "exit-code=1\n")
    assert done.out.startswith("::error file=audits/tiny.yaml,line=")
    assert done.out.splitlines()[-1].startswith("pruneaudit: Fail: ")


def test_the_action_takes_formats_and_the_level_that_fails(runner: Runner) -> None:
    formats = "github\nsarif=results/audit.sarif\n\njunit\n"
    done = runner.step(RUN, audit="audits/tiny.yaml\n", out="out", format=formats, fail_on="never")
    assert (done.code, done.outputs) == (0, "exit-code=0\n")
    assert (runner.workspace / "results" / "audit.sarif").is_file()
    assert (runner.workspace / "out" / "report.junit.xml").is_file()


def test_the_action_validates_several_files(runner: Runner) -> None:
    (runner.workspace / "bad.yaml").write_text(BAD)
    done = runner.step(RUN, audit="audits/tiny.yaml\nbad.yaml", command="validate")
    assert (done.code, done.out, done.outputs) == (2, "audits/tiny.yaml: valid\n", "exit-code=2\n")
    assert "bad.yaml:2:1: found the unknown key `titel`" in done.err
    assert runner.step(RUN, audit="audits/tiny.yaml", command="validate").code == 0


def test_the_action_refuses_other_commands(runner: Runner) -> None:
    done = runner.step(RUN, audit="audits/tiny.yaml", command="run")
    assert (done.code, done.out) == (2, "")
    assert done.err == "command: found run; expected judge or validate; correct the input\n"
    done = runner.step(RUN, audit="audits/tiny.yaml", command="x\n::error::y")
    assert not [line for line in done.err.splitlines() if line.startswith("::")]


@pytest.mark.parametrize(
    "hostile",
    ["x; touch owned", "$(touch owned)", "`touch owned`", '"; touch owned; "', "'; touch owned; '", "--help", "*",
     "${{ inputs.out }}", "a\\", "-"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["audit", "command", "out", "format", "policy", "fail_on"])
def test_every_input_reaches_the_command_as_it_is_or_not_at_all(runner: Runner, name: str, hostile: str) -> None:
    """The command is one that writes down what it is given."""
    given = runner.temporary / "given"
    stand_in = runner.temporary / "pruneaudit" / "bin" / "pruneaudit"
    stand_in.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {shlex.quote(str(given))}\n")
    inputs = {"audit": "my.yaml", "command": "judge", "out": "out", "policy": "release", "fail_on": "note"}
    inputs |= {"format": "md", name: hostile}
    done = runner.step(RUN, **inputs)
    assert sorted(path.name for path in runner.workspace.iterdir()) == ["audits", "out"]
    if name == "command":
        assert (done.code, given.exists()) == (2, False)
        return
    assert done.code == 0
    assert given.read_text().splitlines() == [
        "judge", "--out", inputs["out"], "--policy", inputs["policy"], "--fail-on", inputs["fail_on"],
        "--format", inputs["format"], "--", inputs["audit"],
    ]  # fmt: skip


# --- the hook --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "checked"),
    [
        ("audits/my-model.yaml", True),
        ("audits/my-model.yml", True),
        ("audits/papers/garcia.yaml", True),
        ("models/pruned/audits/a b.yaml", True),
        ("audit.yaml", True),
        ("models/pruned/audit.yml", True),
        ("models/release.audit.yaml", True),
        ("audits/policies/release.yaml", False),
        ("audits/data/prompts.jsonl", False),
        ("not-audits/my-model.yaml", False),
        ("myaudit.yaml", False),
        ("docs/audit.yaml.md", False),
        ("action.yml", False),
    ],
)
def test_the_hook_is_given_audit_files(file: str, checked: bool) -> None:
    assert bool(re.search(HOOK["files"], file)) is checked  # as pre-commit looks for it


def test_the_hook_checks_every_packaged_audit_and_no_other_yaml_of_the_repository() -> None:
    listing = ["git", "ls-files", "*.yaml", "*.yml"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    checked = {file for file in listed.stdout.splitlines() if re.search(HOOK["files"], file)}
    tracked = {
        file
        for file in listed.stdout.splitlines()
        if file.startswith("audits/") and not re.search("policies/|tasks/", file)
    }
    assert {file for file in checked if not file.startswith("tests/")} == tracked


def hook(*files: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The entry, as pre-commit runs it: split like a shell would, the files behind it."""
    program, *arguments = shlex.split(HOOK["entry"])
    assert program == "pruneaudit"
    heavy = "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'datasets')); "
    code = f"{heavy}from checker.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments, *map(str, files)],
        cwd=folder, env=tiny_audit.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_hook_passes_good_files_and_fails_on_bad_ones_without_torch(measured: Path, tmp_path: Path) -> None:
    packaged = resources.audits() / "smollm2-135m-wikitext2.yaml"
    good = hook("audits/tiny.yaml", packaged, folder=measured)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith(f"audits/tiny.yaml: valid\n{packaged}: valid\n")
    (tmp_path / "audit.yaml").write_text(BAD)
    bad = hook("audit.yaml", folder=tmp_path)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "audit.yaml:2:1: found the unknown key `titel`" in bad.stderr


def test_the_hook_says_what_pre_commit_needs_to_know() -> None:
    assert HOOK["id"] == "pruneaudit-validate"
    assert HOOK["language"] == "python"
    assert HOOK["types"] == ["yaml"]
