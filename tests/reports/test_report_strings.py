"""Strings from outside stay text: in every format, in the terminal, and for what reads either."""

from __future__ import annotations

import json
import re
from collections import Counter
from xml.etree import ElementTree as Xml

import jsonschema
import pytest
import xmlschema
from folders import SCHEMAS
from hostile_strings import HOSTILE, hostile, plain
from reports_page import page

from checker import reports
from checker.commands import terminal
from checker.core import escape


@pytest.mark.parametrize("every", [False, True], ids=["small", "every method"])
@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_stay_text_on_the_page(payload: str, every: bool) -> None:
    clean, found = page(plain(every)), page(hostile(payload, every))
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in clean.elements}
    assert {name for _, a in found.elements for name in a} <= {name for _, a in clean.elements for name in a}
    assert all(address.startswith("#") or address == "data:," for address in found.values("href") + found.values("src"))
    shown = "".join(found.words)
    assert escape.visible(payload) in shown
    assert not [c for c in shown if c != "\n" and escape.visible(c) != c]


@pytest.mark.parametrize("every", [False, True], ids=["small", "every method"])
@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_stay_text_in_markdown(payload: str, every: bool) -> None:
    text = reports.FORMATS["md"].render(hostile(payload, every))
    assert structure(text) == structure(reports.FORMATS["md"].render(hostile("harmless", every)))
    assert not re.search(r"(?<!\\)(?:https?:|www\.)", text)
    assert not [c for c in text if c not in "\n\u2060" and escape.visible(c) != c]


@pytest.mark.parametrize("name", ["html", "md"])
def test_a_template_in_a_string_is_not_run(name: str) -> None:
    text = reports.FORMATS[name].render(hostile("{{ 7919 * 7907 }}", every=True))
    assert str(7919 * 7907) not in text
    assert "7919" in text


def structure(text: str) -> Counter[str]:
    """How often each kind of Markdown element occurs in a text, its words aside."""
    markdown = pytest.importorskip("markdown_it")
    parser = markdown.MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    tokens = [token for outer in parser.parse(text) for token in [outer, *(outer.children or [])]]
    return Counter(token.type for token in tokens if not token.type.startswith("text"))


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_do_not_reach_the_terminal(payload: str) -> None:
    text = reports.summary(hostile(payload, every=True), 80) + reports.summary(hostile(payload), 80)
    assert not [c for c in text if c != "\n" and escape.visible(c) != c]
    assert text.encode()


@pytest.mark.parametrize("payload", HOSTILE)
def test_json_keeps_hostile_strings_as_they_are_and_shows_none(payload: str) -> None:
    report = hostile(payload)
    text = reports.FORMATS["json"].render(report)
    assert json.loads(text) == report
    assert not [c for c in text if c != "\n" and escape.visible(c) != c]
    assert text.encode()


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_stay_text_in_sarif(payload: str) -> None:
    """Neither control characters, nor a link, a placeholder, or an address that leads out of the project."""
    text = reports.FORMATS["sarif"].render(hostile(payload))
    log = json.loads(text)
    schema = json.loads((SCHEMAS / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema).validate(log)
    [run] = log["runs"]
    messages = [row["message"]["text"] for row in run["results"]]
    assert {m.replace("] (", "](").replace("{{", "{").replace("}}", "}") for m in messages} == {escape.visible(payload)}
    assert not [m for m in messages if "](" in m or re.search(r"(?<!\{)\{(?:\{\{)*\d+\}", m)]
    addresses = {found["location"]["uri"] for found in run["artifacts"]}
    assert not [uri for uri in addresses if not re.fullmatch(r"[\w.~%/-]+", uri, re.ASCII)]
    assert not [c for c in text if c != "\n" and escape.visible(c) != c]


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_stay_text_in_junit(payload: str) -> None:
    text = reports.FORMATS["junit"].render(hostile(payload))
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(text)
    root = Xml.fromstring(text.encode())
    clean = Xml.fromstring(reports.FORMATS["junit"].render(plain()).encode())
    assert {found.tag for found in root.iter()} <= {found.tag for found in clean.iter()}
    assert {found.get("value") for found in root.iter("property") if found.get("name") == "title"} == {
        escape.visible(payload)
    }
    assert not [c for c in text if c != "\n" and escape.visible(c) != c]


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_make_no_annotation_of_their_own(payload: str) -> None:
    lines = reports.FORMATS["github"].render(hostile(payload)).splitlines()
    commands = [line for line in lines if is_command(line)]
    assert len(commands) == sum(row["outcome"] in ("fail", "open") for row in plain()["findings"])
    for line in commands:
        match = re.fullmatch(r"::(?:error|warning|notice) file=[^:,]+,line=\d+(?:,col=\d+)?,title=[^:,]+::(.*)", line)
        assert match, line
        assert match[1].replace("%25", "%").startswith(escape.visible(payload))
        assert not re.search("%(?!25)", line.replace("%3A", "").replace("%2C", ""))
    assert not [c for line in lines for c in line if escape.visible(c) != c]


def is_command(line: str) -> bool:
    """As the runner of GitHub reads what a step prints."""
    return line.lstrip().startswith("::") or "##[" in line


@pytest.mark.parametrize("payload", ["::error::x", " \u00a0::error::x", "a ##[error]x", "::add-mask::x\n::error::y"])
@pytest.mark.parametrize("name", [name for name in reports.FORMATS if name != "github"])
def test_no_other_format_has_a_command_for_github_in_it(name: str, payload: str) -> None:
    """Any report may be printed, and so be read by a runner that looks for its commands."""
    report = hostile(payload)
    text = reports.FORMATS[name].render(report)
    assert not [line for line in text.splitlines() if is_command(line)]
    if name == "json":
        assert json.loads(text) == report


def test_what_the_command_line_says_holds_no_command_for_github(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.tell("::error::x\n \t::add-mask::x\na ##[error]b: c::d")
    terminal.tell("\u2028::error::x", error=True)
    shown = capsys.readouterr()
    assert shown.out == ": :error::x\n \t: :add-mask::x\na ## [error]b: c::d\n"
    assert shown.err == " : :error::x\n"
