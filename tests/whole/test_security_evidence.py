"""Evidence of strangers: an evidence.db whose tables, records and values are not what a run writes."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from checker.core.canonical import restored
from checker.core.errors import EvidenceDamaged
from checker.core.facts import CardFacts, ModelFacts, ScoringFacts
from checker.core.layouts import Layout
from checker.core.questions import Question
from checker.core.store import Scope, Store

SCOPE = Scope("weights", "contract")
QUESTION = Question("scoring", "kl", Layout.base(2))
MODEL: dict[str, Any] = {
    "source": "m", "kind": "directory", "architecture": "A", "blocks": 2, "parameters": 9, "block_parameters": [4, 4],
    "block_shapes": ["a", "a"], "slot_kinds": [], "hidden": 4, "vocabulary": 10, "context": None,
    "tokenizer_digest": "t", "notes": [],
}  # fmt: skip


def execute(path: Path, statements: str | Iterable[str]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements if isinstance(statements, str) else ";".join(statements))


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.db"
    with Store(path) as store:
        store.put(SCOPE, QUESTION, 0, [0.5, 0.25])
        store.write_record("model", "key", {"blocks": 2})
    return path


def bound(*parts: str | bytes) -> str:
    """A row's digest, as anybody can work it out."""
    whole = hashlib.sha256()
    for part in (part.encode() if isinstance(part, str) else part for part in parts):
        whole.update(struct.pack("<Q", len(part)) + part)
    return whole.hexdigest()


# --- the file itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM records; END", "the trigger 't'"),
        ("CREATE VIEW v AS SELECT * FROM answers", "the view 'v'"),
        ("CREATE TABLE notes (text)", "the table 'notes'"),
        ("CREATE INDEX i ON answers (length(answer))", "the index 'i'"),
        ("DROP TABLE answers; CREATE VIEW answers AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
         "SELECT i AS key, i AS answer, i AS digest FROM n", "the view 'answers'"),
        ("DROP TABLE answers; CREATE TABLE answers (key, answer, digest AS (zeroblob(999999999)))",
         "the table 'answers'"),
    ],
)  # fmt: skip
def test_nothing_but_our_tables_is_accepted(evidence: Path, statement: str, found: str, create: bool) -> None:
    execute(evidence, statement)
    with pytest.raises(EvidenceDamaged) as caught:
        Store(evidence, create=create)
    assert str(caught.value).startswith(f"{evidence}: found {found}, 'CREATE ")
    assert str(caught.value).endswith(
        "; expected nothing but the tables that a run makes; restore the file, or measure again with --fresh"
    )


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    execute(path, "CREATE TABLE passwords (text)")
    before = path.read_bytes()
    with pytest.raises(EvidenceDamaged):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_of_strangers_runs_no_functions(evidence: Path) -> None:
    with Store(evidence, create=False) as store:
        settings = {name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("trusted_schema", "cell_size_check", "mmap_size")}  # fmt: skip
        assert settings == {"trusted_schema": 0, "cell_size_check": 1, "mmap_size": 0}


def test_a_huge_value_is_refused(evidence: Path) -> None:
    execute(evidence, "UPDATE answers SET answer = zeroblob(100000001)")
    with Store(evidence, create=False) as store, pytest.raises(EvidenceDamaged, match="string or blob too big"):
        store.get(SCOPE, QUESTION, 1)


# --- rows whose digests were made to fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x01",
        struct.pack("<I", 2) + bytes(8),
        struct.pack("<I", 1) + bytes(7),
        struct.pack("<I", 2**32 - 1) + bytes(8),
        struct.pack("<Id", 1, float("nan")),
        struct.pack("<Id", 1, float("inf")),
    ],
)
def test_an_answer_that_no_run_writes(evidence: Path, blob: bytes) -> None:
    with closing(sqlite3.connect(evidence)) as connection, connection:
        ((key,),) = connection.execute("SELECT key FROM answers")
        connection.execute("UPDATE answers SET answer = ?, digest = ?", (blob, bound(key, blob)))
    with Store(evidence, create=False) as store, pytest.raises(EvidenceDamaged, match="found an answer"):
        store.get(SCOPE, QUESTION, 1)


