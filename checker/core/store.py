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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from checker.core.canonical import canonical, digest
from checker.core.errors import RESTORE, CannotRun, EvidenceDamaged
from checker.core.files import lacking
from checker.core.questions import Question, Values

# Raised whenever a change of the engine may move a measured value: older answers are then measured again.
MEASURING_CODE = "1"
_LARGEST_VALUE = 100_000_000  # bytes of one answer or record
_NONE = np.empty(0)
_AS_LEFT = ("the SQLite file that a run leaves", "restore it, or measure again with --fresh")  # expected, remedy
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


@dataclass(frozen=True)
class Answer:
    """One stored answer: the values of the units of one batch."""

    scope: Scope
    text: str
    asked: str  # ``Question.asked``
    layout: str
    batch: int
    values: Values

    @property
    def key(self) -> str:
        """Digest of the question that it answers; an older version of the measuring code answered another one."""
        asked = (self.text, self.asked, self.layout, self.batch)
        return digest([self.scope.model, self.scope.contract, *asked, MEASURING_CODE])


class Store:
    """Stored evidence. Use as a context manager, or call ``close``.

    ``in_memory`` makes an empty one of no file; ``path`` is then what messages call it.
    """

    def __init__(self, path: Path, *, create: bool = True, in_memory: bool = False) -> None:
        self.path = path
        # A sealed store speaks for itself: texts and models that lie on this machine are not looked at beside it.
        self.sealed = in_memory
        if not create and not path.is_file():
            raise CannotRun.at(path, "no stored evidence", "an evidence.db", "measure first: pruneaudit run")
        if in_memory:
            self._connect(":memory:", create)
            return
        there = path.exists()  # looked at first: another run may make the file in between
        if not path.is_file() and (there or path.is_symlink()):
            found = lacking(path) if there else "a link that leads nowhere"
            raise CannotRun.at(path, found, "a file, or nothing", "take it away, or choose another --out")
        log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))  # as SQLite calls them
        present = [file for file in (log, index) if file.exists()]
        written = log in present and log.stat().st_size > 0  # by a run that goes on, or was killed
        try:
            self._connect(path, create)
        except CannotRun:
            if create or written:
                raise
            # Reading takes files beside it, for which there is no room or no permission: it is read as it lies there.
            for file in (log, index):
                if file not in present:
                    file.unlink(missing_ok=True)
            self._connect(f"{path.absolute().as_uri()}?immutable=1", create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def _connect(self, place: Path | str, create: bool) -> None:
        try:
            if create and isinstance(place, Path):
                place.parent.mkdir(parents=True, exist_ok=True)
            uri = not isinstance(place, Path)
            self._connection = sqlite3.connect(place, timeout=_PATIENCE, isolation_level=None, uri=uri)
        except (OSError, sqlite3.OperationalError) as error:
            expected = "a file in a folder that can be written"
            raise CannotRun.at(self.path, f"no way to open it ({error})", expected, "choose another --out") from error
        try:
            self._prepare(create)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, create: bool) -> None:
        """Makes the tables where a new store may be made, and looks whether they are there."""
        # A damaged text column must fail its digest, not the decoder.
        self._connection.text_factory = lambda column: column.decode(errors="replace")
        with self._readable():
            self._harden()
            self._check_objects()
            if create:
                self._write_ahead()
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.executescript(_SCHEMA)
            names = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"answers", "records"} <= names:
            raise EvidenceDamaged.at(self.path, "no table of answers and of records", *_AS_LEFT)

    def _harden(self) -> None:
        """Keeps a stranger's file from running functions, from damaged cells and from values of any size."""
        for setting in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)

    def _check_objects(self) -> None:
        """EvidenceDamaged where the file holds anything but our tables: a view, a trigger, a table of another kind."""
        for kind, name, definition in _objects(self._connection) - _expected_objects():
            thing = f"the {kind} {name!r}, {definition[:80]!r}"
            raise EvidenceDamaged.at(self.path, thing, "nothing but the tables that a run makes", RESTORE)

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

    def put(self, scope: Scope, question: Question, batch: int, values: Values) -> None:
        """Stores an answer; one that is there already stays."""
        self.add([Answer(scope, question.text, question.asked, str(question.layout), batch, values)])

    def add(self, answers: Iterable[Answer], code: str = MEASURING_CODE) -> None:
        """Stores answers, as they come out of a pack: ``code`` says which measuring code gave them, and they are found
        whatever it is."""
        with self._readable():
            for answer in answers:
                scope, asked = answer.scope, (answer.text, answer.asked, answer.layout, answer.batch)
                key, blob = answer.key, _pack(answer.values)
                row = (key, scope.model, scope.contract, *asked, code, blob, _bound(key, blob), _now())
                self._connection.execute(f"INSERT OR IGNORE INTO answers VALUES ({','.join('?' * len(row))})", row)

    def part(self, scope: Scope, question: Question, batch: int) -> Answer | None:
        """The answer of one batch, or None."""
        return self.answer(Answer(scope, question.text, question.asked, str(question.layout), batch, _NONE))

    def answer(self, like: Answer) -> Answer | None:
        """The stored answer to what another one answers, or None."""
        key = like.key
        with self._readable():
            row = self._connection.execute("SELECT answer, digest FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if not isinstance(row[0], bytes) or _bound(key, row[0]) != row[1] or not _sound(row[0]):
            wrong = f"an answer ({key[:12]}…) that does not match its digest"
            raise EvidenceDamaged.at(self.path, wrong, "the bytes that were measured", RESTORE)
        return replace(like, values=_unpack(row[0]))

    def has(self, scope: Scope, question: Question, batch: int) -> bool:
        return self.part(scope, question, batch) is not None

    def get(self, scope: Scope, question: Question, batches: int) -> Values | None:
        """The answer over all ``batches``, one value per unit, or None where part of it is missing."""
        parts: list[Values] = []
        for batch in range(batches):  # a record may claim any number of them
            part = self.part(scope, question, batch)
            if part is None:
                return None
            parts.append(part.values)
        return np.concatenate(parts) if parts else None

    def count(self) -> int:
        """How many answers are stored."""
        return self._total("count(*)")

    def units(self) -> int:
        """How many values the stored answers hold together."""
        return self._total("coalesce(sum(length(answer) - 4), 0) / 8")

    def _total(self, expression: str) -> int:
        with self._readable():
            return int(self._connection.execute(f"SELECT {expression} FROM answers").fetchone()[0])

    def codes(self, model: str, contracts: Sequence[str]) -> dict[str, int]:
        """How many answers for these weights under these contracts each version of the measuring code gave.

        An answer of another version counts only where the present one has not measured the same again.
        """
        places = ",".join("?" * len(contracts))
        with self._readable():
            rows = self._connection.execute(
                "SELECT code, contract, text, quantity, layout, batch FROM answers "
                f"WHERE model = ? AND contract IN ({places})",
                (model, *contracts),
            ).fetchall()
            present = {row[1:] for row in rows if row[0] == MEASURING_CODE}
            counted = Counter(row[0] for row in rows if row[0] == MEASURING_CODE or row[1:] not in present)
            return dict(sorted(counted.items()))

    def write_record(self, name: str, key: str, content: Mapping[str, Any]) -> None:
        """Adds a record; the newest of a name and key counts. The same content again adds nothing."""
        text = canonical(content)
        if self.read_record(name, key) == json.loads(text):
            return
        with self._readable():
            self._connection.execute(
                "INSERT INTO records (name, key, content, digest, written_at) VALUES (?, ?, ?, ?, ?)",
                (name, key, text, _bound(name, key, text), _now()),
            )

    def read_record(self, name: str, key: str) -> dict[str, Any] | None:
        """The newest record of a name and key, or None."""
        return next(iter(self._records(name, key, "DESC LIMIT 1")), None)

    def read_records(self, name: str, key: str) -> list[dict[str, Any]]:
        """All records of a name and key, the oldest first."""
        return self._records(name, key, "ASC")

    def _records(self, name: str, key: str, order: Literal["ASC", "DESC LIMIT 1"]) -> list[dict[str, Any]]:
        with self._readable():
            rows = self._connection.execute(
                f"SELECT content, digest FROM records WHERE name = ? AND key = ? ORDER BY number {order}", (name, key)
            ).fetchall()
            contents = [_parsed(content) if _bound(name, key, content) == bound else None for content, bound in rows]
        sound = [content for content in contents if content is not None]
        if len(sound) < len(rows):
            wrong = f"a record ({name}) that does not match its digest"
            raise EvidenceDamaged.at(self.path, wrong, "what the run wrote", RESTORE)
        return sound

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise CannotRun(f"{self.path}: the evidence could not be read or written ({error})") from error
        # The last two: SQLite's own message may quote bytes that are no text, and a cell may be of any type.
        except (sqlite3.DatabaseError, UnicodeError, TypeError) as error:
            raise EvidenceDamaged.at(self.path, f"damaged evidence ({error})", *_AS_LEFT) from error


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Everything a database holds: kind, name and definition, white space aside."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
    return {(str(kind), str(name), " ".join(str(sql).split())) for kind, name, sql in rows}


@cache
def _expected_objects() -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_SCHEMA)
        return _objects(connection)


def _parsed(content: str | bytes) -> dict[str, Any] | None:
    """A record's JSON object; None where it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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


def _sound(blob: bytes) -> bool:
    """Whether a blob is what ``_pack`` makes: digests are no signatures, so a stranger's may fit anything."""
    whole = len(blob) >= 4 and len(blob) == 4 + 8 * int(struct.unpack_from("<I", blob)[0])
    return whole and bool(np.isfinite(_unpack(blob)).all())


def _unpack(blob: bytes) -> Values:
    return np.frombuffer(blob, dtype="<f8", offset=4).astype(np.float64)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
