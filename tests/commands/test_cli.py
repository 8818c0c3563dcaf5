"""The group of commands: help, version, wrong usage, and what is imported when."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command
from processor import slowness

from checker import cli

COMMANDS = ("init", "validate", "plan", "run", "time", "judge", "report", "export", "pack", "verify", "attest", "card",
            "diff", "provenance", "import", "rules", "waivers", "explain", "doctor", "selftest")  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [(), ("no-such-command",), ("run",), ("validate",), ("explain",), ("rules", "x", "y")]
)
def test_wrong_usage(here: Path, command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: pruneaudit" in done.err
    assert list(here.iterdir()) == []


def test_the_register_of_commands_is_the_one_tested() -> None:
    assert tuple(cli.group.commands) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_parses(here: Path, command: Command, name: str) -> None:
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "")
    examples = done.out.split("Example:\n")[1].splitlines()
    assert examples
    for example in examples:
        program, called, *arguments = shlex.split(example)
        assert (program, called) == ("pruneaudit", name)
        found = cli.group.commands[called]
        for file in (argument for argument in arguments if Path(argument).suffix):  # some options look for their file
            (here / file).parent.mkdir(parents=True, exist_ok=True)
            (here / file).touch()
        with found.make_context(called, list(arguments)) as context:
            taken_up = {"policy"}  # by --set
            assert {one.name for one in found.params if one.expose_value} - taken_up <= set(context.params)


def test_help_and_version(command: Command) -> None:
    done = command("--help")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)
    assert "130 interrupted" in done.out
    assert re.fullmatch(r"pruneaudit, version \S+\n", command("--version").out)


def test_an_unknown_command_is_told_the_nearest_ones(command: Command) -> None:
    done = command("explian")
    assert (done.code, done.out) == (2, "")
    assert re.search(r"No such command 'explian'\. .*Did you mean .*'explain'", done.err)


def test_the_version_is_told_before_anything_is_imported(here: Path) -> None:
    """No command's module, and nothing that any of them needs beside click."""
    program = "import sys; from checker.cli import group; group(['--version'], standalone_mode=False); "
    program += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=tiny_audit.environment(), check=True
    )
    imported = set(done.stderr.split())
    assert done.stdout.startswith("pruneaudit, version ")
    assert {name for name in imported if name.partition(".")[0] == "checker"} == {
        "checker", "checker.cli", "checker.commands", "checker.commands.terminal",
        "checker.core", "checker.core.escape",
    }  # fmt: skip
    assert not imported & {"numpy", "scipy", "yaml", "jsonschema", "jinja2", "pyarrow", "torch", "transformers"}


_WITHOUT_TORCH = """
import contextlib, io, sys
from checker.cli import main
for arguments in (["validate", "smollm2-135m", sys.argv[1]], ["judge", sys.argv[1], "--out", sys.argv[2]],
                  ["report", sys.argv[2]], ["rules"], ["explain", "claim/contradicted"], ["plan", sys.argv[1]]):
    sys.argv[1:], kept = arguments, sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            main()
        except SystemExit as done:
            assert (done.code or 0) == {"judge": 1}.get(arguments[0], 0), arguments
    assert shown.getvalue()
    sys.argv[1:] = kept
heavy = {"torch", "transformers", "datasets", "accelerate", "safetensors", "gguf", "tokenizers", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""


def test_what_needs_no_model_imports_no_torch(tiny: Path, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, tiny / "audit.yaml", out],
        capture_output=True, text=True, env=tiny_audit.environment(), cwd=out, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ["validate", "judge", "report", "rules", "explain"])
def test_what_needs_no_model_answers_within_a_second(tiny: Path, out: Path, name: str) -> None:
    """The best of five, in processor time; half as much again for a core that is shared with other work."""
    arguments: dict[str, tuple[str | Path, ...]] = {
        "validate": ("smollm2-135m",),
        "judge": (tiny / "audit.yaml", "--out", out),
        "report": (out,),
        "explain": ("claim/contradicted",),
    }
    times, limit = [], 1.5 * slowness()
    for _ in range(5):
        times.append(_processor_seconds(name, *arguments.get(name, ()), folder=out))
        if times[-1] < limit:
            return
    raise AssertionError(f"{name} took {min(times):.2f} s of processor time; expected less than {limit:.2f}")


def _processor_seconds(*arguments: str | Path, folder: Path) -> float:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    process = tiny_audit.start(*arguments, folder=folder)
    _, error = process.communicate(timeout=60)
    assert error == ""
    return spent() - before
