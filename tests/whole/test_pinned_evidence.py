"""Evidence is of what was pinned, and whole: files that change while they are read, and answers that were taken out."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tiny_audit

from checker.audit import audit
from checker.core.errors import CannotRun
from checker.core.layouts import Layout
from checker.core.records import COMPLETENESS
from checker.core.store import Store
from checker.judge.measured import judge
from checker.measure import cut_checkpoint, texts
from checker.measure import run as measure
from checker.spec import load


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with tiny_audit.one_thread():
        yield


@pytest.mark.parametrize("how", ["overwritten", "exchanged"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_that_changes_between_its_digest_and_its_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    path = tiny_audit.write(tmp_path)
    tiny_audit.write_model(tmp_path / "other", seed=1)
    target = tmp_path / "model" / name
    load_model = measure.load_model

    def swapped(*arguments: Any) -> Any:
        about = target.stat()
        if how == "overwritten":
            target.write_bytes((tmp_path / "other" / name).read_bytes())
        else:
            shutil.copy(tmp_path / "other" / name, tmp_path / "beside")
            (tmp_path / "beside").replace(target)
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))  # as whoever wants it unseen would
        return load_model(*arguments)

    monkeypatch.setattr(measure, "load_model", swapped)
    message = f"{target}: found that the file was changed while it was read; expected the bytes whose digest was taken"
    with pytest.raises(CannotRun, match=re.escape(message)):
        audit(path, out=tmp_path / "out")
    with Store(tmp_path / "out" / "evidence.db", create=False) as store:
        assert store.count() == 0
    monkeypatch.setattr(measure, "load_model", load_model)
    audit(path, out=tmp_path / "again")


@pytest.mark.parametrize("name", ["prompts.jsonl", "evaluation.txt"])
def test_a_text_that_changes_between_its_reading_and_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tiny_audit.write(tmp_path)
    read = texts.evaluation

    def swapped(*arguments: Any) -> Any:
        cut = read(*arguments)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes())
        return cut

    monkeypatch.setattr(texts, "evaluation", swapped)
    message = f"{tmp_path / name}: found that the file was changed while it was read; expected the bytes whose digest"
    with pytest.raises(CannotRun, match=re.escape(message)):
        audit(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_of_weights_that_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_audit.write(tmp_path)
    target = tmp_path / "model" / "model.safetensors"
    load_model = cut_checkpoint.load_model

    def swapped(*arguments: Any) -> Any:
        target.write_bytes(target.read_bytes())
        return load_model(*arguments)

    monkeypatch.setattr(cut_checkpoint, "load_model", swapped)
    source = load.check(path).audit.model
    with pytest.raises(CannotRun, match="found that the file was changed while it was read"):
        cut_checkpoint.write(source, Layout.base(tiny_audit.BLOCKS).without([1]), tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_an_answer_about_the_begin_token_that_was_taken_out(tmp_path: Path) -> None:
    path = tiny_audit.write(tmp_path, begin_token=True)
    audited = audit(path, out=tmp_path / "out")
    assert audited.report["begin_token"] is not None
    evidence = tmp_path / "out" / "evidence.db"
    with closing(sqlite3.connect(evidence)) as connection, connection:
        assert connection.execute("DELETE FROM answers WHERE text = 'begin_token'").rowcount == 1
    with Store(evidence, create=False) as store:
        report = judge(load.check(path).audit, store)
    [finding] = [row for row in report["findings"] if row["rule"] == COMPLETENESS]
    assert finding["outcome"] == "open"
    assert finding["message"].startswith("the loss without and with the begin token is not measured; ")


def test_a_tokenizer_without_a_begin_token_lacks_no_answer(tmp_path: Path) -> None:
    audited = audit(tiny_audit.write(tmp_path), out=tmp_path / "out")
    assert audited.report["begin_token"] is None
    assert [row["outcome"] for row in audited.report["findings"] if row["rule"] == COMPLETENESS] == ["pass"]
