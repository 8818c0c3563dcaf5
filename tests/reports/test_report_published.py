"""Reports of published numbers: the schema, what every format says, and strings from outside.

Golden files are a made-up report in every format, tests/golden/published.*; see tests/test_reports.py.
"""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import jsonschema
import published_sample as samples
import pytest
import reports_sample
from folders import GOLDEN
from reports_page import each_string, page

from checker import reports
from checker.core import escape, resources
from checker.core.errors import UsageError
from checker.judge.form import PUBLISHED_FORMAT
from checker.reports import read, sarif

EVERY = tuple(reports.FORMATS)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>/",
    "](javascript:alert(1)) https://evil.example",
    "a|b `code` **bold**\n# heading\n- item",
    "\x1b[31mred\x07 \u202etxt.exe \ud800",
    "{{ 7919 * 7907 }}",
    "::error file=x::a failure that nobody had",
)


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((resources.schemas() / "published.schema.json").read_text(encoding="utf-8"))
    return found


# --- the schema ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [samples.report(), samples.bare_report()])
def test_samples_follow_the_schema(report: dict[str, Any]) -> None:
    reports.check(report)
    assert report["format"] == PUBLISHED_FORMAT


@pytest.mark.parametrize("key", sorted(samples.report()))
def test_a_missing_part_is_refused(key: str) -> None:
    report = samples.report()
    del report[key]
    with pytest.raises(ValueError, match=key):
        reports.check(report)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("outcome",), "maybe", "$.outcome"),
        (("evidence",), "measured", "$.evidence"),
        (("checks", 0, "outcome"), "not_applicable", "$.checks[0].outcome"),
        (("checks", 1, "recomputed"), 9.9, "$.checks[1].recomputed"),
        (("numbers", "scores"), -1, "$.numbers.scores"),
        (("surprise",), 1, "surprise"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(path: tuple[str | int, ...], value: Any, place: str) -> None:
    report: Any = samples.report()
    target = report
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ValueError, match=r"does not follow published\.schema\.json") as caught:
        reports.check(report)
    assert place in str(caught.value)


def test_schema_describes_every_property_and_closes_every_object() -> None:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    objects, todo = 0, [found]
    while todo:
        part: Any = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
            if "properties" in part and "type" in part:
                objects += 1
                assert part["additionalProperties"] is False
                assert set(part["required"]) == set(part["properties"])
                assert all(value.get("description") for value in part["properties"].values())
    assert objects >= 10


def test_findings_waivers_and_policies_are_those_of_measured_reports() -> None:
    """So that whatever reads the findings of one report reads those of the other."""
    measured = json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))
    for name in ("finding", "waiver", "policy"):
        one, other = schema()["$defs"][name], measured["$defs"][name]
        assert _bare(one) == _bare(other), name


def _bare(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _bare(value) for key, value in part.items() if key != "description"}
    return [_bare(item) for item in part] if isinstance(part, list) else part


# --- every format ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_golden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RULES", {})  # a golden file need not change with the words of every rule
    expected = GOLDEN / reports.FORMATS[name].file.replace("report", "published", 1)
    found = reports.FORMATS[name].render(samples.report())
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8", newline="\n")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EVERY)
def test_rendering_leaves_the_report_as_it_was(name: str) -> None:
    report = samples.report()
    before = copy.deepcopy(report)
    reports.FORMATS[name].render(report)
    assert report == before


def test_what_holds_stands_first() -> None:
    for name in ("html", "md", "text"):
        text = reports.FORMATS[name].render(samples.report())
        places = [text.index(title) for title in ("What holds", "What does not hold", "What the numbers leave open")]
        assert places == sorted(places), name


def test_every_check_stands_in_the_table_with_statement_place_figure_verdict_and_rule() -> None:
    rows = re.findall(r"^\| (.*) \|$", reports.FORMATS["md"].render(samples.report()), re.MULTILINE)
    cells = [row.split(" | ") for row in rows if "published/" in row and len(row.split(" | ")) == 5]
    assert len(cells) == 4
    assert cells[1] == [
        "perplexity 11.00, increase +11.0 %", "Table 1, row 3", "+9.89 to +10.11 %",
        "✗ does not hold: Found an increase of +11.0 %; expected +9.89 to +10.11 %.",
        "published/increase-does-not-follow",
    ]  # fmt: skip
    assert cells[2][3].endswith("Waived: Corrected in v2.")


