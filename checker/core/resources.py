"""Where ``schemas/``, ``templates/`` and ``audits/`` lie, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

from checker.core.errors import CannotRun

_PACKAGE = Path(__file__).resolve().parents[1]


def schemas() -> Path:
    """The folder of JSON schemas; CannotRun where the installation lacks it."""
    return _folder("schemas")


def templates() -> Path:
    """The folder of report templates; CannotRun where the installation lacks it."""
    return _folder("templates")


def audits() -> Path:
    """The folder of packaged audit files and their texts; CannotRun where the installation lacks it."""
    return _folder("audits")


def _folder(name: str) -> Path:
    # The wheel's folder comes first: beside an installed package, a folder called `templates` may belong to anyone.
    places = (_PACKAGE / "_data" / name, _PACKAGE.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise CannotRun.at(
        _PACKAGE,
        f"no folder {name!r}",
        f"{places[0]} (installed) or {places[1]} (in a checkout)",
        "install pruneaudit again, or run it from a whole checkout",
    )
