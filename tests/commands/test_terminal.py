"""What reaches a terminal, whatever its encoding and whoever wrote the text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import tiny_audit
from command_line import Command

from checker.commands import terminal


def test_the_bar_and_its_estimate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    monkeypatch.setenv("COLUMNS", "80")
    bar = terminal.Progress(terminal=True)
    bar.expect(100.0)
    bar.advance(0.0)
    now += 10.0
    bar.advance(50.0)
    now += 10.0
    bar.expect(350.0)  # more turned out to be needed
    bar.advance(50.0)
    drawn = capsys.readouterr().err.split("\r")[1:]  # on a terminal, the rest of the line is cleared as well
    assert drawn == [
        f"{'░' * 30} measuring   0%",
        f"{'█' * 15}{'░' * 15} measuring  50%, about 10 s left",
        f"{'█' * 7}{'░' * 23} measuring  25%, about 60 s left",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    now += 1.0
    bar.advance(0.0)
    assert len(capsys.readouterr().err.removeprefix("\r")) < 40, "a bar that wraps could not be drawn over"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert terminal.duration(seconds) == text


ESCAPES = "\x1b[31m", "\x07", "\x9b", "\u202e", "\x00"


def test_no_control_character_of_an_audit_reaches_the_terminal(tiny: Path, out: Path, command: Command) -> None:
    nasty = r'"\e[31m\a\x9b\u202e evil"'
    claim = "kind: removal, layers: [1, 3], protocol: interchange, perplexity_increase: {at_most: 0.5}"
    claims = f"[{{id: cheap, says: {nasty}, {claim}, scope: contract}}]"
    file = tiny_audit.write_audit(tiny, "nasty.yaml", title=nasty, claims=claims)
    judged = command("judge", file, "--out", out, "--format", "text")
    assert judged.code == 1
    assert "evil" in judged.out
    wrong = tiny_audit.write_audit(tiny, "nasty.yaml", **{r'"\e[31m\a\x9b\u202e evil"': "1", "protocols": nasty})
    refused = command("validate", wrong)
    assert refused.code == 2
    assert "evil" in refused.err
    unknown = command("explain", "evil\x1b[31m\x07\x9b\u202e")
    written = (out / "report.txt").read_text(encoding="utf-8")
    for text in (judged.out, judged.err, refused.err, unknown.err, written):
        assert not [escape for escape in ESCAPES if escape in text]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode(tiny: Path, out: Path, encoding: str) -> None:
    plain = tiny_audit.environment(PYTHONIOENCODING=f"{encoding}:strict", LANG="C", LC_ALL="C")
    done = subprocess.run(
        [*tiny_audit.COMMAND, "judge", tiny / "audit.yaml", "--out", out], capture_output=True, env=plain, check=False
    )
    assert done.returncode == 1
    assert done.stderr == b""
    shown = done.stdout.decode(encoding)
    assert shown.startswith("A tiny model\nx Fail: ")
    assert "replacement - interchange" in shown
    assert re.search(r"-\d\.\d %", shown), "a cost below zero keeps its sign"
    assert "?" not in shown
