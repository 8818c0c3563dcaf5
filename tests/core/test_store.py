"""Stored evidence: what is put stays, what is damaged is found, and two runs do not disturb each other."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.core.errors import CannotRun, EvidenceDamaged, PruneauditError
from checker.core.layouts import Layout
from checker.core.questions import Question
from checker.core.store import Answer, Scope, Store

SCOPE = Scope("weights", "contract")
BASE = Layout.base(4)
QUESTION = Question("scoring", "kl", BASE.without([2]))
VALUES = np.array([0.1, 2.5e-7, 1 / 3])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def change(path: Path, statement: str, *values: Any) -> int:
    """Changes a store behind its back; how many rows were changed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).rowcount


def fill(path: Path, answers: int = 40) -> dict[Question, float]:
    """A store that is closed again, and what stands in it."""
    known = {Question("scoring", "kl", Layout.base(60).without([k])): k + 0.5 for k in range(answers)}
    with Store(path) as store:
        for question, value in known.items():
            store.put(SCOPE, question, 0, np.full(20, value))
        store.write_record("model", "key", {"blocks": 30, "name": "SmolLM2"})
    return known


# --- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_comes_back_bit_for_bit(store: Store) -> None:
    assert store.get(SCOPE, QUESTION, 1) is None
    assert not store.has(SCOPE, QUESTION, 0)
    store.put(SCOPE, QUESTION, 0, VALUES)
    found = store.get(SCOPE, QUESTION, 1)
    assert found is not None
    assert found.dtype == np.float64
    assert found.tobytes() == VALUES.tobytes()
    assert store.has(SCOPE, QUESTION, 0)


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_any_finite_values_come_back(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    with Store(tmp_path_factory.mktemp("any") / "evidence.db") as store:
        store.put(SCOPE, QUESTION, 0, np.array(values))
        found = store.get(SCOPE, QUESTION, 1)
    assert found is not None
    assert found.tobytes() == np.array(values, dtype=np.float64).tobytes()


def test_the_parts_of_all_batches_stand_in_their_order(store: Store) -> None:
    for batch in (2, 0, 1):
        store.put(SCOPE, QUESTION, batch, np.array([batch, batch + 0.5])[: 2 - batch // 2])
    found = store.get(SCOPE, QUESTION, 3)
    assert found is not None
    assert found.tolist() == [0, 0.5, 1, 1.5, 2]
    assert store.get(SCOPE, QUESTION, 4) is None, "one part is missing"
    assert store.get(SCOPE, QUESTION, 0) is None


def test_an_answer_that_is_there_stays(store: Store) -> None:
    store.put(SCOPE, QUESTION, 0, VALUES)
    store.put(SCOPE, QUESTION, 0, VALUES + 1)
    found = store.get(SCOPE, QUESTION, 1)
    assert found is not None
    assert found.tolist() == VALUES.tolist()
    assert store.count() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(store: Store, value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        store.put(SCOPE, QUESTION, 0, np.array([0.1, value]))
    assert store.count() == 0


def key_of(scope: Scope, question: Question, batch: int) -> str:
    return Answer(scope, question.text, question.asked, str(question.layout), batch, VALUES).key


def test_everything_that_fixes_an_answer_is_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        "as it is": key_of(SCOPE, QUESTION, 0),
        "model": key_of(replace(SCOPE, model="other"), QUESTION, 0),
        "contract": key_of(replace(SCOPE, contract="other"), QUESTION, 0),
        "text": key_of(SCOPE, replace(QUESTION, text="evaluation"), 0),
        "quantity": key_of(SCOPE, replace(QUESTION, quantity="nll"), 0),
        "layout": key_of(SCOPE, replace(QUESTION, layout=BASE), 0),
        "weights of the layout": key_of(SCOPE, replace(QUESTION, layout=BASE.with_weights({2: 1})), 0),
        "batch": key_of(SCOPE, QUESTION, 1),
    }
    monkeypatch.setattr("checker.core.store.MEASURING_CODE", "next")
    keys["measuring code"] = key_of(SCOPE, QUESTION, 0)
    for (one, key), (other, another) in combinations(keys.items(), 2):
        assert key != another, f"{one} and {other}"
    assert key_of(replace(SCOPE, model="contract", contract="weights"), QUESTION, 0) not in keys.values()


def test_evidence_is_there_after_closing(tmp_path: Path) -> None:
    known = fill(tmp_path / "deeper" / "evidence.db", 3)
    with Store(tmp_path / "deeper" / "evidence.db", create=False) as store:
        assert store.count() == 3
        assert [store.get(SCOPE, question, 1) is not None for question in known] == [True] * 3


# --- records ---------------------------------------------------------------------------------------------------------


def test_the_newest_record_counts_and_older_ones_stay(store: Store) -> None:
    assert store.read_record("audit", "a") is None
    store.write_record("audit", "a", {"text": "one", "overrides": []})
    store.write_record("audit", "b", {"text": "other"})
    store.write_record("audit", "a", {"text": "two — ü", "overrides": [("a", "b")]})
    assert store.read_record("audit", "a") == {"text": "two — ü", "overrides": [["a", "b"]]}
    assert store.read_record("audit", "b") == {"text": "other"}
    assert store.read_record("model", "a") is None
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (3,)


def test_all_records_of_a_name_come_in_the_order_they_were_written(store: Store) -> None:
    for number in (1, 2, 1):
        store.write_record("run", "audit", {"number": number})
    store.write_record("run", "another audit", {"number": 9})
    assert [record["number"] for record in store.read_records("run", "audit")] == [1, 2, 1]
    assert store.read_records("run", "none") == []


def test_answers_of_another_measuring_code_count_until_they_are_measured_again(store: Store) -> None:
    scope, elsewhere, values = Scope("weights", "contract"), Scope("weights", "other"), np.array([1.0])
    for layout in (BASE, BASE.without([1])):
        store.put(scope, Question("scoring", "kl", layout), 0, values)
        store.put(elsewhere, Question("scoring", "kl", layout), 0, values)
    columns = "model, contract, text, quantity, layout, batch, '0', answer, digest, measured_at"
    older = f"INSERT INTO answers SELECT 'old' || key, {columns} FROM answers WHERE contract = 'contract'"
    assert change(store.path, older) == 2
    assert change(store.path, "DELETE FROM answers WHERE layout = ? AND code = '1'", str(BASE.without([1]))) == 2
    assert store.codes("weights", ["contract", "never measured"]) == {"0": 1, "1": 1}
    assert store.codes("weights", []) == {}
    assert store.codes("other weights", ["contract"]) == {}


def test_the_same_record_again_adds_nothing(store: Store) -> None:
    for _ in range(3):
        store.write_record("tokens", "a", {"digest": "x", "also": (1, 2)})
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (1,)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_flipped_byte_in_an_answer_is_damage(store: Store) -> None:
    store.put(SCOPE, QUESTION, 0, VALUES)
    key = key_of(SCOPE, QUESTION, 0)
    blob = bytearray(sqlite3.connect(store.path).execute("SELECT answer FROM answers").fetchone()[0])
    blob[-1] ^= 1
    assert change(store.path, "UPDATE answers SET answer = ?", bytes(blob)) == 1
    for look in (lambda: store.get(SCOPE, QUESTION, 1), lambda: store.has(SCOPE, QUESTION, 0)):
        with pytest.raises(EvidenceDamaged) as caught:
            look()
        assert str(caught.value) == (
            f"{store.path}: found an answer ({key[:12]}…) that does not match its digest; expected the bytes that were "
            "measured; restore the file, or measure again with --fresh"
        )
        assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE answers SET answer = 'text'",
        "UPDATE answers SET answer = 5",
        "UPDATE answers SET answer = x'00'",
        "UPDATE answers SET digest = 'no digest'",
        "UPDATE answers SET digest = CAST(x'ff00' AS TEXT)",
    ],
)
def test_other_damage_to_an_answer(store: Store, statement: str) -> None:
    store.put(SCOPE, QUESTION, 0, VALUES)
    assert change(store.path, statement) == 1
    with pytest.raises(EvidenceDamaged):
        store.get(SCOPE, QUESTION, 1)


def test_an_answer_moved_to_another_question_is_damage(store: Store) -> None:
    other = replace(QUESTION, layout=BASE)
    store.put(SCOPE, QUESTION, 0, VALUES)
    assert change(store.path, "UPDATE answers SET key = ?", key_of(SCOPE, other, 0)) == 1
    assert store.get(SCOPE, QUESTION, 1) is None
    with pytest.raises(EvidenceDamaged):
        store.get(SCOPE, other, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET content = replace(content, '30', '31')",
        "UPDATE records SET content = CAST(x'7bff7d' AS TEXT)",
        "UPDATE records SET content = x'00'",
        "UPDATE records SET content = 5",
        "UPDATE records SET key = 'key ', name = 'model'",
        "UPDATE records SET digest = 'no digest'",
    ],
)
def test_damage_to_a_record(store: Store, statement: str) -> None:
    store.write_record("model", "key", {"blocks": 30})
    assert change(store.path, statement) == 1
    with pytest.raises(EvidenceDamaged, match=r"found a record \(model\) that does not match its digest"):
        store.read_record("model", "key " if "'key '" in statement else "key")


