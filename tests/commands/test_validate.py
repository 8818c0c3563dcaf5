"""What ``pruneaudit validate`` says of audit files."""

from __future__ import annotations

import re
from pathlib import Path

import tiny_audit
from command_line import Command


def test_validate_tells_the_valid_from_the_wrong(tiny: Path, here: Path, command: Command) -> None:
    wrong = tiny_audit.write_audit(tiny, "wrong.yaml", budgets="[9]", titel="A tiny model")
    line = 1 + wrong.read_text(encoding="utf-8").splitlines().index("titel: A tiny model")
    done = command("validate", tiny / "audit.yaml", wrong, "smollm2-135m-wikitext2", "no-such-audit.yaml")
    assert done.code == 2
    assert done.out.startswith(f"{tiny / 'audit.yaml'}: valid\nsmollm2-135m-wikitext2: valid\n")
    budget, unknown, missing = done.err.splitlines()
    assert re.match(rf"{wrong}:\d+:\d+: found .*9.*; expected .*; ", budget)
    assert unknown.startswith(f"{wrong}:{line}:1: found the unknown key `titel`")
    assert unknown.endswith("did you mean `title`?")
    assert missing.startswith("no-such-audit.yaml: found ")


def test_validate_takes_overrides(tiny: Path, command: Command) -> None:
    assert command("validate", tiny / "audit.yaml", "--set", "budgets=[3]").code == 0
    done = command("validate", tiny / "audit.yaml", "--set", "budgets=[4]")
    assert done.code == 2
    assert done.err.startswith("--set budgets=[4]: found ")
