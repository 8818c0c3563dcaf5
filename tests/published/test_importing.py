"""Drafts of published audits from files that people have: what stands in them, and what is left for a reader."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import cli
from checker.core.errors import InvalidAudit, UsageError
from checker.core.escape import one_line
from checker.published import importing
from checker.published.importers import IMPORTERS
from checker.published.importers import draft as drafts
from checker.published.importers.importer import MOST_ROWS, Request
from checker.published.load import any_audit
from checker.published.printed import Printed
from checker.published.publication import Publication
from checker.spec import document as documents
from checker.spec.schema import audit_schema

ANSWERS = {
    "title": "A made-up source", "name": "org/base", "blocks": "32", "text": "WikiText-2", "window": "512",
    "stride": "256", "perplexity": '"12.09"', "increase": '"+10.2"', "where": "Table 1", "method": "interchange",
    "protocol": "interchange", "direction": "max", "layers": "[21, 22]", "selected_on": "unstated",
}  # fmt: skip
SLICES = """\
slices:
  - sources:
      - model: org/base
        layer_range: [0, 21]
  - sources:
      - model: org/base
        layer_range: [24, 32]
merge_method: passthrough
dtype: bfloat16
"""
CARD = f"""\
---
base_model: org/base
tags: [pruned, merge]
---
# Pruned

We removed 3 layers, chosen by Block Influence.

```yaml
{SLICES}```

| Model | WikiText-2 ppl | Increase (%) | MMLU |
|---|---|---|---|
| Base | 5.470 | | 0.62 |
| Pruned | **7.40** | +35.3 | 0.55 |

