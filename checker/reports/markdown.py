"""report.md: the same report in plain GitHub Markdown, without charts."""

from __future__ import annotations

from checker.judge.form import AnyReport
from checker.reports.format import Format
from checker.reports.page import page


def render(report: AnyReport) -> str:
    """The page; every value passes the filter ``md``, so that text from outside stays text."""
    return page(report, "md.j2", autoescape=False)


FORMAT = Format("md", "report.md", render)