@pytest.mark.parametrize("value", ["NULL", "5", "2.5"])
@pytest.mark.parametrize("column", ["content", "digest"])
def test_a_record_whose_columns_are_no_text(store: Store, column: str, value: str) -> None:
    store.write_record("model", "key", {"blocks": 30})
    change(store.path, "CREATE TABLE copy AS SELECT * FROM records")
    change(store.path, "DROP TABLE records")
    change(store.path, f"UPDATE copy SET {column} = {value}")
    change(store.path, "ALTER TABLE copy RENAME TO records")
    with pytest.raises(EvidenceDamaged):
        store.read_record("model", "key")


def test_answers_whose_version_is_bytes_among_texts(store: Store) -> None:
    for batch in (0, 1):
        store.put(SCOPE, QUESTION, batch, VALUES)
    assert change(store.path, "UPDATE answers SET code = x'ff' WHERE batch = 1") == 1
    with pytest.raises(EvidenceDamaged, match=r"evidence\.db: found damaged evidence \(.*\); expected the SQLite file"):
        store.codes(SCOPE.model, [SCOPE.contract])


def test_a_damaged_definition_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    fill(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"CREATE TABLE answers") + len("CREATE TABLE ")
    content[place : place + 7] = b"\xea(\xff\xff)))"  # which SQLite quotes in its own message
    path.write_bytes(content)
    with pytest.raises(EvidenceDamaged):
        Store(path, create=False)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\x00", b"{}"])
