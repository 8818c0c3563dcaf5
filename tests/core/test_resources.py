"""The resources: the wheel's folder before the checkout's, and a clear error where there is neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from checker.core import resources
from checker.core.errors import CannotRun

FOLDERS: dict[str, Callable[[], Path]] = {
    "schemas": resources.schemas, "templates": resources.templates, "audits": resources.audits,
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_checkout_has_the_folder_beside_the_package(name: str) -> None:
    folder = FOLDERS[name]()
    assert folder.is_dir()
    assert folder.name == name


@pytest.mark.parametrize("name", FOLDERS)
def test_the_wheels_folder_comes_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checker"
    (tmp_path / name).mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert FOLDERS[name]() == tmp_path / name
    (package / "_data" / name).mkdir(parents=True)
    assert FOLDERS[name]() == package / "_data" / name


@pytest.mark.parametrize("name", FOLDERS)
def test_neither_is_an_error_that_names_both(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "checker")
    with pytest.raises(CannotRun) as caught:
        FOLDERS[name]()
    assert str(tmp_path / "checker" / "_data" / name) in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "install pruneaudit again" in str(caught.value)
