"""Messages: their one form, and how much of a stranger's file they repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_files import write_index, write_sharded

from checker.checkpoints.files import locate
from checker.core.errors import CannotRun, InvalidAudit, Mistake, UsageError
from checker.core.records import ModelSource


def test_a_message_says_place_finding_expectation_and_remedy() -> None:
    error = UsageError.at("a.yaml", "two", "one", "take one away")
    assert str(error) == "a.yaml: found two; expected one; take one away"
    assert str(UsageError.at(None, "two", "one", "take one away")) == "found two; expected one; take one away"


def test_of_a_long_value_a_message_repeats_the_ends() -> None:
    error = CannotRun.at("a.json", f"the name '{'x' * 50_000}' there", "a name", "shorten it")
    assert str(error).startswith("a.json: found the name 'xxx")
    assert str(error).endswith("xxx' there; expected a name; shorten it")
    assert " … " in str(error)
    assert len(str(error)) < 500
    mistake = Mistake("a.yaml", 1, 2, "x" * 50_000, "y" * 50_000, "z" * 50_000)
    assert len(str(mistake)) < 2000
    assert all(len(line) < 2000 for line in str(InvalidAudit([mistake, mistake])).split("\n"))
    assert len(str(CannotRun("x" * 50_000))) <= 2000


def test_a_shard_with_an_endless_name(tmp_path: Path) -> None:
    write_sharded(tmp_path)
    write_index(tmp_path, {"w": f"{'s' * 5000}.safetensors"})
    with pytest.raises(CannotRun) as caught:
        locate(ModelSource("directory", path=str(tmp_path)))
    assert f"found '{'s' * 50}" in str(caught.value)
    assert len(str(caught.value)) < 1000
