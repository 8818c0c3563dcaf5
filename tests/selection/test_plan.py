"""The plan: what is asked, what it costs, and what fixes a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checker.core.facts import EvaluationFacts, Facts, ModelFacts
from checker.core.layouts import Layout
from checker.core.questions import Question
from checker.core.records import (
    Audit,
    EvaluationContract,
    Location,
    MethodSettings,
    ModelSource,
    Policy,
    ScoringContract,
    Selection,
    Statistics,
    TextSource,
)
from checker.measure.engine import Engine
from checker.measure.texts import Batch, evaluation_windows
from checker.selection.cost import Cost, block_runs, evaluation_tokens, matrix_rate, seconds
from checker.selection.methods import METHODS, interchange, replacement
from checker.selection.plan import incomparable, plan, problem_of
from checker.spec.claims.removal import Removal
from checker.spec.contracts import contract_digest

TEXT = TextSource("file", path="/texts/some.txt")
ROWS = TextSource("rows", path="/texts/some.jsonl")
SCORING = ScoringContract(ROWS, prompts=16, tokens=64, assembly="rows")
EVALUATION = EvaluationContract(TEXT, window=128, stride=64, words=1000)
MODEL = ModelFacts(
    source="tiny", kind="directory", architecture="llama", blocks=30, parameters=1_000_000,
    block_parameters=(20_000,) * 30, block_shapes=("s",) * 30, slot_kinds=(), hidden=64, vocabulary=5000, context=2048,
    tokenizer_digest="t",
)  # fmt: skip
SETTINGS = tuple(MethodSettings(name, (1, 3)) for name in ("interchange", "replacement", "deletion"))
TOKENISED = Facts(MODEL, evaluation=EvaluationFacts("t", "t", 1000, (), 1))


def audit_of(**changes: Any) -> Audit:
    known: dict[str, Any] = {
        "name": "a", "title": "A", "path": "/a.yaml", "text": "", "overrides": (),
        "model": ModelSource("directory", path="/m"), "scoring": SCORING, "evaluation": EVALUATION,
        "protocols": {"replacement": {"direction": "into"}, "interchange": {}}, "max_gap": 1, "budgets": (1, 3),
        "methods": SETTINGS, "selection": Selection(), "statistics": Statistics(), "claims": (), "waivers": (),
        "policy": Policy(),
    }  # fmt: skip
    return Audit(**{**known, **changes})


def asked(layouts: Iterable[Layout]) -> list[str]:
    return [str(layout) for layout in layouts]


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_what_a_small_audit_asks() -> None:
    small = replace(MODEL, blocks=3, block_parameters=(1,) * 3, block_shapes=("s",) * 3)
    made = plan(audit_of(), Facts(small))
    assert asked(question.layout for question in made.scoring) == [
        "(1@0,0@1,2)", "(0,2@1,1@2)",
        "(1@0,1,2)", "(0,0@1,2)", "(0,2@1,2)", "(0,1,1@2)",
        "(1,2)", "(0,2)", "(0,1)",
    ]  # fmt: skip
    assert {(question.text, question.quantity) for question in made.scoring} == {("scoring", "kl")}
    assert made.evaluation == tuple(
        Question("evaluation", "nll", Layout.parse(text)) for text in ("(0,1,2)", "(1,2)", "(0,2)", "(0,1)")
    )


def test_the_plan_asks_each_thing_once_and_for_all_that_claims_name() -> None:
    claim = Removal("c", "says", Location("a.yaml"), layers=(3, 5), at_most=10.0)
    twice = replace(claim, id="d", layers=(4,))
    made = plan(audit_of(claims=(claim, twice, replace(claim, id="e", layers=None))), Facts(MODEL))
    layouts = [question.layout for question in made.evaluation]
    assert len(set(layouts)) == len(layouts) == 1 + 30 + 1
    assert Layout.base(30).without([3, 5]) in layouts
    assert len({question.layout for question in made.scoring}) == len(made.scoring) == 29 + 58 + 30


EVERY = tuple(MethodSettings(name, (1, 3)) for name in METHODS)


def test_the_plan_knows_what_every_method_asks_first() -> None:
    """Scoring methods ask once, whatever is found; what searches ask depends on that and is only estimated."""
    made = plan(audit_of(methods=EVERY), Facts(MODEL))
    counted = Counter((question.text, question.quantity) for question in made.scoring)
    assert counted == {
        ("scoring", "kl"): 29 + 58 + 30 + 29, ("scoring", "cosine"): 30, ("scoring", "angle"): 30,
        ("scoring", "cka"): 30, ("selection", "nll"): 30, ("selection", "taylor"): 30,
    }  # fmt: skip
    assert len(set(made.scoring)) == len(made.scoring)
    only_random = plan(audit_of(methods=(MethodSettings("random", (1,)),), protocols={}), Facts(MODEL))
    assert {question.quantity for question in only_random.scoring} == {"kl"}, "deletion, which is always measured"


def cost_of(*methods: MethodSettings, **changes: Any) -> Cost:
    return plan(audit_of(methods=methods, protocols={}, **changes), TOKENISED).cost


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_asks_is_in_the_cost(name: str) -> None:
    least, more = cost_of(), cost_of(MethodSettings(name, (3,), calls=4000))
    assert more.operations > least.operations, "an arm is evaluated at the least"
    if name in ("sleb", "beam", "exhaustive", "laco"):
        assert more.layouts > least.layouts + 29, "every step's candidates are estimated"


@pytest.mark.parametrize("name", ["block_influence", "angular_distance", "cka"])
def test_hidden_states_take_one_pass_over_the_scoring_text(name: str) -> None:
    more = cost_of(MethodSettings(name, (1,), forms=("matched",)))
    assert more.tokens - cost_of().tokens == 30 * 16 * 64, "the arm is a single deletion, which is evaluated anyway"


def test_gradients_take_three_passes_over_the_selection_text() -> None:
    selecting = ScoringContract(TEXT, prompts=4, tokens=32)
    more = cost_of(MethodSettings("taylor", (1,)), selecting=selecting)
    assert more.tokens - cost_of(selecting=selecting).tokens == 3 * 30 * 4 * 32


def test_losses_are_taken_on_the_selection_text() -> None:
    audit = audit_of(methods=(MethodSettings("deletion_loss", (1,)),), protocols={})
    long, short = (ScoringContract(TEXT, prompts=number, tokens=32) for number in (8, 4))
    costs = [plan(replace(audit, selecting=text), TOKENISED).cost for text in (long, short)]
    singles = [Layout.base(30).without([block]) for block in range(30)]
    assert costs[0].tokens - costs[1].tokens == block_runs(singles) * 4 * 32
    assert costs[0].block_runs == costs[1].block_runs


def test_blocks_of_other_shapes_are_not_paired() -> None:
    mixed = replace(MODEL, blocks=4, block_parameters=(1,) * 4, block_shapes=("s", "s", "other", "s"))
    assert problem_of(audit_of(), mixed).pairs == ((0, 1),)
    assert problem_of(audit_of(max_gap=3), mixed).pairs == ((0, 1), (0, 3), (1, 3))
    assert incomparable(mixed, 1, 2) == "the parameters of blocks 1 and 2 differ in name or shape"
    assert incomparable(mixed, 1, 3) is None
    alone = replace(mixed, block_shapes=("a", "b", "c", "d"))
    assert problem_of(audit_of(), alone).pairs == ()
    assert len(plan(audit_of(), Facts(alone)).scoring) == 4, "deletion needs no pairs"


def test_the_ground_is_the_audits() -> None:
    audit = audit_of(
        protocols={"replacement": {"direction": "mean"}},
        selection=Selection(spacing=2, exclude=(0,)),
        statistics=Statistics(seed=7),
    )
    found = problem_of(audit, MODEL)
    assert (found.direction, found.seed, found.geometry.spacing, found.geometry.exclude) == ("mean", 7, 2, (0,))
    assert len(found.pairs) == 29


# --- block runs ------------------------------------------------------------------------------------------------------


class CountingStack:
    """A stack of blocks that do nothing, for an engine that counts its runs."""

    device = torch.device("cpu")

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=2)))

    def __len__(self) -> int:
        return self.blocks

    def enter(self, ids: torch.Tensor) -> Any:
        return SimpleNamespace(hidden=torch.zeros(*ids.shape, 1))

    def run(self, place: Any, hidden: torch.Tensor, entrance: Any) -> torch.Tensor:
        return hidden

    def leave(self, hidden: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*hidden.shape[:2], 2)


def runs_of_the_engine(blocks: int, layouts: Collection[Layout]) -> int:
    engine = Engine(CountingStack(blocks))  # type: ignore[arg-type]
    batch = Batch(torch.zeros(1, 2, dtype=torch.long), 0, 0, range(1), "prompt")
    wanted: Mapping[Layout, Any] = {layout: {"kl"} for layout in layouts}
    engine.measure(batch, wanted, lambda *_: None, lambda *_: None)
    return engine.block_runs


def test_adjacent_pairs_of_thirty_blocks_cost_what_the_design_says() -> None:
    base = Layout.base(30)
    directed = [pair for i in range(29) for pair in ((i, i + 1), (i + 1, i))]
    layouts = [base, *(replacement.layout(base, i, j) for i, j in directed)]
    layouts += [interchange.layout(base, i, i + 1) for i in range(29)]
    assert block_runs(layouts) == runs_of_the_engine(30, layouts) == 1364
    assert sum(map(len, layouts)) == 2640


small_layouts = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4).map(
    lambda found: Layout.parse("(" + ",".join(f"{block}@{slot}" for block, slot in found) + ")")
)


@settings(deadline=None)
@given(st.sets(small_layouts, min_size=1, max_size=12))
def test_block_runs_are_those_of_the_engine(layouts: set[Layout]) -> None:
    assert block_runs([Layout.base(4), *layouts]) == runs_of_the_engine(4, layouts)


# --- contracts -------------------------------------------------------------------------------------------------------

# A change of every field that fixes a number. A field in neither list fails the test: decide, then add it.
CHANGES: dict[type, dict[str, Any]] = {
    ScoringContract: {"prompts": 8, "tokens": 32, "positions": "last", "assembly": "windows", "special_tokens": "none",
                      "batch_tokens": 512},
    EvaluationContract: {"window": 64, "stride": 32, "words": None, "boundary": "skip_first", "special_tokens": "none",
                         "batch_tokens": 512},
    TextSource: {"column": "body", "join": " ", "drop_empty": True, "newlines": "keep"},
}  # fmt: skip
# The text's identity and its digest stand for these; ``kind_column`` names groups and changes no number.
NAMES = {"kind", "path", "package", "file", "repo", "config", "split", "revision", "kind_column", "sha256", "seed"}


@pytest.mark.parametrize("contract", [SCORING, EVALUATION], ids=["scoring", "evaluation"])
def test_a_contracts_digest_changes_with_all_that_fixes_a_number(contract: Any) -> None:
    before = contract_digest(contract, "text", "tokenizer", "float32")
    changed = {
        "text": contract_digest(contract, "other", "tokenizer", "float32"),
        "tokenizer": contract_digest(contract, "text", "other", "float32"),
        "dtype": contract_digest(contract, "text", "tokenizer", "bfloat16"),
    }
    own, source = CHANGES[type(contract)], CHANGES[TextSource]
    assert {field.name for field in fields(contract)} - {"independent"} == {"source", *own}
    assert {field.name for field in fields(TextSource)} == {*source, *NAMES}
    versions: dict[str, Any] = {name: replace(contract, **{name: value}) for name, value in own.items()}
    for name, value in source.items():
        versions[f"source.{name}"] = replace(contract, source=replace(contract.source, **{name: value}))
    assert all(version != contract for version in versions.values())
    changed |= {name: contract_digest(version, "text", "tokenizer", "float32") for name, version in versions.items()}
    assert before not in changed.values()
    assert len(set(changed.values())) == len(changed)


def test_a_contracts_digest_does_not_depend_on_where_the_text_lies() -> None:
    def of(source: TextSource) -> str:
        return contract_digest(replace(SCORING, source=source), "text", "tokenizer", "float32")

    moved = replace(ROWS, path="/elsewhere/other.jsonl", sha256="a" * 64, kind_column="genre")
    assert of(moved) == of(ROWS)
    assert of(TextSource("package", package="p", file="data/some.jsonl")) == of(ROWS)
    assert of(TextSource("hub", repo="a/b", split="test")) == of(ROWS)
    assert of(TEXT) != of(ROWS), "the same bytes read as one text give other numbers than as rows"
    evaluation = replace(EVALUATION, source=ROWS)
    assert contract_digest(evaluation, "text", "tokenizer", "float32") != of(ROWS)


# --- cost ------------------------------------------------------------------------------------------------------------


def test_the_cost_adds_up() -> None:
    audit = audit_of(methods=(MethodSettings("deletion", (1,)),), protocols={})
    made = plan(audit, TOKENISED)
    base = Layout.base(30)
    singles = [base, *(base.without([block]) for block in range(30))]
    assert made.cost.layouts == 2 * len(singles), "the chosen block is one of them"
    assert made.cost.block_runs == 2 * block_runs(singles)
    assert made.cost.block_runs_without_sharing == 2 * (30 + 30 * 29)
    assert evaluation_tokens(audit, TOKENISED) == 1000 + 14 * 64
    passed = block_runs(singles) * (16 * 64 + 1000 + 14 * 64)
    assert made.cost.tokens == passed
    left = len(singles) * (16 * 64 + 1000 + 14 * 64)
    assert made.cost.operations == pytest.approx(2.0 * (20_000 * passed + 64 * 5000 * left))
    assert made.cost.memory > 4 * MODEL.parameters
    assert made.expected_sets == 1


def test_the_cost_grows_with_what_is_asked() -> None:
    def cost(**changes: Any) -> Cost:
        return plan(audit_of(**changes), Facts(MODEL)).cost

    plain = cost()
    assert all(getattr(plain, field.name) > 0 for field in fields(plain))
    prompts = [cost(scoring=replace(SCORING, prompts=number)) for number in (1, 2, 16, 64)]
    for one, more in pairwise(prompts):
        assert one.tokens < more.tokens
        assert one.operations < more.operations
        assert one.block_runs == more.block_runs, "of one block over one text, however long"
    for changes in (
        {"scoring": replace(SCORING, tokens=128)},
        {"scoring": replace(SCORING, special_tokens="every_window")},
        {"evaluation": replace(EVALUATION, words=2000)},
        {"evaluation": replace(EVALUATION, stride=32)},
        {"max_gap": 2},
        {"methods": (*SETTINGS, MethodSettings("random", (3,), draws=19))},
    ):
        more = cost(**changes)
        assert more.tokens > plain.tokens, changes
        assert more.operations > plain.operations, changes
    assert plain.block_runs < plain.block_runs_without_sharing
    low = cost(model=ModelSource("directory", path="/m", dtype="bfloat16"))
    assert low.memory < plain.memory
    assert seconds(plain, 2e10) == pytest.approx(seconds(plain, 1e10) / 2)


lengths = st.integers(2, 300)
shapes = st.integers(2, 50).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window - 1)))


@settings(deadline=None, max_examples=200)
@given(lengths, shapes, st.sampled_from(["every_token", "whole_window"]), st.booleans())
def test_evaluation_tokens_are_those_of_the_windows(
    length: int, shape: tuple[int, int], boundary: Any, begin: bool
) -> None:
    contract = EvaluationContract(TEXT, *shape, boundary=boundary)
    windows = list(evaluation_windows(range(length), contract, (-1,) * begin))
    contract = replace(contract, special_tokens="every_window" if begin else "none")
    facts = Facts(MODEL, evaluation=EvaluationFacts("t", "t", length, (), 1))
    if windows:
        counted = sum(len(window.ids) for window in windows)
        assert evaluation_tokens(audit_of(evaluation=contract), facts) == counted


def test_an_untokenised_text_is_estimated_from_its_words_or_its_size(tmp_path: Path) -> None:
    assert evaluation_tokens(audit_of(), Facts(MODEL)) == pytest.approx(2 * 1400, rel=0.05), "each token twice"
    (tmp_path / "text.txt").write_text("words " * 3000)
    whole = replace(EVALUATION, words=None, source=TextSource("file", path=str(tmp_path / "text.txt")))
    assert evaluation_tokens(audit_of(evaluation=whole), Facts(MODEL)) == pytest.approx(2 * 4200, rel=0.05)
    nowhere = replace(whole, source=TextSource("file", path=str(tmp_path / "none.txt")))
    assert evaluation_tokens(audit_of(evaluation=nowhere), Facts(MODEL)) > 100_000
    estimated, exact = plan(audit_of(), Facts(MODEL)), plan(audit_of(), TOKENISED)
    assert any("not tokenised yet" in note for note in estimated.notes)
    assert not any("not tokenised yet" in note for note in exact.notes)
    assert all("depends on the scores" in made.notes[-1] for made in (estimated, exact))


def test_expected_sets_foresee_ties_and_draws() -> None:
    none = plan(audit_of(methods=(MethodSettings("deletion", (3,)),)), Facts(MODEL))
    assert none.expected_sets == 1
    tied = plan(audit_of(methods=(MethodSettings("interchange", (3,)),)), Facts(MODEL))
    assert 1 < tied.expected_sets <= 16
    drawn = plan(audit_of(methods=(MethodSettings("random", (3,), draws=19),)), Facts(MODEL))
    assert drawn.expected_sets == 19


def test_the_matrix_rate_is_a_rate() -> None:
    assert 1e7 < matrix_rate(size=256, repeats=2) < 1e15
