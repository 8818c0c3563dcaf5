"""``--format`` on the command line: what goes where, what is refused, and that exit codes do not depend on it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import tiny_audit

from checker import cli, reports
from checker.audit import audit
from checker.core.errors import UsageError

WAIVED = "[{rule: model/implausible-baseline, reason: The weights are random., expires: 9999-12-31}]"
CLAIM = "kind: removal, layers: [1, 3]"
SUPPORTED = f"claims=[{{id: bearable, {CLAIM}, scope: contract, perplexity_increase: {{at_most: 6}}}}]"
UNDECIDED = f"claims=[{{id: hardly, {CLAIM}, perplexity_increase: {{at_most: 6}}}}]"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which ``project/audits/tiny.yaml`` was run into ``out``; tests do not change it."""
    folder = tmp_path_factory.mktemp("measured")
    tiny_audit.write(folder / "project" / "audits", waivers=WAIVED).rename(folder / "project" / "audits" / "tiny.yaml")
    with tiny_audit.one_thread():
        audit(folder / "project" / "audits" / "tiny.yaml", out=folder / "out")
        yield folder


@pytest.fixture
def project(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: an audit in ``audits/tiny.yaml``, its evidence in ``out``, and no report yet."""
    shutil.copytree(measured / "project", tmp_path / "project")
    (tmp_path / "project" / "out").mkdir()
    shutil.copyfile(measured / "out" / "evidence.db", tmp_path / "project" / "out" / "evidence.db")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


JUDGE = ("judge", "audits/tiny.yaml", "--out", "out")


def written(folder: Path) -> set[str]:
    """Files in the working folder but for the audit, its inputs and its evidence."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith("audits/") and "evidence.db" not in name}


# --- where formats go ------------------------------------------------------------------------------------------------


def test_the_help_names_every_format(command: Command) -> None:
    assert f"Report to write: {', '.join(reports.FORMATS)}; repeatable." in " ".join(
        command("run", "--help").out.split()
    )


def test_one_run_writes_all_seven_formats_with_the_waived_finding_in_each(project: Path, command: Command) -> None:
    names = ("html", "md", "json", "text", "sarif", "junit", "github=out/report.github.txt")
    formats = [option for name in names for option in ("--format", name)]
    done = command("run", "audits/tiny.yaml", "--out", "out", "--set", "policy={fail_on: warning}", *formats)
    assert done.code == 1
    files = {f"out/{found.file}" for found in reports.FORMATS.values()}
    assert written(project) == files
    assert all(f"wrote {name}\n" in done.out for name in files)
    texts = {name: (project / name).read_text(encoding="utf-8") for name in files}
    assert all("The weights are random." in " ".join(text.split()) for text in texts.values())
    findings = json.loads(texts["out/report.json"])["findings"]
    [run] = json.loads(texts["out/report.sarif"])["runs"]
    assert [row["ruleId"] for row in run["results"]] == [row["rule"] for row in findings]
    assert run["properties"]["waived"] == sum(row["waived"] is not None for row in findings) == 1
    cases = list(Xml.fromstring(texts["out/report.junit.xml"]).iter("testcase"))
    assert len(cases) == len({(row["rule"], row["claim"]) for row in findings})


def test_a_format_goes_into_the_file_that_is_named(project: Path, command: Command) -> None:
    done = command(*JUDGE, "--format", "sarif=new/folder/audit.sarif", "--format", "md=audit.md", "--format", "html")
    assert (done.code, done.err) == (1, "")
    assert written(project) == {"new/folder/audit.sarif", "audit.md", "out/report.html"}
    assert done.out.endswith("wrote new/folder/audit.sarif\nwrote audit.md\nwrote out/report.html\n")


@pytest.mark.parametrize("name", ["html", "md", "json", "text", "sarif", "junit", "github"])
def test_a_dash_prints_a_format_and_leaves_stdout_to_it(project: Path, command: Command, name: str) -> None:
    done = command(*JUDGE, "--format", f"{name}=-", "--format", f"{name}=same")
    assert done.code == 1
    assert done.out == (project / "same").read_text(encoding="utf-8")
    assert done.err.startswith("A tiny model\n✗ Fail: ")
    assert done.err.endswith("wrote same\n")
    assert written(project) == {"same"}


def test_github_prints_by_itself_and_points_at_the_file_below_the_working_folder(
    project: Path, command: Command
) -> None:
    done = command(*JUDGE, "--format", "github", "--format", "sarif", "--format", "junit")
    assert written(project) == {"out/report.sarif", "out/report.junit.xml"}
    first, *_ = done.out.splitlines()
    assert first.startswith("::error file=audits/tiny.yaml,line=")
    assert done.out.splitlines()[-1].startswith("pruneaudit: Fail: ")
    [run] = json.loads((project / "out" / "report.sarif").read_text(encoding="utf-8"))["runs"]
    assert [row["location"]["uri"] for row in run["artifacts"]] == ["audits/tiny.yaml"]
    assert ">audits/tiny.yaml:" in (project / "out" / "report.junit.xml").read_text(encoding="utf-8")


def test_an_audit_elsewhere_is_named_without_its_folder(
    project: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "out")
    done = command("judge", project / "audits" / "tiny.yaml", "--out", ".", "--format", "github")
    assert done.out.startswith("::error file=tiny.yaml,line=")
    assert str(project) not in done.out


def test_report_takes_them_too(project: Path, command: Command) -> None:
    command(*JUDGE, "--format", "json")
    done = command("report", "out", "--format", "sarif=audit.sarif", "--format", "junit")
    assert done == Done(0, "wrote audit.sarif\nwrote out/report.junit.xml\n", "")
    shown = command("report", "out", "--format", "github", "--format", "md")
    assert (shown.code, shown.err) == (0, "wrote out/report.md\n")
    assert shown.out.startswith("::error file=tiny.yaml,line=")
    assert command("report", "out", "--format", "json=-").out == (project / "out/report.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--set", SUPPORTED), 0),
        (("--set", UNDECIDED), 3),
        ((), 1),
        (("--fail-on", "never"), 0),
        (("--set", SUPPORTED, "--fail-on", "note"), 1),
    ],
    ids=["supported", "undecided", "contradicted", "never", "note"],
)
def test_the_exit_code_never_depends_on_the_format(
    project: Path, command: Command, more: tuple[str, ...], code: int
) -> None:
    assert command(*JUDGE, *more).code == code
    for number, name in enumerate(reports.FORMATS):
        place = ("", "=-", "=file")[number % 3]
        assert command(*JUDGE, *more, "--format", f"{name}{place}").code == code, name
    every = [option for name in reports.FORMATS for option in ("--format", name)]
    assert command(*JUDGE, *more, *every).code == code


