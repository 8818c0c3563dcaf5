"""report.html: one self-contained page that asks nothing of any server and runs no script."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from checker.core import resources
from checker.core.escape import markup
from checker.judge.form import AnyReport
from checker.reports.format import Format
from checker.reports.page import page


def render(report: AnyReport) -> str:
    """The page. Its policy admits this very style sheet, by digest, and nothing else."""
    style = (resources.templates() / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    # The style sheet is ours; everything else on the page is escaped.
    return markup(page(report, "html.j2", autoescape=True, style=Markup(style), policy=policy))


FORMAT = Format("html", "report.html", render)
