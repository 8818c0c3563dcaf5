"""What ``pruneaudit selftest`` says of this machine."""

from __future__ import annotations

import re

import pytest
from command_line import Command

from checker.measure.selftest import Check


def test_selftest_blesses_this_machine(command: Command) -> None:
    done = command("selftest", "--dtype", "float32", "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    lines = done.out.strip().splitlines()
    assert re.fullmatch(r"float32 on cpu: (\d+) of \1 answers are right", lines[-1])
    assert all(line.startswith("✓ ") for line in lines[:-1])


def test_selftest_refuses_a_machine_with_a_wrong_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Check("deletion", "the identity", "0", "0.3", passed=False)
    monkeypatch.setattr("checker.measure.selftest.selftest", lambda dtype, device: [wrong])
    done = command("selftest", "--dtype", "bfloat16")
    assert done.code == 1
    assert "✗ deletion  the identity: expected 0, found 0.3" in done.out
    assert "bfloat16 on cpu: 0 of 1 answers are right" in done.out
