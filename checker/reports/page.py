"""A report in the template that shows it: the one of measurements, or the one of published numbers."""

from __future__ import annotations

from typing import Any

from checker.judge.form import PUBLISHED_FORMAT, AnyReport
from checker.reports import measured, published
from checker.reports.format import environment


def page(report: AnyReport, ending: str, autoescape: bool, **further: Any) -> str:
    """The template with this ending, filled; ``further`` is what the ending alone needs."""
    if report["format"] == PUBLISHED_FORMAT:
        name, values = "published", published.view(report)
    else:
        name, values = "report", measured.view(report)
    return environment(autoescape).get_template(f"{name}.{ending}").render(**values, **further)
