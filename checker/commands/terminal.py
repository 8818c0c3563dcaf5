"""What the command line shows: results on stdout, progress and messages on stderr, whatever kind of stream they are."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import time
from typing import IO, TextIO

import click

from checker.core.escape import no_command

# What a terminal without Unicode shows instead. A lost minus sign would be another number.
_PLAIN = {
    "✓": "+", "✗": "x", "○": "o", "−": "-", "–": "-", "—": "-", "×": "x", "→": "->", "≤": "<=", "≥": ">=",
    "…": "...", "█": "#", "░": ".", "⟨": "<", "⟩": ">", "“": '"', "”": '"', "‘": "'", "’": "'", "±": "+/-", "²": "^2",
}  # fmt: skip
_UNWRITABLE = "pruneaudit-plain"  # name of the error handler


def prepare_streams() -> None:
    """Makes stdout and stderr write whatever they are given, in an encoding without Unicode as well."""
    codecs.register_error(_UNWRITABLE, _plainly)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_UNWRITABLE)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in letters), error.end


def tell(text: str, *, error: bool = False) -> None:
    """Prints a line on stdout, or a message on stderr."""
    _put(printable(text) + "\n", sys.stderr if error else sys.stdout)


def write(text: str) -> None:
    """Prints a report in a format that has already made text from outside harmless, letter for letter."""
    _put(text, sys.stdout)


def printable(text: str) -> str:
    """Text from a stranger's file without what drives terminals, or the runner that a job prints to."""
    return no_command("".join(map(_harmless, text)))


def _harmless(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t":
        return letter
    return " " if letter.isspace() else "\ufffd"


def _put(text: str, stream: TextIO | IO[str]) -> None:
    try:
        click.echo(text, nl=False, file=stream)
    except BrokenPipeError:
        # Who reads the output has seen enough, as `head` does. The work goes on, and its exit code still counts.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def duration(seconds: float) -> str:
    """Seconds in a unit that fits."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Progress:
    """A bar with an estimate on a terminal, plain lines elsewhere; both on stderr."""

    _LINES_EVERY = 20.0  # seconds
    _DRAWN_EVERY = 0.2
    _BAR = 30  # columns

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.done = self.left = 0.0
        self.started: float | None = None
        self.shown = 0.0

    def say(self, text: str) -> None:
        """Prints a line; a bar goes on below it."""
        self.close()
        tell(text, error=True)

    def expect(self, work: float) -> None:
        """What is left, from here on."""
        self.left = work

    def advance(self, work: float) -> None:
        """Notes work that is done, and shows it now and then."""
        now = time.monotonic()
        self.started = self.started or now
        self.done += work
        self.left = max(0.0, self.left - work)
        if now - self.shown >= (self._DRAWN_EVERY if self.terminal else self._LINES_EVERY):
            self.shown = now
            self._draw(now - self.started)

    def close(self) -> None:
        """Takes the bar away."""
        if self.terminal:
            _put("\r\033[K", sys.stderr)

    def _draw(self, elapsed: float) -> None:
        share = self.done / (self.done + self.left) if self.done else 0.0
        line = f"measuring {share:4.0%}"
        if elapsed > 3 and self.done:
            line += f", about {duration(elapsed * self.left / self.done)} left"
        if self.terminal:
            whole = f"{'█' * int(self._BAR * share):░<{self._BAR}} {line}"
            # A line that wraps could not be drawn over.
            _put(f"\r\033[K{whole[: shutil.get_terminal_size().columns - 1]}", sys.stderr)
        else:
            tell(line, error=True)
