"""The documents that people read first: their commands, examples and links hold, and they name what is there."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from folders import ROOT

from checker import __version__
from checker.cli import group
from checker.core import errors, resources
from checker.judge.rules import RULES
from checker.published.load import any_audit

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def prose(page: str) -> str:
    """A page without its code."""
    without_blocks = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", without_blocks, flags=re.MULTILINE))


# --- commands --------------------------------------------------------------------------------------------------------


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_has_a_target(page: str) -> None:
    code = re.findall(r"`(make [a-z]+)`", text(page)) + re.findall(r"^ {4}(make [a-z]+)", text(page), re.MULTILINE)
    missing = {command.split()[1] for command in code} - make_targets()
    assert not missing


def test_the_readme_leads_with_its_two_commands() -> None:
    assert re.findall(r"^ {4}make ([a-z]+)", text("README.md"), re.MULTILINE) == ["demo", "test"]


def command_lines(page: str) -> Iterator[list[str]]:
    """Every call of pruneaudit in a page's code, as arguments."""
    lines = [line.strip() for block in snippets(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"`(pruneaudit [^`]+)`", text(page))
    lines += re.findall(r"^ {4}(pruneaudit .+)$", text(page), re.MULTILINE)
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        if program == "pruneaudit":
            yield arguments


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_is_understood(page: str) -> None:
    for name, *arguments in command_lines(page):
        assert name in group.commands, f"pruneaudit {name}"
        needed = [p for p in group.commands[name].params if isinstance(p, click.Argument) and p.required]
        if arguments or not needed:  # a command may be mentioned by its name alone
            group.commands[name].make_context(name, arguments)


def test_the_first_audit_takes_five_lines() -> None:
    lines = snippets("README.md", "sh")[0].splitlines()
    assert [line.split()[1] for line in lines] == ["install", "init", "validate", "plan", "run"]


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fragment", snippets("README.md", "yaml"))
def test_yaml_examples_are_valid_within_the_default_audit(fragment: str, tmp_path: Path) -> None:
    whole = yaml.safe_load((resources.audits() / "smollm2-135m.yaml").read_text(encoding="utf-8"))
    for section in whole["data"].values():
        section["path"] = str(resources.audits() / section["path"])
    example = yaml.safe_load(fragment)
    file = tmp_path / "example.yaml"
    file.write_text(yaml.safe_dump(whole | example, sort_keys=False), encoding="utf-8")
    audit = any_audit(file)[0]
    assert [claim.id for claim in audit.claims] == [claim["id"] for claim in example["claims"]]


def test_python_examples_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run as they stand, on an audit that was judged before: its report is the golden one."""
    module = importlib.import_module("checker.audit")
    real = inspect.signature(module.audit)
    report = json.loads((ROOT / "tests/reports/golden/report.json").read_text(encoding="utf-8"))
    asked: list[dict[str, Any]] = []

    def judged_before(*args: Any, **kwargs: Any) -> Any:
        asked.append(real.bind(*args, **kwargs).arguments)
        return module.Audited(report, {}, 0)

    monkeypatch.setattr(module, "audit", judged_before)
    examples = snippets("README.md", "python")
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert all((resources.audits() / f"{arguments['path']}.yaml").is_file() for arguments in asked)
    assert report["title"] in capsys.readouterr().out


# --- links -----------------------------------------------------------------------------------------------------------


def links(page: str) -> list[str]:
    """Targets of links and images, but those on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if not target.startswith(("https://", "http://"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_and_image_resolves(page: str) -> None:
    for target in links(page):
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.resolve().is_relative_to(ROOT), f"{page}: {target}"
        assert path.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(path), f"{page}: {target}"


def anchors(path: Path) -> set[str]:
    """What a link may point at: explicit anchors, and headings as GitHub names them."""
    page = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([^"]+)">', page))


def test_the_picture_of_the_report_says_what_it_shows() -> None:
    alternatives = re.findall(r"!\[(.*?)\]\(docs/images/report\.png\)", text("README.md"), re.DOTALL)
    assert len(alternatives) == 1
    assert len(alternatives[0].split()) >= 10


def test_the_readme_leads_to_every_document() -> None:
    for target in ("docs/spec.md", "docs/rules.md", "docs/ARCHITECTURE.md", "docs/decisions", "benchmarks/README.md",
                   "docs/SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"):  # fmt: skip
        assert target in links("README.md"), target


# --- what the pages say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_path_of_somebodys_machine(page: str) -> None:
    assert not re.findall(r"(?<![\w.])(?:/(?:home|root|Users|work|tmp|mnt|opt|srv)/\S*|[A-Z]:\\\S*)", text(page))


def test_the_readme_stays_short() -> None:
    assert len(text("README.md").splitlines()) < 240


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text("README.md"), re.MULTILINE)}
    raised = {found.exit_code for found in vars(errors).values() if hasattr(found, "exit_code")}
    assert listed == raised | {0, 1, 3, 130}


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", text("CHANGELOG.md"), re.MULTILINE)


def test_every_rule_has_its_anchor_and_is_found_from_the_top() -> None:
    page = ROOT / "docs/rules.md"
    assert set(RULES) <= anchors(page)
    assert set(RULES) == {target.removeprefix("#") for target in re.findall(r"\]\((#[^)]+)\)", page.read_text("utf-8"))}


# --- architecture ----------------------------------------------------------------------------------------------------


def packages() -> list[set[str]]:
    """The packages in ARCHITECTURE.md, from the ground up; those of one row do not import each other."""
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text("docs/ARCHITECTURE.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    return [set(re.findall(r"`(\w+)(?:\.py|/)`", names)) for _, names in rows]


def test_every_package_stands_in_the_architecture() -> None:
    folder = ROOT / "checker"
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert sorted(name for row in packages() for name in row) == sorted(names - {"__init__", "__main__"})


def test_the_packages_of_the_architecture_are_those_of_the_import_contract() -> None:
    settings = tomllib.loads(text("pyproject.toml"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    contract = [{name.strip() for name in layer.split("|")} for layer in reversed(layers)]
    assert contract.pop() == {"__main__"}
    (cli,) = contract.pop()
    contract[-1].add(cli)
    assert packages() == contract


def test_what_is_read_first_in_a_package_is_there() -> None:
    rows = re.findall(r"^\| \d+ \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", text("docs/ARCHITECTURE.md"), re.MULTILINE)
    assert len(rows) == len(packages())
    for names, first in rows:
        modules = re.findall(r"`([\w/]+\.py)`", first)
        folders = re.findall(r"`(\w+)/`", names)
        assert [name for name in modules if (ROOT / "checker" / name).is_file()] == modules
        assert [name.partition("/")[0] for name in modules if "/" in name] == folders
