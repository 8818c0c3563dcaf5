"""Finding and replacing the block of a card, whatever Markdown surrounds it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checker.checkpoints import model_card
from checker.core.errors import CannotRun, UsageError
from checker.core.facts import CardFacts

BLOCK = model_card.marked(["## Audit", "", "| a | b |", "|---|---|", "| 1 | 2 |"], {"pack": "ab12"})
OTHER = model_card.marked(["## Audit", "", "Something else."], {"pack": "cd34"})

CARDS = {
    "empty": "",
    "title": "# Title\n",
    "no final newline": "# Title\n\nText",
    "empty lines at the end": "# Title\n\n\n\n",
    "CRLF": "# Title\r\n\r\nText\r\n",
    "old Mac": "# Title\r\rText\r",
    "BOM": "\ufeff# Title\n",
    "BOM and front matter": "\ufeff---\r\nlicense: mit\r\n---\r\n# Title",
    "front matter only": "---\nlicense: mit\n---\n",
    "empty front matter": "---\n---\n# Title\n",
    "fence": f"# Title\n\n```markdown\n{BLOCK}\n```\n",
    "tilde fence": f"# Title\n\n~~~~\n```\n{BLOCK}\n~~~~\n",
    "fence in a list": "- item\n\n  ```\n  code\n  ```\n- item\n",
    "indented code": "# Title\n\n    <!-- pruneaudit:begin -->\n",
    "quote": "> <!-- pruneaudit:begin -->\n",
    "inline code": "Write `<!-- pruneaudit:begin -->` first.\n",
    "comment around it": "<!--\n<!-- pruneaudit:begin -->\n",
    "list at the end": "- a\n- b",
    "odd line separators": "# Title\u2028text\x0bmore\x85end\n",
}


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_a_card_without_a_block_gets_one_after_all_else(text: str) -> None:
    whole = model_card.with_block(text, BLOCK)
    assert whole.startswith(text)
    found = model_card.find_block(whole)
    assert found is not None
    assert (found.text, found.edited, found.fields["pack"]) == (BLOCK, False, "ab12")
    ending = model_card.line_break(text)
    assert whole.endswith(BLOCK.replace("\n", ending) + ending)
    assert model_card.find_block(text) is None


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_the_same_block_changes_nothing_and_another_one_only_the_block(text: str) -> None:
    whole = model_card.with_block(text, BLOCK)
    assert model_card.with_block(whole, BLOCK) == whole
    other = model_card.with_block(whole, OTHER)
    assert other == model_card.with_block(text, OTHER)
    assert model_card.with_block(other, BLOCK) == whole


def test_what_follows_the_block_stays() -> None:
    text = f"# Title\n\n{BLOCK}\n\n## Licence\n\nMIT"
    assert model_card.with_block(text, OTHER) == f"# Title\n\n{OTHER}\n\n## Licence\n\nMIT"
    no_newline = f"# Title\n{BLOCK}"
    assert model_card.with_block(no_newline, OTHER) == f"# Title\n{OTHER}"


def test_a_marker_in_a_fence_is_text_and_the_real_one_is_found() -> None:
    text = f"```\n{OTHER}\n```\n\n{BLOCK}\n"
    found = model_card.find_block(text)
    assert found is not None
    assert (found.text, found.line) == (BLOCK, 1 + len(f"```\n{OTHER}\n```\n\n".splitlines()))


def test_lines_are_counted_with_the_front_matter() -> None:
    found = model_card.find_block(f"---\nlicense: mit\n---\n\n{BLOCK}\n")
    assert found is not None
    assert found.line == 5


BROKEN = {
    "two": (f"{BLOCK}\n\n{OTHER}\n", "several pruneaudit blocks (markers in line 1, 7, 9, 13)"),
    "no end": (f"# T\n{BLOCK.splitlines()[0]}\ntext\n", "half of a pruneaudit block (markers in line 2)"),
    "no begin": ("text\n\n<!-- pruneaudit:end -->\n", "half of a pruneaudit block (markers in line 3)"),
    "turned round": (
        "<!-- pruneaudit:end -->\n<!-- pruneaudit:begin -->\n",
        "half of a pruneaudit block (markers in line 1, 2)",
    ),
    "swallowed end": (f"{BLOCK.replace('## Audit', '```')}\n", "half of a pruneaudit block (markers in line 1)"),
}


@pytest.mark.parametrize(("text", "found"), BROKEN.values(), ids=BROKEN)
def test_a_block_that_cannot_be_told_is_an_error(text: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_card.with_block(text, BLOCK, "model/README.md")
    assert str(caught.value) == (
        f"model/README.md: found {found}; expected at most one, from `pruneaudit:begin` to `pruneaudit:end`; "
        "delete what is left of the others"
    )


@pytest.mark.parametrize("text", ["# Title\n\n```python\nprint()", "<!-- a comment\n", "<script>\n"])
def test_a_card_that_would_swallow_the_block_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^README.md: found a code fence or an HTML comment that is still open at"):
        model_card.with_block(text, BLOCK)


@pytest.mark.parametrize("changed", [BLOCK.replace("| 1 |", "| 9 |"), BLOCK.replace("\n\n", "\n\n\n")])
def test_an_edited_block_is_told_from_the_one_that_was_written(changed: str) -> None:
    found = model_card.find_block(f"# Title\n\n{changed}\n")
    assert found is not None
    assert found.edited
    crlf = model_card.find_block(BLOCK.replace("\n", "\r\n"))
    assert crlf is not None
    assert not crlf.edited


PIECES = st.sampled_from(
    ["# T\n", "\n", "\r\n", "text", "```\n", "~~~\n", "---\n", "- ", "> ", "    ", "<div>\n", "<!--", "-->", "\ufeff",
     "a: b\n", "|", "<!-- pruneaudit:begin -->\n", "<!-- pruneaudit:end -->\n", "\x00", "\t", "1. "]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
@example("---\n---")
@example("- ```\n<!-- pruneaudit:begin -->\n")
def test_whatever_the_card_the_rest_stays_or_it_is_refused(text: str) -> None:
    try:
        whole = model_card.with_block(text, BLOCK)
    except UsageError:
        return
    assert model_card.with_block(whole, BLOCK) == whole
    found = model_card.find_block(text)
    around = (text, "") if found is None else (text[: found.start], text[found.end :])
    assert whole.startswith(around[0])
    assert whole.endswith(around[1])


# --- files -----------------------------------------------------------------------------------------------------------


def test_what_is_no_card(tmp_path: Path) -> None:
    (tmp_path / "large.md").write_bytes(b"x" * (model_card.LARGEST + 1))
    (tmp_path / "latin.md").write_bytes(b"na\xefve\n")
    (tmp_path / "link.md").symlink_to(tmp_path / "latin.md")
    messages = {
        "none.md": "found no such file; expected a model card; check the path, or make an empty one",
        "large.md": "found more than 1,000,000 bytes; expected a model card; check the path",
        "latin.md": "found bytes that are not UTF-8 at byte 2; expected a text in UTF-8; save it as UTF-8",
        "link.md": "found a link; expected the file of a model card itself; name the file it leads to",
    }
    for name, message in messages.items():
        with pytest.raises(UsageError) as caught:
            model_card.read(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {message}"


@pytest.mark.parametrize("line", ["a\n", "[a]: b\n", "***\n", "- a\n", "\r"])
def test_a_card_of_too_many_lines_is_refused_before_it_is_read(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_card.find_block(line * 20_001)
    assert str(caught.value) == "README.md: found more than 20,000 lines; expected a model card; check the path"


def test_without_the_package_that_reads_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    with pytest.raises(CannotRun, match=r"^found no package markdown-it-py; .*pip install 'pruneaudit\[card\]'$"):
        model_card.find_block("# Title\n")


# --- facts -----------------------------------------------------------------------------------------------------------


def test_what_the_block_of_a_card_is_of(tmp_path: Path) -> None:
    block = model_card.marked(["## Audit"], {"audit": "a1", "model": "b2", "pack": "c3"})
    (tmp_path / "README.md").write_text(f"# Title\n\n{block}\n", encoding="utf-8")
    assert model_card.facts(tmp_path) == CardFacts(block=True, audit_digest="a1", model_digest="b2")
    (tmp_path / "README.md").write_text(f"# Title\n\n{block.replace('## Audit', '## Praise')}\n", encoding="utf-8")
    assert model_card.facts(tmp_path) == CardFacts(block=True, audit_digest="a1", model_digest="b2", edited=True)


def test_a_card_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert model_card.facts(tmp_path) is None
    (tmp_path / "README.md").write_bytes(b"\xff")
    problem = "found bytes that are not UTF-8 at byte 0; expected a text in UTF-8; save it as UTF-8"
    assert model_card.facts(tmp_path) == CardFacts(problem=problem)


def test_a_card_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(BLOCK, encoding="utf-8")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").symlink_to(tmp_path / "secret")
    found = model_card.facts(folder)
    assert found is not None
    assert not found.block
    assert found.problem is not None
    assert "leads out of the folder" in found.problem
    assert str(tmp_path) not in found.problem


def test_the_card_of_the_hubs_cache_is_a_link_and_no_path_of_it_is_told(tmp_path: Path) -> None:
    home = tmp_path / "models--org--name"
    folder, blob = home / "snapshots" / "abc", home / "blobs" / "def"
    folder.mkdir(parents=True)
    blob.parent.mkdir()
    (folder / "README.md").symlink_to(blob)
    blob.write_text(BLOCK, encoding="utf-8")
    assert model_card.facts(folder) == CardFacts(block=True)
    blob.write_bytes(b"\xff")
    problem = "found bytes that are not UTF-8 at byte 0; expected a text in UTF-8; save it as UTF-8"
    assert model_card.facts(folder) == CardFacts(problem=problem)
