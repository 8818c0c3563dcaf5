"""The report in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from checker import reports
from checker.core.errors import UsageError
from checker.judge.form import AnyReport, Report

_LARGEST_REPORT = 64_000_000  # bytes


def read_report(out: Path) -> Report:
    """The report of measurements in the folder of a run; UsageError where there is none, or none that is valid."""
    content = any_report(out)
    if "arms" not in content:
        raise UsageError.at(
            out / "report.json", "a report of published numbers", "one of measurements", "name the folder of a run"
        )
    return content


def any_report(out: Path) -> AnyReport:
    """As ``read_report``, of measurements or of published numbers."""
    path = out / "report.json"
    try:
        if (size := path.stat().st_size) > _LARGEST_REPORT:
            raise ValueError(f"{size} bytes, where {_LARGEST_REPORT} are more than any run writes")
        content = cast(AnyReport, json.loads(path.read_text(encoding="utf-8")))
        reports.check(content)
    except OSError as error:
        raise UsageError.at(path, f"no report ({error.strerror})", "the folder of a run", "see --help") from None
    except (ValueError, RecursionError) as error:
        raise UsageError.at(path, f"no valid report: {error}", "what run or judge wrote", "judge again") from None
    return content
