"""Rules about rows that stand beside each other: one baseline, one cost of one set, and what a larger set costs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from checker.core.rule import Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed, implied_baseline, intersection
from checker.published.publication import Baseline, Publication, Quantity, Removal
from checker.published.rules.rows import baselines, blocks, cost, groups, places, published, row, rows_of, some

_QUANTITIES: tuple[Quantity, ...] = ("perplexity", "increase")
Implied = list[tuple[Removal, Printed]]  # rows, each with the baselines that it allows


@published(
    level="error",
    why="Each row that prints a perplexity and an increase in percent allows only some baselines, and all rows of a "
    "table are said to be measured against the same one. Where no baseline fits all of them, or the stated one does "
    "not, rows of different runs stand in one table and their percentages do not compare.",
    remedy="Ask the source for the baseline with more digits, and which rows come from another run.",
    waive="When the source says that rows of the table have baselines of their own.",
)
def baselines_differ(publication: Publication) -> Iterator[Result]:
    """The rows of a table do not share one baseline, or share another one than is stated."""
    whole = [one for one in publication.removals if one.increase is not None and one.increase.low > -100]
    tables = groups(whole, lambda one: (one.model, one.contract, one.table, one.archive))
    found = [implied for rows in tables.values() if len(implied := _implied(rows)) > 1]
    for implied in found:
        yield _share(publication, implied)
    if not found:
        yield not_applicable("no table holds two rows with both a perplexity and an increase in percent")


def _implied(rows: Sequence[Removal]) -> Implied:
    return [
        (one, implied_baseline(one.perplexity, one.increase))
        for one in rows
        if one.perplexity is not None and one.increase is not None
    ]


def _share(publication: Publication, implied: Implied) -> Result:
    rows = [one for one, _ in implied]
    first, table = rows[0], rows_of(rows[0], len(rows))
    where, statement = places(rows), f"{table} with a perplexity and an increase, {first.model}"
    common = intersection(allowed for _, allowed in implied)
    if common is None:
        return _no_common(publication, implied, where, statement)
    stated = baselines(publication, first)
    told = f"baseline {common.ends()}"
    fitting = [one for one in stated if one.perplexity.meets(common)]
    if fitting or not stated:
        beside = f"and the stated {fitting[0].perplexity} is one" if fitting else "and the source states none"
        return passed(f"{table} allow a baseline of {common.ends()}, {beside}", first.id, where=where,
                      statement=statement, recomputed=told)  # fmt: skip
    return failed(
        f"found the stated baseline {stated[0].perplexity}; expected {common.ends()}, which is what {table} "
        "allow together",
        first.id,
        where=where,
        statement=f"{statement}; baseline {stated[0].perplexity}",
        recomputed=told,
        question=f"{stated[0].where}: are the increases in {table} taken from {stated[0].perplexity}, or from a "
        f"baseline of {common.ends()}{_other(publication, stated, common)}?",
        does_not_show="It does not show that a row is wrong: the rows agree with each other.",
    )


def _other(publication: Publication, stated: Sequence[Baseline], common: Printed) -> str:
    """The baselines of the model that do fit."""
    fit = [one for one in publication.baselines
           if one.model == stated[0].model and one not in stated and one.perplexity.meets(common)]  # fmt: skip
    return f", such as {fit[0].perplexity} ({fit[0].where})" if fit else ""


def _no_common(publication: Publication, implied: Implied, where: str, statement: str) -> Result:
    """No baseline fits every row: how many share one, how many fit each stated one, and which rows stand apart."""
    first, number = implied[0][0], len(implied)
    together = _most(implied)
    shared = intersection(allowed for _, allowed in together)
    told = [f"{len(together)} of {number} rows allow {shared.ends() if shared else 'none'}"]
    for stated in publication.baselines_of(first.model, first.contract):
        fitting = [pair for pair in implied if pair[1].meets(stated.perplexity)]
        told += [f"{len(fitting)} allow {stated.perplexity} ({stated.where})"] if fitting else []
    apart = [one for one, allowed in implied if not (shared and allowed.meets(shared))]
    return failed(
        f"found no baseline that fits all {number} rows: {'; '.join(told)}; expected one for all",
        first.id,
        where=where,
        statement=statement,
        recomputed=f"{'; '.join(told)}; outside the first: {'; '.join(one.where for one in apart)}",
        question=f"{apart[0].where}: from which baseline is the increase of {apart[0].increase} % taken, and from "
        "which those of the other rows?",
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
)
def same_layers_differ(publication: Publication) -> Iterator[Result]:
    """The same layers under the same contract have different costs in different places."""
    whole = [one for one in publication.removals if one.layers is not None and cost(one)]
    sets = groups(whole, lambda one: (one.model, one.contract, one.layers, one.archive))
    found = [rows for rows in sets.values() if len(rows) > 1]
    for rows in found:
        yield _same(rows)
    if not found:
        yield not_applicable("no two rows have the same layers under the same contract")


def _same(rows: Sequence[Removal]) -> Result:
    first, where = rows[0], places(rows)
    removed = f"{blocks(first.layers)} of {first.model}"
    statement = f"{removed}: {some([f'{cost(one)} ({one.where})' for one in rows], '; ')}"
    apart = [told for quantity in _QUANTITIES if (told := _apart(rows, quantity))]
    if not apart:
        return passed(f"{len(rows)} rows of {removed} agree in their cost", first.id, where=where, statement=statement,
                      recomputed=f"one cost in {len(rows)} rows")  # fmt: skip
    found = f"{'; '.join(apart)} for {removed}"
    question = f"{where}: why do the costs of removing {removed} differ?"
    if first.contract is None:
        return undecided(f"{found}; whether the rows have one contract would decide", first.id, where=where,
                         statement=statement, question=f"{where}: under which contract was each row of {removed} "
                         "measured?")  # fmt: skip
    return failed(
        f"found {found}; expected one number under contract {first.contract}",
        first.id,
        where=where,
        statement=statement,
        recomputed="; ".join(apart),
        question=question,
        does_not_show="It does not show which of the rows is right, nor that another row is wrong.",
    )


def _apart(rows: Sequence[Removal], quantity: Quantity) -> str:
    """The figures of rows that no single value fits; empty where one does."""
    figures = [(one, figure) for one in rows if (figure := one.figure(quantity)) is not None]
    if not figures or intersection(figure for _, figure in figures) is not None:
        return ""
    unit = " %" if quantity == "increase" else ""
    return f"{quantity} " + some([f"{figure}{unit} ({one.where})" for one, figure in figures])


@published(
    level="note",
    why="Removing one block more usually costs more. Where a set costs less than a part of it, the blocks interact, "
    "the two rows were not measured alike, or the numbers carry more noise than their digits suggest; a ranking that "
    "assumes costs to add up does not hold there.",
    remedy="Ask whether both rows were measured under one contract; measure the larger set again if they were.",
    waive="When the source discusses the exception.",
)
def superset_cheaper(publication: Publication) -> Iterator[Result]:
    """A set of removed layers costs less than a part of it."""
    whole = [one for one in publication.removals if one.layers is not None and one.contract is not None and cost(one)]
    nested = 0
    for rows in groups(whole, lambda one: (one.model, one.contract, one.archive)).values():
        distinct = {_mask(one.layers or ()): one for one in reversed(rows)}
        pairs = [(distinct[part], one) for mask, one in distinct.items() for part in distinct
                 if part != mask and not part & ~mask and _comparable(distinct[part], one)]  # fmt: skip
        nested += len(pairs)
        if pairs:
            yield from _cheaper(rows[0], pairs)
    if not nested:
        yield not_applicable("no removed set of layers is a part of another under the same contract")


def _mask(layers: tuple[int, ...]) -> int:
    """One bit per block: nested sets are looked for among all pairs of rows."""
    return sum(1 << block for block in layers)


def _comparable(one: Removal, other: Removal) -> bool:
    """Whether both have a figure in the same unit."""
    return any(None not in (one.figure(quantity), other.figure(quantity)) for quantity in _QUANTITIES)


def _cheaper(first: Removal, pairs: Sequence[tuple[Removal, Removal]]) -> Iterator[Result]:
    against = [(part, one) for part, one in pairs if _below(one, part)]
    for same in groups(against, lambda pair: pair[1].id).values():
        one, parts = same[0][1], [part for part, _ in same]
        costlier = some([f"{blocks(part.layers)}: {cost(part)}" for part in parts], "; ")
        told = f"{cost(one)} for {blocks(one.layers)}"
        yield failed(
            f"found {told}, less than for a part of it ({costlier}); expected no less",
            one.id,
            where=one.where,
            statement=row(one),
            recomputed=f"less than {len(parts)} of {sum(pair[1] is one for pair in pairs)} sets inside it",
            question=f"{one.where}: why does removing {blocks(one.layers)} cost less than removing "
            f"{blocks(parts[0].layers)} alone ({parts[0].where})?",
            does_not_show="It does not show a mistake: removing one block more can make up for another.",
        )
    if not against:
        rows = list({id(one): one for pair in pairs for one in pair}.values())
        yield passed(f"no set of {first.model} costs less than a part of it",
                     where=places(rows), statement=f"rows of {first.model} under contract {first.contract}",
                     recomputed=f"0 of {len(pairs)} nested pairs")  # fmt: skip


def _below(one: Removal, part: Removal) -> bool:
    for quantity in _QUANTITIES:
        left, right = one.figure(quantity), part.figure(quantity)
        if left is not None and right is not None:
            return left.surely_below(right)
    return False
