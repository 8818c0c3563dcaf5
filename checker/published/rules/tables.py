"""Rules about rows that stand beside each other: one baseline, one cost of one set, and what a larger set costs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.printed import Printed, implied_baseline, intersection
from checker.published.publication import Baseline, Publication, Quantity, Removal
from checker.published.rules.rows import baselines, blocks, cost, groups, places, quoted, rows_of, shared_quantity
from checker.published.rules.subject import Subject, published

_QUANTITIES: tuple[Quantity, ...] = ("perplexity", "increase")
Implied = list[tuple[Removal, Printed]]  # rows, each with the baselines that it allows


@published(
    level="error",
    why="Each row that prints a perplexity and an increase in percent allows only some baselines, and all rows of a "
    "table are said to be measured against the same one. Where no baseline fits all of them, or the stated one does "
    "not, rows of different runs stand in one table and their percentages do not compare.",
    remedy="Ask the source for the baseline with more digits, and which rows come from another run.",
    waive="When the source says that rows of the table have baselines of their own.",
    nothing="no table holds two rows with both a perplexity and an increase in percent",
)
def baselines_differ(publication: Publication) -> Iterator[Result]:
    """The rows of a table do not share one baseline, or share another one than is stated."""
    whole = [
        (row, implied_baseline(row.perplexity, row.increase))
        for row in publication.removals
        if row.perplexity is not None and row.increase is not None and row.increase.low > -100
    ]
    tables = groups(whole, lambda pair: (pair[0].model, pair[0].contract, pair[0].table, pair[0].archive)).values()
    return (_share(publication, implied) for implied in tables if len(implied) > 1)


def _share(publication: Publication, implied: Implied) -> Result:
    rows = [row for row, _ in implied]
    first, table = rows[0], rows_of(rows[0], len(rows))
    subject = Subject(first.id, places(rows), f"{table} with a perplexity and an increase, {first.model}")
    common = intersection(allowed for _, allowed in implied)
    if common is None:
        return _no_common(publication, implied, subject)
    stated = baselines(publication, first)
    recomputed = f"baseline {common.ends()}"
    fitting = [baseline for baseline in stated if baseline.perplexity.meets(common)]
    if fitting or not stated:
        beside = f"and the stated {fitting[0].perplexity} is one" if fitting else "and the source states none"
        return subject.passed(f"{table} allow a baseline of {common.ends()}, {beside}", recomputed)
    own = stated[0]
    return replace(subject, statement=f"{subject.statement}; baseline {own.perplexity}").failed(
        f"found the stated baseline {own.perplexity}; expected {common.ends()}, which is what {table} allow together",
        recomputed=recomputed,
        question=f"are the increases in {table} taken from {own.perplexity}, or from a baseline of "
        f"{common.ends()}{_such_as(publication, stated, common)}?",
        asked_at=own.where,
        does_not_show="It does not show that a row is wrong: the rows agree with each other.",
    )


def _such_as(publication: Publication, stated: Sequence[Baseline], common: Printed) -> str:
    """A baseline of the model that does fit."""
    for baseline in publication.baselines:
        if baseline.model == stated[0].model and baseline not in stated and baseline.perplexity.meets(common):
            return f", such as {baseline.perplexity} ({baseline.where})"
    return ""


def _no_common(publication: Publication, implied: Implied, subject: Subject) -> Result:
    """No baseline fits every row: how many share one, how many fit each stated one, and which rows stand apart."""
    first, number = implied[0][0], len(implied)
    together = _most(implied)
    shared = intersection(allowed for _, allowed in together)
    counts = [f"{len(together)} of {number} rows allow {shared.ends() if shared else 'none'}"]
    for stated in publication.baselines_of(first.model, first.contract):
        if fitting := sum(allowed.meets(stated.perplexity) for _, allowed in implied):
            counts.append(f"{fitting} allow {stated.perplexity} ({stated.where})")
    apart = [row for row, allowed in implied if not (shared and allowed.meets(shared))]
    return subject.failed(
        f"found no baseline that fits all {number} rows: {'; '.join(counts)}; expected one for all",
        recomputed=f"{'; '.join(counts)}; outside the first: {'; '.join(row.where for row in apart)}",
        question=f"from which baseline is the increase of {apart[0].increase} % taken, and from which those of the "
        "other rows?",
        asked_at=apart[0].where,
        does_not_show="It does not show which of the rows is wrong.",
    )


def _most(implied: Implied) -> Implied:
    """The most rows that one baseline fits."""
    lows, highs = (sorted(getattr(allowed, end) for _, allowed in implied) for end in ("low", "high"))
    densest = max(lows, key=lambda low: bisect_right(lows, low) - bisect_left(highs, low))
    return [pair for pair in implied if pair[1].low <= densest <= pair[1].high]


@published(
    level="error",
    why="The same blocks removed from the same model and measured under the same contract are one number. Printed "
    "twice with different values, the rows were not measured under the same contract, or one of them was copied "
    "wrongly.",
    remedy="Ask the source what differs between the rows; give them contracts of their own if something does.",
    waive="When the source reports the spread between repeated runs, and the rows lie inside it.",
    nothing="no two rows have the same layers under the same contract",
)
def same_layers_differ(publication: Publication) -> Iterator[Result]:
    """The same layers under the same contract have different costs in different places."""
    whole = [removal for removal in publication.removals if removal.layers is not None and cost(removal)]
    sets = groups(whole, lambda removal: (removal.model, removal.contract, removal.layers, removal.archive)).values()
    return (_same(rows) for rows in sets if len(rows) > 1)


def _same(rows: Sequence[Removal]) -> Result:
    first, removed = rows[0], f"{blocks(rows[0].layers)} of {rows[0].model}"
    costs = listed([f"{cost(removal)} ({removal.where})" for removal in rows], separator="; ")
    subject = Subject(first.id, places(rows), f"{removed}: {costs}")
    apart = "; ".join(filter(None, (_apart(rows, quantity) for quantity in _QUANTITIES)))
    if not apart:
        return subject.passed(f"{len(rows)} rows of {removed} agree in their cost", f"one cost in {len(rows)} rows")
    if first.contract is None:
        return subject.undecided(
            f"{apart} for {removed}; whether the rows have one contract would decide",
            f"under which contract was each row of {removed} measured?",
        )
    return subject.failed(
        f"found {apart} for {removed}; expected one number under contract {first.contract}",
        recomputed=apart,
        question=f"why do the costs of removing {removed} differ?",
        does_not_show="It does not show which of the rows is right, nor that another row is wrong.",
    )


def _apart(rows: Sequence[Removal], quantity: Quantity) -> str:
    """The figures of rows that no single value fits; empty where one does."""
    figures = [(removal, figure) for removal in rows if (figure := removal.figure(quantity)) is not None]
    if not figures or intersection(figure for _, figure in figures) is not None:
        return ""
    unit = " %" if quantity == "increase" else ""
    return f"{quantity} {listed(f'{figure}{unit} ({removal.where})' for removal, figure in figures)}"


@published(
    level="note",
    why="Removing one block more usually costs more. Where a set costs less than a part of it, the blocks interact, "
    "the two rows were not measured alike, or the numbers carry more noise than their digits suggest; a ranking that "
    "assumes costs to add up does not hold there.",
    remedy="Ask whether both rows were measured under one contract; measure the larger set again if they were.",
    waive="When the source discusses the exception.",
    nothing="no removed set of layers is a part of another under the same contract",
)
def superset_cheaper(publication: Publication) -> Iterator[Result]:
    """A set of removed layers costs less than a part of it."""
    whole = [row for row in publication.removals if row.layers is not None and row.contract is not None and cost(row)]
    for rows in groups(whole, lambda row: (row.model, row.contract, row.archive)).values():
        distinct = {frozenset(row.layers or ()): row for row in reversed(rows)}
        pairs = [
            (distinct[part], row)
            for layers, row in distinct.items()
            for part in distinct
            if part < layers and _cheaper_than(distinct[part], row) is not None
        ]
        if pairs:
            yield from _cheaper(rows[0], pairs)


def _cheaper_than(part: Removal, whole: Removal) -> bool | None:
    """Whether a set costs less than a part of it; None where they have no figure in the same unit."""
    quantity = shared_quantity(part, whole)
    own, of_part = whole.figure(quantity), part.figure(quantity)
    return None if own is None or of_part is None else own.surely_below(of_part)


def _cheaper(first: Removal, pairs: Sequence[tuple[Removal, Removal]]) -> Iterator[Result]:
    """``pairs`` are of a part and the set that holds it."""
    against = [(part, whole) for part, whole in pairs if _cheaper_than(part, whole)]
    for same in groups(against, lambda pair: pair[1].id).values():
        whole, parts = same[0][1], [part for part, _ in same]
        costlier = listed([f"{blocks(part.layers)}: {cost(part)}" for part in parts], separator="; ")
        inside = sum(holder is whole for _, holder in pairs)
        yield Subject(whole.id, whole.where, quoted(whole)).failed(
            f"found {cost(whole)} for {blocks(whole.layers)}, less than for a part of it ({costlier}); expected no "
            "less",
            recomputed=f"less than {len(parts)} of {inside} sets inside it",
            question=f"why does removing {blocks(whole.layers)} cost less than removing {blocks(parts[0].layers)} "
            f"alone ({parts[0].where})?",
            does_not_show="It does not show a mistake: removing one block more can make up for another.",
        )
    if not against:
        rows = list({id(removal): removal for pair in pairs for removal in pair}.values())
        subject = Subject(None, places(rows), f"rows of {first.model} under contract {first.contract}")
        yield subject.passed(f"no set of {first.model} costs less than a part of it", f"0 of {len(pairs)} nested pairs")
