"""Rules about published sets of removed layers: possible in the model, as many as stated, as constrained, nested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.publication import Publication, PublishedModel, Removal, Scores, SourceRule
from checker.published.rules.rows import blocks, groups, places, quoted
from checker.published.rules.subject import Subject, published

# What has to be equal for two sets to come from one ranking.
_method = attrgetter("model", "method", "protocol", "selected_on", "prompts", "positions", "direction", "archive")
Chain = list[list[Removal]]  # rows of one method by the number of their layers, ascending


@published(
    level="error",
    why="The cost of a removal is read per block removed. Where the listed blocks are more or fewer than the budget, "
    "the row belongs to another budget, or the list is not the set that was measured.",
    remedy="Ask the source which blocks were removed for this row.",
    waive="When the source counts its budget in something other than blocks, and says so.",
    nothing="no row states a budget",
)
def budget_differs(publication: Publication) -> Iterator[Result]:
    """The number of removed layers is not the budget of the row."""
    stated = [row for row in publication.removals if row.budget is not None]
    for model, rows in groups(stated, lambda row: row.model).items():
        whole = [(row, row.layers) for row in rows if row.layers is not None]
        wrong = [(row, layers) for row, layers in whole if len(layers) != row.budget]
        if whole and not wrong:
            where, number = places(row for row, _ in whole), len(whole)
            yield Subject(None, where, f"{number} budgets of {model} with their layers").passed(
                f"{number} of {number} rows of {model} list as many layers as their budget", f"0 of {number} differ"
            )
        yield from (_differs(row, layers) for row, layers in wrong)
        yield from (_unlisted(row) for row in rows if row.layers is None)


def _differs(removal: Removal, layers: tuple[int, ...]) -> Result:
    return Subject(removal.id, removal.where, f"{quoted(removal)}, budget {removal.budget}").failed(
        f"found {len(layers)} layers, {blocks(layers)}, at budget {removal.budget}; expected as many layers as the "
        "budget",
        recomputed=f"{len(layers)} layers",
        question=f"which {removal.budget} layers were removed?",
        does_not_show="It does not show whether the budget or the list is wrong, nor what was measured.",
    )


def _unlisted(removal: Removal) -> Result:
    return Subject(removal.id, removal.where, quoted(removal)).undecided(
        f"budget {removal.budget} stands without the removed layers, which would decide",
        f"which {removal.budget} layers were removed?",
    )


@published(
    level="error",
    why="Blocks count from 0, so a model of 32 has none numbered 32. A number beyond the last block is a slip, or the "
    "source counts from 1, and then every set in it is off by one.",
    remedy="Ask the source from which number it counts; correct the audit file if it counts from 1.",
    waive="When the source has acknowledged the slip.",
    nothing="the audit file names no layer",
)
def no_such_layer(publication: Publication) -> Iterator[Result]:
    """A published layer does not exist in its model."""
    numbered: list[Removal | Scores] = [row for row in publication.removals if row.layers is not None]
    for key, items in groups([*numbered, *publication.scores], lambda item: item.model).items():
        yield from _exist(publication.models[key], items)


def _exist(model: PublishedModel, items: Sequence[Removal | Scores]) -> Iterator[Result]:
    rows = f"{len(items)} rows and tables"
    subject = Subject(None, places(items), f"the layers of {rows} of {model.name}")
    greatest = max(block for item in items for block in _numbers(item))
    if model.blocks is None:
        yield subject.undecided(
            f"how many blocks {model.name} has is not stated, and would decide whether {greatest} is one",
            f"how many blocks does {model.name} have?",
        )
        return
    last = model.blocks - 1
    if greatest <= last:
        yield subject.passed(
            f"every layer of {rows} is one of the {model.blocks} blocks of {model.name}",
            f"greatest {greatest} of 0 to {last}",
        )
    for item in items:
        if beyond := sorted({block for block in _numbers(item) if block > last}):
            statement = quoted(item) if isinstance(item, Removal) else f"{len(item.rows)} {item.protocol} scores"
            yield Subject(item.id, item.where, statement).failed(
                f"found {'block' if len(beyond) == 1 else 'blocks'} {listed(beyond)}; expected 0 to {last}, as "
                f"{model.name} has {model.blocks} blocks",
                recomputed=f"greatest {beyond[-1]} of 0 to {last}",
                question=f"does the source count blocks from 1, or is {beyond[0]} a slip?",
                does_not_show="It does not show which block was meant.",
            )


def _numbers(item: Removal | Scores) -> Sequence[int]:
    if isinstance(item, Removal):
        return item.layers or (0,)
    return [row.j for row in item.rows] or (0,)  # i < j


@published(
    level="error",
    why="A constraint that the source states for its selection, such as no two neighbours, is part of its method. A "
    "set that breaks it was not chosen by that method, whatever the scores.",
    remedy="Ask the source by which rule the set was chosen, or whether the constraint applies to it.",
    waive="When the source says that the constraint does not apply to this row.",
    nothing="no stated rule with a spacing or exclusions speaks of a row with layers",
)
def constraint_not_kept(publication: Publication) -> Iterator[Result]:
    """A published set breaks the spacing or the exclusions of the rule that is said to have chosen it."""
    for rule in publication.rules:
        rows = [row for row in publication.removals if row.layers is not None and rule.speaks_of(row)]
        if rows and (rule.spacing or rule.exclude):
            yield from _kept(rule, rows)


def _kept(rule: SourceRule, rows: Sequence[Removal]) -> Iterator[Result]:
    spacing = f"a spacing of {rule.spacing}" if rule.spacing else ""
    constraint = " and ".join(filter(None, (spacing, f"nothing from {blocks(rule.exclude)}" if rule.exclude else "")))
    sets = groups(rows, lambda row: (row.model, row.protocol, row.layers)).values()  # printed and archived ones
    wrong = [(same, breach) for same in sets if (breach := _against(rule, same[0].layers or ()))]
    for same, breach in wrong:
        first = min(same, key=lambda row: row.archive)  # the printed row, where there is one
        yield Subject(first.id, places(same), quoted(first)).failed(
            f"found {breach} in {blocks(first.layers)}; expected {constraint}, as rule {rule.id} says ({rule.where})",
            recomputed=breach.rstrip(","),
            question=f"was {blocks(first.layers)} chosen by the rule of {rule.where}, which asks for {constraint}?",
            does_not_show="It does not show that the cost of the set is wrong, nor what the rule would have chosen.",
        )
    if not wrong:
        yield Subject(rule.id, places(rows), f"rule {rule.id}: {constraint} ({rule.where})").passed(
            f"{len(sets)} of {len(sets)} sets have {constraint}", f"0 of {len(sets)} sets break it"
        )


def _against(rule: SourceRule, layers: Sequence[int]) -> str:
    """What breaks a rule's constraints, in words; empty where nothing does."""
    near = [f"{a} and {b}" for a, b in pairwise(layers) if b - a <= (rule.spacing or 0)]
    breaches = [f"{listed(near)}, too near to each other,"] if near else []
    if excluded := [block for block in layers if block in rule.exclude]:
        breaches.append(f"{', '.join(map(str, excluded))}, which is excluded,")
    return " and ".join(breaches)


