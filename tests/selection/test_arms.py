"""Methods under constraints: which sets each form chooses, what is counted, and what is a gap instead of a ranking."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from evidence_sample import an_audit, directory, model_facts, scoring_facts
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Table, additive, problem_with, removed_from

from checker.core.errors import EvidenceMissing, NotFinite
from checker.core.facts import Facts
from checker.core.layouts import Geometry, Layout
from checker.core.questions import Evidence, RemovalSet
from checker.core.records import Audit, MethodSettings, Selection
from checker.selection.arms import RESOLUTION, Arms, arms, block_scores, scored_by
from checker.selection.methods import METHODS, interchange, replacement

FREE = Selection(spacing=0)


def audit_of(
    *methods: MethodSettings | str, selections: tuple[Selection, ...] = (Selection(),), **changes: Any
) -> Audit:
    own = tuple(method if isinstance(method, MethodSettings) else MethodSettings(method, (1, 2)) for method in methods)
    first, *further = selections
    return an_audit(methods=own, selection=first, further_selections=tuple(further), **changes)


def run(blocks: int, ask: Any, *methods: MethodSettings | str, **changes: Any) -> Arms:
    audit = audit_of(*methods, **changes)
    return arms(audit, problem_with(audit.geometry(blocks), audit.statistics.seed, audit.max_gap), ask)


def layers(found: Arms, **fields: Any) -> list[tuple[int, ...]]:
    return [arm.layers for arm in found.sets if all(getattr(arm, name) == value for name, value in fields.items())]


def whatever(blocks: int, seed: int = 0) -> Table:
    """A different answer for everything that can be asked."""

    def of(key: Any) -> list[float]:
        generator = np.random.default_rng([seed, *str(key).encode()])
        return list(0.1 + 0.8 * generator.random(5))

    return Table(**dict.fromkeys(("kl", "loss", "similarity", "cosine", "angle", "cka", "taylor"), of))


# --- which sets ------------------------------------------------------------------------------------------------------

FIVE = (0.2, 0.9, 0.1, 0.8, 0.3)  # deletion
INTERCHANGE = (0.5, 0.4, 0.1, 0.3)


def five() -> Table:
    """Every interchange and every deletion of five blocks, in two prompts; replacement is not measured."""
    base = Layout.base(5)
    means = {interchange.layout(base, i, i + 1): value for i, value in enumerate(INTERCHANGE)}
    means |= {base.without([block]): value for block, value in enumerate(FIVE)}

    def of(layout: Layout) -> list[float]:
        if layout not in means:
            raise EvidenceMissing("not measured")
        return [means[layout] - 0.05, means[layout] + 0.05]

    return Table(kl=of)


def test_arms_are_the_sets_of_each_method_and_what_is_missing_is_said() -> None:
    control = MethodSettings("random", (2,), draws=3)
    found = run(
        5, five(), "interchange", MethodSettings("replacement", (1,)), MethodSettings("deletion", (2, 4)), control
    )
    assert [(arm.method, arm.budget, arm.layers, arm.tie, arm.ties) for arm in found.sets if not arm.draw] == [
        ("interchange", 1, (2,), 0, 2),
        ("interchange", 1, (3,), 1, 2),
        ("interchange", 2, (2, 4), 0, 2),
        ("interchange", 2, (1, 3), 1, 2),
        ("deletion", 2, (0, 2), 0, 1),
    ]
    draws = [arm for arm in found.sets if arm.draw]
    assert [arm.tie for arm in draws] == [0, 1, 2]
    assert {arm.method for arm in draws} == {"random"}
    assert found.gaps == (
        "replacement: not measured",
        "deletion at budget 4: the ascending order reaches no set of that size",
    )


def test_ties_to_the_lower_index() -> None:
    found = run(5, five(), "interchange", selections=(Selection(ties="lower"),))
    assert [(arm.layers, arm.tie, arm.ties) for arm in found.sets] == [((2,), 0, 1), ((2, 4), 0, 1)]


def test_scores_are_means_over_prompts_or_the_whole_of_what_is_pooled() -> None:
    where = problem_with(Geometry(5))
    scores = block_scores(MethodSettings("interchange", (1,)), where, five())
    assert scores == pytest.approx({0: 0.5, 1: 0.4, 2: 0.1, 3: 0.1, 4: 0.3})
    with pytest.raises(EvidenceMissing):
        block_scores(MethodSettings("replacement", (1,)), where, five())
    pooled = Table(taylor=lambda block: [float(block), 99.0], cka=lambda span: [1.0 - 0.1 * span[0], -99.0])
    assert block_scores(MethodSettings("taylor", (1,)), where, pooled) == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}
    assert block_scores(MethodSettings("cka", (1,)), where, pooled)[2] == pytest.approx(0.2)


def test_another_budget_or_method_changes_no_other_arms() -> None:
    one = run(8, whatever(8), MethodSettings("random", (2,), draws=3), MethodSettings("deletion", (2,)))
    more = run(
        8, whatever(8), MethodSettings("random", (1, 2, 3), draws=3), "deletion", "sleb", "exhaustive", "replacement"
    )
    assert set(one.sets) < set(more.sets)


def test_only_what_the_audit_names_is_scored_and_deletion_always() -> None:
    assert scored_by(an_audit()) == ("interchange", "replacement", "deletion")
    assert scored_by(audit_of("random", protocols={})) == ("deletion",)
    assert scored_by(audit_of("random", protocols={"interchange": {}})) == ("interchange", "deletion")
    assert scored_by(audit_of("sleb", "beam", "laco", protocols={})) == ("deletion",), "they have no block scores"
    turned = audit_of(MethodSettings("worst_first", (1,), of="taylor"), protocols={})
    assert scored_by(turned) == ("deletion", "taylor"), "what is turned round is measured"


# --- every method, under every constraint ----------------------------------------------------------------------------

EVERY = tuple(METHODS)
LOOKING = tuple(name for name in METHODS if name not in ("random", "deepest"))


def test_every_method_gives_arms() -> None:
    found = run(8, whatever(8), *EVERY)
    assert found.gaps == ()
    assert {(arm.method, arm.budget) for arm in found.sets} == {(name, budget) for name in EVERY for budget in (1, 2)}
    assert {arm.method for arm in found.sets if arm.form == "native"} == {"angular_distance", "deepest", "sleb", "laco"}
    assert {arm.method for arm in found.sets if arm.merged} == {"laco"}
    assert {arm.selection for arm in found.sets if arm.form == "native"} == {"native"}
    for arm in found.sets:
        assert arm.layout.removed(8) == arm.layers
        assert len(arm.layers) == arm.budget


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2),
    st.sets(st.integers(0, 8), max_size=3),
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(5, 8))),
    st.integers(0, 10**6),
)
def test_matched_sets_obey_spacing_exclusions_and_region(
    spacing: int, exclude: set[int], region: tuple[int, int] | None, seed: int
) -> None:
    selection = Selection(spacing, exclude=tuple(sorted(exclude)), region=region, name="own")
    found = run(9, whatever(9, seed), *EVERY, selections=(selection,))
    geometry = selection.geometry(9)
    for arm in found.sets:
        if arm.form == "matched":
            assert geometry.allows(arm.layers), arm
            assert region is None or all(region[0] <= layer <= region[1] for layer in arm.layers)
            assert arm.selection == "own"
            changed = [place.slot for place in arm.layout.places if not place.own]
            assert not set(changed) & exclude
    one = [arm for arm in found.sets if arm.method == "exhaustive" and arm.budget == 1]
    assert one or not geometry.count(1)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_native_forms_are_those_of_their_papers(seed: int, budget: int) -> None:
    """Whatever the audit's own constraints are."""
    own = [MethodSettings(name, (budget,)) for name in ("angular_distance", "deepest", "sleb", "laco")]
    found = run(9, whatever(9, seed), *own, selections=(Selection(spacing=2, exclude=(4,)),))
    native = {arm.method: arm for arm in found.sets if arm.form == "native"}
    run_of = native["angular_distance"].layers
    assert run_of == tuple(range(run_of[0], run_of[0] + budget))
    assert native["deepest"].layers == tuple(range(8 - budget, 8))
    assert not {0, 8} & set(native["sleb"].layers)
    if "laco" in native:
        merged = native["laco"].layout
        assert all(sum(share for _, share in place.weights) == 1.0 for place in merged.places)
        assert (budget == 1) == (native["laco"].merged is None), "a merge of one block is a deletion"


