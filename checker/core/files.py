"""Files that are read, regular ones alone; and those that a command writes, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from checker.core.errors import UsageError


def opened(path: Path) -> BinaryIO:
    """Opens a regular file to read it. OSError for anything else: a device never ends, and a pipe is waited for."""
    _check_regular(path, os.stat(path))
    # Without waiting, and looked at once more: what lies there may have changed in between.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(path, os.fstat(number))
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def beginning(path: Path, most: int) -> bytes:
    """The first ``most`` bytes of a regular file and, where it has more, one further; OSError as for ``opened``."""
    with opened(path) as file:
        return file.read(most + 1)


def lacking(path: Path) -> str:
    """What messages say of a path at which there is no regular file."""
    if path.is_dir():
        return "a folder"
    return "a device or a pipe" if path.exists() else "no such file"


def _check_regular(path: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = "it is a folder" if stat.S_ISDIR(about.st_mode) else "it is a device or a pipe"
        raise OSError(errno.EINVAL, kind, str(path))


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
