"""Results of lm-evaluation-harness that hold no finite number, or samples without a hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from checker.core.errors import UsageError
from checker.published import importing
from checker.published.importers.importer import Request


def results(folder: Path, name: str, measured: object, **more: object) -> Path:
    path = folder / f"results_{name}.json"
    path.write_text(json.dumps({"results": {"wikitext": measured}, "versions": {"wikitext": 2}, **more}))
    return path


@pytest.mark.parametrize(
    ("value", "shown", "problem"),
    [
        (float("nan"), "NaN", "no finite number: the model or its evaluation broke"),
        (float("-inf"), "-Infinity", "no finite number: the model or its evaluation broke"),
        ("inf", "inf", "no finite number: the model or its evaluation broke"),
        ("N/A", "N/A", "no number that an audit file takes"),
        (None, "None", "no number that an audit file takes"),
        (1e200, "1e+200", "no number that an audit file takes"),
    ],
)
def test_a_perplexity_that_is_no_number_is_listed(tmp_path: Path, value: object, shown: str, problem: str) -> None:
    measured = {"alias": "wikitext", "word_perplexity,none": value, "byte_perplexity,none": 1.52,
                "byte_perplexity_stderr,none": 0.01, "word_perplexity_stderr,none": "N/A"}  # fmt: skip
    found = importing.imported(Request(results(tmp_path, "pruned", measured)))
    [removal] = yaml.safe_load(found.text)["published"]["removals"]
    assert removal["perplexity"] == "1.52"
    assert found.not_understood == (
        f"results_pruned.json: wikitext, word_perplexity,none {shown}: {problem}",
        "results_pruned.json: wikitext, byte_perplexity_stderr,none 0.01: no perplexity",
    )


def test_a_base_that_broke_is_listed(tmp_path: Path) -> None:
    base = results(tmp_path, "base", {"perplexity": float("inf")})
    found = importing.imported(Request(results(tmp_path, "pruned", {"perplexity": 7.5}), base=base))
    [baseline] = yaml.safe_load(found.text)["published"]["baselines"]
    assert baseline["perplexity"] == "FILL-IN: perplexity of the unpruned model, as it is printed"
    assert found.not_understood == (
        "results_base.json: wikitext, perplexity Infinity: no finite number: the model or its evaluation broke",
    )


def test_where_every_perplexity_broke_the_message_says_so(tmp_path: Path) -> None:
    path = results(tmp_path, "pruned", {"word_perplexity,none": float("nan"), "byte_perplexity,none": float("inf")})
    with pytest.raises(UsageError) as caught:
        importing.imported(Request(path))
    assert str(caught.value) == (
        f"{path}: found NaN for word_perplexity,none of wikitext, Infinity for byte_perplexity,none of wikitext; "
        "expected a finite number; see whether the model or its evaluation broke, or choose other results"
    )


def test_results_without_a_perplexity_say_so(tmp_path: Path) -> None:
    path = results(tmp_path, "pruned", {"acc,none": float("nan")})
    with pytest.raises(UsageError) as caught:
        importing.imported(Request(path))
    assert str(caught.value) == (
        f"{path}: found no figure called word_perplexity, byte_perplexity, perplexity; expected one, for `published:` "
        "has no place for other measures; choose results with a perplexity"
    )


def test_samples_without_a_hash_are_listed_and_show_nothing(tmp_path: Path) -> None:
    with_hash, without = {"doc_hash": "a"}, {"doc_id": 1}
    base = results(tmp_path, "base", {"perplexity": 7.0}, samples={"wikitext": [without, without]})
    pruned = results(tmp_path, "pruned", {"perplexity": 7.5}, samples={"wikitext": [with_hash, without]})
    found = importing.imported(Request(pruned, base=base))
    assert found.not_understood == (
        "results_pruned.json, wikitext: 1 sample without a `doc_hash`",
        "results_base.json, wikitext: 2 samples without a `doc_hash`",
    )
    assert "wikitext: no samples beside results_base.json, so nothing shows that both ran on the same" in found.text