def test_slebs_own_form_is_not_spaced() -> None:
    costs = additive([0.0, 0.5, 0.1, 0.2, 0.3, 0.0])
    found = run(6, Table(loss=costs), "sleb")
    assert layers(found, form="native", budget=2) == [(2, 3)]
    assert layers(found, form="matched", budget=2) == [(0, 5)]
    only = run(6, Table(loss=costs), MethodSettings("sleb", (2,), forms=("native",)))
    assert [(arm.form, arm.layers) for arm in only.sets] == [("native", (2, 3))]


def test_the_same_methods_under_several_selections() -> None:
    costs = Table(kl=additive([0.3, 0.1, 0.2, 0.6, 0.5, 0.4]))
    several = (Selection(), Selection(0, name="free"), Selection(1, name="late", region=(3, 5)))
    found = run(6, costs, MethodSettings("deletion", (2, 3)), selections=several)
    assert layers(found, selection="matched") == [(1, 5), (1, 3, 5)]
    assert layers(found, selection="free") == [(1, 2), (0, 1, 2)]
    assert layers(found, selection="late") == [(3, 5)]
    assert found.gaps == ("deletion at budget 3, selection late: the ascending order reaches no set of that size",)


def test_worst_first_turns_the_named_methods_order_round() -> None:
    costs = Table(kl=additive([0.3, 0.1, 0.2, 0.6, 0.5, 0.4]))
    worst = MethodSettings("worst_first", (1, 2), of="deletion")
    found = run(6, costs, worst, "deletion", selections=(FREE,))
    assert layers(found, method="worst_first") == [(3,), (3, 4)]
    assert layers(found, method="deletion") == [(1,), (1, 2)]
    scores = [block_scores(own, problem_with(Geometry(6)), costs) for own in (worst, MethodSettings("deletion", (1,)))]
    assert scores[0] == {block: -score for block, score in scores[1].items()}