@pytest.mark.parametrize("content", ["[]", "5", "null", "{", "", "[" * 100_000, '{"a": ' * 100_000, '{"a": NaN'])
def test_a_record_that_no_run_writes(evidence: Path, content: str) -> None:
    with closing(sqlite3.connect(evidence)) as connection, connection:
        digest = bound("model", "key", content)
        connection.execute("UPDATE records SET content = ?, digest = ?", (content, digest))
    with Store(evidence, create=False) as store, pytest.raises(EvidenceDamaged, match=r"found a record \(model\)"):
        store.read_record("model", "key")


def test_a_claimed_number_of_batches_costs_nothing(evidence: Path) -> None:
    with Store(evidence, create=False) as store:
        assert store.get(SCOPE, QUESTION, 10**15) is None
        assert store.get(SCOPE, QUESTION, 0) is None


# --- facts -----------------------------------------------------------------------------------------------------------


def test_facts_are_restored_with_their_types() -> None:
    found = restored(ModelFacts, MODEL | {"card": {"block": True, "audit_digest": "a1"}}, "record")
    assert (found.blocks, found.block_parameters, found.context) == (2, (4, 4), None)
    assert found.card == CardFacts(block=True, audit_digest="a1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": "2"}, "record, blocks: found '2'; expected a whole number of at least 0"),
        ({"blocks": -1}, "record, blocks: found -1; expected a whole number of at least 0"),
        ({"blocks": True}, "record, blocks: found True; expected a whole number of at least 0"),
        ({"blocks": 2**63}, f"record, blocks: found {2**63}; expected a whole number of at least 0"),
        ({"block_shapes": ["a", 5]}, "record, block_shapes[1]: found 5; expected text"),
        ({"notes": "n"}, "record, notes: found 'n'; expected tuple[str, ...]"),
        ({"context": 1.5}, "record, context: found 1.5; expected a whole number of at least 0"),
        ({"source": None}, "record, source: found None; expected text"),
        ({"evil": 1}, "record: found 'evil', which nothing reads; expected only source, kind, "),
        ({"card": []}, "record, card: found []; expected a mapping"),
        (
            {"card": {"removal": "x"}},
            "record, card: found 'removal', which nothing reads; expected only problem, block",
        ),
        ({"remote_code": 1}, "record, remote_code: found 1; expected true or false"),
        ({"marks": {"a": [1]}}, "record, marks, a[0]: found 1; expected text"),
        ({"shared_parameters": [[[0, 1], -1]]}, "record, shared_parameters[0][1]: found -1; expected a whole number"),
    ],
)
def test_facts_of_another_type_are_damage(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EvidenceDamaged, match=re.escape(message)):
        restored(ModelFacts, MODEL | change, "record")


@pytest.mark.parametrize(
    ("change", "misfit"),
    [
        ({}, None),
        ({"marks": {"a": ["1"], "b": ["1", "2"]}, "shared_parameters": [[[0, 1], 7]]}, None),
        ({"marks": {"a": ["1", "2", "3"]}}, "marks that are not of 2 slots"),
        ({"marks": {"a": []}}, "marks that are not of 2 slots"),
        ({"shared_parameters": [[[0, 2], 7]]}, "parameters shared by blocks beyond the 2 there are"),
    ],
)
def test_facts_about_slots_must_fit_the_blocks(change: dict[str, Any], misfit: str | None) -> None:
    assert restored(ModelFacts, MODEL | change, "record").misfit == misfit


@pytest.mark.parametrize("record", [[], "x", None, 5, {}])
def test_facts_that_are_no_facts(record: object) -> None:
    with pytest.raises(EvidenceDamaged, match=r"^record: found "):
        restored(ScoringFacts, record, "record")


def test_every_kind_of_facts_can_be_restored() -> None:
    made = ScoringFacts("a", "b", ("",), 1, 2, 1)
    assert restored(ScoringFacts, json.loads(json.dumps(vars(made))), "record") == made