@published(
    level="warning",
    why="A set taken from one ranking holds every set that is taken from the same ranking at a smaller budget, and a "
    "search that removes one block after the other never puts one back. Sets that are not nested come from different "
    "scores, ties broken differently, or another rule.",
    remedy="Ask the source whether all budgets were chosen from the same scores, and how ties were broken.",
    waive="When the source says that it chose each budget anew.",
    nothing="no method has sets of layers at two budgets",
)
def sets_not_nested(publication: Publication) -> Iterator[Result]:
    """The layers removed at a smaller budget are not all among those removed at a larger one."""
    rows = [row for row in publication.removals if row.layers is not None and row.method != "random"]
    for model, of_model in groups(rows, lambda row: row.model).items():
        methods = groups(of_model, lambda row: (*_method(row), row.search, row.rule)).values()
        by_size = [groups(same, lambda row: len(row.layers or ())) for same in methods]
        chains = [[rows for _, rows in sorted(sizes.items())] for sizes in by_size if len(sizes) > 1]
        results = [(chain, _not_nested(publication, chain)) for chain in chains]
        if nested := [chain for chain, result in results if result is None]:
            yield _all_nested(model, nested)
        yield from (result for _, result in results if result is not None)


def _all_nested(model: str, chains: Sequence[Chain]) -> Result:
    rows = [row for chain in chains for same in chain for row in same]
    methods = ", ".join(dict.fromkeys(row.method for row in rows))
    number = len(chains)
    return Subject(None, places(rows), f"sets of {methods} on {model}").passed(
        f"{number} of {number} series of sets of {model} are nested", f"{number} nested series"
    )


