"""Text and JSON of files that strangers wrote, bounded in size; numbers keep the digits that they were written with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from checker.core.errors import UsageError
from checker.core.files import beginning, lacking


class Number(str):
    """A number of a JSON file in the digits it was written with."""


def read_text(path: Path, largest: int, expected: str) -> str:
    """UsageError where there is no such file, or where it is too large or not UTF-8."""
    if not path.is_file():
        raise UsageError.at(path, lacking(path), expected, "check the path")
    content = beginning(path, largest)
    if len(content) > largest:
        raise UsageError.at(path, f"more than {largest:,} bytes", f"{expected} below that", "import a part of it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError.at(
            path, f"bytes that are not UTF-8 at byte {error.start}", f"{expected} in UTF-8", "save it as UTF-8"
        ) from None


def read_json_text(path: Path, largest: int, expected: str) -> Any:
    """JSON with every number as ``Number``; UsageError where it is none, or names a key twice."""
    try:
        return parse_json(read_text(path, largest, expected))
    except (ValueError, RecursionError) as error:
        raise UsageError.at(path, f"something that is not JSON ({error})", expected, "check the file") from None


def parse_json(text: str) -> Any:
    """ValueError or RecursionError where it is no JSON."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    by_key = dict(pairs)
    if len(by_key) != len(pairs):
        raise ValueError("a key that stands twice in one object")
    return by_key
