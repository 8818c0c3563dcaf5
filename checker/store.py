"""SQLite of questions and answers, and the run's record: append-only, keyed by digests.

A question is keyed by all that fixes its answer: weights, contract (which holds the dtype), layout, quantity, batch,
and the measuring code's version. Nothing is ever changed in place, so two runs may share one store, and a killed run
resumes by asking again. Each row carries a digest of its key and its values; a row that no longer has it is damage,
not evidence, and so is an answer that was moved to another question.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from checker.errors import CannotRun, EvidenceDamaged
from checker.records import Question, Values, canonical, digest

# Raised whenever a change of the engine may move a measured value: older answers are then measured again.
MEASURING_CODE = "1"
_PATIENCE = 60.0  # seconds to wait for another run that is writing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL, contract TEXT NOT NULL, text TEXT NOT NULL, quantity TEXT NOT NULL, layout TEXT NOT NULL,
    batch INTEGER NOT NULL, code TEXT NOT NULL,
    answer BLOB NOT NULL, digest TEXT NOT NULL, measured_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, digest TEXT NOT NULL, written_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_by_name ON records (name, key);
"""


@dataclass(frozen=True)
class Scope:
    """What every question of one text shares: the digests of the weights and of the contract."""

    model: str
    contract: str

    def key(self, question: Question, batch: int) -> str:
        return digest(
            [self.model, self.contract, question.text, question.asked, str(question.layout), batch, MEASURING_CODE]
        )


class Store:
    """Stored evidence. Use as a context manager, or call ``close``."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not create and not path.is_file():
            raise CannotRun(f"{path}: found no stored evidence; expected an evidence.db; measure first: pruneaudit run")
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            raise CannotRun(
                f"{path}: found no way to open it ({error}); expected a file in a folder that can be written; "
                "choose another --out"
            ) from error
        try:
            self._prepare(create)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, create: bool) -> None:
        """Makes the tables where a new store may be made, and looks whether they are there."""
        # A damaged text column must fail its digest, not the decoder.
        self._connection.text_factory = lambda column: column.decode(errors="replace")
        with self._readable():
            if create:
                self._write_ahead()
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.executescript(_SCHEMA)
            names = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"answers", "records"} <= names:
            raise EvidenceDamaged(
                f"{self.path}: found no table of answers and of records; expected the SQLite file that a run leaves; "
                "restore it, or measure again with --fresh"
            )

    def _write_ahead(self) -> None:
        """Turns on the write-ahead log; SQLite does not wait by itself where two runs do so at once."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return

    # --- answers ---

    def put(self, scope: Scope, question: Question, batch: int, values: Values) -> None:
        """Stores an answer; one that is there already stays."""
        key, blob = scope.key(question, batch), _pack(values)
        row = (
            key,
            scope.model,
            scope.contract,
            question.text,
            question.asked,
            str(question.layout),
            batch,
            MEASURING_CODE,
            blob,
            _bound(key, blob),
            _now(),
        )
        with self._readable():
            self._connection.execute(f"INSERT OR IGNORE INTO answers VALUES ({','.join('?' * len(row))})", row)

    def has(self, scope: Scope, question: Question, batch: int) -> bool:
        return self._blob(scope.key(question, batch)) is not None

    def get(self, scope: Scope, question: Question, batches: int) -> Values | None:
        """The answer over all ``batches``, one value per unit, or None where part of it is missing."""
        parts = [self._blob(scope.key(question, batch)) for batch in range(batches)]
        if not parts or any(part is None for part in parts):
            return None
        return np.concatenate([_unpack(part) for part in parts if part is not None])

    def count(self) -> int:
        """How many answers are stored."""
        with self._readable():
            return int(self._connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _blob(self, key: str) -> bytes | None:
        with self._readable():
            row = self._connection.execute("SELECT answer, digest FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or _bound(key, row[0]) != row[1]:
            raise EvidenceDamaged(
                f"{self.path}: found an answer ({key[:12]}…) that does not match its digest; expected the bytes that "
                "were measured; restore the file, or measure again with --fresh"
            )
        return row[0]

    # --- records ---

    def write_record(self, name: str, key: str, content: Mapping[str, Any]) -> None:
        """Adds a record; the newest of a name and key counts. The same content again adds nothing."""
        if self.read_record(name, key) == json.loads(canonical(content)):
            return
        text = canonical(content)
        with self._readable():
            self._connection.execute(
                "INSERT INTO records (name, key, content, digest, written_at) VALUES (?, ?, ?, ?, ?)",
                (name, key, text, _bound(name, key, text), _now()),
            )

    def read_record(self, name: str, key: str) -> dict[str, Any] | None:
        """The newest record of a name and key, or None."""
        with self._readable():
            row = self._connection.execute(
                "SELECT content, digest FROM records WHERE name = ? AND key = ? ORDER BY number DESC LIMIT 1",
                (name, key),
            ).fetchone()
        if row is None:
            return None
        if _bound(name, key, row[0]) != row[1]:
            raise EvidenceDamaged(
                f"{self.path}: found a record ({name}) that does not match its digest; expected what the run wrote; "
                "restore the file, or measure again with --fresh"
            )
        content: dict[str, Any] = json.loads(row[0])
        return content

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CannotRun(f"{self.path}: the evidence could not be read or written ({error})") from error
        except sqlite3.DatabaseError as error:
            raise EvidenceDamaged(
                f"{self.path}: found damaged evidence ({error}); expected the SQLite file that a run leaves; "
                "restore it, or measure again with --fresh"
            ) from error


def _bound(*parts: str | bytes) -> str:
    """sha256 of what a row says, its key included."""
    whole = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        whole.update(struct.pack("<Q", len(encoded)) + encoded)
    return whole.hexdigest()


def _pack(values: Values | Sequence[float]) -> bytes:
    array = np.asarray(values, dtype="<f8")
    if not np.isfinite(array).all():
        raise ValueError("found an answer that is not finite; expected the engine to have refused it")
    return struct.pack("<I", len(array)) + array.tobytes()


def _unpack(blob: bytes) -> Values:
    return np.frombuffer(blob, dtype="<f8", offset=4).astype(np.float64)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
