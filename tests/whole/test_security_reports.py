"""Reports of strangers, and strings of strangers in reports: no hang, no crash, nothing that acts; and what the package
never does."""

from __future__ import annotations

import ast
import copy
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import reports_sample as samples
import yaml
from browser import CHROMIUM, browse
from hostile_strings import HOSTILE, hostile

import checker
from checker import cli, reports
from checker.commands.init import init
from checker.core.errors import EvidenceDamaged, InvalidAudit, UsageError
from checker.core.layouts import Layout
from checker.release import front_matter, pack
from checker.reports import read
from checker.reports.tables import arms
from checker.spec import load

PACKAGE = Path(checker.__file__).parent
Place = tuple[str | int, ...]


def written(folder: Path, text: str) -> Path:
    (folder / "report.json").write_text(text, encoding="utf-8")
    return folder


# --- report.json -----------------------------------------------------------------------------------------------------


def figures(value: Any, place: Place = ()) -> Iterator[tuple[Place, int | float]]:
    """The places of a report's numbers; of a list, those in its first item."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from figures(item, (*place, key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value[:1]):
            yield from figures(item, (*place, number))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


REPORT = json.loads(json.dumps(samples.sample(4, 3)))


@pytest.mark.parametrize("place", [place for place, _ in figures(REPORT)], ids=lambda place: ".".join(map(str, place)))
def test_no_number_hangs_or_breaks_a_report(place: Place) -> None:
    """It is refused by its place, or shown."""
    for value in (10**13, 1e299, 5e-324):
        report = copy.deepcopy(REPORT)
        holder = report
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = value
        try:
            reports.check(report)
        except ValueError as error:
            assert str(error).startswith("the report does not follow report.schema.json:\n$.")
        else:
            assert reports.FORMATS["html"].render(report)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "found no valid report: "),
        ('{"a": ' * 100_000, "found no valid report: "),
        ("[]", "found no valid report: the report does not follow report.schema.json"),
        ('{"format": NaN}', "found no valid report: the report does not follow report.schema.json"),
        ("9" * 5000, "found no valid report: "),
    ],
)
def test_a_file_that_is_no_report(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read.read_report(written(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / 'report.json'}: {message}")


def test_a_huge_report_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "report.json").open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(UsageError) as caught:
        read.read_report(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'report.json'}: found no valid report: more than 64000000 bytes, which no run writes; "
        "expected what run or judge wrote; judge again"
    )


@pytest.mark.parametrize("value", [1e308, -1e308, 10**400, float("inf"), float("nan")])
def test_numbers_that_arithmetic_would_make_infinite_are_refused(value: float) -> None:
    report = copy.deepcopy(REPORT)
    report["baseline"]["perplexity"] = value
    with pytest.raises(ValueError, match=r"\$\.baseline\.perplexity: found .*; expected a finite number"):
        reports.check(report)


@pytest.mark.parametrize("blocks", [0, 2001, 10**12])
def test_a_report_has_no_more_blocks_than_models_have(blocks: int, tmp_path: Path) -> None:
    report = copy.deepcopy(REPORT)
    report["model"]["blocks"] = blocks
    with pytest.raises(UsageError, match=r"\$\.model\.blocks: "):
        read.read_report(written(tmp_path, json.dumps(report)))


# --- time ------------------------------------------------------------------------------------------------------------


def test_no_expression_takes_more_than_time_in_proportion(tmp_path: Path) -> None:
    """Each of these took minutes or more while an expression could match a part of it in many ways."""
    started = time.process_time()
    for text in ("(" + " " * 400_000 + "x)", "(mix(1:" + "9" * 200_000 + "x)@1)", "(" + "mix(" * 100_000 + ")"):
        with pytest.raises(ValueError, match="found layout"):
            Layout.parse(text)
    assert arms._MERGED.findall("1" * 100_000) == []
    file = tmp_path / "x.yaml"
    for number in ("9" * 900_000, "1" + ":1" * 300_000, "1" + ":1" * 300 + ".5", "0x" + "f" * 900_000):
        file.write_text(f"pruneaudit: 1\nbudgets: [{number}]\n")
        with pytest.raises(InvalidAudit, match=r"x\.yaml:2:11: found "):
            load.check(file)
    with pytest.raises(EvidenceDamaged, match="found no canonical JSON"):
        pack.parse(b'"' + b'\\"' * 4_000_000, "manifest.json")
    assert time.process_time() - started < 60


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_link_in_place_of_a_report_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.md").symlink_to(tmp_path / "precious")
    reports.render(REPORT, tmp_path / "out", ("md",))
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "out" / "report.md").is_symlink()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.md"]


@pytest.mark.parametrize("name", ["x.yaml", "prompts.jsonl", "evaluation.txt"])
def test_init_writes_through_no_link(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit) as done:
        init.main(["org/name", "--out", str(tmp_path / "x.yaml")], standalone_mode=False)
    assert done.value.code == 2
    assert (
        f"{tmp_path / name}: found something there; expected nothing, init overwrites nothing"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "elsewhere").exists()


def test_wrong_usage_is_told_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wrong(**_: object) -> None:
        raise click.UsageError("no \x1b]0;title\x07 such \u202efile")

    monkeypatch.setattr(cli, "group", wrong)
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert "such" in said
    assert not re.search("[\x1b\x07\u202e]", said)


# --- what the package never does -------------------------------------------------------------------------------------

FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "torch.load",
    "yaml.unsafe_load", "yaml.full_load", "marshal.loads", "shelve.open", "tempfile.mktemp", "np.load",
    "numpy.load", "tarfile.open", "zipfile.ZipFile", "shutil.unpack_archive", "joblib.load",
}  # fmt: skip
MODULES = {"subprocess", "pickle", "marshal", "shelve", "ctypes", "tarfile", "zipfile", "dill", "joblib"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_runs_a_shell_or_unpickles_or_evaluates(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN, f"line {node.lineno}"
            if ast.unparse(node.func) == "yaml.load":
                assert (path.name, ast.unparse(node.args[1])) == ("front_matter.py", "_FAST"), f"line {node.lineno}"
            assert not [word for word in node.keywords if word.arg in ("shell", "allow_pickle")], f"line {node.lineno}"
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & MODULES, names


def test_front_matter_is_read_by_a_safe_loader() -> None:
    assert issubclass(front_matter._FAST, yaml.SafeLoader | yaml.CSafeLoader)


# --- in a browser ----------------------------------------------------------------------------------------------------

LOOK = """<!DOCTYPE html><body><script>
const result = document.createElement("p");
result.id = "result";
const frame = document.createElement("iframe");
frame.onload = () => {
  const page = frame.contentDocument, all = [...page.querySelectorAll("*")];
  const acting = all.filter(one => one.matches("script, iframe, object, embed, form, base, link, img, input, video")
    && !one.matches("link[rel=icon][href='data:,']"));
  const attributes = all.flatMap(one => [...one.attributes].map(a => [one, a]));
  const handlers = attributes.filter(([one, a]) => a.name.startsWith("on") || a.name === "style");
  const leading = attributes.filter(([one, a]) => ["href", "src", "action", "xlink:href"].includes(a.name)
    && !a.value.startsWith("#") && a.value !== "data:,");
  const shown = page.body.textContent.includes("alert(1)");
  const owned = frame.contentWindow.owned ?? "not owned";
  result.textContent = [acting.length, handlers.length, leading.length, owned, shown];
  document.body.append(result);
};
frame.src = "report.html";
document.body.append(frame);
</script></body>"""
RUNNING = "<script>owned = 'owned'</script><img src=x onerror=\"owned='owned'\"><svg onload=\"owned='owned'\">alert(1)"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("payload", [RUNNING, HOSTILE[0], HOSTILE[1], HOSTILE[5]])
def test_nothing_of_a_stranger_acts_in_a_browser(payload: str, tmp_path: Path) -> None:
    """Every string that the schema leaves free is hostile."""
    reports.render(hostile(payload, every=True), tmp_path, ("html",))
    (tmp_path / "look.html").write_text(LOOK, encoding="utf-8")
    asked = ["--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"]
    shown = browse(tmp_path, *asked, (tmp_path / "look.html").as_uri())
    result = re.search(r'id="result">([^<]*)<', shown.stdout)
    assert result is not None, shown.stderr
    assert result[1] == "0,0,0,not owned,true"
    assert "CONSOLE" not in shown.stderr