| Task | Base | Pruned |
|---|---|---|
| ARC | 0.5 | 0.4 |
"""
SCORES = [
    {"a": 0, "b": 1, "kl": {"max": 0.210, "ci": [0.1, 0.4]}, "swap": "0.10"},
    {"a": 1, "b": 2, "kl": {"max": 1e-3, "ci": [None, None]}, "swap": "0.30"},
]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def draft(path: Path, kind: str | None = None, **more: object) -> importing.Imported:
    return importing.imported(Request(path, **more), kind)  # type: ignore[arg-type]


def content(found: importing.Imported) -> Mapping[str, object]:
    """What YAML reads in a draft, whoever reads it."""
    loaded: Mapping[str, object] = yaml.safe_load(found.text)["published"]
    return loaded


def filled(text: str) -> str:
    """A draft as somebody completes it: a value in the place of each blank."""
    return re.sub(
        r'^( *(?:- )?)(\w+): "FILL-IN.*"$', lambda m: f"{m[1]}{m[2]}: {ANSWERS[m[2]]}", text, flags=re.MULTILINE
    )


def published(folder: Path, found: importing.Imported) -> Publication:
    audit = any_audit(written(folder, "filled.yaml", filled(found.text)))[0]
    assert isinstance(audit, Publication)
    return audit


def mistake(path: Path, kind: str | None = None, **more: object) -> str:
    with pytest.raises((UsageError, InvalidAudit)) as caught:
        draft(path, kind, **more)
    return str(caught.value).replace(f"{path.parent}/", "")


# --- done when -------------------------------------------------------------------------------------------------------


def test_a_draft_from_mergekit_slices_is_refused_until_its_blanks_are_filled_in(tmp_path: Path) -> None:
    found = draft(written(tmp_path, "slices.yaml", SLICES), blocks=32)
    blank = written(tmp_path, "draft.yaml", found.text)
    with pytest.raises(InvalidAudit) as caught:
        any_audit(blank)
    assert len(caught.value.mistakes) == found.blanks == 11
    line = found.text.splitlines().index('      window: "FILL-IN: tokens of a window"') + 1
    assert (
        f'{blank}:{line}:15: found `"FILL-IN: tokens of a window"`; expected a value in the place of this blank; '
        "fill it in, or take the key away where it may be left out"
    ) in str(caught.value)
    audit = published(tmp_path, found)
    assert audit.removals[0].layers == (21, 22, 23)
    assert audit.removals[0].budget == 3
    assert audit.removals[0].where == "slices.yaml, line 1"
    assert audit.models["model"].name == "org/base"
    assert audit.models["model"].blocks == 32


def test_a_draft_from_a_card_validates_after_its_blanks_are_filled_in(tmp_path: Path) -> None:
    audit = published(tmp_path, draft(written(tmp_path, "README.md", CARD), blocks=32))
    [baseline], [removal] = audit.baselines, audit.removals
    assert baseline.perplexity == Printed.of("5.470")  # three decimals, as printed
    assert baseline.where == "README.md, line 23, Base"
    assert (removal.layers, removal.perplexity, removal.increase) == (
        (21, 22, 23),
        Printed.of("7.40"),
        Printed.of("35.3"),
    )
    assert removal.where == "README.md, line 24, Pruned; slices in README.md, line 10"
    assert removal.bold
    assert baseline.contract == removal.contract == "wikitext-2-ppl"


def test_validate_refuses_a_draft_and_takes_it_when_it_is_filled_in(tmp_path: Path, command: Command) -> None:
    target = tmp_path / "audits" / "draft.yaml"
    code, out, err = command("import", written(tmp_path, "slices.yaml", SLICES), "--blocks", 32, "--out", target)
    assert (code, err) == (0, "")
    assert out == f"wrote {target}\nnext: fill in 11 blanks, then pruneaudit validate {target}\n"
    assert command("validate", target)[0] == 2
    written(target.parent, "draft.yaml", filled(target.read_text(encoding="utf-8")))
    assert command("validate", target)[0] == 0


# --- mergekit --------------------------------------------------------------------------------------------------------


def test_without_the_number_of_blocks_the_last_ones_are_left_to_the_reader(tmp_path: Path) -> None:
    found = draft(written(tmp_path, "slices.yaml", SLICES))
    removal = content(found)["removals"][0]  # type: ignore[index]
    assert removal["layers"] == "FILL-IN: [21, 22, 23], and every block from 32 on that the model has"
    assert "budget" not in removal
    assert "give --blocks or --base" in found.text


def test_the_number_of_blocks_comes_from_the_base_models_configuration(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    written(base, "config.json", {"text_config": {"num_hidden_layers": 34}})
    found = draft(written(tmp_path, "slices.yaml", SLICES), base=base)
    assert content(found)["removals"][0]["layers"] == [21, 22, 23, 32, 33]  # type: ignore[index]


def test_a_range_beyond_the_last_block_is_an_error(tmp_path: Path) -> None:
    assert mistake(written(tmp_path, "slices.yaml", SLICES), blocks=30) == (
        "slices.yaml: found the range [24, 32]; expected it to end at 30, the number of the model's blocks, or before; "
        "correct --blocks or --base"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("[24, 32]", "[20, 32]"), "slices.yaml:1: blocks that stand twice or in another order (0 to 20; 20 to 31)"),
        (("passthrough", "slerp"),
         "slices.yaml:8: the method `slerp`, and not passthrough"),
        (("[24, 32]", "[24, 24]"), "slices.yaml:5: a slice without a model's name and a range like [0, 21]"),
        (("[24, 32]", "[24, 32]\n        parameters: {scale: 0}"),
         "slices.yaml:5: `parameters`, which may change weights"),
        (("[24, 32]", "[24, 32]\n      - {model: b, layer_range: [0, 1]}"),
         "slices.yaml:5: a slice that is not one run of blocks of one model"),
        (("org/base\n        layer_range: [24", "org/other\n        layer_range: [24"),
         "slices.yaml:1: blocks of several models, org/base, org/other"),
    ],
)  # fmt: skip
def test_what_is_no_plain_removal_gives_no_layers(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    found = draft(written(tmp_path, "slices.yaml", SLICES.replace(*change)), blocks=32)
    removal = content(found)["removals"][0]  # type: ignore[index]
    assert removal["layers"] == "FILL-IN: the removed blocks, counted from 0, as in [21, 22]"
    assert any(told in line for line in found.not_understood), found.not_understood
    assert told in found.text


def test_yaml_that_runs_code_or_refers_back_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "slices.yaml", "slices: &all\n- !!python/object/apply:os.system [ls]\nmore: *all\n")
    told = mistake(path)
    assert "slices.yaml:1:9: found the anchor `&all`" in told
    assert "slices.yaml:2:3: found the tag `!!python/object/apply:os.system`" in told


# --- tables of scores ------------------------------------------------------------------------------------------------


def test_a_json_list_gives_one_table_for_each_column(tmp_path: Path) -> None:
    path = written(tmp_path, "scores.json", {"model": "org/base", "pairs": SCORES})
    columns = importing.columns(["i=a,j=b,value=kl.max", "value=swap"])
    audit = published(tmp_path, draft(path, columns=columns, records="pairs", blocks=4))
    assert [(scores.id, scores.where) for scores in audit.scores] == [
        ("kl-max", "scores.json, pairs, column kl.max"),
        ("swap", "scores.json, pairs, column swap"),
    ]
    assert [str(row.value) for row in audit.scores[0].rows] == ["0.21", "0.001"]
    assert [str(row.value) for row in audit.scores[1].rows] == ["0.10", "0.30"]
    assert audit.models["model"].name == "org/base"


def test_digits_of_numbers_in_json_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "scores.json", '[{"i": 0, "j": 1, "value": 0.2100}, {"i": 1, "j": 2, "value": 1e-05}]')
    audit = published(tmp_path, draft(path))
    assert [str(row.value) for row in audit.scores[0].rows] == ["0.2100", "1e-05"]


def test_intervals_come_with_their_scores_and_are_listed_where_they_are_none(tmp_path: Path) -> None:
    path = written(tmp_path, "scores.json", SCORES)
    found = draft(path, columns=importing.columns(["i=a,j=b,value=kl.max,low=kl.ci.0,high=kl.ci.1"]))
    assert content(found)["scores"][0]["values"] == [[0, 1, "0.21", "0.1", "0.4"], [1, 2, "0.001"]]  # type: ignore[index]
    assert found.not_understood == ()


def test_a_csv_table_is_read_through_its_header(tmp_path: Path) -> None:
    text = "layer_b;score;layer_a\n1;0.50;0\n1;0,4;2\n7;n/a;8\n2;0.30;3\n1;0.9;0\nx;1;2\n"
    found = draft(written(tmp_path, "scores.csv", text), columns=importing.columns(["i=layer_a,j=layer_b,value=score"]))
    first, turned = content(found)["scores"]  # type: ignore[misc]
    assert (first["id"], first["values"]) == ("score", [[0, 1, "0.50"]])
    assert (turned["id"], turned["values"]) == ("score-turned", [[2, 3, "0.30"]])
    assert "score-turned: in these rows the higher block stood first; they are turned round" in found.text
    assert found.not_understood == (
        "scores.csv:3: no decimal number, but `0,4`, as score of the pair 2, 1 under score",
        "scores.csv:4: no decimal number, but `n/a`, as score of the pair 8, 7 under score",
        "scores.csv:6: the pair 0, 1 a second time",
        "scores.csv:7: no pair of two blocks, but `2` and `x`",
    )


def test_a_score_that_a_comma_cut_in_two_is_no_score(tmp_path: Path) -> None:
    found = draft(written(tmp_path, "scores.csv", "i,j,value\n0,1,0.5,\n1,2,0,4\n2,3,NaN\n"))
    assert content(found)["scores"][0]["values"] == [[0, 1, "0.5"]]  # type: ignore[index]
    assert found.not_understood == (
        "scores.csv:3: more values than the first line has names",
        "scores.csv:4: no decimal number, but `NaN`, as score of the pair 2, 3 under value",
    )


def test_a_score_that_is_no_text_and_no_number_is_shown(tmp_path: Path) -> None:
    rows = [{"i": 0, "j": 1, "value": 0.5}, {"i": 1, "j": 2, "value": [0.5]}, {"i": 2, "j": 3, "value": float("nan")}]
    assert draft(written(tmp_path, "scores.json", rows)).not_understood == (
        "scores.json, entry 1: no decimal number, but `['0.5']`, as score of the pair 1, 2 under value",
        "scores.json, entry 2: no decimal number, but `NaN`, as score of the pair 2, 3 under value",
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "i,j\n0,1\n", "a.csv:1: found no column 'value' (the first line has i, j); expected one; say which "
         "column is which with --map, as in --map i=layer_a,j=layer_b,value=replacement_max"),
        ("a.csv", "i,j,value\n0,0,1\n", "a.csv: found no row with two blocks and a score; expected some; see whether "
         "--map names the right columns (the first: a.csv:2: no pair of two blocks, but `0` and `0`)"),
        ("a.csv", 'i,j,value\n0,1,"2\n', "a.csv:2: found what CSV cannot read (unexpected end of data); expected "
         "values joined by commas, tabs or semicolons; correct the line"),
        ("a.json", '{"pairs": [], "n": 1}', "a.json: found no list (the lists at the top are: pairs); expected a list "
         "of scores; say where it stands with --records, as in --records pairwise_distances"),
        ("a.json", '{"a": 1, "a": 2}', "a.json: found something that is not JSON (a key that stands twice in one "
         "object); expected a JSON file; check the file"),
        ("a.txt", "", "a.txt: found a file of no known kind; expected one of csv, json, mergekit, card, model, "
         "harness; say which with --from"),
        ("a.yaml", "a: 1\n", "a.yaml: found no list `slices`; expected a passthrough configuration of mergekit with 1 "
         "to 1000 slices; check the file"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_says_why(tmp_path: Path, name: str, text: str, told: str) -> None:
    assert mistake(written(tmp_path, name, text)) == told


@pytest.mark.parametrize("mapping", ["x=a", "i", "i=a,i=b", "value="])
def test_a_mapping_that_is_none_is_an_error(mapping: str) -> None:
    with pytest.raises(
        UsageError, match=r"--map: found .*; expected i, j, value, low, high, each with the name of a column"
    ):
        importing.columns([mapping])


def test_the_name_of_a_column_may_hold_commas() -> None:
    assert importing.columns(["i=a,value=x, y,j=b"]) == {"i": ("a",), "value": ("x, y",), "j": ("b",)}


def test_an_interval_needs_both_ends_and_one_column() -> None:
    for mapping in ("low=a", "value=a,value=b,low=c,high=d"):
        with pytest.raises(UsageError, match="--map: found an interval that belongs to no one column"):
            importing.columns([mapping])


# --- cards and folders -----------------------------------------------------------------------------------------------


def test_numbers_of_a_card_that_are_no_perplexity_are_listed_with_their_lines(tmp_path: Path) -> None:
    found = draft(written(tmp_path, "README.md", CARD), blocks=32)
    assert found.not_understood == (
        "README.md:23: not taken over: Base; MMLU 0.62",
        "README.md:24: not taken over: Pruned; MMLU 0.55",
        "README.md:28: not taken over: ARC; Base 0.5; Pruned 0.4",
    )
    assert "#   README.md: tags pruned, merge\n" in found.text


def test_a_table_whose_rows_are_measures_is_read_by_its_columns(tmp_path: Path) -> None:
    card = "| Metric | Original | Pruned, base | Change |\n|---|---|---|---|\n| Perplexity | 6.10 | 8.2 | 2.1 |\n"
    found = draft(written(tmp_path, "card.md", card))
    [baseline], [removal] = content(found)["baselines"], content(found)["removals"]  # type: ignore[misc]
    assert (baseline["perplexity"], removal["perplexity"]) == ("6.10", "8.2")
    assert removal["where"] == "card.md, line 3, Pruned, base"
    assert found.not_understood == ("card.md:3: not taken over: Perplexity; Change 2.1",)


def test_printed_layers_are_not_taken_over_as_they_may_count_from_one(tmp_path: Path) -> None:
    card = "| Method | Removed layers | PPL |\n|---|---|---|\n| BI | [21, 22] | 8.2 |\n| SLEB | 3 | 9.1 ± 0.2 |\n"
    found = draft(written(tmp_path, "card.md", card))
    first, second = content(found)["removals"]  # type: ignore[misc]
    assert first["layers"] == "FILL-IN: [21, 22] is printed; the same, counted from 0"
    assert second["layers"] == "FILL-IN: the removed blocks, counted from 0, as in [21, 22]"
    assert found.not_understood == ("card.md:4: not taken over: SLEB; Removed layers 3",)


def test_an_empty_card_gives_a_form_to_fill_in(tmp_path: Path) -> None:
    audit = published(tmp_path, draft(written(tmp_path, "card.md", "# A model\n")))
    assert audit.removals[0].layers == (21, 22)
    assert audit.source.title == "Model card of card"


def test_a_folder_is_read_with_card_recipe_and_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "pruned-7b"
    folder.mkdir()
    written(folder, "mergekit_config.yml", SLICES)
    written(folder, "README.md", CARD)
    written(folder, "config.json", {"num_hidden_layers": 28})
    found = draft(folder, blocks=32)
    assert len(content(found)["removals"]) == 1  # type: ignore[arg-type]  # both name the same blocks
    assert "config.json: this checkpoint has 28 blocks" in found.text
    assert "mergekit_config.yml, line 1: slices that keep 29 blocks, where config.json says 28" in found.not_understood
    assert content(found)["source"] == {"title": "Model card of pruned-7b"}


def test_nothing_is_read_outside_of_a_model_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").symlink_to(written(tmp_path, "secret.md", CARD))
    with pytest.raises(Exception, match="which leads out of the folder"):
        draft(folder)


# --- lm-evaluation-harness -------------------------------------------------------------------------------------------


def results(folder: Path, name: str, perplexity: str, hashes: str, right: str) -> Path:
    """Results as the harness writes them, with samples of two tasks beside them."""
    content = {
        "results": {"wikitext": {"alias": "wikitext", "word_perplexity,none": 7, "word_perplexity_stderr,none": "N/A"},
                    "arc": {"acc,none": 0.5, "acc_stderr,none": 0.01}},
        "versions": {"wikitext": 2, "arc": 1}, "config": {"model_args": f"pretrained=org/{name},dtype=auto"},
    }  # fmt: skip
    for task, metric in (("wikitext", "word_perplexity"), ("arc", "acc")):
        rows = [{"doc_hash": digest, "filter": "none", metric: float(mark) if metric == "acc" else [-1.0, 2]}
                for digest, mark in zip(hashes, right, strict=True)]  # fmt: skip
        written(folder, f"samples_{task}_{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return written(folder, f"results_{name}.json", json.dumps(content).replace(": 7", f": {perplexity}"))


def test_results_on_the_same_documents_share_a_contract(tmp_path: Path) -> None:
    base = results(tmp_path, "base", "10.050", "abbc", "1101")
    found = draft(results(tmp_path, "pruned", "12.5", "cabb", "1001"), base=base)
    audit = published(tmp_path, found)
    [baseline], [removal] = audit.baselines, audit.removals
    assert (baseline.perplexity, removal.perplexity) == (Printed.of("10.050"), Printed.of("12.5"))
    assert baseline.contract == removal.contract == "wikitext-word-perplexity"
    assert audit.models["model"].name == "org/base"
    assert "wikitext: 4 documents in both files by their hash, 0 only in results_pruned.json" in found.text
    # Document by document: a right in the base only; the first b in the base only, the second in the pruned one only.
    assert "arc, acc: of 4 documents 2 are right only with --base, 1 only without" in found.text
    assert "results_pruned.json: arc, acc,none 0.5: no perplexity" in found.not_understood


def test_results_on_other_documents_have_contracts_of_their_own(tmp_path: Path) -> None:
    base = results(tmp_path, "base", "10.05", "abc", "111")
    found = draft(results(tmp_path, "pruned", "12.5", "abd", "111"), base=base)
    audit = published(tmp_path, found)
    assert audit.baselines[0].contract != audit.removals[0].contract
    assert "wikitext: 2 documents in both files by their hash, 1 only in results_pruned.json, 1 only in" in found.text
    assert "wikitext: the two files differ in documents, so that each has a contract of its own" in found.text


def test_results_without_samples_say_that_nothing_shows_the_same_documents(tmp_path: Path) -> None:
    base, pruned = results(tmp_path, "base", "10.05", "a", "1"), results(tmp_path, "pruned", "12.5", "a", "1")
    (tmp_path / "samples_wikitext_base.jsonl").unlink()
    assert "wikitext: no samples beside results_base.json, so nothing shows" in draft(pruned, base=base).text


def test_results_alone_leave_the_baseline_blank(tmp_path: Path) -> None:
    found = draft(results(tmp_path, "pruned", "12.5", "a", "1"))
    [baseline] = content(found)["baselines"]  # type: ignore[misc]
    assert baseline["perplexity"] == "FILL-IN: perplexity of the unpruned model, as it is printed"


def test_a_task_that_is_named_like_a_path_leads_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"doc_hash": "a"}\n')
    folder = tmp_path / "runs"
    (folder / "samples_x").mkdir(parents=True)
    task = "x/../../secret"
    result = {"results": {task: {"perplexity": 2.0}}, "versions": {}}
    base, pruned = written(folder, "results_.json", result), written(folder, "results_b.json", result)
    assert "no samples beside" in draft(pruned, base=base).text


# --- strangers' files ------------------------------------------------------------------------------------------------

HOSTILE = 'x"\n  evil: true\n# \u2028\x1b[31m\x85*a &b !!c {d: [e]} \u202e\ud800 ::error:: ##[group]'


def test_text_from_outside_stays_text(tmp_path: Path, command: Command) -> None:
    path = written(tmp_path, "scores.json", {"model": HOSTILE, "pairs": [{"i": 0, "j": 1, HOSTILE: "1.0"}]})
    columns = {"i": ("i",), "j": ("j",), "value": (HOSTILE,)}
    found = draft(path, columns=columns, records="pairs")
    assert all(letter.isprintable() or letter == "\n" for letter in found.text)
    document = documents.parse(found.text, "draft.yaml")
    assert document.mistakes == []
    assert set(document.data) == {"pruneaudit", "title", "published"}
    assert document.get("published", "models", "model", "name") == one_line(HOSTILE)
    code, out, _ = command("import", path, "--records", "pairs", "--map", f"value={HOSTILE}")
    assert code == 0
    assert not re.search(r"^\s*::|##\[", out, re.MULTILINE)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), st.text(max_size=60))
def test_any_text_is_read_back_as_it_stands_in_the_draft(name: str, remark: str) -> None:
    text = drafts.render(drafts.Draft(origin=remark, title=name, source=one_line(name), models={"model": {}},
                                      remarks=[remark], not_understood=[remark]))  # fmt: skip
    document = documents.parse(text, "draft.yaml")
    assert document.mistakes == []
    title = one_line(name)
    section = {"source": {"title": title}, "models": {"model": {}}}
    assert document.data == {"pruneaudit": 1, "title": title, "published": section}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_gives_an_id_that_is_new(text: str, taken: list[str]) -> None:
    pattern = audit_schema()["$defs"]["published_id"]["pattern"]
    known = [drafts.name_for(each) for each in taken]
    found = drafts.name_for(text, known)
    assert re.search(pattern, found)
    assert found not in known


def test_sizes_are_bounded(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i + 1},0.1\n" for i in range(MOST_ROWS + 1))
    assert mistake(written(tmp_path, "a.csv", "i,j,value\n" + rows)).startswith(
        "a.csv: found more than 10,000 rows; expected at most that; import a part of it"
    )
    deep = "[" * 100_000
    assert "a.json: found something that is not JSON" in mistake(written(tmp_path, "a.json", deep))
    with pytest.raises(UsageError, match=r"found so much that the draft has .* bytes; expected at most 1,000,000"):
        drafts.render(drafts.Draft("a", "a", "a", {}, scores=[{"values": [[1, 2, "1" * 60]] * 20_000}]))
    many = drafts.render(drafts.Draft("a", "a", "a", {}, not_understood=["x"] * 700))
    assert "#   and 200 more\n" in many


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"i,j,value\n\xff\n")
    assert mistake(tmp_path / "a.csv") == (
        "a.csv: found bytes that are not UTF-8 at byte 10; expected a CSV file in UTF-8; save it as UTF-8"
    )
    assert mistake(tmp_path / "none.csv") == "none.csv: found no such file; expected a CSV file; check the path"


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_draft_goes_to_stdout_and_what_is_not_understood_to_stderr(tmp_path: Path, command: Command) -> None:
    code, out, err = command("import", written(tmp_path, "a.csv", "i,j,value\n0,1,0.5\n1,2,x\n"))
    assert code == 0
    assert out == draft(tmp_path / "a.csv").text
    assert err == "not understood: a.csv:3: no decimal number, but `x`, as score of the pair 1, 2 under value\n"


def test_nothing_is_overwritten(tmp_path: Path, command: Command) -> None:
    source = written(tmp_path, "a.csv", "i,j,value\n0,1,0.5\n")
    code, out, err = command("import", source, "--out", source)
    assert (code, out) == (2, "")
    assert err == (
        f"{source}: found something there; expected nothing, import overwrites nothing; choose another --out\n"
    )
    assert source.read_text() == "i,j,value\n0,1,0.5\n"


def test_an_option_of_another_kind_is_an_error(tmp_path: Path, command: Command) -> None:
    code, _, err = command("import", written(tmp_path, "slices.yaml", SLICES), "--map", "i=a")
    assert code == 2
    assert err == (
        "--map: found it for a passthrough configuration of mergekit; expected it only with --from csv, json; leave it "
        "out, or say with --from what the file is\n"
    )


def test_a_base_that_is_not_there_is_an_error(tmp_path: Path, command: Command) -> None:
    code, _, err = command("import", written(tmp_path, "slices.yaml", SLICES), "--base", tmp_path / "none")
    assert (code, err) == (
        2,
        f"{tmp_path}/none: found nothing there; expected the unpruned model, after --base; check the path\n",
    )


def test_the_command_offers_every_importer(command: Command) -> None:
    assert f"--from [{'|'.join(IMPORTERS)}]" in command("import", "--help")[1]