# --- what is refused -------------------------------------------------------------------------------------------------


REFUSED = [
    (("md=a", "html=a"),
     "--format: found md and html, both for a; expected one format in one place; name a file of its own: --format "
     "NAME=FILE\n"),
    (("md=a", "html=./b/../a"),
     "--format: found md and html, both for b/../a; expected one format in one place; name a file of its own: --format "
     "NAME=FILE\n"),
    (("json", "sarif=out/report.json"),
     "--format: found json and sarif, both for out/report.json; expected one format in one place; name a file of its "
     "own: --format NAME=FILE\n"),
    (("json=-", "github"),
     "--format: found json and github, both for standard output; expected one format in one place; name a file of its "
     "own: --format NAME=FILE\n"),
    (("sarif=",), "--format sarif=: found ''; expected NAME=FILE; name a file, or `-` to print it\n"),
    (("sarif=new/",), "--format sarif=new/: found 'new/'; expected NAME=FILE; name a file, or `-` to print it\n"),
    (("sarif=audits",),
     "--format sarif=audits: found a folder at audits; expected a file to write; name another, or `-` to print it\n"),
    (("json=/dev/null",),
     "--format json=/dev/null: found a device or a pipe at /dev/null; expected a file to write; name another, or `-` "
     "to print it\n"),
    (("md=out/evidence.db/x.md",),
     "--format md=out/evidence.db/x.md: found a file at {folder}/out/evidence.db; expected a folder; name a file in a "
     "folder\n"),
    (("md=out/evidence.db",),
     "--format md=out/evidence.db: found the audit file or the stored evidence at out/evidence.db; expected a file to "
     "write; name another, which may be replaced\n"),
    (("md=audits/tiny.yaml",),
     "--format md=audits/tiny.yaml: found the audit file or the stored evidence at audits/tiny.yaml; expected a file "
     "to write; name another, which may be replaced\n"),
    (("md=link.md",),
     "--format md=link.md: found the audit file or the stored evidence at link.md; expected a file to write; name "
     "another, which may be replaced\n"),
]  # fmt: skip


@pytest.mark.parametrize("name", ["judge", "run"])
@pytest.mark.parametrize(("formats", "message"), REFUSED, ids=lambda value: " ".join(value)[:30])
def test_places_that_cannot_be_are_refused_before_anything_happens(
    project: Path, command: Command, monkeypatch: pytest.MonkeyPatch, name: str, formats: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("checker.audit.prepare", lambda *_, **__: pytest.fail("the model was looked at"))
    (project / "link.md").symlink_to("audits/tiny.yaml")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    options = [option for format_ in formats for option in ("--format", format_)]
    done = command(name, *JUDGE[1:], *options)
    assert done == Done(2, "", message.format(folder=project))
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    assert Path("/dev/null").is_char_device()


def test_an_unknown_format_is_wrong_usage(project: Path, command: Command) -> None:
    done = command(*JUDGE, "--format", "pdf=x\x1b[31m.pdf")
    assert (done.code, done.out) == (2, "")
    known = "'html', 'md', 'json', 'text', 'sarif', 'junit', 'github'"
    assert f"Invalid value for '--format': 'pdf' is not one of {known}." in " ".join(done.err.split())


def test_the_same_format_twice_in_one_place_is_written_once(project: Path, command: Command) -> None:
    done = command(*JUDGE, "--format", "md", "--format", "md", "--format", "md=out/report.md")
    assert done.code == 1
    assert written(project) == {"out/report.md"}


def test_from_python_formats_are_asked_for_in_the_same_words(project: Path) -> None:
    done = audit("audits/tiny.yaml", out=Path("out"), formats=("md", "sarif=audit.sarif", "github"))
    assert done.files == {"md": Path("out/report.md"), "sarif=audit.sarif": Path("audit.sarif")}
    with pytest.raises(UsageError, match="both for standard output"):
        audit("audits/tiny.yaml", out=Path("out"), formats=("json=-", "github"))
