"""What a card's front matter gets, and that comments, order, quotes and values of all else in it stay."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from checker.checkpoints.model_card import base_models, front_matter
from checker.core.errors import CannotRun, UsageError
from checker.release.front_matter import TASK, Metadata, Result, merged

BASELINE = Result("perplexity", "Perplexity of the unpruned model", 29.87, {"windows": 21})
COST = Result("perplexity_increase", "Perplexity increase in percent, claim six: a colon", 86.4,
              {"claim": "Six: +86 %", "interval": [74.9, 98.7]})  # fmt: skip
METADATA = Metadata("SmolLM2-135M", "evaluation.txt", "text", (BASELINE, COST), "org/name")
LATER = replace(METADATA, results=(BASELINE, replace(COST, value=12.5)))

INDEX = """\
model-index:
- name: SmolLM2-135M
  results:
  - task:
      type: text-generation
      name: Layer removal, audited by pruneaudit
    dataset:
      name: evaluation.txt
      type: text
    metrics:
    - type: perplexity
      value: 29.87
      name: Perplexity of the unpruned model
      args:
        windows: 21
    - type: perplexity_increase
      value: 86.4
      name: 'Perplexity increase in percent, claim six: a colon'
      args:
        claim: 'Six: +86 %'
        interval:
        - 74.9
        - 98.7
"""
INDENTED = """\
model-index:
  - name: SmolLM2-135M
    results:
      - task:
          type: text-generation
          name: Layer removal, audited by pruneaudit
        dataset:
          name: evaluation.txt
          type: text
        metrics:
          - type: perplexity
            value: 29.87
            name: Perplexity of the unpruned model
            args:
              windows: 21
          - type: perplexity_increase
            value: 86.4
            name: 'Perplexity increase in percent, claim six: a colon'
            args:
              claim: 'Six: +86 %'
              interval:
                - 74.9
                - 98.7
"""
OTHERS = """\
model-index:
- name: other
  results:
    - task: {type: text-generation}   # theirs
      dataset:
        type: d
        name: D
      metrics:
        - type: accuracy
          value: 0.50  # half

license: mit # last
"""
# As the library puts it: lists in one way, a comment where its column was.
OTHERS_AGAIN = """\
model-index:
- name: other
  results:
  - task: {type: text-generation}     # theirs
    dataset:
      type: d
      name: D
    metrics:
    - type: accuracy
      value: 0.50      # half