def test_a_merge_keeps_its_layout() -> None:
    found = run(6, Table(similarity=lambda _: 0.5), MethodSettings("laco", (2,), merge=3))
    assert [(arm.form, arm.layers, str(arm.merged)) for arm in found.sets] == [
        ("matched", (2, 4), "None"),
        ("native", (4, 5), "(0,1,2,mix(3:-1,4:1,5:1)@3)"),
    ]
    assert [str(arm.layout) for arm in found.sets] == ["(0,1,3,5)", "(0,1,2,mix(3:-1,4:1,5:1)@3)"]


# --- deletion loss and SLEB ------------------------------------------------------------------------------------------


def noisy(seed: int) -> Callable[[Layout], list[float]]:
    return lambda layout: list(np.random.default_rng([seed, *str(layout).encode()]).normal(3.0, 1.0, 2))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 2))
def test_deletion_loss_is_nested_and_agrees_with_sleb_at_budget_1(seed: int, spacing: int) -> None:
    budgets = (1, 2, 3)
    own = [MethodSettings(name, budgets) for name in ("deletion_loss", "sleb")]
    found = run(9, Table(loss=noisy(seed)), *own, selections=(Selection(spacing),))
    once, again = (layers(found, method=name, form="matched") for name in ("deletion_loss", "sleb"))
    assert once[:1] == again[:1]
    for nested in (once, again):
        assert all(set(smaller) < set(larger) for smaller, larger in pairwise(nested))


def test_sleb_looks_again_where_deletion_loss_does_not() -> None:
    def loss(layout: Layout) -> float:
        gone = removed_from(layout, 6)
        return sum([0.3, 0.1, 0.2, 0.6, 0.5, 0.4][block] for block in gone) + (1.0 if {1, 2} <= set(gone) else 0.0)

    found = run(6, Table(loss=loss), "sleb", "deletion_loss", selections=(FREE,))
    assert layers(found, method="deletion_loss", budget=2) == [(1, 2)]
    assert layers(found, method="sleb", budget=2, form="matched") == [(0, 1)]


