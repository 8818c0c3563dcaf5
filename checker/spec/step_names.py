"""Names of the steps of a training run: a pattern with ``{step}`` and ``{tokens}`` -> the folders or branches there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from checker.checkpoints.files import default_hub_cache
from checker.core.files import beginning

STEP, TOKENS = "{step}", "{tokens}"
_NUMBERS = {STEP: r"(?P<step>[0-9]{1,12})", TOKENS: r"(?P<tokens>[0-9]{1,12}(?:\.[0-9]{1,6})?[kKmMbBtT]?)"}
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_LONGEST_COMMIT = 200  # bytes

Found = tuple[str, int, float | None]  # name, number of the step, tokens


def folders(pattern: Path) -> Iterator[Found]:
    """The folders whose whole path matches."""
    root = Path(pattern.anchor)
    yield from _matching(str(pattern), map(str, _glob(root, str(pattern.relative_to(root)))))


def branches(repo: str, pattern: str) -> Iterator[Found]:
    """The branches of a hub repository that are in the local cache."""
    refs = _home(repo) / "refs"
    yield from _matching(pattern, (each.relative_to(refs).as_posix() for each in _glob(refs, pattern)))


def snapshot_folders(repo: str, revision: str, pattern: str) -> Iterator[Found]:
    """The folders of one revision of a hub repository that are in the local cache."""
    reference = _home(repo) / "refs" / revision
    known = (
        beginning(reference, _LONGEST_COMMIT).decode("ascii", "replace").strip() if reference.is_file() else revision
    )
    snapshot = _home(repo) / "snapshots" / known
    if re.fullmatch(r"[\w.-]+", known, re.ASCII):
        yield from _matching(pattern, (each.relative_to(snapshot).as_posix() for each in _glob(snapshot, pattern)))


def _home(repo: str) -> Path:
    return default_hub_cache() / f"models--{repo.replace('/', '--')}"


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    wild = re.sub(r"([*?\[])", r"[\1]", pattern).replace(STEP, "*").replace(TOKENS, "*")
    try:
        yield from sorted(folder.glob(wild))
    except (OSError, ValueError, NotImplementedError):  # a folder that may not be entered, an odd pattern
        return


def _matching(pattern: str, names: Iterator[str]) -> Iterator[Found]:
    parts = re.split(r"(\{step\}|\{tokens\})", pattern)
    expression = re.compile("".join(_NUMBERS.get(part, re.escape(part)) for part in parts))
    for name in names:
        if match := expression.fullmatch(name):
            yield name, int(match["step"]), _tokens(match["tokens"]) if TOKENS in parts else None


def _tokens(written: str) -> float:
    """A number of tokens as names have it: 4B, 2.5T, 1000."""
    unit = written[-1].lower() if written[-1].isalpha() else ""
    return float(written[: len(written) - len(unit)]) * _UNITS[unit]