@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_evidence_is_damage(tmp_path: Path, content: bytes, create: bool) -> None:
    path = tmp_path / "evidence.db"
    path.write_bytes(content)
    with pytest.raises(EvidenceDamaged, match="expected the SQLite file that a run leaves"):
        Store(path, create=create)
    assert path.read_bytes() == content


def test_another_programs_database_is_no_evidence(tmp_path: Path) -> None:
    change(tmp_path / "other.db", "CREATE TABLE notes (text)")
    with pytest.raises(EvidenceDamaged, match=r"found the table 'notes', .*; expected nothing but the tables"):
        Store(tmp_path / "other.db", create=False)
    (tmp_path / "empty.db").touch()
    with pytest.raises(EvidenceDamaged, match="found no table of answers"):
        Store(tmp_path / "empty.db", create=False)


@pytest.mark.parametrize("create", [True, False])
def test_a_truncated_file_is_damage(tmp_path: Path, create: bool) -> None:
    known = fill(tmp_path / "whole.db")
    whole = (tmp_path / "whole.db").read_bytes()
    for size in (len(whole) - 4096, len(whole) // 2, 4096, 100):
        path = tmp_path / f"{size}.db"
        path.write_bytes(whole[:size])
        with pytest.raises(EvidenceDamaged):
            read_all(path, known, create=create)


def read_all(path: Path, known: dict[Question, float], create: bool = False) -> int:
    """Reads a store and holds each answer against what is known; how many there are."""
    found = 0
    with Store(path, create=create) as store:
        for question, value in known.items():
            values = store.get(SCOPE, question, 1)
            if values is not None:
                assert values.tolist() == [value] * 20, "a damaged answer was taken for evidence"
                found += 1
        assert store.read_record("model", "key") in (None, {"blocks": 30, "name": "SmolLM2"})
    return found


def test_no_damage_anywhere_in_the_file_is_taken_for_evidence(tmp_path: Path) -> None:
    known = fill(tmp_path / "whole.db")
    whole = (tmp_path / "whole.db").read_bytes()
    generator = random.Random(5)
    damaged = 0
    for number in range(150):
        spoilt = bytearray(whole)
        for _ in range(generator.choice((1, 1, 40))):
            spoilt[generator.randrange(len(spoilt))] ^= 1 << generator.randrange(8)
        path = tmp_path / f"{number}.db"
        path.write_bytes(spoilt)
        try:
            read_all(path, known)
        except PruneauditError:
            damaged += 1
    assert damaged > 30


def test_evidence_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotRun) as caught:
        Store(tmp_path / "none.db", create=False)
    assert str(caught.value) == (
        f"{tmp_path}/none.db: found no stored evidence; expected an evidence.db; measure first: pruneaudit run"
    )
    assert not (tmp_path / "none.db").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "evidence.db", tmp_path):
        with pytest.raises(CannotRun, match="choose another --out"):
            Store(path)


