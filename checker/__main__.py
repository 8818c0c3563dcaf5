"""``python -m checker`` is the command ``pruneaudit``; an interrupt ends it in order from the first instruction on."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Entry point of the command: imports the program, which takes its time, and runs it."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # who ignores interrupts goes on doing so
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from checker import cli

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _leave(*_: object) -> None:
    """Nothing is open yet, and an exception inside of an import would be reported as one of the module's own."""
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
