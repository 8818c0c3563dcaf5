"""report.md: the same report in plain GitHub Markdown, without charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.reports.format import Format, environment
from checker.reports.page import page


def render(report: Mapping[str, Any]) -> str:
    """The page; every value passes the filter ``md``, so that text from outside stays text."""
    name, shown = page(report)
    return environment(autoescape=False).get_template(f"{name}.md.j2").render(**shown)


FORMAT = Format("md", "report.md", render)
