"""What a user can get wrong, as exceptions that name file, line and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

_LONGEST = {"place": 600, "found": 400, "expected": 800, "remedy": 400}  # characters of a message's parts
_LONGEST_LINE = 2000  # characters


def bounded(text: str, most: int = _LONGEST_LINE) -> str:
    """The text, without its middle where it is longer: what a message quotes of a stranger's file has any length."""
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _message(place: str | None, found: str, expected: str, remedy: str) -> str:
    """The one form of a message."""
    found, expected = bounded(found, _LONGEST["found"]), bounded(expected, _LONGEST["expected"])
    message = f"found {found}; expected {expected}; {bounded(remedy, _LONGEST['remedy'])}"
    return message if place is None else f"{bounded(place, _LONGEST['place'])}: {message}"


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a file: where it stands, what was found and expected, and what to do.

    ``line`` and ``column`` count from 1; 0 where a mistake belongs to the file as a whole.
    """

    file: str
    line: int
    column: int
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return _message(place, self.found, self.expected, self.remedy)


class PruneauditError(Exception):
    """Every error this package raises on purpose; ``exit_code`` is the command's (design, 7).

    Made with ``at``, it keeps its parts: ``place``, ``found``, ``expected`` and ``remedy``.
    """

    exit_code = 4
    place: str | None = None
    found: str | None = None
    expected: str | None = None
    remedy: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(bounded, message.split("\n"))))

    @classmethod
    def at(cls, place: object, found: str, expected: str, remedy: str) -> Self:
        """The one form of a message, ``PLACE: found ...; expected ...; REMEDY``; ``place`` may be None."""
        error = cls(_message(None if place is None else str(place), found, expected, remedy))
        error.place = None if place is None else str(place)
        error.found, error.expected, error.remedy = found, expected, remedy
        return error


class InvalidAudit(PruneauditError):
    """The audit file has mistakes; all of them are in ``mistakes``."""

    exit_code = 2

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class UsageError(PruneauditError):
    """A command or a function was called with something it cannot take."""

    exit_code = 2


class DigestMismatch(PruneauditError):
    """A file does not have the digest that the audit pins."""

    exit_code = 2

    def __init__(self, file: str, found: str, expected: str) -> None:
        super().__init__(
            f"{file}: found sha256 {found}; expected {expected}, as the audit pins it; "
            "fetch the file that was audited, or correct `sha256:` if the change is meant"
        )


class EvidenceMissing(PruneauditError):
    """The audit needs evidence that has not been measured."""

    exit_code = 3


class CannotRun(PruneauditError):
    """Something needed for measuring is not to be had: a model, a text, memory, a package."""

    exit_code = 4


class NotFinite(PruneauditError):
    """A measurement came out as NaN or infinity; it is never used as a score."""

    exit_code = 4

    def __init__(self, layout: str, unit: str, kind: str) -> None:
        self.layout, self.unit, self.kind = layout, unit, kind
        super().__init__(
            f"layout {layout}, {unit}: found a {kind} that is not a finite number; expected a finite one; "
            "try `dtype: float32`, and if it stays, this layout breaks the model and cannot be scored"
        )


class EvidenceDamaged(PruneauditError):
    """Stored evidence does not match its digests."""

    exit_code = 5


RESTORE = "restore the file, or measure again with --fresh"  # the remedy where stored evidence is damaged
_FETCH = "the file is damaged or was cut off: fetch it again"


def refuse_file(path: Path, found: str, expected: str, remedy: str = _FETCH) -> NoReturn:
    """Raises CannotRun about a file that cannot be read."""
    raise CannotRun.at(path, found, expected, remedy)


def refuse_unreadable(path: Path, error: OSError) -> NoReturn:
    """Raises CannotRun about a file that the system does not let us read."""
    refuse_file(path, f"no way to read it ({error.strerror})", "a readable file", "check the path and its permissions")
