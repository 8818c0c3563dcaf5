"""Reports: the schema, the files, what every format says, and how figures are written.

Golden files are the small sample in every format: tests/golden/report.*. After a change that is meant, write them anew
with ``UPDATE_GOLDEN=1 pytest tests/test_reports.py`` and read the difference before committing it.
"""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import reports_sample as samples
from folders import GOLDEN
from reports_every import every_method
from reports_page import page

from checker import reports
from checker.core import resources
from checker.core.errors import UsageError
from checker.reports import sarif
from checker.reports.tables import numbers

EVERY = tuple(reports.FORMATS)


# --- the schema ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "report", [samples.sample(), samples.small(), samples.bare(), samples.sample(6, 5), every_method()]
)
def test_samples_follow_the_schema(report: dict[str, Any]) -> None:
    reports.check(report)


def test_intervals_may_be_tuples() -> None:
    report = samples.small()
    report["baseline"]["interval"] = (25.0, 35.0)
    reports.check(report)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("outcome",), "maybe", "$.outcome"),
        (("claims", 0, "verdict"), "true", "$.claims[0].verdict"),
        (("pairs", 2, "replacement", "max"), "0.3", "$.pairs[2].replacement.max"),
        (("pairs", 0, "gap"), 0, "$.pairs[0].gap"),
        (("baseline", "interval"), [1.0], "$.baseline.interval"),
        (("cost", "layouts"), None, "$.cost.layouts"),
        (("arms", 1, "top1_agreement"), 1.5, "$.arms[1].top1_agreement"),
        (("surprise",), 1, "surprise"),
        (("arms", 0, "form"), "own", "$.arms[0].form"),
        (("arms", 0, "calls"), None, "$.arms[0].calls"),
        (("scores", 0, "values", 2), "low", "$.scores[0].values[2]"),
        (("agreement", 0, "spearman", "value"), 1.5, "$.agreement[0].spearman.value"),
        (("differences", 0, "interval"), 0.5, "$.differences[0].interval"),
        (("stability", 0, "portions", 0, "to_quarter"), 5, "$.stability[0].portions[0].to_quarter"),
        (("contracts", "selection"), {}, "$.contracts.selection"),
        (("baseline", "perplexity"), float("nan"), "$.baseline.perplexity"),
        (("arms", 0, "interval"), [0.0, float("inf")], "$.arms[0].interval[1]"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(path: tuple[str | int, ...], value: Any, place: str) -> None:
    report = samples.small()
    target: Any = report
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(ValueError, match=re.escape(place)):
        reports.check(report)


@pytest.mark.parametrize("key", sorted(samples.small()))
def test_a_missing_part_is_refused(key: str) -> None:
    report = samples.small()
    del report[key]
    with pytest.raises(ValueError, match=key):
        reports.check(report)


def test_schema_describes_every_property_and_closes_every_object() -> None:
    schema = json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["$id"]
    objects = 0
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
            if "properties" in part and "type" in part:
                objects += 1
                assert part["additionalProperties"] is False
                assert set(part["required"]) <= set(part["properties"])
                assert all(found.get("description") for found in part["properties"].values())
    assert objects > 30


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_golden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RULES", {})  # a golden file need not change with the words of every rule
    expected = GOLDEN / reports.FORMATS[name].file
    found = reports.FORMATS[name].render(samples.small())
    if os.environ.get("UPDATE_GOLDEN"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(found, encoding="utf-8", newline="\n")
    assert found == expected.read_text(encoding="utf-8")


def test_render_writes_the_formats_asked_for_and_nothing_else(tmp_path: Path) -> None:
    written = reports.render(samples.small(), tmp_path / "new" / "out", ("json", "md"))
    assert written == {"json": tmp_path / "new/out/report.json", "md": tmp_path / "new/out/report.md"}
    assert sorted(file.name for file in (tmp_path / "new/out").iterdir()) == ["report.json", "report.md"]
    assert json.loads(written["json"].read_text(encoding="utf-8")) == samples.small()


def test_nothing_is_written_where_the_report_or_the_format_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'pdf'.*html, md, json, text"):
        reports.render(samples.small(), tmp_path / "out", ("html", "pdf"))
    with pytest.raises(ValueError, match="title"):
        reports.render(samples.small() | {"title": 3}, tmp_path / "out", EVERY)
    assert not (tmp_path / "out").exists()


def test_a_report_that_stands_already_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="disk full"):
            reports.render(samples.small(), tmp_path, ("json",))
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
    assert target.read_text() == "old"
    reports.render(samples.small(), tmp_path, ("json",))
    assert json.loads(target.read_text(encoding="utf-8"))["title"] == samples.small()["title"]


def test_rendering_leaves_the_report_as_it_was() -> None:
    report = samples.small()
    before = copy.deepcopy(report)
    for found in reports.FORMATS.values():
        found.render(report)
    assert report == before


# --- every section, with and without figures -------------------------------------------------------------------------


def test_a_report_without_measurements_says_so_in_words() -> None:
    for name in ("html", "md", "text"):
        text = reports.FORMATS[name].render(samples.bare())
        assert numbers.NOT_MEASURED in text
        assert not re.search(r"\b(None|nan|NaN|inf|undefined)\b", text)


def test_a_report_with_nothing_in_its_lists_renders() -> None:
    report = samples.bare()
    report |= {name: [] for name in ("pairs", "kinds", "blocks", "arms", "claims", "findings", "not_tested")}
    report["regime"]["removal"] = []
    report["model"]["block_parameters"] = []
    reports.check(report)
    text = {name: found.render(report) for name, found in reports.FORMATS.items()}
    assert "makes no claim" in text["html"]
    assert "makes no claim" in text["md"]
    assert "No claims" in text["text"]


def test_fewer_than_eight_units_give_no_interval() -> None:
    report = samples.small()
    for arm in report["arms"]:
        arm["interval"] = None
    report["baseline"]["interval"] = None
    for name in ("html", "md", "text"):
        text = reports.FORMATS[name].render(report)
        assert (
            numbers.NO_INTERVAL in text
            or "no interval: fewer than 8 effective units" in text
            or "No interval: fewer" in text
        )


def test_pairs_that_cannot_be_compared_are_named_with_their_reason() -> None:
    report = samples.small()
    gone = {"comparable": False, "reason": "gate_proj: 1536 and 2048", "regime": "not_comparable"}
    report["pairs"][1] |= gone | dict.fromkeys(("replacement", "interchange", "kl_ratio"))
    assert "gate_proj: 1536 and 2048" in " ".join(page(report).words)
    assert "not comparable" in reports.FORMATS["md"].render(report)


def test_what_the_report_must_say_is_said_in_every_readable_format() -> None:
    report = samples.sample()
    for name in ("html", "md", "text"):
        text = " ".join(reports.FORMATS[name].render(report).replace("\u00a0", " ").split())
        for words in (
            "Fail",
            "contradicted",
            "supported",
            "divergent",
            "replacement-safer",
            "+86.4 % [+74.9, +98.7]",
            "kl_ratio",
        ):
            assert words in text, (name, words)
        assert "I/R" not in text


# --- figures in words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (numbers.distance(0.41234), "0.412"),
        (numbers.distance(0.0123), "0.0123"),
        (numbers.distance(0.9996), "1.00"),
        (numbers.distance(12.345), "12.3"),
        (numbers.distance(1.2e-5), "1.20 × 10⁻⁵"),
        (numbers.distance(-1e-6), "−1.00 × 10⁻⁶"),
        (numbers.distance(0), "0"),
        (numbers.distance(None), "not measured"),
        (numbers.percent(4.23), "+4.2 %"),
        (numbers.percent(0.034), "+0.034 %"),
        (numbers.percent(-0.5), "−0.50 %"),
        (numbers.percent(114.04), "+114.0 %"),
        (numbers.percent(12345.6), "+12,346 %"),
        (numbers.percent(0), "0.0 %"),
        (numbers.percent(None), "not measured"),
        (numbers.interval([0.1, 0.25]), "[0.100, 0.250]"),
        (numbers.interval(None), "no interval (fewer than 8 effective units)"),
        (numbers.percents([-3.1, 0.34]), "[−3.1, +0.34]"),
        (numbers.in_unit(2.31, "times"), "2.31 times"),
        (numbers.in_unit(0.1234, "nats"), "0.123 nats"),
        (numbers.in_unit(None, "percent"), "not measured"),
        (numbers.in_unit(57.0, "score"), "57 %"),
        (numbers.in_unit(3.0, "points"), "+3.0 points"),
        (numbers.points(None), "not measured"),
        (numbers.interval_in_unit([50.07, 63.67], "score"), "[50.1, 63.7]"),
        (numbers.interval_in_unit([-0.46, 7.05], "points"), "[−0.46, +7.0]"),
        (numbers.declared(95, "score"), "95 %"),
        (numbers.declared(2, "points"), "2 points"),
        (numbers.interval_in_unit([1.5, 3], "times"), "[1.50, 3.00]"),
        (numbers.declared(60, "percent"), "+60 %"),
        (numbers.declared(0.1), "0.1"),
        (numbers.share(0.25), "25 %"),
        (numbers.share(0.123), "12.3 %"),
        (numbers.correlation(0.941), "+0.94"),
        (numbers.probability(0.05), "0.050"),
        (numbers.probability(0.0001), "< 0.001"),
        (numbers.perplexity(29.8743), "29.87"),
        (numbers.seconds(214.6), "3 min 35 s"),
        (numbers.size(2_140_000_000), "2.14 GB"),
        (numbers.count(134_515_008), "134,515,008"),
        (numbers.layers([13, 15, 17]), "13, 15, 17"),
    ],
)
def test_figures_are_written_the_same_everywhere(found: str, expected: str) -> None:
    assert found.replace("\u00a0", " ") == expected


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_summary_fits_the_terminal(width: int) -> None:
    text = reports.summary(samples.sample(), width)
    assert max(map(len, text.splitlines())) <= width
    for words in ("three-layers", "twins", "safer", "backs it", "Findings that failed or are open"):
        assert words in text


