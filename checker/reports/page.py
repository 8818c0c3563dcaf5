"""Which template shows a report, and what it needs: the one of measurements, or the one of published numbers."""

from __future__ import annotations

from typing import Any

from checker.judge.form import PUBLISHED_FORMAT, AnyReport
from checker.reports import published
from checker.reports.measured import view


def page(report: AnyReport) -> tuple[str, dict[str, Any]]:
    """The name of a report's template without its endings, and the names that it uses."""
    if report["format"] == PUBLISHED_FORMAT:
        return "published", published.view(report)
    return "report", view(report)
