"""Rules about what a source says of its own numbers: for every pair, by count, in sum, at the extreme, in overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from checker.core.rule import Result
from checker.core.words import counted, listed
from checker.published.printed import Printed, total
from checker.published.publication import Count, Extremum, Overlap, Pair, Publication, Removal, Sum, Universal
from checker.published.recompute import below
from checker.published.rules.rows import short
from checker.published.rules.subject import Subject, of_each, published

_NAMED = 24  # counterexamples that a message names
_RELATIONS = {"at_most": "at most", "below": "below", "at_least": "at least", "above": "above"}


@published(
    level="error",
    why="A sentence about every pair falls with one counterexample. Where the pairs are published or archived, each of "
    "them can be looked at.",
    remedy="Ask the source to give the number of exceptions, or the pairs that the sentence is about.",
    waive="When the source restricts the sentence elsewhere to pairs without the counterexamples.",
    nothing="the source makes no statement about every pair",
)
@of_each(Universal)
def universal_has_counterexamples(publication: Publication, statement: Universal, subject: Subject) -> Result:
    """A statement about every pair does not hold of some pair at hand."""
    relation = _RELATIONS[statement.relation]
    left = publication.scores_by_id[statement.left].within(statement.gap)
    right = _bounds(publication, statement, left)
    holds = {pair: _related(value, statement.relation, right[pair]) for pair, value in left.items() if pair in right}
    against = [pair for pair, held in holds.items() if held is False]
    unclear = [pair for pair, held in holds.items() if held is None]
    if against:
        examples = [f"{_pair(pair)}: {short(left[pair])} against {short(right[pair])}" for pair in against]
        first = against[0]
        return subject.failed(
            f"found {counted(len(against), 'counterexample')} among {counted(len(holds), 'pair')}; expected each "
            f"{relation} the other side: {listed(examples, _NAMED, '; ')}",
            recomputed=f"does not hold of {len(against)} of {len(holds)} pairs",
            question=f"which pairs is the sentence about? It does not hold of {_pair(first)}, "
            f"where {short(left[first])} stands against {short(right[first])}.",
            does_not_show="It does not show that the sentence is wrong of the other pairs, nor that a counterexample "
            "is larger than the uncertainty of its two scores.",
        )
    if unclear or not holds:
        missing = f"more digits of {_pair(unclear[0])}" if unclear else "pairs that stand in both tables"
        return subject.undecided(
            f"the scores at hand do not decide it; {missing} would",
            f"can {missing} be published?",
            f"{len(unclear)} of {len(holds)} pairs undecided",
        )
    of_all = f"{len(holds)} of {len(holds)} pairs"
    return subject.passed(f"holds of {of_all} at hand", f"{of_all} {relation} the other side")


def _bounds(publication: Publication, statement: Universal, left: Mapping[Pair, Printed]) -> Mapping[Pair, Printed]:
    """What stands on the right of each pair; a bound is the very number, and no rounding of another."""
    if statement.right is not None:
        return publication.scores_by_id[statement.right].within(statement.gap)
    return dict.fromkeys(left, statement.bound.exact) if statement.bound is not None else {}


def _related(left: Printed, relation: str, right: Printed) -> bool | None:
    """Whether two numbers stand in a relation; None where their printed digits do not tell."""
    if relation in ("at_least", "above"):
        left, right = right, left
    if relation in ("at_most", "at_least"):
        return True if left.surely_at_most(right) else False if below(right, left) else None
    return True if below(left, right) else False if right.surely_at_most(left) else None


@published(
    level="error",
    why="A count of pairs in a class can be recounted from the scores. Counts of a class and cumulative counts are "
    "easily mixed up: what lies below the class's upper end includes the classes under it.",
    remedy="Ask the source which scores were counted, and whether the count is of the class or cumulative.",
    waive="When the source counted other scores than the published ones and says which.",
    nothing="the source states no count of pairs",
)
@of_each(Count)
def count_differs(publication: Publication, statement: Count, subject: Subject) -> Result:
    """A stated count of pairs is not the count of the published scores."""
    values = list(publication.scores_by_id[statement.scores].within(statement.gap).values())
    surely, possibly = _within(values, statement.at_least, statement.below)
    recount, number = _span(surely, possibly), len(values)
    recomputed = f"{recount} of {number}{_cumulative(values, statement)}"
    fits = surely <= statement.count <= possibly and statement.of in (None, number)
    if fits and surely == possibly:
        return subject.passed(f"{statement.count} of {number} pairs, as stated", recomputed)
    if fits:
        return subject.undecided(
            f"{recount} of {number} pairs at the printed precision; more digits of the scores at the ends of the class "
            "would decide",
            "can the scores be published with more digits?",
            recomputed,
        )
    stated = f"{statement.count}" + (f" of {statement.of}" if statement.of is not None else "")
    return subject.failed(
        f"found a count of {stated}; expected {recomputed}, as the scores are published",
        recomputed=recomputed,
        question=f"which scores were counted? Of the {number} published ones the count is {recount}.",
        does_not_show="It does not show which of the two is meant to hold, the count or the scores.",
    )


def _span(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _within(values: Sequence[Printed], low: Printed | None, high: Printed | None) -> tuple[int, int]:
    """How many values surely and possibly lie from ``low`` (inclusive) to ``high`` (exclusive)."""
    least, most = (None if end is None else end.middle for end in (low, high))
    surely = sum((least is None or v.low >= least) and (most is None or v.high < most) for v in values)
    possibly = sum((least is None or v.high >= least) and (most is None or v.low < most) for v in values)
    return surely, possibly


def _cumulative(values: Sequence[Printed], statement: Count) -> str:
    if statement.at_least is None or statement.below is None:
        return ""
    return f" in the class, {_span(*_within(values, None, statement.below))} below {statement.below} in all"


@published(
    level="error",
    why="Parts that do not add up to their total, whatever the rounding, do not describe one set of things.",
    remedy="Ask the source for the part that is missing or counted twice.",
    waive="When the source says that the parts overlap or leave something out.",
    nothing="the source states no sum",
)
@of_each(Sum)
def parts_do_not_add_up(publication: Publication, statement: Sum, subject: Subject) -> Result:
    """Stated parts do not add up to the stated total."""
    parts, stated = statement.parts, statement.total
    whole = all(_is_whole(number) for number in (*parts, stated))
    if whole:
        parts, stated = tuple(part.exact for part in parts), stated.exact
    recomputed = total(parts)
    shown = str(recomputed.middle) if whole else recomputed.ends()
    if recomputed.meets(stated):
        return subject.passed(f"{' + '.join(map(str, parts))} is {shown}", shown)
    return subject.failed(
        f"found a total of {stated}; expected {shown}, the sum of {len(parts)} parts",
        recomputed=shown,
        question=f"which part is missing or counted twice? The parts come to {shown}.",
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
    nothing="the source names no least or greatest figure",
)
@of_each(Extremum)
def extremum_is_another(publication: Publication, statement: Extremum, subject: Subject) -> Result:
    """What is said to have the least or the greatest figure does not have it, or the figure is another."""
    of = statement.of
    figures, missing = _compared(publication, statement)
    named = _pair(statement.pair) if statement.pair else statement.removal
    if missing or not figures or (named and named not in figures):
        bare = ", ".join(missing) or named or "the scores"
        return subject.undecided(f"{bare} has no figure here, which would decide it", f"what is the figure of {bare}?")
    first = sorted(figures, key=lambda name: figures[name].middle, reverse=of == "greatest")[0]
    own, best = figures[named or first], figures[first]
    recomputed = f"{of}: {short(best)} ({first})"
    beyond = below(best, own) if of == "least" else below(own, best)
    value_differs = statement.value is not None and not statement.value.meets(own)
    if not beyond and not value_differs:
        return subject.passed(f"{short(own)} ({named or first}) is the {of} of {len(figures)}", recomputed)
    said = " for ".join(str(part) for part in (statement.value, named) if part is not None)
    return subject.failed(
        f"found {said} as the {of}; expected {short(best)} ({first}), the {of} of {len(figures)}",
        recomputed=recomputed,
        question=f"is the {of} figure that of {first}, {short(best)}?",
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
    nothing="the source says nothing of overlapping intervals",
)
@of_each(Overlap)
def overlap_is_otherwise(publication: Publication, statement: Overlap, subject: Subject) -> Result:
    """Intervals that are said to overlap do not, or the reverse."""
    rows = [publication.removals_by_id[name] for name in statement.of]
    if bare := [row.id for row in rows if row.interval is None]:
        missing = f"the interval of {bare[0]}"
        return subject.undecided(f"{missing} would decide it", f"what is {missing}?")
    if len({row.interval_unit for row in rows}) > 1:
        missing = "the intervals in one unit"
        return subject.undecided(f"{missing} would decide it", f"what are {missing}?")
    meetings = {pair: _meet(*pair) for pair in combinations(rows, 2)}
    against = [pair for pair, meet in meetings.items() if meet is not None and meet != statement.overlaps]
    recomputed = f"{sum(meet is True for meet in meetings.values())} of {len(meetings)} overlap"
    if against:
        left, right = against[0]
        how = "overlaps" if not statement.overlaps else "does not overlap"
        text = f"{_ends(left)} ({left.id}) {how} {_ends(right)} ({right.id})"
        expected = "every two to overlap" if statement.overlaps else "no two to overlap"
        return subject.failed(
            f"found that {text}; expected {expected}",
            recomputed=recomputed,
            question=f"which intervals are meant? {text}.",
            does_not_show="It does not show whether the rows differ: measured on the same windows, they are compared "
            "by the interval of their paired difference, and not by whether two intervals overlap.",
        )
    if None in meetings.values():
        return subject.undecided(
            "the printed ends touch; more digits of them would decide",
            "can the ends be published with more digits?",
            recomputed,
        )
    return subject.passed("the printed intervals are as stated", recomputed)


def _meet(left: Removal, right: Removal) -> bool | None:
    if left.interval is None or right.interval is None:
        return None
    (low, high), (least, most) = left.interval, right.interval
    if high.surely_below(least) or most.surely_below(low):
        return False
    return True if least.surely_at_most(high) and low.surely_at_most(most) else None


def _ends(row: Removal) -> str:
    return f"[{row.interval[0]}, {row.interval[1]}]" if row.interval else "no interval"


def _pair(pair: Pair) -> str:
    return f"the pair {pair[0]}, {pair[1]}"
