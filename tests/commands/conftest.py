"""What the tests of the commands share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_audit

from checker.audit import audit


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, texts and ``audit.yaml``; tests add audit files of their own, and change nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_audit.write(folder)
    return folder


@pytest.fixture(scope="session")
def measured(tiny: Path) -> Path:
    """The folder of a finished run of the tiny audit; tests do not change it."""
    with tiny_audit.one_thread():
        audit(tiny / "audit.yaml", out=tiny / "measured")
    return tiny / "measured"


@pytest.fixture
def out(measured: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(measured, tmp_path / "out"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
