"""Where ``schemas/``, ``templates/`` and ``audits/`` lie, in a checkout and in a wheel."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from checker.core.errors import CannotRun

_PACKAGE = Path(__file__).resolve().parents[1]


def _folder(name: str) -> Path:
    """A folder that comes with the package; CannotRun where the installation lacks it."""
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


schemas = partial(_folder, "schemas")
templates = partial(_folder, "templates")
audits = partial(_folder, "audits")  # the packaged audit files, their texts and the ready policies
