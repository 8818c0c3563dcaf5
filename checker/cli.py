"""The command line's entry: the group of commands, and how the program ends."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword

import click

from checker import __version__
from checker.commands import COMMANDS
from checker.commands.terminal import prepare_streams, tell


class _Commands(Mapping[str, click.Command]):
    """The commands by name. Each is imported when it is asked for, so that none waits for what another one needs."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        module = f"{name}_" if iskeyword(name) else name
        command: click.Command = getattr(import_module(f"checker.commands.{module}"), module)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@click.group(commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pruneaudit")
def group() -> None:
    """Audits claims that layers of a language model are redundant.

    An audit file declares a model, its texts and layer budgets; the checker runs both tests of redundancy and the
    removals, and says which claims hold, and which test backs them.

    Exit codes: 0 nothing wrong; 1 a rule or claim failed; 2 wrong usage or audit file; 3 evidence missing or undecided;
    4 could not run; 5 evidence damaged; 130 interrupted.
    """


def main() -> None:
    """Entry point of the command `pruneaudit`."""
    prepare_streams()
    try:
        group(prog_name="pruneaudit", standalone_mode=False)
    except click.exceptions.Abort:
        tell("interrupted", error=True)
        sys.exit(130)
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        tell(message.getvalue().rstrip("\n"), error=True)
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
