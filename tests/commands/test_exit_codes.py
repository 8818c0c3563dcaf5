"""How commands end: with which code, whatever the format, and without a trace of Python."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch
from command_line import Command

CLAIM = "kind: removal, layers: [1, 3]"
# Measured cost of removing blocks 1 and 3: 5.6 %, with an interval that holds 6 %.
SUPPORTED = f"claims=[{{id: bearable, {CLAIM}, scope: contract, perplexity_increase: {{at_most: 6}}}}]"
UNDECIDED = f"claims=[{{id: hardly, {CLAIM}, perplexity_increase: {{at_most: 6}}}}]"
FORMATS = [(), ("--format", "html"), ("--format", "md"), ("--format", "json"), ("--format", "text", "--format", "json")]


@pytest.mark.parametrize("formats", FORMATS, ids=lambda formats: "-".join(formats[1::2]) or "default")
@pytest.mark.parametrize(
    ("overrides", "code"),
    [((SUPPORTED,), 0), ((), 1), ((UNDECIDED,), 3)],
    ids=["supported", "contradicted", "undecided"],
)
def test_outcomes_give_the_same_code_whatever_the_format(
    tiny: Path, out: Path, command: Command, overrides: tuple[str, ...], code: int, formats: tuple[str, ...]
) -> None:
    for old in out.glob("report.*"):
        old.unlink()
    options = [option for override in overrides for option in ("--set", override)]
    judged = command("judge", tiny / "audit.yaml", "--out", out, *options, *formats)
    ran = command("run", tiny / "audit.yaml", "--out", out, *options, *formats)
    assert (judged.code, judged.err) == (code, "")
    assert ran.code == code
    assert ran.out == judged.out
    files = {"html": "report.html", "md": "report.md", "json": "report.json", "text": "report.txt"}
    wanted = {files[name] for name in formats[1::2] or ("html", "md", "json")}
    assert {path.name for path in out.glob("report.*")} == wanted
    assert all(f"wrote {out / name}\n" in ran.out for name in wanted)


@pytest.mark.parametrize(
    ("level", "code"), [("never", 0), ("error", 0), ("warning", 1), ("note", 1)], ids=lambda value: str(value)
)
def test_fail_on_decides_which_findings_count(tiny: Path, out: Path, command: Command, level: str, code: int) -> None:
    done = command("judge", tiny / "audit.yaml", "--out", out, "--set", SUPPORTED, "--fail-on", level)
    assert done.code == code


@pytest.mark.parametrize("overrides", [(), ("--set", UNDECIDED)], ids=["contradicted", "undecided"])
def test_fail_on_never_leaves_the_findings_in_the_report(
    tiny: Path, out: Path, command: Command, overrides: tuple[str, ...]
) -> None:
    done = command("run", tiny / "audit.yaml", "--out", out, "--fail-on", "never", *overrides)
    assert done.code == 0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["outcome"] == ("open" if overrides else "fail")


@pytest.mark.parametrize("where", ["answer", "record", "header"])
def test_a_flipped_byte_in_the_evidence(tiny: Path, out: Path, command: Command, where: str) -> None:
    evidence = out / "evidence.db"
    content = bytearray(evidence.read_bytes())
    with closing(sqlite3.connect(evidence)) as connection:
        answer = connection.execute("SELECT answer FROM answers WHERE text = 'evaluation'").fetchone()[0]
        record = connection.execute("SELECT content FROM records WHERE name = 'model'").fetchone()[0].encode()
    place = {"answer": content.index(answer) + 8, "record": content.index(record) + 20, "header": 3}[where]
    content[place] ^= 0x04
    evidence.write_bytes(content)
    for name in ("judge", "run"):
        done = command(name, tiny / "audit.yaml", "--out", out)
        assert (done.code, done.out) == (5, ""), done.err
        assert "or measure again with --fresh" in done.err
        assert "Traceback" not in done.err
    again = command("run", tiny / "audit.yaml", "--out", out, "--fresh")
    assert again.code == 1
    assert (out / "evidence-1.db").read_bytes()[: len(content)] == content


READS_FILES, TAKES_SETTINGS, JUDGES = (
    ("run", "validate", "plan"),
    ("run", "validate", "plan", "judge"),
    ("run", "judge"),
)
BAD = [
    (("--set", "titel=x"), "found the unknown key `titel`", TAKES_SETTINGS),
    (("--set", "data.evaluation.stride=32"), "--set data.evaluation.stride=32: found ", TAKES_SETTINGS),
    (("--set", "nothing"), "expected a dotted key, `=` and a value", TAKES_SETTINGS),
    (("--set", "data.evaluation.path=nowhere.txt"), "`nowhere.txt`, which does not exist", READS_FILES),
    (("--set", f"data.evaluation.sha256={'f' * 64}"), "found a file with sha256 ", READS_FILES),
    (("--set", "model.path=nowhere"), "`nowhere`, which does not exist", READS_FILES),
    (("--set", "budgets=[5]"), "--set budgets=[5]: found ", READS_FILES),
    (("--format", "pdf"), "'pdf' is not one of 'html', 'md', 'json', 'text'", JUDGES),
    (("--fail-on", "sometimes"), "'sometimes' is not one of 'note', 'warning', 'error', 'never'", JUDGES),
    (("--wrong",), "No such option '--wrong'", TAKES_SETTINGS),
]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [pytest.param(name, *bad[:2], id=f"{name}-{bad[0][-1][:24]}") for bad in BAD for name in bad[2]],
)
def test_bad_input_exits_2_and_writes_nothing(
    tiny: Path, here: Path, command: Command, name: str, options: tuple[str, ...], message: str
) -> None:
    done = command(name, tiny / "audit.yaml", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(here.iterdir()) == []


def test_a_defect_is_not_blamed_on_the_user(
    tiny: Path, here: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise ZeroDivisionError("\x1b[31m")

    monkeypatch.setattr("checker.commands.plan.duration", broken)
    done = command("plan", tiny / "audit.yaml")
    assert done.code == 4
    assert "Traceback" in done.err
    assert done.err.endswith(
        "pruneaudit crashed (ZeroDivisionError); this is a defect of pruneaudit, not of your audit; "
        "evidence so far is kept\n"
    )
    assert "\x1b" not in done.err
