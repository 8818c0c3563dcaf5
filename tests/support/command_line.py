"""The command line in this process, which spares the seconds that torch takes to import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from checker import cli


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The entry point in this process, which spares the seconds that torch takes to import."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run