# --- calls -----------------------------------------------------------------------------------------------------------


def calls(found: Arms, **fields: Any) -> list[int]:
    return [arm.calls for arm in found.sets if all(getattr(arm, name) == value for name, value in fields.items())]


def test_slebs_evaluations_on_thirty_blocks() -> None:
    """Free: 30, and one fewer at each step; with both ends barred two fewer; spaced, without the neighbours."""
    own = MethodSettings("sleb", (1, 2, 3, 4, 5))
    inner = additive([9.0, *[0.1 * block for block in range(1, 29)], 9.0])
    found = run(30, Table(loss=inner), own, selections=(FREE,))
    assert calls(found, form="matched") == [30, 59, 87, 114, 140]
    assert calls(found, form="native") == [28, 55, 81, 106, 130]
    assert layers(found, form="matched", budget=5) == layers(found, form="native", budget=5) == [(1, 2, 3, 4, 5)]
    spaced = run(30, Table(loss=inner), own)
    assert layers(spaced, form="matched", budget=5) == [(1, 3, 5, 7, 9)]
    assert calls(spaced, form="matched") == [30, 30 + 27, 57 + 25, 82 + 23, 105 + 21]


def test_what_is_evaluated_is_counted_once() -> None:
    found = run(8, whatever(8), *[MethodSettings(name, (1, 2)) for name in EVERY], selections=(FREE,))
    counted = {(arm.method, arm.form, arm.budget): arm.calls for arm in found.sets}
    layouts = {
        "interchange": 7,
        "replacement": 14,
        "averaging": 7,
        "deletion": 8,
        "deletion_loss": 8,
        "worst_first": 14,
    }
    passes = {"block_influence": 1, "angular_distance": 1, "cka": 1, "taylor": 1}
    for name, expected in {**layouts, **passes, "random": 0, "deepest": 0}.items():
        assert {counted[name, "matched", budget] for budget in (1, 2)} == {expected}, name
    assert counted["angular_distance", "native", 2] == 1
    assert [counted["exhaustive", "matched", budget] for budget in (1, 2)] == [8, 28]
    assert counted["beam", "matched", 2] == 8 + len({frozenset(pair) for pair in beams_pairs()})
    known = whatever(8)
    merged = run(8, known, MethodSettings("laco", (2,), forms=("matched",)))
    assert calls(merged) == [len(known.layouts("similarity"))], "however often the search comes by"
    assert len(known.asked) > len(known.layouts("similarity"))


def beams_pairs() -> list[tuple[int, int]]:
    """The pairs that contain one of the four best single deletions."""
    known = whatever(8)
    singles = {block: known.loss([Layout.base(8).without([block])]) for block in range(8)}
    best = sorted(singles, key=lambda block: float(np.mean(list(singles[block].values()))))[:4]
    return [pair for pair in combinations(range(8), 2) if set(pair) & set(best)]


@pytest.mark.parametrize("name", ["sleb", "beam", "exhaustive", "laco"])
def test_capped_methods_stop_and_the_rest_go_on(name: str) -> None:
    known = whatever(8)
    found = run(
        8, known, MethodSettings(name, (3,), calls=2, forms=("matched",)), MethodSettings("deletion", (3,), calls=2)
    )
    assert {arm.method for arm in found.sets} == {"deletion"}, "the calls of a scoring method are not capped"
    (gap,) = found.gaps
    assert gap.startswith(f"{name} at budget 3: ")
    assert "the 2 evaluations declared; raise `calls`" in gap
    assert sum(quantity in ("loss", "similarity") for quantity, _ in known.asked) <= 2, "nothing beyond is evaluated"


def test_a_budget_within_the_calls_stays() -> None:
    found = run(8, whatever(8), MethodSettings("sleb", (1, 2), calls=14, forms=("matched",)))
    assert [arm.budget for arm in found.sets] == [1, 2]
    few = run(8, whatever(8), MethodSettings("sleb", (1, 2), calls=8, forms=("matched",)))
    assert calls(few) == [8]
    assert few.gaps == ("sleb at budget 2: it takes more than the 8 evaluations declared; raise `calls`",)