def test_every_link_of_the_page_leads_somewhere() -> None:
    found = page(samples.report())
    anchors = {address.removeprefix("#") for address in found.values("href") if address.startswith("#")}
    ids = found.values("id")
    assert anchors <= set(ids)
    assert len(ids) == len(set(ids))
    assert {"check-2", "question-2", "question-4"} <= anchors


def test_the_page_has_the_parts_of_the_measured_one() -> None:
    """One style sheet, one frame: dark, print, phone and screen reader come with it."""
    ours, measured = (reports.FORMATS["html"].render(one) for one in (samples.report(), reports_sample.small()))
    style = re.compile(r"<style>(.*?)</style>", re.DOTALL)
    assert style.findall(ours) == style.findall(measured) != []
    for part in ('<a class="skip" href="#main">', '<nav aria-label="Contents">', '<footer class="page">'):
        assert part in ours
        assert part in measured


def test_a_source_with_nothing_to_check_says_so() -> None:
    for name in ("html", "md", "text"):
        text = reports.FORMATS[name].render(samples.bare_report())
        assert "Nothing that was checked holds." in text
        assert "Nothing is left open." in text
        assert not re.search(r"\b(None|nan|undefined)\b", text)


def test_nothing_is_called_measured() -> None:
    """The word stands only where it is said that nothing was, or that a number that holds need not have been."""
    for name in ("html", "md", "text", "junit"):
        words = reports.FORMATS[name].render(samples.report()).split("</style>")[-1].lower().split("measured")[:-1]
        assert words or name in ("text", "junit")
        for before in words:
            assert re.search(r"(nothing (on this page )?(was|is)|they were) $", before), (name, before[-40:])


def test_rules_that_do_not_apply_are_told_together() -> None:
    text = reports.FORMATS["md"].render(samples.report())
    rules = "published/selection-does-not-follow, published/selection-by-other-choices"
    assert f"**{rules}**: no removal with layers is said to be chosen by a rule" in text


def test_formats_for_programs_take_the_findings_as_they_are() -> None:
    report = samples.report()
    run = json.loads(reports.FORMATS["sarif"].render(report))["runs"][0]
    assert len(run["results"]) == len(report["findings"])
    assert run["properties"] == {
        "outcome": "fail", "summary": report["summary"], "waived": 1, "source": "A made-up paper",
        "evidence": "published",
    }  # fmt: skip
    assert run["results"][1]["locations"][0]["physicalLocation"]["region"] == {"startLine": 9, "startColumn": 7}
    suites = Xml.fromstring(reports.FORMATS["junit"].render(report))
    assert (suites.get("failures"), suites.get("errors")) == ("2", "1")
    annotations = reports.FORMATS["github"].render(report)
    assert annotations.count("::error ") == 3
    assert annotations.count("::notice ") == 1


# --- strings from outside --------------------------------------------------------------------------------------------


def hostile(payload: str) -> dict[str, Any]:
    """The sample with the payload in every string that the schema leaves free."""
    report = samples.report()
    changed = each_string(report, lambda text, path: payload)
    for error in jsonschema.Draft202012Validator(schema()).iter_errors(changed):
        new, old = changed, report
        *way, last = error.absolute_path
        for step in way:
            new, old = new[step], old[step]
        new[last] = old[last]
    reports.check(changed)
    return changed


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_strings_stay_text(payload: str) -> None:
    clean, found = page(samples.report()), page(hostile(payload))
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in clean.elements}
    assert {name for _, a in found.elements for name in a} <= {name for _, a in clean.elements for name in a}
    assert all(address.startswith("#") or address == "data:," for address in found.values("href"))
    for name in ("md", "text", "github"):
        text = reports.FORMATS[name].render(hostile(payload))
        assert not [c for c in text if c not in "\n\u2060" and escape.visible(c) != c], name
        assert str(7919 * 7907) not in text
    summary = reports.FORMATS["text"].render(hostile(payload))
    assert not re.search(r"^\s*::", summary, re.MULTILINE)


# --- who else reads reports ------------------------------------------------------------------------------------------


def test_a_report_of_published_numbers_has_no_arms_to_export(tmp_path: Path) -> None:
    reports.render(samples.report(), tmp_path, ("json",))
    assert read.any_report(tmp_path) == samples.report()
    with pytest.raises(UsageError) as caught:
        read.read_report(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'report.json'}: found a report of published numbers; expected one of measurements; name the "
        "folder of a run"
    )