# --- two runs at once ------------------------------------------------------------------------------------------------


def write_many(start: Any, path: Path, run: int, answers: int) -> None:
    start.wait()
    with Store(path) as store:
        for number in range(answers):
            # Every third question is asked by both runs, which answer it alike.
            layout = Layout.base(3).with_weights({0: {0: number if number % 3 else number + run / 8, 1: 1.0}})
            store.put(SCOPE, Question("scoring", "kl", layout), 0, np.full(5, number + 0.25))
            if number % 20 == 0:
                store.write_record("run", str(run), {"number": number})
                store.write_record("run", "both", {"number": number})


def run_together(target: Any, *args: tuple[Any, ...]) -> None:
    """Runs ``target`` in one process per tuple of arguments; all of them pass a barrier first."""
    processes = multiprocessing.get_context("spawn")  # not fork: other tests' threads may hold locks
    start = processes.Barrier(len(args))
    runs = [processes.Process(target=target, args=(start, *own)) for own in args]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0] * len(runs)


def test_two_runs_at_once_lose_and_spoil_nothing(tmp_path: Path) -> None:
    path, answers = tmp_path / "evidence.db", 300
    run_together(write_many, (path, 0, answers), (path, 1, answers))
    with Store(path, create=False) as store:
        assert store.count() == 2 * answers - sum(number % 3 != 0 for number in range(answers))
        for run in range(2):
            for number in range(answers):
                layout = Layout.base(3).with_weights({0: {0: number if number % 3 else number + run / 8, 1: 1.0}})
                values = store.get(SCOPE, Question("scoring", "kl", layout), 1)
                assert values is not None
                assert values.tolist() == [number + 0.25] * 5
            assert store.read_record("run", str(run)) == {"number": 280}
        assert store.read_record("run", "both") is not None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def open_all(start: Any, paths: list[Path]) -> None:
    for path in paths:
        start.wait()
        Store(path).close()


def test_many_runs_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    run_together(open_all, *[([tmp_path / f"{number}.db" for number in range(12)],)] * 4)


def test_a_run_that_was_killed_leaves_what_it_stored(tmp_path: Path) -> None:
    """The write-ahead log of a process that died is read, not lost."""
    with Store(tmp_path / "evidence.db") as store:
        store.put(SCOPE, QUESTION, 0, VALUES)
        for path in tmp_path.glob("evidence.db*"):
            shutil.copy(path, tmp_path / path.name.replace("evidence", "left"))
    with Store(tmp_path / "left.db", create=False) as left:
        assert left.get(SCOPE, QUESTION, 1) is not None


# --- where it lies ---------------------------------------------------------------------------------------------------


def test_a_store_is_not_made_through_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "evidence.db", tmp_path / "elsewhere.db"
    path.symlink_to(elsewhere)
    with pytest.raises(CannotRun, match=r"evidence\.db: found a link that leads nowhere; expected a file, or nothing"):
        Store(path)
    assert not elsewhere.exists()
    fill(elsewhere)
    with Store(path) as store:  # a link to evidence is a name of it
        assert store.count() == 40


def test_a_store_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "evidence.db")
    with pytest.raises(CannotRun, match="found a device or a pipe; expected a file, or nothing"):
        Store(tmp_path / "evidence.db")


def test_a_store_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a ?#% name.db"
    known = fill(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # which holds for root too, as permissions do not
    try:
        assert read_all(path, known) == len(known)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
        with pytest.raises(CannotRun, match="could not be read or written"):
            Store(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