def test_too_many_sets_for_exhaustive_are_a_gap_with_its_reason() -> None:
    found = run(30, Table(loss=additive([0.1] * 30)), MethodSettings("exhaustive", (1, 5)))
    assert layers(found) == [(0,)]
    assert found.gaps == (
        "exhaustive at budget 5: budget 5 leaves 65,780 sets, more than the 1,000 evaluations declared; raise `calls` "
        "to decide it",
    )


# --- what is no ranking ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", LOOKING)
def test_no_method_ranks_what_is_not_finite(name: str, value: float) -> None:
    """One answer of many, in one prompt of several, whoever gave it."""
    known = whatever(6)
    run(6, known, name)
    victims = {quantity: next(key for asked, key in known.asked if asked == quantity) for quantity, _ in known.asked}
    spoiled = whatever(6)
    for quantity, victim in victims.items():
        answer = spoiled.answers[quantity]
        spoiled.answers[quantity] = (
            lambda key, answer=answer, victim=victim: (  # type: ignore[misc]
                [*answer(key)[:4], value] if key == victim else answer(key)
            )
        )
    with pytest.raises(NotFinite, match="not a finite number"):
        run(6, spoiled, name)


def of_cka(*scores: float) -> Table:
    return Table(cka=lambda span: [1.0 - scores[span[0]]])


STEP = RESOLUTION["float32"]


def test_cka_below_the_resolution_is_a_gap() -> None:
    close = of_cka(0.5, 0.25, 0.25 + STEP / 2, 0.9, 0.7, 0.8)
    found = run(6, close, MethodSettings("cka", (1, 2)), selections=(FREE,))
    assert layers(found) == [(1, 2)], "which of the two goes first makes no difference here"
    (gap,) = found.gaps
    assert gap.startswith("cka at budget 1: the step between what is removed and what is kept is 6e-08, below the ")
    assert gap.endswith("resolution of float32, 1.2e-07; this is no ranking")
    coarse = run(6, of_cka(0.5, 0.25, 0.2505, 0.9, 0.7, 0.8), "cka", model=directory("bfloat16"), selections=(FREE,))
    assert [arm.budget for arm in coarse.sets] == [2]
    assert run(6, of_cka(0.5, 0.25, 0.2505, 0.9, 0.7, 0.8), "cka", selections=(FREE,)).gaps == ()


def test_ckas_ties_are_a_gap_too() -> None:
    found = run(6, of_cka(0.5, 0.25, 0.25, 0.9, 0.7, 0.8), MethodSettings("cka", (1, 2)), selections=(FREE,))
    assert layers(found) == [(1, 2)]
    assert len(found.gaps) == 1


def test_a_neighbour_left_out_by_less_than_the_resolution_is_a_gap() -> None:
    """Block 2 is only kept because block 1, which is next to it and no better, came first."""
    near = of_cka(0.5, 0.25, 0.25 + STEP / 2, 0.9, 0.4, 0.8)
    found = run(6, near, MethodSettings("cka", (2,)))
    assert found.sets == ()
    assert "no ranking" in found.gaps[0]
    apart = of_cka(0.5, 0.25, 0.3, 0.9, 0.3 + STEP / 4, 0.8)
    assert layers(run(6, apart, MethodSettings("cka", (2,)))) == [(1, 4)], (
        "block 1 keeps block 2 out, however near to 4"
    )


def test_what_is_excluded_decides_no_ranking() -> None:
    close = of_cka(0.5, 0.25, 0.25 + STEP / 2, 0.9, 0.7, 0.8)
    for selection in (Selection(0, exclude=(2,)), Selection(0, region=(0, 1))):
        assert layers(run(6, close, MethodSettings("cka", (1,)), selections=(selection,))) == [(1,)]


