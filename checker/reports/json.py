"""report.json: the public format itself (schemas/report.schema.json, or published.schema.json)."""

from __future__ import annotations

import json

from checker.core.escape import json_text
from checker.judge.form import AnyReport
from checker.reports.format import Format


def render(report: AnyReport) -> str:
    """The report as JSON; hidden characters are written as escapes, and NaN is refused."""
    return json_text(json.dumps(report, ensure_ascii=False, allow_nan=False, indent=2)) + "\n"


FORMAT = Format("json", "report.json", render)
