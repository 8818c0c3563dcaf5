"""Reads a table of measured values that comes from a stranger, in a process of its own.

pyarrow ends the process (``abort``) on some damaged footers, and nobody can rule out worse. So ``rows`` runs this file
as a program: bytes of a Parquet file on stdin, columns on stdout, exit code ``REFUSED`` with the reason where it is not
a table of answers. Memory is limited where the system can do that. Nothing of this package is imported here.

What could unpack to more than the file holds is not allowed: no compression, and texts stay references into a
dictionary. Numbers of rows and columns are checked in the footer before a row is read.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LARGEST_ROWS = 4_000_000
LARGEST_MEMORY = 8 * 2**30  # bytes of addresses, most of which pyarrow only reserves
REFUSED = 3
TEXTS = ("model", "contract", "text", "quantity", "blocks", "layout")
NUMBERS = {"batch": pa.int32(), "unit": pa.int32(), "value": pa.float64()}
SCHEMA = pa.schema([*((name, pa.string()) for name in TEXTS), *NUMBERS.items()])
_STORED = {"BYTE_ARRAY", "INT32", "DOUBLE"}
_FOOTER = 1_000_000  # bytes of any text, entries of any list in it


class Refused(Exception):
    """What was found, and what was expected."""


def main() -> int:
    """stdin -> stdout: a line of JSON (texts of each column, number of rows), then the columns as raw numbers."""
    _limit_memory()
    content = sys.stdin.buffer.read()
    try:
        words, columns = read(content)
        header = json.dumps({"words": words, "rows": len(columns[0])}).encode()
    except Refused as error:
        sys.stdout.write(json.dumps(error.args))
        return REFUSED
    except (pa.ArrowException, OSError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0][:200]
        sys.stdout.write(json.dumps([f"no table ({told})", "the Parquet file that `pack` wrote"]))
        return REFUSED
    sys.stdout.buffer.write(b"".join([header, b"\n", *(column.tobytes() for column in columns)]))
    return 0


def read(content: bytes) -> tuple[list[list[str]], list[np.ndarray[Any, Any]]]:
    """The texts of each column of texts, and all columns as numbers: places among those texts, or values."""
    limits = {"thrift_string_size_limit": _FOOTER, "thrift_container_size_limit": _FOOTER}
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(TEXTS), **limits)
    _check_footer(file.metadata, len(content))
    table = file.read(use_threads=False)
    table.validate(full=True)
    if table.num_rows > LARGEST_ROWS:
        raise Refused(f"{table.num_rows} rows", f"at most {LARGEST_ROWS}")
    if empty := next((name for name in SCHEMA.names if table[name].null_count), None):
        raise Refused(f"a row without {empty}", "a value in every column")
    if other := next((name for name in NUMBERS if table[name].type != NUMBERS[name]), None):
        raise Refused(f"{other} of type {table[other].type}", str(NUMBERS[other]))
    texts = [table[name].unify_dictionaries().combine_chunks() for name in TEXTS]
    codes = [column.indices.to_numpy(zero_copy_only=False).astype("<i4") for column in texts]
    numbers = [np.asarray(table[name].to_numpy()).astype(kind) for name, kind in zip(NUMBERS, _KINDS, strict=True)]
    return [column.dictionary.to_pylist() for column in texts], [*codes, *numbers]


_KINDS = ("<i4", "<i4", "<f8")


def _check_footer(about: Any, size: int) -> None:
    """What the footer announces, before a row is read: columns, their types, their number, no compression."""
    if about.num_rows > LARGEST_ROWS or about.num_columns != len(SCHEMA.names):
        raise Refused(
            f"{about.num_rows} rows of {about.num_columns} columns", f"at most {LARGEST_ROWS} of {len(SCHEMA.names)}"
        )
    names = [about.schema.column(number).path for number in range(about.num_columns)]
    if names != SCHEMA.names or about.metadata:
        raise Refused(f"columns {', '.join(names)[:200]}", ", ".join(SCHEMA.names))
    for group in range(about.num_row_groups):
        for number in range(about.num_columns):
            chunk = about.row_group(group).column(number)
            if chunk.compression != "UNCOMPRESSED" or chunk.physical_type not in _STORED:
                kind = f"{chunk.path_in_schema} as {chunk.physical_type}, {chunk.compression}"
                raise Refused(kind, "plain values that are not compressed")
            if chunk.total_uncompressed_size > size or chunk.num_values > LARGEST_ROWS:
                found = f"a column of {chunk.num_values} values, {chunk.total_uncompressed_size} bytes"
                raise Refused(found, f"at most {LARGEST_ROWS} values and the file's {size} bytes")


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # a system that has no such limits
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY, LARGEST_MEMORY))


if __name__ == "__main__":
    sys.exit(main())
