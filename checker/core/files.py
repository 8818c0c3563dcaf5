"""Files that a command writes: new ones never over what is there, others whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from secrets import token_hex

from checker.core.errors import UsageError


def write_new(path: Path, text: str, command: str, option: str) -> None:
    """Writes a new file for ``command``; UsageError, which names the ``option`` to change, where something is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError.at(
            path, "something there", f"nothing, {command} overwrites nothing", f"choose another {option}"
        ) from None


def replace(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it, so that no reader finds half of it.

    A file that is replaced hands its permissions on, before anything is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{token_hex(8)}")  # which nobody can have put a link at
    try:
        with draft.open("xb") as file:
            if path.exists():
                shutil.copymode(path, draft)
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
