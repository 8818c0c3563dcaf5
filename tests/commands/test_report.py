"""What ``pruneaudit report`` renders again."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, Done


def test_report_renders_again(out: Path, command: Command) -> None:
    before = {path.name: path.read_bytes() for path in out.glob("report.*")}
    for path in (out / "report.html", out / "report.md"):
        path.unlink()
    done = command("report", out)
    assert done == Done(0, "".join(f"wrote {out / f'report.{name}'}\n" for name in ("html", "md", "json")), "")
    assert {path.name: path.read_bytes() for path in out.glob("report.*")} == before
    assert command("report", out, "--format", "text").out == f"wrote {out / 'report.txt'}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found no report (No such file or directory); expected the folder of a run; see --help"),
        ("{", "found no valid report: "),
        ("[]", "found no valid report: "),
        ('{"format": "pruneaudit/report/1"}', "found no valid report: "),
    ],
)
def test_report_of_no_report(here: Path, command: Command, content: str | None, message: str) -> None:
    if content is not None:
        (here / "report.json").write_text(content)
    done = command("report", ".")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"report.json: {message}")
    assert {path.name for path in here.iterdir()} == ({"report.json"} if content else set())
