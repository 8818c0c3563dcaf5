"""report.html: its sections, that it asks nothing of anyone, its charts and tables, its contrast, its size."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reports_sample as samples
from browser import CHROMIUM, browse
from reports_every import every_method
from reports_page import Page, page

from checker import reports
from checker.core import resources
from checker.reports.tables.words import GLOSSARY, SECTIONS


@pytest.mark.parametrize(
    "report",
    [samples.sample(), samples.bare(), samples.sample(6, 5), every_method()],
    ids=["full", "bare", "all pairs", "every method"],
)
def test_every_section_is_there_in_order(report: dict[str, Any]) -> None:
    absent = set() if any(pair["gap"] > 1 for pair in report["pairs"]) else {"matrix"}
    absent |= {name for name in ("released", "tasks", "agreement", "stability") if not report[name]}
    absent |= set() if report["series"] else {"training"}
    wanted = [section for section in SECTIONS if section.name not in absent]
    found = page(report)
    assert [value for tag, a in found.elements for value in [a.get("id")] if tag == "section"] == [
        s.name for s in wanted
    ]
    markdown = reports.FORMATS["md"].render(report)
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == [section.heading for section in wanted]


def test_how_to_read_this_explains_the_words_and_leads_to_their_sections() -> None:
    words = {entry.word for entry in GLOSSARY}
    assert words >= {"Replacement", "Interchange", "Deletion", "Metric regime", "Removal regime", "Admits", "Predicts"}
    assert words >= {"Selects", "Interval", "Scope"}
    found = page(every_method())
    targets = set(found.values("id"))
    assert {f"#{entry.section}" for entry in GLOSSARY} <= set(found.values("href"))
    assert {entry.section for entry in GLOSSARY} <= targets
    assert "#native" not in page(samples.sample()).values("href")


def test_the_page_asks_nothing_of_anyone_and_runs_nothing() -> None:
    found = page(samples.sample(12, 4))
    assert {tag for tag, _ in found.elements} & {"script", "iframe", "object", "embed", "form", "base", "img"} == set()
    addresses = found.values("href") + found.values("src")
    assert addresses
    assert all(address.startswith("#") or address == "data:," for address in addresses)
    assert all(address[1:] in found.values("id") for address in addresses if address.startswith("#"))
    names = {name for _, attributes in found.elements for name in attributes}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in reports.FORMATS["html"].render(samples.small())
    assert "@import" not in reports.FORMATS["html"].render(samples.small())


def test_the_policy_admits_this_style_sheet_and_nothing_else() -> None:
    text = reports.FORMATS["html"].render(samples.small())
    policy = next(a["content"] for tag, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_charts_have_a_sentence_and_their_data_beside_them() -> None:
    text = reports.FORMATS["html"].render(samples.sample(12, 4))
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(figures) == 7
    for figure in figures:
        labels = set(re.findall(r'<svg role="img" aria-label="([^"]*)"', figure))
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure)
        assert caption is not None
        assert labels == {caption[1]}
        assert caption[1].endswith(".")
        assert re.search(r"<details>.*<table", figure, re.DOTALL)


def test_tables_have_captions_and_scopes_and_ids_are_unique() -> None:
    found = page(samples.sample(6, 5))
    assert found.count("table") == found.count("caption") > 10
    scopes = [attributes.get("scope") for tag, attributes in found.elements if tag == "th"]
    assert set(scopes) == {"row", "col", "rowgroup"}
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    headings = [int(tag[1]) for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_has_enough_contrast(scheme: str) -> None:
    css = (resources.templates() / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w]+): (#\w+);", blocks[0]))
    if scheme != "light":
        colours |= dict(re.findall(r"--([\w]+): (#\w+);", blocks[1 if scheme == "dark" else 2]))
    for ink in ("ink", "quiet", "link", "pass", "fail", "open", "na"):
        for ground in ("paper", "panel"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for mark in ("s0", "s1", "s2", "s3", "s4", "median"):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark
    for tint in ("s1", "s2"):  # of the cells in the matrix of agreement, at their deepest
        assert contrast(colours["ink"], blend(colours[tint], colours["paper"], 0.38)) >= 4.5, tint
    shades = [luminance(colours[f"h{step}"]) for step in range(8)]
    assert shades == sorted(shades, reverse=scheme != "dark")


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def blend(over: str, under: str, share: float) -> str:
    pairs = [[int((2 * d)[:2] if len(c) == 4 else d, 16) for d in re.findall(r"\w" if len(c) == 4 else r"\w\w", c)]
             for c in (over, under)]  # fmt: skip
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(*pairs, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_largest_page_stays_small() -> None:
    text = reports.FORMATS["html"].render(samples.sample(64, 63))
    assert len(text.encode()) < 420_000
    rows = re.search(r'<table class="matrix-table">.*?</table>', text, re.DOTALL)
    assert rows is not None
    assert rows[0].count("<tr>") == 65


def test_a_page_with_every_method_stays_small() -> None:
    report = every_method(blocks=30, budgets=(1, 2, 3, 5))
    assert len({arm["method"] for arm in report["arms"] if not arm["draw"]}) == 15
    assert len(reports.FORMATS["html"].render(report).encode()) < 420_000


# --- in a browser ----------------------------------------------------------------------------------------------------


MEASURE = """<!DOCTYPE html><body><script>
const widths = [1280, 390, 360];
const result = document.createElement("p");
result.id = "result";
function next() {
  if (!widths.length) { document.body.append(result); return; }
  const frame = document.createElement("iframe");
  frame.style.cssText = `border: 0; height: 900px; width: ${widths.shift()}px`;
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach(folded => folded.open = true);
    const svg = [...page.querySelectorAll("svg")].filter(chart => chart.getBoundingClientRect().width > 100).length;
    result.textContent += `${root.scrollWidth - root.clientWidth} ${root.scrollHeight > 3000} ${svg};`;
    frame.remove();
    next();
  };
  frame.src = "report.html";
  document.body.append(frame);
}
next();
</script></body>"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("report", "charts"),
    [(samples.sample(), 6), (samples.sample(12, 4), 7), (every_method(), 8)],
    ids=["neighbours", "pairs", "every method"],
)
def test_a_browser_shows_the_page_at_every_width(report: dict[str, Any], charts: int, tmp_path: Path) -> None:
    reports.render(report, tmp_path, ("html",))
    (tmp_path / "measure.html").write_text(MEASURE, encoding="utf-8")
    asked = ["--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom"]
    shown = browse(tmp_path, *asked, (tmp_path / "measure.html").as_uri())
    result = re.search(r'id="result">([^<]*)<', shown.stdout)
    assert result is not None, shown.stderr
    assert result[1] == f"0 true {charts};" * 3
    assert "CONSOLE" not in shown.stderr
