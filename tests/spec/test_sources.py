"""Where a text lies and what names it, without torch."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from checker.core.errors import CannotRun, DigestMismatch
from checker.core.records import TextSource
from checker.spec.sources import holds_rows, text_file, text_identity

TEXT = b"Some words.\r\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that must not be imported, with a text inside."""
    folder = tmp_path / "texts_in_a_package"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "data" / "prompts.txt").write_bytes(TEXT)
    (tmp_path / "outside.txt").write_bytes(b"secret")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_a_file_is_named_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT)
    assert text_file(TextSource("file", path=str(path))) == path
    assert text_identity(TextSource("file", path=str(path))) == hashlib.sha256(TEXT).hexdigest()


def test_a_pinned_file_is_refused_where_it_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT)
    right = hashlib.sha256(TEXT).hexdigest()
    assert text_identity(TextSource("file", path=str(path), sha256=right)) == right
    with pytest.raises(DigestMismatch) as caught:
        text_identity(TextSource("file", path=str(path), sha256="0" * 64))
    assert str(caught.value).startswith(f"{path}: found sha256 {right}; expected {'0' * 64}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRun) as caught:
        text_file(TextSource("rows", path=str(tmp_path / "no.jsonl")))
    assert str(caught.value) == (
        f"{tmp_path}/no.jsonl: found no such file; expected the text that the audit names; check its path"
    )


def test_a_text_in_a_package_is_found_without_importing_it(package: str) -> None:
    source = TextSource("package", package=package, file="data/prompts.txt")
    path = text_file(source)
    assert path is not None
    assert path.read_bytes() == TEXT
    assert text_identity(source) == hashlib.sha256(TEXT).hexdigest()
    assert package not in sys.modules


@pytest.mark.parametrize("name", ["no_such_package", "texts_in_a_package.data", "", "made_here", "json.decoder"])
def test_what_is_no_package_at_hand_is_refused(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "made_here", ModuleType("made_here"))  # runs, but came from no file
    with pytest.raises(CannotRun, match="found no package"):
        text_file(TextSource("package", package=name, file="data/prompts.txt"))
    assert package not in sys.modules


def test_a_file_outside_the_package_is_refused(package: str) -> None:
    with pytest.raises(CannotRun, match="inside its folder"):
        text_file(TextSource("package", package=package, file="../outside.txt"))
    with pytest.raises(CannotRun, match="found no such file"):
        text_file(TextSource("package", package=package, file="data/other.txt"))


def test_a_package_in_several_folders_is_searched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for half in ("one", "other"):
        (tmp_path / half / "spread_out").mkdir(parents=True)
        monkeypatch.syspath_prepend(str(tmp_path / half))
    (tmp_path / "one" / "spread_out" / "text.txt").write_bytes(TEXT)
    found = text_file(TextSource("package", package="spread_out", file="text.txt"))
    assert found == tmp_path / "one" / "spread_out" / "text.txt"


def test_a_hub_dataset_is_named_by_its_revision() -> None:
    pinned, floating = (TextSource("hub", repo="a/b", config="c", split="test", revision=r) for r in ("e" * 40, None))
    assert text_file(pinned) is None
    assert text_identity(pinned) == f'["a/b","c","test","text","{"e" * 40}"]'
    assert text_identity(floating) == '["a/b","c","test","text","unpinned"]'


def test_the_models_own_samples_have_no_file_and_are_named_by_their_seed() -> None:
    assert text_file(TextSource("self_generated", seed=3)) is None
    assert text_identity(TextSource("self_generated", seed=3)) == '["self_generated",3]'
    assert TextSource("self_generated", seed=3).identity != TextSource("self_generated").identity
    assert TextSource("self_generated", seed=3).name == "the model's own samples, seed 3"


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        (TextSource("file", path="/a/text.txt"), False),
        (TextSource("file", path="/a/jsonl"), False),
        (TextSource("file", path="/a/rows.jsonl"), True),
        (TextSource("rows", path="/a/rows.parquet"), True),
        (TextSource("package", package="p", file="text.txt"), False),
        (TextSource("package", package="p", file="rows.jsonl"), True),
        (TextSource("hub", repo="a/b", split="test"), True),
        (TextSource("self_generated"), True),
    ],
)
def test_rows_are_told_from_plain_text(source: TextSource, rows: bool) -> None:
    assert holds_rows(source) == rows


def test_naming_a_text_needs_no_torch() -> None:
    code = "import sys, checker.spec.sources; sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
