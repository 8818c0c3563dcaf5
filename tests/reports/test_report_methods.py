"""What reports say of methods beside each other: which arms are compared, what is shown and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import reports_sample as samples
from reports_every import every_method
from reports_page import page

from checker import reports
from checker.reports.charts import agreement as agreement_figure
from checker.reports.charts import arms as arms_figure
from checker.reports.charts import removed
from checker.reports.tables import agreement, arms, numbers, stability
from checker.reports.tables.comparison import comparisons, first_selection
from checker.reports.tables.table import Table

Report = dict[str, Any]


@pytest.fixture(scope="module")
def every() -> Report:
    return every_method()


def column(table: Table, title: str) -> list[str]:
    place = [found.title for found in table.columns].index(title)
    return [str(row[place]).replace("\u00a0", " ") for row in table.rows]


# --- which arms are compared -----------------------------------------------------------------------------------------


def test_forms_and_constraints_are_never_mixed(every: Report) -> None:
    first, native, further = comparisons(every)
    assert {(arm["form"], arm["selection"]) for arm in first.arms} == {("matched", "spaced")}
    assert native is not None
    assert {arm["form"] for arm in native.arms} == {"native"}
    assert [(one.form, one.selection) for one in further] == [("matched", "free")]
    assert sum(len(one.arms) for one in (first, native, *further)) == len(every["arms"])
    assert sum(len(one.differences) for one in (first, native, *further)) == len(every["differences"])
    assert {row["selection"] for row in first.random} == {"spaced"}
    assert native.random == ()


def test_the_first_selection_is_found_where_the_report_does_not_name_it(every: Report) -> None:
    report = every | {"thresholds": {k: v for k, v in every["thresholds"].items() if k != "selection"}}
    assert first_selection(report) == "spaced"
    gone = [arm for arm in report["arms"] if not (arm["method"] == "interchange" and arm["selection"] == "spaced")]
    assert first_selection(report | {"arms": gone}) == "spaced"
    assert first_selection(report | {"arms": []}) == ""


def test_the_overview_has_every_method_at_every_budget_in_the_reports_order(every: Report) -> None:
    first, native, _ = comparisons(every)
    table = arms.overview(first)
    methods = list(dict.fromkeys(arm["method"] for arm in first.chosen))
    assert column(table, "Method")[:15] == methods
    assert Counter(row[0].text for row in table.rows) == {"1": 15, "2": 15, "3": 15, "5": 14}
    assert column(table, "Evaluations")[methods.index("sleb")] == "140"
    regret = column(table, "Regret, nats per token")
    assert regret[methods.index("exhaustive")] == "0"
    assert regret[-1] == numbers.NOT_MEASURED  # too many sets of five to try them all
    assert native is not None
    titles = {found.title for found in arms.overview(native).columns}
    assert titles.isdisjoint({"Regret, nats per token", "p against random"})


def test_regret_is_a_range_over_ties_with_the_outermost_ends() -> None:
    report = every_method()
    tied = [arm for arm in report["arms"] if arm["method"] == "averaging" and arm["selection"] == "spaced"]
    for arm, value in zip([arm for arm in tied if arm["budget"] == 3], (0.1, 0.3), strict=True):
        arm["regret"] = {"value": value, "interval": [value - 0.05, value + 0.05]}
    table = arms.overview(comparisons(report)[0])
    row = [row for row in table.rows if (row[0].text, row[1].text) == ("3", "averaging")]
    assert str(row[0][3]).replace("\u00a0", " ") == "+0.100 to +0.300 [+0.0500, +0.350]"


# --- what is shown and what is left out ------------------------------------------------------------------------------


def test_three_methods_have_no_section_without_content() -> None:
    report = samples.sample()
    text = reports.FORMATS["html"].render(report)
    for words in ("Native forms", "Under other constraints", "Regret", "Selection contract"):
        assert words not in text
        assert words in reports.FORMATS["html"].render(every_method())
    for name in ("agreement", "stability"):
        shown = page(report | {name: []}).values("id")
        assert name not in shown
        assert name in page(report).values("id")
    one = [row | {"spearman": None, "kendall": None} for row in report["agreement"]]
    assert "agreement" not in page(report | {"agreement": one}).values("id")


def test_the_selection_contract_is_shown_where_it_is_not_the_scoring_text(every: Report) -> None:
    assert "selection.txt" in " ".join(page(every).words)
    none = every | {"contracts": every["contracts"] | {"selection": None}}
    reports.check(none)
    assert "selection.txt" not in " ".join(page(none).words)


def test_everything_that_may_be_missing_is_said_in_words(every: Report) -> None:
    report = samples.rounded(every)  # a copy
    for arm in report["arms"]:
        arm |= dict.fromkeys(("regret", "increase_percent", "interval", "perplexity", "p", "stability", "merged"))
    report |= {"random": []}
    for row in report["agreement"][1:]:
        row |= {"spearman": None}
    for row in report["differences"]:
        row |= {"difference": None, "interval": None}
    for row in report["scores"]:
        row["values"] = [None] * len(row["values"])
    for row in report["stability"]:
        row["halves"] = None
        for portion in row["portions"]:
            portion["rank_correlation"] = None
            for overlap in portion["overlap"]:
                overlap["shared"] = None
    reports.check(report)
    for name in ("html", "md", "text"):
        text = reports.FORMATS[name].render(report)
        assert numbers.NOT_MEASURED in text
        assert not re.search(r"\b(None|nan|NaN|inf|undefined)\b", text)


def test_the_summary_of_many_methods_stays_short(every: Report) -> None:
    text = reports.summary(every, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) < len(reports.summary(samples.sample(), 80).splitlines()) + 12
    assert "dearest of 15: worst_first" in " ".join(text.split())
    assert "1 further set of constraints, native forms" in " ".join(text.split())


def test_differences_name_the_cheaper_arm_only_where_the_interval_leaves_0() -> None:
    report = samples.small()
    for row, interval in zip(report["differences"], ([0.1, 0.3], [-0.3, -0.1], [-0.1, 0.3]), strict=False):
        row |= {"a": "one", "b": "other", "budget": 1, "difference": sum(interval) / 2, "interval": interval}
    table = arms.differences(comparisons(report)[0], 0.95)
    assert column(table, "Cheaper")[:3] == ["other", "one", "open"]
    assert "95 % interval" in table.note.replace("\u00a0", " ")
    assert f"of {len(report['differences'])} comparisons" in table.note


# --- charts ----------------------------------------------------------------------------------------------------------


def test_a_catastrophic_control_does_not_press_the_others_together(every: Report) -> None:
    first = comparisons(every)[0]
    figure = arms_figure.arms(first)
    assert figure is not None
    for panel in arms_figure._panels(first):
        scale = arms_figure._scale(panel, 0, 100)
        others = [row for row in panel.methods if row.method not in ("worst_first", "deepest")]
        assert not any(scale.beyond(max(row.costs)) for row in others)
        assert scale(max(cost for row in others for cost in row.costs)) > 25
        worst = next(row for row in panel.methods if row.method == "worst_first")
        assert scale.beyond(min(worst.costs))
        assert numbers.percent(max(worst.costs)) in figure.wide
    assert "An arrow stands for a cost beyond the panel's scale." in figure.key


def test_the_scale_keeps_every_arm_where_none_is_catastrophic() -> None:
    for panel in arms_figure._panels(comparisons(samples.sample())[0]):
        scale = arms_figure._scale(panel, 0, 100)
        assert not any(scale.beyond(cost) for row in panel.methods for cost in row.costs)


def test_the_map_tells_what_every_resolution_removes_from_what_some_do() -> None:
    report = samples.sample(8, 1, (2,), 3)
    report["arms"] = [
        samples.arm("interchange", layers, 20.0, tie=tie, ties=2) for tie, layers in enumerate(([1, 4], [1, 5]))
    ] + [samples.arm("laco", [2, 3], 20.0, merged="(0,mix(1:-1,2:1,3:1)@1,4,5,6,7)")]
    figure = removed.removed(comparisons(report)[0], 8)
    assert figure is not None
    assert column(figure.table, "Removed in every resolution") == ["1", "2, 3"]
    assert column(figure.table, "In some resolutions") == ["4, 5", "none"]
    assert column(figure.table, "Merged into") == ["none", "1"]
    assert "at 2 removed, block 1 (1 of 2 methods)" in figure.sentence
    assert "half cell" in figure.key
    assert "dot" in figure.key
    for chart in (figure.wide, figure.narrow):
        path = re.search(r'class="gone"[^>]*>|d="([^"]*)" class="gone"', chart)
        assert path is not None
        assert path[1].count("v.8h") == 3
        assert path[1].count("v.38h") == 2


def test_the_matrix_has_spearman_below_the_diagonal_and_kendall_above_it(every: Report) -> None:
    table = agreement.matrix(every)
    row = next(row for row in every["agreement"] if (row["a"], row["b"]) == ("deletion", "taylor"))
    places = {name.text.split()[1]: place for place, (name, *_) in enumerate(table.rows)}
    a, b = places["deletion"], places["taylor"]
    assert table.rows[b][a + 1].text == numbers.correlation(row["spearman"]["value"])
    assert table.rows[a][b + 1].text == numbers.correlation(row["kendall"]["value"])
    assert [row[place + 1].text for place, row in enumerate(table.rows)] == ["–"] * 10


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.934, ".93"), (-0.41, "−.41"), (0.02, ".02"), (1.0, "1"), (-0.999, "−1"), (0.0, ".00"), (None, "–")],
)
def test_correlations_fit_into_small_cells(value: float | None, expected: str) -> None:
    assert agreement_figure._brief(value) == expected


def test_stability_says_what_is_settled_and_what_would_settle_the_rest() -> None:
    report = samples.sample()
    for row, prompts in zip(report["stability"], (0, 1200, None), strict=True):
        row["further_prompts"] = [{"budget": 3, "prompts": prompts}]
    table = stability.settling(report)
    assert column(table, "3 removed") == ["✓ settled", "○ about 1,200", "– no number"]
    assert "1 of 3 at 3 removed" in stability.sentence(report)
    overlaps = stability.overlaps(report)
    assert {found.title for found in overlaps.columns} >= {"First quarter", "First half", "First three quarters"}
    assert all(re.fullmatch(r"\d of \d|–", cell.text) for row in overlaps.rows for cell in row[2:])