def test_the_summary_lists_every_finding_that_failed_or_is_open_and_how_many_are_waived() -> None:
    report = samples.small()
    text = " ".join(reports.summary(report, 80).split())
    told = [finding for finding in report["findings"] if finding["outcome"] in ("fail", "open")]
    assert len(told) == 4
    for finding in told:
        assert finding["message"] in text
        assert f"(waived: {finding['waived']})" in text or finding["waived"] is None
    assert "Findings that failed or are open, 1 of them waived" in text


@pytest.mark.parametrize("value", [0.0, -1e-6, 1e-12, 0.999999, 1e7, 1e15])
def test_unusual_figures_render(value: float) -> None:
    def change(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: change(item) for key, item in part.items()}
        if isinstance(part, list):
            return [change(item) for item in part]
        return value if isinstance(part, float) else part

    report = samples.small()
    report |= {name: change(report[name]) for name in ("pairs", "kinds", "blocks", "baseline", "arms", "ranges")}
    for arm in report["arms"]:
        arm |= dict.fromkeys(("top1_agreement", "p", "smallest_p", "stability"), 0.5)
    reports.check(report)
    drawn = re.findall(r'(?: d|x|y|width|height)="([^"]*)"', reports.FORMATS["html"].render(report))
    assert drawn
    assert not [shape for shape in drawn if re.search(r"nan|inf|e[+-]\d", shape)]
    assert value == 0 or numbers.percent(value) in reports.FORMATS["md"].render(report).replace("\\", "")


# --- claims ----------------------------------------------------------------------------------------------------------


def test_a_claim_of_a_value_shows_both_ends_of_what_it_allows() -> None:
    report = samples.small()
    report["claims"][0] |= {"value": 4.1, "unit": "percent", "threshold": 4.5, "range": {"lower": 3.5, "upper": 4.5}}
    text = reports.summary(report, 200)
    assert "bound +3.5 % to +4.5 %" in text
    report["claims"][0] |= {"threshold": 4.5, "range": {"lower": None, "upper": 4.5}}
    assert "bound +4.5 %" in reports.summary(report, 200)


def test_a_claim_without_a_figure_is_not_called_measured() -> None:
    report = samples.small()
    report["claims"][0] |= {"value": None, "interval": None, "unit": "percent"}
    text = reports.summary(report, 200)
    assert "measured not measured" not in text
    assert f"{report['claims'][0]['id']}: {report['claims'][0]['verdict']}, not measured" in text
