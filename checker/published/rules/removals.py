"""Rules about published sets of removed layers: possible in the model, as many as stated, as constrained, nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from checker.core.rule import Result, failed, not_applicable, passed, undecided
from checker.published.publication import Publication, PublishedModel, Removal, Scores, SourceRule
from checker.published.rules.rows import blocks, groups, places, published, row, some

Chain = list[list[Removal]]  # rows of one method by the number of their layers, ascending


@published(
    level="error",
    why="The cost of a removal is read per block removed. Where the listed blocks are more or fewer than the budget, "
    "the row belongs to another budget, or the list is not the set that was measured.",
    remedy="Ask the source which blocks were removed for this row.",
    waive="When the source counts its budget in something other than blocks, and says so.",
)
def budget_differs(publication: Publication) -> Iterator[Result]:
    """The number of removed layers is not the budget of the row."""
    stated = [one for one in publication.removals if one.budget is not None]
    for model, rows in groups(stated, lambda one: one.model).items():
        listed = [one for one in rows if one.layers is not None]
        wrong = [one for one in listed if one.layers is not None and len(one.layers) != one.budget]
        if listed and not wrong:
            yield passed(f"{len(listed)} of {len(listed)} rows of {model} list as many layers as their budget",
                         where=places(listed), statement=f"{len(listed)} budgets of {model} with their layers",
                         recomputed=f"0 of {len(listed)} differ")  # fmt: skip
        yield from (_differs(one, one.layers or ()) for one in wrong)
        yield from (_unlisted(one) for one in rows if one.layers is None)
    if not stated:
        yield not_applicable("no row states a budget")


def _differs(removal: Removal, layers: tuple[int, ...]) -> Result:
    return failed(
        f"found {len(layers)} layers, {blocks(layers)}, at budget {removal.budget}; expected as many layers as the "
        "budget",
        removal.id,
        where=removal.where,
        statement=f"{row(removal)}, budget {removal.budget}",
        recomputed=f"{len(layers)} layers",
        question=f"{removal.where}: which {removal.budget} layers were removed?",
        does_not_show="It does not show whether the budget or the list is wrong, nor what was measured.",
    )


def _unlisted(removal: Removal) -> Result:
    return undecided(f"budget {removal.budget} stands without the removed layers, which would decide", removal.id,
                     where=removal.where, statement=row(removal),
                     question=f"{removal.where}: which {removal.budget} layers were removed?")  # fmt: skip


@published(
    level="error",
    why="Blocks count from 0, so a model of 32 has none numbered 32. A number beyond the last block is a slip, or the "
    "source counts from 1, and then every set in it is off by one.",
    remedy="Ask the source from which number it counts; correct the audit file if it counts from 1.",
    waive="When the source has acknowledged the slip.",
)
def no_such_layer(publication: Publication) -> Iterator[Result]:
    """A published layer does not exist in its model."""
    numbered: list[Removal | Scores] = [one for one in publication.removals if one.layers is not None]
    numbered += publication.scores
    for key, items in groups(numbered, lambda one: one.model).items():
        yield from _exist(publication.models[key], items)
    if not numbered:
        yield not_applicable("the audit file names no layer")


def _exist(model: PublishedModel, items: Sequence[Removal | Scores]) -> Iterator[Result]:
    told, where = f"the layers of {len(items)} rows and tables of {model.name}", places(items)
    greatest = max(block for item in items for block in _numbers(item))
    if model.blocks is None:
        yield undecided(f"how many blocks {model.name} has is not stated, and would decide whether {greatest} is one",
                        where=where, statement=told,
                        question=f"{where}: how many blocks does {model.name} have?")  # fmt: skip
        return
    wrong = [item for item in items if max(_numbers(item)) >= model.blocks]
    if not wrong:
        yield passed(f"every layer of {len(items)} rows and tables is one of the {model.blocks} blocks of {model.name}",
                     where=where, statement=told,
                     recomputed=f"greatest {greatest} of 0 to {model.blocks - 1}")  # fmt: skip
    for item in wrong:
        beyond = sorted({block for block in _numbers(item) if block >= model.blocks})
        yield failed(
            f"found {'block' if len(beyond) == 1 else 'blocks'} {some(list(map(str, beyond)))}; expected 0 to "
            f"{model.blocks - 1}, as {model.name} has {model.blocks} blocks",
            item.id,
            where=item.where,
            statement=row(item) if isinstance(item, Removal) else f"{len(item.rows)} {item.protocol} scores",
            recomputed=f"greatest {beyond[-1]} of 0 to {model.blocks - 1}",
            question=f"{item.where}: does the source count blocks from 1, or is {beyond[0]} a slip?",
            does_not_show="It does not show which block was meant.",
        )


def _numbers(item: Removal | Scores) -> Sequence[int]:
    if isinstance(item, Removal):
        return item.layers or (0,)
    return [one.j for one in item.rows] or (0,)  # i < j


@published(
    level="error",
    why="A constraint that the source states for its selection, such as no two neighbours, is part of its method. A "
    "set that breaks it was not chosen by that method, whatever the scores.",
    remedy="Ask the source by which rule the set was chosen, or whether the constraint applies to it.",
    waive="When the source says that the constraint does not apply to this row.",
)
def constraint_not_kept(publication: Publication) -> Iterator[Result]:
    """A published set breaks the spacing or the exclusions of the rule that is said to have chosen it."""
    constraining = [rule for rule in publication.rules if rule.spacing or rule.exclude]
    concluded = False
    for rule in constraining:
        spoken_of = [one for one in publication.removals if one.layers is not None and rule.speaks_of(one)]
        concluded = concluded or bool(spoken_of)
        if spoken_of:
            yield from _kept(rule, spoken_of)
    if not concluded:
        yield not_applicable("no stated rule with a spacing or exclusions speaks of a row with layers")


def _kept(rule: SourceRule, rows: Sequence[Removal]) -> Iterator[Result]:
    constraint = " and ".join(
        ([f"a spacing of {rule.spacing}"] if rule.spacing else [])
        + ([f"nothing from {blocks(rule.exclude)}"] if rule.exclude else [])
    )
    sets = groups(rows, lambda one: (one.model, one.protocol, one.layers)).values()  # printed and archived ones
    wrong = [(same, told) for same in sets if (told := _against(rule, same[0].layers or ()))]
    for same, told in wrong:
        where = places(same)
        one = min(same, key=lambda removal: removal.archive)  # the printed row, where there is one
        yield failed(
            f"found {told} in {blocks(one.layers)}; expected {constraint}, as rule {rule.id} says ({rule.where})",
            one.id,
            where=where,
            statement=row(one),
            recomputed=told.rstrip(","),
            question=f"{where}: was {blocks(one.layers)} chosen by the rule of {rule.where}, which asks for "
            f"{constraint}?",
            does_not_show="It does not show that the cost of the set is wrong, nor what the rule would have chosen.",
        )
    if not wrong:
        yield passed(f"{len(sets)} of {len(sets)} sets have {constraint}", rule.id, where=places(rows),
                     statement=f"rule {rule.id}: {constraint} ({rule.where})",
                     recomputed=f"0 of {len(sets)} sets break it")  # fmt: skip


def _against(rule: SourceRule, layers: Sequence[int]) -> str:
    near = [f"{a} and {b}" for a, b in pairwise(layers) if b - a <= (rule.spacing or 0)]
    told = [f"{some(near)}, too near to each other,"] if near else []
    if excluded := [block for block in layers if block in rule.exclude]:
        told.append(f"{', '.join(map(str, excluded))}, which is excluded,")
    return " and ".join(told)


@published(
    level="warning",
    why="A set taken from one ranking holds every set that is taken from the same ranking at a smaller budget, and a "
    "search that removes one block after the other never puts one back. Sets that are not nested come from different "
    "scores, ties broken differently, or another rule.",
    remedy="Ask the source whether all budgets were chosen from the same scores, and how ties were broken.",
    waive="When the source says that it chose each budget anew.",
)
def sets_not_nested(publication: Publication) -> Iterator[Result]:
    """The layers removed at a smaller budget are not all among those removed at a larger one."""
    rows = [one for one in publication.removals if one.layers is not None and one.method != "random"]
    concluded = False
    for model, of_model in groups(rows, lambda one: one.model).items():
        methods = groups(of_model, lambda one: (*_method(one), one.search, one.rule)).values()
        chains = [chain for same in methods if len(chain := _chain(same)) > 1]
        found = [(chain, _not_nested(publication, chain)) for chain in chains]
        concluded = concluded or bool(chains)
        if nested := [chain for chain, result in found if result is None]:
            yield _all_nested(model, nested)
        yield from (result for _, result in found if result is not None)
    if not concluded:
        yield not_applicable("no method has sets of layers at two budgets")


def _method(one: Removal) -> tuple[object, ...]:
    """What has to be equal for two sets to come from one ranking."""
    return (one.model, one.method, one.protocol, one.selected_on, one.prompts, one.positions, one.direction,
            one.archive)  # fmt: skip


def _chain(same: Sequence[Removal]) -> Chain:
    return [found for _, found in sorted(groups(same, lambda one: len(one.layers or ())).items())]


def _all_nested(model: str, chains: Sequence[Chain]) -> Result:
    rows = [one for chain in chains for same in chain for one in same]
    methods = list(dict.fromkeys(one.method for one in rows))
    return passed(f"{len(chains)} of {len(chains)} series of sets of {model} are nested", where=places(rows),
                  statement=f"sets of {', '.join(methods)} on {model}",
                  recomputed=f"{len(chains)} nested series")  # fmt: skip


def _not_nested(publication: Publication, chain: Chain) -> Result | None:
    """What stands against a series of sets; None where they are nested."""
    rows = [one for same in chain for one in same]
    first, where = rows[0], places(rows)
    statement = f"{first.method} on {first.model}: {some(_sets(rows), '; ')}"
    apart = [told for smaller, larger in pairwise(chain) for one in larger if (told := _outside(smaller, one))]
    if not apart:
        return None
    if first.search == "unstated" and not any(rule.speaks_of(first) for rule in publication.rules):
        return undecided(f"{some(apart, '; ')}; whether they were chosen from one ranking would decide", first.id,
                         where=where, statement=statement,
                         question=f"{where}: were the sets of {first.method} chosen from one ranking?")  # fmt: skip
    return failed(
        f"found {some(apart, '; ')}; expected every block of the smaller set in the larger one",
        first.id,
        where=where,
        statement=statement,
        recomputed=some(apart, "; "),
        question=f"{where}: were the sets of {first.method} chosen from the same scores, and how were ties broken?",
        does_not_show="It does not show which set was chosen as described, nor that a cost is wrong.",
    )


def _sets(rows: Sequence[Removal]) -> list[str]:
    return list(dict.fromkeys(blocks(one.layers) for one in rows))


def _outside(smaller: Sequence[Removal], larger: Removal) -> str:
    """What the sets at a smaller budget have and the larger one lacks; empty where it holds one of them whole."""
    whole = set(larger.layers or ())
    lacking = [sorted(set(one.layers or ()) - whole) for one in smaller]
    if not all(lacking):
        return ""
    least = min(range(len(lacking)), key=lambda number: len(lacking[number]))
    return (
        f"{', '.join(map(str, lacking[least]))} in {blocks(smaller[least].layers)} and not in {blocks(larger.layers)}"
    )


@published(
    level="warning",
    why="At a budget of one block, an iterative search and a one-shot ranking do the same: they try every block once "
    "and take the best. Where they differ, they were not run on the same text, with the same scores or on the same "
    "model.",
    remedy="Ask the source what differs between the two searches beside their order.",
    waive="When the source says what else differs.",
)
def first_choice_differs(publication: Publication) -> Iterator[Result]:
    """An iterative search and a one-shot ranking of one method choose different first blocks."""
    rows = [one for one in publication.removals if one.layers is not None]
    concluded = False
    for same in groups(rows, _method).values():
        searches = groups(same, lambda one: one.search)
        if {"one_shot", "iterative"} <= set(searches):
            concluded = True
            yield _first_choice(searches["one_shot"], searches["iterative"])
    if not concluded:
        yield not_applicable("no method has rows of both an iterative and a one-shot search")


def _first_choice(one_shot: Sequence[Removal], iterative: Sequence[Removal]) -> Result:
    rows = (*one_shot, *iterative)
    first, where = rows[0], places(rows)
    statement = f"{first.method} on {first.model}, one-shot and iterative"
    alone = [[one for one in search if len(one.layers or ()) == 1] for search in (one_shot, iterative)]
    if not all(alone):
        missing = "one-shot" if not alone[0] else "iterative"
        return undecided(f"the {missing} choice at budget 1 is not stated, and would decide", first.id, where=where,
                         statement=statement,
                         question=f"{where}: which block does {first.method}, {missing}, remove first?")  # fmt: skip
    chosen = [_sets(found) for found in alone]
    told = f"{some(chosen[0])} one-shot, {some(chosen[1])} iterative"
    if set(chosen[0]) == set(chosen[1]):
        return passed(f"at budget 1 {first.method} takes {some(chosen[0])} in both searches", first.id, where=where,
                      statement=statement, recomputed=told)  # fmt: skip
    return failed(
        f"found {told} at budget 1; expected the same block",
        first.id,
        where=places((*alone[0], *alone[1])),
        statement=statement,
        recomputed=told,
        question=f"{places((*alone[0], *alone[1]))}: what differs between the two searches of {first.method}?",
        does_not_show="It does not show which search was run as described, nor what the later steps would have chosen.",
    )
