"""The report in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from checker import reports
from checker.core.errors import UsageError
from checker.core.files import beginning
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
        text = beginning(path, _LARGEST_REPORT)
        if len(text) > _LARGEST_REPORT:
            raise ValueError(f"more than {_LARGEST_REPORT} bytes, which no run writes")
        content = cast(AnyReport, json.loads(text.decode()))
        reports.check(content)
    except OSError as error:
        raise UsageError.at(path, f"no report ({error.strerror})", "the folder of a run", "see --help") from None
    except (ValueError, RecursionError) as error:
        raise UsageError.at(path, f"no valid report: {error}", "what run or judge wrote", "judge again") from None
    return content