def _not_nested(publication: Publication, chain: Chain) -> Result | None:
    """What stands against a series of sets; None where they are nested."""
    lacking = (_outside(smaller, larger) for smaller, rows in pairwise(chain) for larger in rows)
    if not (apart := list(filter(None, lacking))):
        return None
    rows = [row for same in chain for row in same]
    first, missing = rows[0], listed(apart, separator="; ")
    sets = listed(_sets(rows), separator="; ")
    subject = Subject(first.id, places(rows), f"{first.method} on {first.model}: {sets}")
    if first.search == "unstated" and not any(rule.speaks_of(first) for rule in publication.rules):
        return subject.undecided(
            f"{missing}; whether they were chosen from one ranking would decide",
            f"were the sets of {first.method} chosen from one ranking?",
        )
    return subject.failed(
        f"found {missing}; expected every block of the smaller set in the larger one",
        recomputed=missing,
        question=f"were the sets of {first.method} chosen from the same scores, and how were ties broken?",
        does_not_show="It does not show which set was chosen as described, nor that a cost is wrong.",
    )


def _sets(rows: Sequence[Removal]) -> list[str]:
    return list(dict.fromkeys(blocks(row.layers) for row in rows))


def _outside(smaller: Sequence[Removal], larger: Removal) -> str:
    """What the sets at a smaller budget have and the larger one lacks; empty where it holds one of them whole."""
    whole = set(larger.layers or ())
    lacking = [(sorted(set(row.layers or ()) - whole), row) for row in smaller]
    least, row = min(lacking, key=lambda pair: len(pair[0]))
    if not least:
        return ""
    return f"{', '.join(map(str, least))} in {blocks(row.layers)} and not in {blocks(larger.layers)}"


@published(
    level="warning",
    why="At a budget of one block, an iterative search and a one-shot ranking do the same: they try every block once "
    "and take the best. Where they differ, they were not run on the same text, with the same scores or on the same "
    "model.",
    remedy="Ask the source what differs between the two searches beside their order.",
    waive="When the source says what else differs.",
    nothing="no method has rows of both an iterative and a one-shot search",
)
def first_choice_differs(publication: Publication) -> Iterator[Result]:
    """An iterative search and a one-shot ranking of one method choose different first blocks."""
    rows = [row for row in publication.removals if row.layers is not None]
    for same in groups(rows, _method).values():
        searches = groups(same, lambda row: row.search)
        if {"one_shot", "iterative"} <= set(searches):
            yield _first_choice(searches["one_shot"], searches["iterative"])


def _first_choice(one_shot: Sequence[Removal], iterative: Sequence[Removal]) -> Result:
    rows = (*one_shot, *iterative)
    first = rows[0]
    subject = Subject(first.id, places(rows), f"{first.method} on {first.model}, one-shot and iterative")
    alone = [[row for row in search if len(row.layers or ()) == 1] for search in (one_shot, iterative)]
    if not all(alone):
        missing = "one-shot" if not alone[0] else "iterative"
        return subject.undecided(
            f"the {missing} choice at budget 1 is not stated, and would decide",
            f"which block does {first.method}, {missing}, remove first?",
        )
    chosen = [_sets(search) for search in alone]
    recomputed = f"{listed(chosen[0])} one-shot, {listed(chosen[1])} iterative"
    if set(chosen[0]) == set(chosen[1]):
        return subject.passed(f"at budget 1 {first.method} takes {listed(chosen[0])} in both searches", recomputed)
    return replace(subject, where=places((*alone[0], *alone[1]))).failed(
        f"found {recomputed} at budget 1; expected the same block",
        recomputed=recomputed,
        question=f"what differs between the two searches of {first.method}?",
        does_not_show="It does not show which search was run as described, nor what the later steps would have chosen.",
    )
