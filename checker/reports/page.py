"""Which template shows a report, and what it needs: the one of measurements, or the one of published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checker.reports import published
from checker.reports.measured import view


def page(report: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of a report's template without its endings, and the names that it uses."""
    if report["format"] == published.NAME:
        return "published", published.view(report)
    return "report", view(report)
