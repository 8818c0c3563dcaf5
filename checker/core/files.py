"""Files that are read, regular ones alone; and those that a command writes, whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from checker.core.errors import CannotRun, UsageError

Stamp = tuple[int, int, int, int]  # of a file: size, times of the last writing and the last change, inode


def opened(path: Path) -> BufferedReader:
    """Opens a regular file to read it. OSError for anything else: a device never ends, and a pipe is waited for."""
    _check_regular(path, path.stat())
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


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """What the system says of files; it changes whenever one is written or exchanged."""
    known = {path: path.stat() for path in paths}
    return {path: (it.st_size, it.st_mtime_ns, it.st_ctime_ns, it.st_ino) for path, it in known.items()}


def check_unchanged(before: Mapping[Path, Stamp]) -> None:
    """CannotRun where a file was written or exchanged since its stamp: what was read is not what was hashed."""
    for path, stamp in stamps(before).items():
        if stamp != before[path]:
            raise CannotRun.at(
                path,
                "that the file was changed while it was read",
                "the bytes whose digest was taken",
                "see that nothing writes there, and run again; nothing of it was measured",
            )


def absolute(path: Path) -> Path:
    """An absolute path under the name that it was given: a link there keeps its own, which is the same elsewhere."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def lacking(path: Path) -> str:
    """What messages say of a path at which there is no regular file."""
    if path.is_dir():
        return "a folder"
    return "a device or a pipe" if path.exists() else "no such file"


def _check_regular(path: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        kind = "it is a folder" if stat.S_ISDIR(about.st_mode) else "it is a device or a pipe"
        raise OSError(errno.EINVAL, kind, str(path))


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder in ``parent`` (default: where the system keeps temporary files), which goes when it is left.

    It bears the name of this machine and the number of this process: those that killed processes left are cleared.
    """
    place = Path(gettempdir()) if parent is None else parent
    place.mkdir(parents=True, exist_ok=True)
    mark = f".pruneaudit-{re.sub('[^A-Za-z0-9]', '', platform.node())}-"
    _clear(place, mark)
    with TemporaryDirectory(dir=place, prefix=f"{mark}{os.getpid()}-") as folder:
        yield Path(folder)


def _clear(place: Path, mark: str) -> None:
    """Takes away what dead processes of this machine left in a folder."""
    from psutil import pid_exists  # here, because judging writes no scratch folder and need not wait for it

    for left in place.glob(f"{mark}*"):
        number = left.name.removeprefix(mark).partition("-")[0]
        if number.isdigit() and not pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def check_free(path: Path, command: str, option: str) -> None:
    """UsageError, which names the ``option`` to change, where something is there, be it a link that leads nowhere."""
    if path.exists() or path.is_symlink():
        raise UsageError.at(
            path, "something there", f"nothing, {command} overwrites nothing", f"choose another {option}"
        )


def write_new(contents: Mapping[Path, bytes], command: str, option: str) -> None:
    """Writes new files into one folder for ``command``, all of them or none; UsageError as for ``check_free``."""
    for path in contents:
        check_free(path, command, option)
    written: list[Path] = []
    try:
        with ExitStack() as stack:
            drafts = [(path, stack.enter_context(_draft(path, content))) for path, content in contents.items()]
            for path, draft in drafts:
                with named(path):
                    _place(draft, path, command, option)
                written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _place(draft: Path, path: Path, command: str, option: str) -> None:
    """Gives a draft its name, unless something was put there in the meantime."""
    try:
        os.link(draft, path)
    except FileExistsError:
        check_free(path, command, option)
        raise
    except OSError:  # a file system without hard links, whose files were looked for just before
        draft.rename(path)


def replace(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it, so that no reader finds half of it; a link is replaced itself.

    A file that is replaced hands its permissions on, before anything is written.
    """
    with _draft(path, content) as draft, named(path):
        draft.replace(path)


@contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """A file's content in a folder beside its place."""
    with ExitStack() as stack:
        with named(path):
            draft = stack.enter_context(scratch(path.parent)) / path.name
            with draft.open("xb") as file:
                if path.exists():
                    shutil.copymode(path, draft)
                file.write(content)
        yield draft


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the system refuses on the way is said of the file that was to be written: on a full disk it names none."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
