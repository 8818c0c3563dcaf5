"""Rules about what a source says of its own numbers: for every pair, by count, in sum, at the extreme, in overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed, total
from checker.published.publication import (
    Count,
    Extremum,
    Overlap,
    Pair,
    Publication,
    Removal,
    Statement,
    Sum,
    Universal,
)
from checker.published.recompute import below
from checker.published.rules.rows import counted, published

_NAMED = 24  # counterexamples that a message names
_LONG = 9  # letters of a number that is told in full
_RELATIONS = {"at_most": "at most", "below": "below", "at_least": "at least", "above": "above"}


def _told(statement: Statement) -> Placed:
    return {"where": statement.where, "statement": statement.says}


@published(
    level="error",
    why="A sentence about every pair falls with one counterexample. Where the pairs are published or archived, each of "
    "them can be looked at.",
    remedy="Ask the source to give the number of exceptions, or the pairs that the sentence is about.",
    waive="When the source restricts the sentence elsewhere to pairs without the counterexamples.",
)
def universal_has_counterexamples(publication: Publication) -> Iterator[Result]:
    """A statement about every pair does not hold of some pair at hand."""
    statements = list(publication.statements_of(Universal))
    for statement in statements:
        yield _universal(publication, statement)
    if not statements:
        yield not_applicable("the source makes no statement about every pair")


def _universal(publication: Publication, statement: Universal) -> Result:
    told = _told(statement)
    left = publication.scores_by_id[statement.left].within(statement.gap)
    right = _bounds(publication, statement, left)
    holds = {pair: _related(value, statement.relation, right[pair]) for pair, value in left.items() if pair in right}
    against = [pair for pair, held in holds.items() if held is False]
    unclear = [pair for pair, held in holds.items() if held is None]
    relation = _RELATIONS[statement.relation]
    if against:
        named = "; ".join(
            f"{_pair(pair)}: {_shown(left[pair])} against {_shown(right[pair])}" for pair in against[:_NAMED]
        )
        further = f" and {len(against) - _NAMED} more" if len(against) > _NAMED else ""
        return failed(
            f"found {counted(len(against), 'counterexample')} among {counted(len(holds), 'pair')}; expected each "
            f"{relation} the other side: {named}{further}",
            statement.id,
            **told,
            recomputed=f"does not hold of {len(against)} of {len(holds)} pairs",
            question=f"{statement.where}: which pairs is the sentence about? It does not hold of {_pair(against[0])}, "
            f"where {_shown(left[against[0]])} stands against {_shown(right[against[0]])}.",
            does_not_show="It does not show that the sentence is wrong of the other pairs, nor that a counterexample "
            "is larger than the uncertainty of its two scores.",
        )
    if unclear or not holds:
        missing = f"more digits of {_pair(unclear[0])}" if unclear else "pairs that stand in both tables"
        return undecided(f"the scores at hand do not decide it; {missing} would", statement.id, **told,
                         recomputed=f"{len(unclear)} of {len(holds)} pairs undecided",
                         question=f"{statement.where}: can {missing} be published?")  # fmt: skip
    return passed(f"holds of {len(holds)} of {len(holds)} pairs at hand", statement.id, **told,
                  recomputed=f"{len(holds)} of {len(holds)} pairs {relation} the other side")  # fmt: skip


def _bounds(publication: Publication, statement: Universal, left: Mapping[Pair, Printed]) -> Mapping[Pair, Printed]:
    """What stands on the right of each pair; a bound is the very number, and no rounding of another."""
    if statement.right is not None:
        return publication.scores_by_id[statement.right].within(statement.gap)
    bound = statement.bound
    return {pair: Printed(bound.middle, bound.middle, bound.text) for pair in left} if bound is not None else {}


def _related(one: Printed, relation: str, other: Printed) -> bool | None:
    """Whether two numbers stand in a relation; None where their printed digits do not tell."""
    if relation in ("at_least", "above"):
        one, other = other, one
    if relation in ("at_most", "at_least"):
        return True if one.surely_at_most(other) else False if below(other, one) else None
    return True if below(one, other) else False if other.surely_at_most(one) else None


@published(
    level="error",
    why="A count of pairs in a class can be recounted from the scores. Counts of a class and cumulative counts are "
    "easily mixed up: what lies below the class's upper end includes the classes under it.",
    remedy="Ask the source which scores were counted, and whether the count is of the class or cumulative.",
    waive="When the source counted other scores than the published ones and says which.",
)
def count_differs(publication: Publication) -> Iterator[Result]:
    """A stated count of pairs is not the count of the published scores."""
    statements = list(publication.statements_of(Count))
    for statement in statements:
        yield _count(publication, statement)
    if not statements:
        yield not_applicable("the source states no count of pairs")


def _count(publication: Publication, statement: Count) -> Result:
    told = _told(statement)
    values = list(publication.scores_by_id[statement.scores].within(statement.gap).values())
    surely, possibly = _within(values, statement.at_least, statement.below)
    found = f"{surely}" if surely == possibly else f"{surely} to {possibly}"
    recomputed = f"{found} of {len(values)}{_cumulative(values, statement)}"
    total_differs = statement.of is not None and statement.of != len(values)
    fits = surely <= statement.count <= possibly
    if fits and not total_differs and surely == possibly:
        return passed(
            f"{statement.count} of {len(values)} pairs, as stated", statement.id, **told, recomputed=recomputed
        )
    if fits and not total_differs:
        return undecided(f"{found} of {len(values)} pairs at the printed precision; more digits of the scores at the "
                         "ends of the class would decide", statement.id, **told, recomputed=recomputed,
                         question=f"{statement.where}: can the scores be published with more digits?")  # fmt: skip
    stated = f"{statement.count}" + (f" of {statement.of}" if statement.of is not None else "")
    return failed(
        f"found a count of {stated}; expected {recomputed}, as the scores are published",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: which scores were counted? Of the {len(values)} published ones the count is "
        f"{found}.",
        does_not_show="It does not show which of the two is meant to hold, the count or the scores.",
    )


def _within(values: Sequence[Printed], low: Printed | None, high: Printed | None) -> tuple[int, int]:
    """How many values surely and possibly lie from ``low`` (inclusive) to ``high`` (exclusive)."""
    least, most = (None if end is None else end.middle for end in (low, high))
    surely = sum((least is None or v.low >= least) and (most is None or v.high < most) for v in values)
    possibly = sum((least is None or v.high >= least) and (most is None or v.low < most) for v in values)
    return surely, possibly


def _cumulative(values: Sequence[Printed], statement: Count) -> str:
    if statement.at_least is None or statement.below is None:
        return ""
    surely, possibly = _within(values, None, statement.below)
    found = f"{surely}" if surely == possibly else f"{surely} to {possibly}"
    return f" in the class, {found} below {statement.below} in all"


@published(
    level="error",
    why="Parts that do not add up to their total, whatever the rounding, do not describe one set of things.",
    remedy="Ask the source for the part that is missing or counted twice.",
    waive="When the source says that the parts overlap or leave something out.",
)
def parts_do_not_add_up(publication: Publication) -> Iterator[Result]:
    """Stated parts do not add up to the stated total."""
    statements = list(publication.statements_of(Sum))
    for statement in statements:
        yield _sum(statement)
    if not statements:
        yield not_applicable("the source states no sum")


def _sum(statement: Sum) -> Result:
    told = _told(statement)
    whole = all(_is_whole(part) for part in (*statement.parts, statement.total))
    parts = [Printed.exactly(part.middle) for part in statement.parts] if whole else list(statement.parts)
    stated = Printed.exactly(statement.total.middle) if whole else statement.total
    found = total(parts)
    sum_of_them = str(found.middle) if whole else found.ends()
    recomputed = sum_of_them
    if found.meets(stated):
        return passed(
            f"{' + '.join(map(str, statement.parts))} is {sum_of_them}", statement.id, **told, recomputed=recomputed
        )
    return failed(
        f"found a total of {statement.total}; expected {sum_of_them}, the sum of {len(parts)} parts",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: which part is missing or counted twice? The parts come to {sum_of_them}.",
        does_not_show="It does not show whether a part or the total is wrong.",
    )


def _is_whole(value: Printed) -> bool:
    """Whether a number is printed without decimals, so that in a sum of such it is a count."""
    return value.high - value.low == 1


@published(
    level="error",
    why="Which pair or row has the least or the greatest figure is read off the table, so a reader expects the table "
    "to agree.",
    remedy="Ask the source whether the sentence or the table is from another run.",
    waive="When the source says that the sentence is about other rows than those published.",
)
def extremum_is_another(publication: Publication) -> Iterator[Result]:
    """What is said to have the least or the greatest figure does not have it, or the figure is another."""
    statements = list(publication.statements_of(Extremum))
    for statement in statements:
        yield _extremum(publication, statement)
    if not statements:
        yield not_applicable("the source names no least or greatest figure")


def _extremum(publication: Publication, statement: Extremum) -> Result:
    told = _told(statement)
    figures, missing = _compared(publication, statement)
    named = _pair(statement.pair) if statement.pair else statement.removal
    if missing or not figures or (named and named not in figures):
        wanted = ", ".join(missing) or named or "the scores"
        return undecided(f"{wanted} has no figure here, which would decide it", statement.id, **told,
                         question=f"{statement.where}: what is the figure of {wanted}?")  # fmt: skip
    least = statement.of == "least"
    ordered = sorted(figures, key=lambda name: figures[name].middle, reverse=not least)
    own, best = figures[named or ordered[0]], figures[ordered[0]]
    recomputed = f"{statement.of}: {_shown(best)} ({ordered[0]})"
    beyond = below(best, own) if least else below(own, best)
    value_differs = statement.value is not None and not statement.value.meets(own)
    if not beyond and not value_differs:
        return passed(
            f"{_shown(own)} ({named or ordered[0]}) is the {statement.of} of {len(figures)}",
            statement.id,
            **told,
            recomputed=recomputed,
        )
    said = " for ".join(str(part) for part in (statement.value, named) if part is not None)
    return failed(
        f"found {said} as the {statement.of}; expected {_shown(best)} ({ordered[0]}), the "
        f"{statement.of} of {len(figures)}",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: is the {statement.of} figure that of {ordered[0]}, {_shown(best)}?",
        does_not_show="It does not show that the difference between the two is larger than their uncertainty.",
    )


def _compared(publication: Publication, statement: Extremum) -> tuple[dict[str, Printed], list[str]]:
    """The figures that are compared, by name, and what has none."""
    if statement.scores is not None:
        scores = publication.scores_by_id[statement.scores].within(statement.gap)
        return {_pair(pair): value for pair, value in scores.items()}, []
    rows = [publication.removals_by_id[name] for name in statement.removals]
    figures = {row.id: row.figure(statement.quantity) for row in rows}
    return (
        {name: value for name, value in figures.items() if value is not None},
        [name for name, value in figures.items() if value is None],
    )


@published(
    level="error",
    why="Whether two printed intervals overlap is a matter of their ends, which stand in the table.",
    remedy="Ask the source which intervals the sentence is about.",
    waive="When the sentence is about intervals of a difference or ratio, and not about those printed.",
)
def overlap_is_otherwise(publication: Publication) -> Iterator[Result]:
    """Intervals that are said to overlap do not, or the reverse."""
    statements = list(publication.statements_of(Overlap))
    for statement in statements:
        yield _overlap(publication, statement)
    if not statements:
        yield not_applicable("the source says nothing of overlapping intervals")


def _overlap(publication: Publication, statement: Overlap) -> Result:
    told = _told(statement)
    rows = [publication.removals_by_id[name] for name in statement.of]
    bare = [row.id for row in rows if row.interval is None]
    if bare or len({row.interval_unit for row in rows}) > 1:
        wanted = f"the interval of {bare[0]}" if bare else "the intervals in one unit"
        return undecided(f"{wanted} would decide it", statement.id, **told,
                         question=f"{statement.where}: what is {wanted}?" if bare
                         else f"{statement.where}: what are {wanted}?")  # fmt: skip
    found = {(one, other): _meet(one, other) for one, other in combinations(rows, 2)}
    against = [pair for pair, meet in found.items() if meet is not None and meet != statement.overlaps]
    recomputed = f"{sum(meet is True for meet in found.values())} of {len(found)} overlap"
    if against:
        one, other = against[0]
        how = "overlaps" if not statement.overlaps else "does not overlap"
        text = f"{_ends(one)} ({one.id}) {how} {_ends(other)} ({other.id})"
        expected = "every two to overlap" if statement.overlaps else "no two to overlap"
        return failed(
            f"found that {text}; expected {expected}",
            statement.id,
            **told,
            recomputed=recomputed,
            question=f"{statement.where}: which intervals are meant? {text}.",
            does_not_show="It does not show whether the rows differ: measured on the same windows, they are compared "
            "by the interval of their paired difference, and not by whether two intervals overlap.",
        )
    if None in found.values():
        return undecided("the printed ends touch; more digits of them would decide", statement.id, **told,
                         recomputed=recomputed,
                         question=f"{statement.where}: can the ends be published with more digits?")  # fmt: skip
    return passed("the printed intervals are as stated", statement.id, **told, recomputed=recomputed)


def _meet(one: Removal, other: Removal) -> bool | None:
    if one.interval is None or other.interval is None:
        return None
    (low, high), (least, most) = one.interval, other.interval
    if high.surely_below(least) or most.surely_below(low):
        return False
    return True if least.surely_at_most(high) and low.surely_at_most(most) else None


def _ends(row: Removal) -> str:
    return f"[{row.interval[0]}, {row.interval[1]}]" if row.interval else "no interval"


def _pair(pair: Pair) -> str:
    return f"the pair {pair[0]}, {pair[1]}"


def _shown(value: Printed) -> str:
    """As it is printed; of more digits than anybody reads, the first six."""
    return str(value) if len(str(value)) <= _LONG else value.ends()
