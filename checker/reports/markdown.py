"""report.md: the same report in plain GitHub Markdown, without charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .format import Format, environment
from .view import view


def render(report: Mapping[str, Any]) -> str:
    """The page; every value passes the filter ``md``, so that text from outside stays text."""
    return environment(autoescape=False).get_template("report.md.j2").render(**view(report))


FORMAT = Format("md", "report.md", render)
