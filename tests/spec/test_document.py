"""The generated documents say what their sources say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from folders import ROOT


def _generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("generate_documents", ROOT / "docs" / "generate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("name", sorted(GENERATOR.DOCUMENTS))
def test_a_generated_document_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == GENERATOR.DOCUMENTS[name](), "run `python docs/generate.py`"


def test_the_check_names_what_is_out_of_date_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(GENERATOR, "DOCS", tmp_path)
    (tmp_path / "spec.md").write_text("old", encoding="utf-8")
    assert GENERATOR.main(["--check"]) == 1
    assert "docs/spec.md" in capsys.readouterr().out
    assert (tmp_path / "spec.md").read_text(encoding="utf-8") == "old"
    assert GENERATOR.main([]) == 0
    assert GENERATOR.main(["--check"]) == 0


def test_every_key_of_the_schema_stands_in_the_specification() -> None:
    page = GENERATOR.spec_page()
    for key in ("batch_tokens", "perplexity_increase", "divergent_ratio", "expires", "kind_column", "max_gap"):
        assert f"| `{key}` |" in page
