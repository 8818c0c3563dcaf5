"""Decides again from stored evidence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from checker.commands.shape import (
    chosen,
    command,
    default_out,
    fail_on_option,
    file_argument,
    format_option,
    out_option,
    set_option,
    show,
)
from checker.errors import EvidenceMissing


@command("judge", "pruneaudit judge smollm2-135m --format md")
@file_argument
@out_option
@format_option
@set_option
@fail_on_option
def judge(file: str, out: Path | None, formats: Sequence[str], overrides: Sequence[str], fail_on: str | None) -> None:
    """Decides again from stored evidence, without torch: after a change of claims, waivers or policy."""
    from checker import reports, spec
    from checker.judge import exit_code
    from checker.judge import judge as judged
    from checker.store import Store

    loaded = spec.check(file, overrides, attached=False).audit
    folder = out or default_out(loaded)
    evidence = folder / "evidence.db"
    if not evidence.is_file():
        raise EvidenceMissing(
            f"{evidence}: found no stored evidence; expected what a run leaves; measure first: pruneaudit run {file}"
        )
    with Store(evidence, create=False) as store:
        report = judged(loaded, store)
    show(report, reports.render(report, folder, chosen(formats)))
    sys.exit(exit_code(report, fail_on or loaded.policy.fail_on))
