"""``python -m checker`` is the command ``pruneaudit``."""

from __future__ import annotations

from checker.cli import main

main()