def test_worst_first_of_cka_needs_the_same_resolution() -> None:
    worst = MethodSettings("worst_first", (1,), of="cka")
    found = run(6, of_cka(0.5, 0.25, 0.3, 0.9, 0.7, 0.9 + STEP / 2), worst, selections=(FREE,))
    assert found.sets == ()
    assert "worst_first at budget 1: the step" in found.gaps[0]
    assert layers(run(6, of_cka(0.5, 0.25, 0.3, 0.9, 0.7, 0.8), worst, selections=(FREE,))) == [(3,)]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 12), min_size=6, max_size=6), st.integers(0, 2), st.integers(1, 3),
    st.sets(st.integers(0, 5), max_size=2), st.lists(st.floats(-0.99, 0.99), min_size=6, max_size=6),
)  # fmt: skip
def test_a_ranking_that_stands_survives_rounding(
    steps: list[int], spacing: int, budget: int, exclude: set[int], rounding: list[float]
) -> None:
    """Scores in steps of half the resolution: where there is a set, rounding of less than that does not change it."""
    selection = (Selection(spacing, exclude=tuple(sorted(exclude))),)
    scores = [0.25 + STEP / 2 * step for step in steps]
    rounded = [score + STEP / 2 * error for score, error in zip(scores, rounding, strict=True)]
    own = MethodSettings("cka", (budget,))
    found = run(6, of_cka(*scores), own, selections=selection)
    again = arms_without_resolution(rounded, selection[0], budget)
    if found.sets:
        assert layers(found) == again


def arms_without_resolution(scores: list[float], selection: Selection, budget: int) -> list[tuple[int, ...]]:
    """The same scores, as if they were block influence, whose steps are never too small."""
    known = Table(cosine=lambda span: [1.0 - scores[span[0]]])
    return layers(run(6, known, MethodSettings("block_influence", (budget,)), selections=(selection,)))


def test_missing_evidence_is_a_gap_and_the_rest_go_on() -> None:
    def too_few(_: object) -> float:
        raise EvidenceMissing("CKA needs more tokens than features")

    found = run(
        6,
        Table(cka=too_few, kl=additive([0.1] * 6)),
        MethodSettings("cka", (1, 2, 3)),
        MethodSettings("deletion", (1,)),
    )
    assert {arm.method for arm in found.sets} == {"deletion"}
    assert found.gaps == ("cka: CKA needs more tokens than features",), "once, not at every budget"


def test_too_few_tokens_for_cka_are_said_of_stored_evidence_too() -> None:
    """No further run would measure it, so "not measured" would be no reason."""
    audit = audit_of("cka", selections=(FREE,))
    known = {"cka": [0.5], "kl": [0.1, 0.2]}

    def hidden_of(features: int) -> Arms:
        facts = Facts(model_facts(8, hidden=features), scoring_facts())
        evidence = Evidence(audit, facts, lambda question: np.array(known[question.quantity]))
        return arms(audit, problem_with(Geometry(8, 0)), evidence.ask)

    assert hidden_of(512).gaps == (
        "cka: CKA needs more tokens than features: found 512 tokens and 512 features; raise `prompts` or `tokens`",
    )
    assert "no ranking" in hidden_of(511).gaps[0], "all equal, but measured"


def test_blocks_that_cannot_be_compared_have_no_scores() -> None:
    audit = audit_of("replacement", "interchange", selections=(FREE,))
    where = replace(problem_with(Geometry(4, 0)), pairs=((0, 1),))
    base = Layout.base(4)
    known = {
        replacement.layout(base, 0, 1): 0.5,
        replacement.layout(base, 1, 0): 0.1,
        interchange.layout(base, 0, 1): 0.2,
    }
    found = arms(audit, where, Table(kl=lambda layout: known[layout]))
    assert layers(found, method="replacement") == [(1,), (0, 1)]
    assert layers(found, method="interchange") == [(0,), (1,), (0, 1)]


def test_a_removal_set_says_which_layers_it_removes_and_what_it_merges() -> None:
    plain = RemovalSet("deletion", 2, Layout.parse("(0,2,4)"))
    assert (plain.layers, plain.merged) == ((1, 3), None)
    moved = RemovalSet("laco", 2, Layout.parse("(0,2@1,4)"))
    assert (moved.layers, moved.merged) == ((2, 3), moved.layout)
    assert Layout.parse("(0,2@1,4)").removed(5) == (2, 3)