license: mit # last
"""

CARDS = {
    "none": ("# Title\n", f"---\nbase_model: org/name\ntags:\n- pruneaudit\n{INDEX}---\n# Title\n"),
    "empty": ("---\n---\nText", f"---\nbase_model: org/name\ntags:\n- pruneaudit\n{INDEX}---\nText"),
    "comments and quotes": (
        "---\n# first\nlicense: \"mit\"   # why\n\nlanguage: [en,  'de']\n---\n",
        "---\n# first\nlicense: \"mit\"   # why\n\nlanguage: [en, 'de']\n"
        f"base_model: org/name\ntags:\n- pruneaudit\n{INDEX}---\n",
    ),
    "tags in lines": (
        "---\ntags:\n  - a   # one\n  - 'b'\n# end\nbase_model: org/name\n---\n",
        f"---\ntags:\n  - a   # one\n  - 'b'\n  - pruneaudit\n# end\nbase_model: org/name\n{INDENTED}---\n",
    ),
    "tags in brackets": (
        "---\ntags: [a, 'b',]  # two\nbase_model: other/one\n---\n",
        f"---\ntags: [a, 'b', pruneaudit] # two\nbase_model: other/one\n{INDEX}---\n",
    ),
    "no tags yet": (
        "---\ntags: []\nbase_model: [x/y]\n---\n",
        f"---\ntags: [pruneaudit]\nbase_model: [x/y]\n{INDEX}---\n",
    ),
    "tags without a value": (
        "---\ntags: # later\nbase_model: x/y\n---\n",
        f"---\ntags: [pruneaudit] # later\nbase_model: x/y\n{INDEX}---\n",
    ),
    "the tag is there": (
        "---\nbase_model: x/y\ntags: [pruneaudit]\n---\n",
        f"---\nbase_model: x/y\ntags: [pruneaudit]\n{INDEX}---\n",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CARDS.values(), ids=CARDS)
def test_only_the_lines_of_our_keys_are_added(text: str, expected: str) -> None:
    assert merged(text, METADATA) == expected
    assert merged(expected, METADATA) == expected


@pytest.mark.parametrize("text", [text for text, _ in CARDS.values()], ids=CARDS)
def test_line_breaks_and_a_byte_order_mark_stay(text: str) -> None:
    windows = "\ufeff" + text.replace("\n", "\r\n")
    expected = "\ufeff" + merged(text, METADATA).replace("\n", "\r\n")
    found = merged(windows if "\n" in text else text, METADATA)
    assert found == expected


def test_results_of_others_stay_and_ours_stand_after_them() -> None:
    text = f"---\n{OTHERS}---\nText\n"
    whole = merged(text, METADATA)
    ours = "".join(f"{line}\n" for line in INDEX.splitlines()[3:])
    end = "base_model: org/name\ntags:\n- pruneaudit\n"
    both = OTHERS_AGAIN.replace("# half\n", f"# half\n{ours}")
    assert whole == f"---\n{both}{end}---\nText\n"
    assert merged(whole, METADATA) == whole


def test_ours_are_replaced_wherever_they_stand() -> None:
    whole = merged(f"---\n{OTHERS}---\nText\n", METADATA)
    later = merged(whole, LATER)
    assert later == whole.replace("value: 86.4", "value: 12.5")
    assert merged(later, METADATA) == whole
    rewritten = str(ModelCard(whole))  # by the library, which sorts nothing and drops comments
    assert merged(rewritten, METADATA) == rewritten
    assert merged(rewritten, LATER) == rewritten.replace("value: 86.4", "value: 12.5")


def test_what_stands_below_a_list_stays_there() -> None:
    """Comments and empty lines between two keys, which the library keeps with the last value of the first."""
    text = "---\ntags:\n- a\n- b # b\n\n# on the licence\nlicense: mit\n---\n"
    whole = merged(text, METADATA)
    assert whole.startswith("---\ntags:\n- a\n- b # b\n- pruneaudit\n\n# on the licence\nlicense: mit\nbase_model: ")
    ours = whole.replace(INDEX, f"{INDEX}\n# on the library\n\nlibrary_name: x\n")
    assert merged(ours, METADATA) == ours
    assert merged(ours, LATER) == ours.replace("value: 86.4", "value: 12.5")
    fewer = merged(ours, replace(METADATA, results=(BASELINE,)))
    assert fewer.endswith("        windows: 21\n\n# on the library\n\nlibrary_name: x\n---\n")
    between = ours.replace("        - 98.7\n", "        - 98.7\n  # theirs\n  - task: {name: theirs}\n")
    between = between.replace("{name: theirs}", "{type: t, name: theirs}\n    dataset: {name: d, type: d}\n"
                              "    metrics: [{type: m, value: 1}]")  # fmt: skip
    assert merged(between, LATER) == between.replace("value: 86.4", "value: 12.5")


SCALARS = """\
a: yes
b: ~
c:
d: 1_000
e: 010
f: 1e3
g: 2020-01-01 # day
h: 'null'
i: 12:30
j: "x\\ty"
k: |
  one

  two
