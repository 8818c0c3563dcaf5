"""Perplexities in a card's tables: what each is of, what stands beside it, and what is listed as not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from checker.published import importing
from checker.published.importers.importer import Request

BROKEN = "(no finite number: the model or its evaluation broke)"


def card(folder: Path, *lines: str) -> tuple[list[str], list[str], list[str]]:
    """The figures of the baselines and of the removals, blanks left out, and what was not understood."""
    published, wrong = entries(folder, *lines)
    figures = {
        name: [entry["perplexity"] for entry in published[name] if "FILL-IN" not in entry["perplexity"]]
        for name in ("baselines", "removals")
    }
    return figures["baselines"], figures["removals"], wrong


def entries(folder: Path, *lines: str) -> tuple[dict[str, Any], list[str]]:
    """What a draft holds of a card with these lines, and what was not understood."""
    path = folder / "card.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = importing.imported(Request(path, blocks=32))
    return yaml.safe_load(found.text)["published"], list(found.not_understood)


# --- nothing is dropped in silence -----------------------------------------------------------------------------------


def test_rows_that_broke_are_listed(tmp_path: Path) -> None:
    cells = ("NaN", "-inf", "**∞**", "> 10^4", "diverged", "1e4+", "OOM", "1,024.5", "—")
    rows = [f"| minus {number} | {cell} |" for number, cell in enumerate(cells, 1)]
    baselines, removals, wrong = card(
        tmp_path, "| Model | PPL |", "|---|---|", "| original | 12.1 |", "| x | 13.0 |", *rows
    )
    assert (baselines, removals) == (["12.1"], ["13.0"])
    notes = [f" {BROKEN}"] * 3 + [""] * 6
    assert wrong == [
        f"card.md:{number + 4}: not taken over: minus {number}; PPL {cell}{note}"
        for number, (cell, note) in enumerate(zip(cells, notes, strict=True), 1)
    ]


def test_broken_figures_are_listed_where_measures_are_rows_and_under_other_headings(tmp_path: Path) -> None:
    assert card(tmp_path, "| | Dense | Cut |", "|---|---|---|", "| PPL | 5.1 | nan |", "| MMLU | 0.6 | NaN |") == (
        ["5.1"],
        [],
        [
            f"card.md:3: not taken over: PPL; Cut nan {BROKEN}",
            f"card.md:4: not taken over: MMLU; Dense 0.6; Cut NaN {BROKEN}",
        ],
    )


def test_a_first_column_of_perplexities_is_read(tmp_path: Path) -> None:
    table = ("| PPL | Removed layers |", "|---|---|", "| 5.4 | - |", "| 9.4 | 3, 4 |", "| NaN | 3, 5 |")
    assert card(tmp_path, *table) == (["5.4"], ["9.4"], [f"card.md:5: not taken over: 3, 5; PPL NaN {BROKEN}"])


def test_tables_inside_of_code_are_read(tmp_path: Path) -> None:
    table = ("| Model | PPL |", "|---|---|", "| base | 5.4 |", "| cut | inf |")
    listed = "card.md:{}: not taken over: cut; PPL inf " + BROKEN
    assert card(tmp_path, "```", *table, "```") == (["5.4"], [], [listed.format(5)])
    assert card(tmp_path, *(f"    {line}" for line in table)) == (["5.4"], [], [listed.format(4)])


def test_layers_beside_slices_are_listed(tmp_path: Path) -> None:
    slices = "slices: [{sources: [{model: a, layer_range: [0, 21]}]}, {sources: [{model: a, layer_range: [24, 32]}]}]"
    table = ("| Method | Removed layers | PPL |", "|---|---|---|", "| BI | [5, 6] | 8.2 |")
    published, wrong = entries(tmp_path, "```yaml", slices, "merge_method: passthrough", "```", "", *table)
    assert published["removals"][0]["layers"] == [21, 22, 23]
    assert wrong == ["card.md, line 8, BI: [5, 6] is printed; the draft has what the slices leave out"]


# --- the table that lm-evaluation-harness prints ---------------------------------------------------------------------

HARNESS = (
    "|  Tasks |Version|Filter|n-shot|    Metric     |   |Value |   |Stderr|",
    "|--------|------:|------|-----:|---------------|---|-----:|---|------|",
    "|wikitext|      2|none  |     0|bits_per_byte  |↓  |0.7012|±  |   N/A|",
    "|        |       |none  |     0|byte_perplexity|↓  |1.6259|±  |   N/A|",
    "|        |       |strict|     0|word_perplexity|↓  |13.4512|±  |0.0100|",
    "| - arc  |      1|none  |     0|perplexity     |↓  |NaN   |±  |   N/A|",
)


@pytest.mark.parametrize(("lines", "first"), [(HARNESS, 3), (("```", *HARNESS, "```"), 4)])
def test_the_table_of_the_harness_is_read(tmp_path: Path, lines: tuple[str, ...], first: int) -> None:
    published, wrong = entries(tmp_path, *lines)
    assert [entry["perplexity"] for entry in published["removals"]] == ["1.6259", "13.4512"]
    assert [entry["where"] for entry in published["removals"]] == [
        f"card.md, line {first + 1}, wikitext, byte_perplexity",
        f"card.md, line {first + 2}, wikitext, word_perplexity",
    ]
    contract = published["contracts"][published["removals"][1]["contract"]]
    assert contract["text"] == (
        "FILL-IN: the text that this was measured on "
        "(called wikitext, word_perplexity, Version 2, Filter strict, n-shot 0)"
    )
    settings = "Version {}, Filter {}, n-shot 0;"
    not_taken = "not taken over: wikitext"
    assert wrong == [
        f"card.md:{first}: {not_taken}, bits_per_byte, {settings.format(2, 'none')} Value 0.7012",
        f"card.md:{first + 2}: {not_taken}, word_perplexity, {settings.format(2, 'strict')} Stderr 0.0100",
        f"card.md:{first + 3}: not taken over: arc, perplexity, {settings.format(1, 'none')} Value NaN {BROKEN}",
    ]


# --- what a row is of ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "rows", "baselines", "removals"),
    [
        ("| Model | PPL |",
         ("| Qwen-Base-8B | 9.0 |", "| Qwen-Base-8B-7L-less | 12.5 |", "| Qwen-Base-8B (ours, 25 %) | 15.2 |"),
         ["9.0"], ["12.5", "15.2"]),
        ("| Model | Removed layers | PPL |",
         ("| Base-7B (dense) | - | 5.47 |", "| Base-7B-ShortGPT | 21, 22 | 33.21 |"),
         ["5.47"], ["33.21"]),
        ("| Model | Removed layers | PPL |",
         ("| Baseline | 5, 6 | 7.1 |", "| Llama | none | 5.47 |"), ["5.47"], ["7.1"]),
        ("| Sparsity | PPL |", ("| 0 % | 5.47 |", "| 25 % | 7.1 |"), ["5.47"], ["7.1"]),
        ("| Model | Layers | PPL |", ("| Original | 32 | 5.47 |", "| Cut | 28 | 7.1 |"), ["5.47"], ["7.1"]),
        ("| Model | Method | PPL |", ("| Llama | Dense | 5.47 |", "| | ShortGPT | 7.1 |"), ["5.47"], ["7.1"]),
        ("| Model | PPL |", ("| Llama-3-8B-Base | 5.47 |", "| SLEB (original) | 7.1 |"), [], ["5.47", "7.1"]),
        ("| | Base-8B | Base-8B-4L |", ("| Removed layers | - | 3-6 |", "| PPL | 5.47 | 7.1 |"), ["5.47"], ["7.1"]),
    ],
)  # fmt: skip
def test_a_row_is_what_stands_in_it(
    tmp_path: Path, head: str, rows: tuple[str, ...], baselines: list[str], removals: list[str]
) -> None:
    assert card(tmp_path, head, "|---" * (head.count("|") - 1) + "|", *rows)[:2] == (baselines, removals)


def test_of_two_that_may_be_the_baseline_none_is_guessed(tmp_path: Path) -> None:
    rows = ("| A-7B | - | 5.4 |", "| A-13B | - | 5.0 |", "| A-7B cut | 3 | 5.9 |")
    assert card(tmp_path, "| Model | Removed layers | PPL |", "|---|---|---|", *rows) == (
        [],
        ["5.9"],
        [
            "card.md:1: several that may be the baseline, and none is taken (A-7B; A-13B); write it under `baselines`",
            "card.md:3: not taken over: A-7B; PPL 5.4",
            "card.md:4: not taken over: A-13B; PPL 5.0",
            "card.md:5: not taken over: A-7B cut; Removed layers 3",
        ],
    )


def test_a_contract_without_a_baseline_gets_a_blank(tmp_path: Path) -> None:
    published, _ = entries(tmp_path, "| Model | PPL |", "|---|---|", "| SLEB | 7.1 |")
    [baseline] = published["baselines"]
    assert (baseline["contract"], baseline["perplexity"]) == (
        "ppl",
        "FILL-IN: perplexity of the unpruned model, as it is printed",
    )


def test_a_card_of_a_baseline_alone_leaves_the_removal_under_its_contract(tmp_path: Path) -> None:
    published, _ = entries(tmp_path, "| Model | PPL |", "|---|---|", "| Dense | 5.4 |")
    assert [entry["contract"] for entry in published["removals"]] == list(published["contracts"]) == ["ppl"]


# --- headings and cells ----------------------------------------------------------------------------------------------


def test_a_share_in_a_heading_is_no_change(tmp_path: Path) -> None:
    table = ("| | Base | Pruned (25 %) |", "|---|---|---|", "| WikiText-2 perplexity | 5.47 | 9.14 |")
    assert card(tmp_path, *table) == (["5.47"], ["9.14"], [])
    table = ("| Method | WikiText+C4 PPL |", "|---|---|", "| Unpruned | 5.47 |", "| Ours | 7.02 |")
    assert card(tmp_path, *table) == (["5.47"], ["7.02"], [])


def test_what_stands_beside_a_figure_in_its_cell(tmp_path: Path) -> None:
    rows = (
        "| Unpruned | 5.47 ± 0.02 (+0.0%) |",
        "| a | **9.14** ± 0.06 |",
        "| b | 7.10 (+29.8 %) |",
        "| c | 7.10 (+1.63) |",
        "| d | 7.10 (29.8) |",
        "| e | +1.63 |",
    )
    published, wrong = entries(tmp_path, "| Method | PPL |", "|---|---|", *rows)
    [baseline], removals = published["baselines"], published["removals"]
    assert baseline["interval"] == "FILL-IN: ± 0.02 is printed; the two ends, if that is an interval"
    assert [(each["perplexity"], each.get("increase"), each.get("bold")) for each in removals] == [
        ("9.14", None, True),
        ("7.10", "+29.8", None),
        ("7.10", None, None),
    ]
    assert removals[0]["interval"] == "FILL-IN: ± 0.06 is printed; the two ends, if that is an interval"
    assert wrong == [
        "card.md:3: not taken over: Unpruned; PPL (+0.0%)",
        "card.md:6: not taken over: c; PPL (+1.63)",
        "card.md:7: not taken over: d; PPL 7.10 (29.8)",
        "card.md:8: not taken over: e; PPL +1.63",
    ]


@pytest.mark.parametrize(
    ("heading", "cell", "increase"),
    [("Increase (%)", "+35.3", "+35.3"), ("Increase", "+35.3%", "+35.3"), ("WikiText increase (%)", "35", "35"),
     ("ΔPPL", "+1.93", None), ("MMLU change (%)", "-4.1", None), ("Sparsity (%)", "25", None)],
)  # fmt: skip
def test_an_increase_is_one_of_perplexity_in_percent(
    tmp_path: Path, heading: str, cell: str, increase: str | None
) -> None:
    row = f"| cut | 7.40 | {cell} |"
    published, wrong = entries(tmp_path, f"| Model | WikiText PPL | {heading} |", "|---|---|---|", row)
    assert published["removals"][0].get("increase") == increase
    assert wrong == ([] if increase else [f"card.md:3: not taken over: cut; {heading} {cell}"])


def test_a_row_of_changes_is_no_removal(tmp_path: Path) -> None:
    rows = ("| Dense | 5.4 |", "| Cut | 7.4 |", "| Change | 2.0 |", "| ShortGPT + delta tuning | 6.0 |")
    assert card(tmp_path, "| Model | PPL |", "|---|---|", *rows) == (
        ["5.4"],
        ["7.4", "6.0"],
        ["card.md:5: not taken over: Change; PPL 2.0"],
    )
