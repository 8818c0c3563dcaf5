"""Strings from outside stay text: on the page, in Markdown, in the terminal and in JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import jsonschema
import pytest
import reports_sample as samples
from reports_every import every_method
from reports_page import each_string, page

from checker import reports, resources
from checker.reports import escape

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "](javascript:alert(1)) ![x](https://evil.example/x.png) https://evil.example www.evil.example",
    "a|b `code` **bold** _it_\n# heading\n- item\n<b>\r\n[ref]: https://evil.example",
    "\x1b[31mred\x1b]0;title\x07\x9b2J \x08\x08 \u202etxt.exe\u2066 \u200b\u2028next \ud800",
    "{{ 7 * 7 }} {% raw %} ${7*7} @everyone",
    '"onmouseover="alert(1)" style="x:y" </style></title></svg>',
)


def plain(every: bool = False) -> dict[str, Any]:
    return every_method(blocks=12, budgets=(1, 2), draws=3) if every else samples.small()


def hostile(payload: str, every: bool = False) -> dict[str, Any]:
    """A sample with the payload in every string that the schema leaves free."""
    report = plain(every)
    report["contracts"]["scoring"]["kinds"] = {payload: 2}
    changed = each_string(report, lambda text, path: payload)
    schema = json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))
    for error in jsonschema.Draft202012Validator(schema).iter_errors(changed):
        new, old = changed, report
        *way, last = error.absolute_path
        for step in way:
            new, old = new[step], old[step]
        new[last] = old[last]
    reports.check(changed)
    return changed


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