l: <x>
"""


def test_every_value_stays_as_it_was_written() -> None:
    whole = merged(f"---\n{SCALARS}---\n", METADATA)
    assert whole.startswith(f"---\n{SCALARS}base_model: org/name\n")


def test_brackets_and_an_end_of_the_document_can_be_added_to() -> None:
    task = "task: {type: t, name: T}, dataset: {name: D, type: d}, metrics: [{type: m, value: 1}]"
    card = ModelCard(merged(f"---\nmodel-index: [{{name: x, results: [{{{task}}}]}}]\n---\n", METADATA))
    assert [found.task_name for found in card.data.eval_results] == ["T", TASK, TASK]
    assert merged("---\na: 1\n...\n---\n", METADATA).startswith("---\na: 1\nbase_model: org/name\n")


def test_an_edited_figure_is_put_right() -> None:
    whole = merged("# Title\n", METADATA)
    assert merged(whole.replace("value: 86.4", "value: 8.64"), METADATA) == whole
    assert merged(whole.replace("- 98.7", "- 98.7  # ours"), METADATA) == whole.replace("- 98.7", "- 98.7  # ours")


def test_the_library_reads_what_was_put_in() -> None:
    card = ModelCard(merged(CARDS["comments and quotes"][0], METADATA))
    assert card.data.base_model == "org/name"
    assert card.data.tags == ["pruneaudit"]
    assert card.data.model_name == "SmolLM2-135M"
    assert [(found.task_name, found.metric_type, found.metric_value) for found in card.data.eval_results] == [
        (TASK, "perplexity", 29.87),
        (TASK, "perplexity_increase", 86.4),
    ]
    assert card.data.license == "mit"


def test_a_name_that_would_be_markup_stays_a_name() -> None:
    hostile = replace(METADATA, model="a: [b]\n- c # d", text="---\n&x", results=(replace(BASELINE, name="* &y {z}"),))
    whole = merged("---\nlicense: mit\n---\nText\n", hostile)
    span = front_matter(whole)
    assert span is not None
    index = yaml.safe_load(whole[slice(*span)])["model-index"][0]
    assert index["name"] == "a: [b]\n- c # d"
    assert index["results"][0]["dataset"]["name"] == "---\n&x"
    assert index["results"][0]["metrics"][0]["name"] == "* &y {z}"
    assert whole.endswith("---\nText\n")


REFUSED = {
    "{license: mit}\n": "front matter that does not have its keys at the start of lines",
    "  license: mit\n": "front matter that does not have its keys at the start of lines",
    "a: &x [1]\nb: *x\n": "an anchor or an alias ('x') in the front matter",
    "- a\n": "front matter that holds no keys",
    "a: 1\na: 2\n": "the key `a` in the front matter, which hides another",
    "<<: {a: 1}\n": "the key `<<` in the front matter, which hides another",
    "a: [\n": "front matter that is not YAML (expected the node content, but found '<stream end>', line 3)",
    "a: {b: 1, b: 2}\n": "front matter that ruamel.yaml does not take (DuplicateKeyError)",
    "a: 2030-13-45\n": "front matter with a value that is not of its type (month must be in 1..12)",
    "a: !!int ''\n": "front matter with a value that is not of its type (string index out of range)",
    f"a: {'[' * 21}\n": "front matter that is nested more than 20 levels deep",
    "tags: one\n": "`tags` that are not a list of words",
    "tags: [[a]]\n": "`tags` that are not a list of words",
    "model-index: []\n": "a `model-index` that is not a list of one model",
    "model-index: [{name: x}]\n": "a `model-index` without a list of results",
    "model-index:\n- name: x\n- name: y\n": "a `model-index` that is not a list of one model",
    "model-index:\n- name: x\n": "a `model-index` without a list of results",
    "model-index:\n- name: x\n  results: []\n": "a `model-index` without a list of results",
    "model-index:\n- name: x\n  results:\n  - a: 1\n": "front matter that huggingface_hub does not take (ValueError)",
    f"model-index:\n- name: x\n  results:\n  - task: {{name: '{TASK}'}}\n  - task: {{name: '{TASK}'}}\n": (
        f"2 results of the task '{TASK}' in `model-index`"
    ),
}


@pytest.mark.parametrize(("inner", "found"), REFUSED.items())
def test_what_cannot_be_added_to_line_by_line_is_refused(inner: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        merged(f"---\n{inner}---\n", METADATA, "model/README.md")
    assert str(caught.value) == (
        f"model/README.md: found {found}; expected front matter that can be added to line by line; "
        "write it in the plain form, or use --block-only"
    )


def test_code_in_front_matter_never_runs() -> None:
    with pytest.raises(UsageError, match="could not determine a constructor"):
        merged("---\na: !!python/object/apply:os.system [echo]\n---\n", METADATA)


def test_results_of_an_earlier_pack_never_outlive_a_pack_without_any() -> None:
    whole = merged("# Title\n", METADATA)
    with pytest.raises(UsageError, match="found results of an earlier pack in `model-index`, of which this pack has"):
        merged(whole, replace(METADATA, results=()))
    assert "model-index" not in merged("# Title\n", replace(METADATA, results=()))


@pytest.mark.parametrize("package", ["huggingface_hub", "ruamel.yaml"])
def test_without_the_library(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CannotRun) as caught:
        merged("# Title\n", METADATA)
    assert str(caught.value) == (
        f"found no package {package}; expected it, to write a card's front matter; install it: "
        "pip install 'pruneaudit[card]', or use --block-only"
    )


def test_the_base_models_that_a_card_names() -> None:
    assert base_models("# Title\n") == ()
    assert base_models("---\nbase_model: a/b\n---\n") == ("a/b",)
    assert base_models("---\nbase_model: [a/b, c/d]\n---\n") == ("a/b", "c/d")
    assert base_models("---\nbase_model: &x a/b\n---\n") == ()


def test_bare_carriage_returns_are_refused_where_there_is_no_front_matter_yet():
    """Readers of front matter do not take them for line ends: each run would put another front matter in front."""
    expected = (
        r"README.md: found lines that end in a bare carriage return; expected `\n` or `\r\n`, which readers of front "
        "matter know; save the card with such line ends, or use --block-only"
    )
    for card in ("# A model\rText.\r", "---\rlicense: mit\r---\r# A model\r"):
        with pytest.raises(UsageError) as caught:
            merged(card, METADATA)
        assert str(caught.value) == expected
    for ending in ("\n", "\r\n"):
        once = merged(f"# A model{ending}Text.{ending}", METADATA)
        assert merged(once, METADATA) == once
