"""Measured values as a table, one row per unit, and back; in memory, as the bytes of one Parquet file.

Columns: ``model`` and ``contract`` (digests), ``text``, ``quantity``, ``blocks`` (``3-5`` for a quantity of a run of
blocks, else empty), ``layout``, ``batch``, ``unit`` (counted over the answer's batches), ``value``. What a value means
stands at ``records.Question``. The file is plain enough for ``datasets.load_dataset("parquet", ...)``.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from checker.core.questions import Values
from checker.core.store import Answer, Scope
from checker.release import table_reader
from checker.release.table_reader import REFUSED, SCHEMA, TEXTS

LARGEST_LAYOUT = 100_000  # characters
LONGEST = 300.0  # seconds that reading a table may take
Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]


class BadRows(ValueError):
    """A table that is not one of answers; the message says what was found and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"found {found}; expected {expected}")


def write(answers: Sequence[Answer]) -> bytes:
    """The table of answers; the same answers in any order give the same bytes (under one version of pyarrow)."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for asked, parts in groupby(sorted(answers, key=_order), key=lambda answer: _order(answer)[:-1]):
        batches = [(part.batch, value) for part in parts for value in part.values.tolist()]
        for name, text in zip(TEXTS, asked, strict=True):
            columns[name] += [text] * len(batches)
        columns["batch"] += [batch for batch, _ in batches]
        columns["unit"] += range(len(batches))
        columns["value"] += [value for _, value in batches]
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=SCHEMA),
        sink,
        compression="NONE",
        use_dictionary=[*TEXTS, "batch", "unit"],
        dictionary_pagesize_limit=2**30,
        row_group_size=2**30,
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()


def _order(answer: Answer) -> tuple[str, str, str, str, str, str, int]:
    quantity, _, blocks = answer.asked.partition(" ")
    return (answer.scope.model, answer.scope.contract, answer.text, quantity, blocks, answer.layout, answer.batch)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(content: bytes) -> list[Answer]:
    """The answers of a table, one per batch; BadRows where it is not what ``write`` would have written."""
    header, _, numbers = _columns(content).partition(b"\n")
    about = json.loads(header)
    words, rows = about["words"], about["rows"]
    if any(len(layout) > LARGEST_LAYOUT for layout in words[TEXTS.index("layout")]):
        raise BadRows(f"a layout of more than {LARGEST_LAYOUT} characters", "shorter ones")
    whole = np.frombuffer(numbers, "<i4", rows * (len(TEXTS) + 2)).reshape(-1, rows)
    values = np.frombuffer(numbers, "<f8", rows, whole.nbytes)
    return list(_answers(whole[: len(TEXTS)], words, (*whole[len(TEXTS) :], values)))


def _columns(content: bytes) -> bytes:
    """What the reader says of a table, in a process of its own: the file may be such that it ends its reader."""
    command = [sys.executable, "-P", str(table_reader.__file__)]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise BadRows(f"a table that takes more than {LONGEST:.0f} s to read", "one that pack wrote") from None
    if done.returncode == REFUSED:
        raise BadRows(*json.loads(done.stdout))
    if done.returncode:
        raise BadRows(f"a table that ends its reader (exit code {done.returncode})", "one that pack wrote")
    return done.stdout


def _answers(codes: Integers, words: Sequence[list[str]], numbers: Sequence[Any]) -> Iterator[Answer]:
    """Rows of one answer stand together, its units numbered from 0, its batches in order."""
    batch, unit, value = numbers
    seen: set[tuple[str, ...]] = set()
    for start, end in pairwise(_starts(codes)):
        asked = tuple(texts[code] for texts, code in zip(words, codes[:, start].tolist(), strict=True))
        if asked in seen:
            raise BadRows(f"rows of {_named(asked)} in two places", "the rows of an answer together")
        seen.add(asked)
        batches = batch[start:end]
        ordered = (
            (unit[start:end] == np.arange(end - start)).all() and (np.diff(batches) >= 0).all() and batches[0] >= 0
        )
        if not ordered:
            raise BadRows(f"units of {_named(asked)} that are not in order", "units from 0, batches in order")
        if not np.isfinite(value[start:end]).all():
            raise BadRows(f"a value of {_named(asked)} that is not finite", "a finite number")
        yield from _parts(asked, batches, value[start:end])


def _starts(keys: Integers) -> list[int]:
    """Where a column of ``keys`` differs from the one before, and the end: one more than there are groups."""
    changes = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
    return [0, *changes.tolist(), keys.shape[1]] if keys.shape[1] else []


def _parts(asked: Sequence[str], batches: Integers, values: Values) -> Iterator[Answer]:
    model, contract, text, quantity, blocks, layout = asked
    for start, end in pairwise(_starts(batches[np.newaxis])):
        scope, name = Scope(model, contract), f"{quantity} {blocks}".strip()
        yield Answer(scope, text, name, layout, int(batches[start]), values[start:end])


def _named(asked: Sequence[str]) -> str:
    _, _, text, quantity, blocks, layout = asked
    return f"{quantity} {blocks}".strip()[:40] + f" of {layout[:80]} on {text[:20]}"
