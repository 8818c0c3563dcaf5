"""Rules about published intervals: around their estimate, in its unit, and of the statistic that is ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.printed import Printed, increase
from checker.published.publication import Baseline, Ends, Publication, Removal, Scores
from checker.published.rules.rows import baselines, groups, outside, places, quoted
from checker.published.rules.subject import Subject, published

Unit = Literal["perplexity", "percent"]


@published(
    level="error",
    why="An interval is a statement about the estimate beside it. Where the estimate lies outside, the two are of "
    "different quantities, runs or rows.",
    remedy="Ask the source what the interval is of.",
    waive="When the source says that its intervals need not hold their estimate, as those of a biased bootstrap.",
    nothing="no interval stands beside an estimate of its own",
)
def interval_misses_estimate(publication: Publication) -> Iterator[Result]:
    """A published interval does not hold the estimate that it stands beside."""
    rows: tuple[Baseline | Removal, ...] = (*publication.baselines, *publication.removals)
    for items in groups(rows, lambda item: (item.model, item.archive)).values():
        results = [(item, _holds(publication, item, item.interval)) for item in items if item.interval is not None]
        if inside := [item for item, result in results if result is None]:
            yield _all_inside(inside)
        yield from (result for _, result in results if result is not None)
    for scores in publication.scores:
        if scores.interval_of in (None, scores.direction) and any(row.interval for row in scores.rows):
            yield _rows_hold(scores)


def _all_inside(items: Sequence[Baseline | Removal]) -> Result:
    number, kind = len(items), "archived" if items[0].archive else "printed"
    estimates = f"{kind} estimates of {items[0].model}"
    return Subject(None, places(items), f"{number} {estimates} with intervals").passed(
        f"{number} of {number} {estimates} lie in their intervals", f"0 of {number} outside"
    )


def _holds(publication: Publication, item: Baseline | Removal, ends: Ends) -> Result | None:
    """What stands against an interval; None where its estimate lies inside."""
    estimates, unit, interval = _estimates(item), item.interval_unit, f"{ends[0]} to {ends[1]}"
    beside = quoted(item) if isinstance(item, Removal) else f"baseline {item.perplexity}"
    subject = Subject(item.id, item.where, f"{beside}, interval {interval}")
    candidates = [estimates[name] for name in estimates if unit in (name, "undeclared")]
    if not candidates and isinstance(item, Removal):
        candidates = _derived(publication, item)
    if not candidates:
        missing = {"undeclared": "estimate", "percent": "increase in percent"}.get(unit, unit)
        return subject.undecided(
            f"the interval {interval} stands without its {missing}, which would decide whether it lies inside",
            f"what is the {missing}?",
        )
    if not all(outside(estimate, ends) for estimate in candidates):
        return None
    side = "below" if candidates[0].surely_below(ends[0]) else "above"
    return subject.failed(
        f"found {' and '.join(map(str, candidates))} outside the interval from {interval}; expected the estimate "
        "inside",
        recomputed=f"{candidates[0]} lies {side} the interval",
        question=f"what is the interval from {interval} of?",
        does_not_show="It does not show that the estimate is wrong.",
    )


def _derived(publication: Publication, removal: Removal) -> list[Printed]:
    """A row's estimate in the other unit, over each baseline that may be meant."""
    stated = [baseline.perplexity for baseline in baselines(publication, removal)]
    if removal.perplexity is not None:
        return [increase(removal.perplexity, base) for base in stated]
    return [(removal.increase / 100 + 1) * base for base in stated] if removal.increase is not None else []


def _estimates(item: Baseline | Removal) -> dict[Unit, Printed]:
    estimates: dict[Unit, Printed | None] = {"perplexity": item.perplexity, "percent": item.increase}
    return {unit: estimate for unit, estimate in estimates.items() if estimate is not None}


def _missed(scores: Scores) -> list[str]:
    """The scores outside the interval beside them."""
    return [
        f"{row.value} for the pair {row.i}, {row.j}, outside {row.interval[0]} to {row.interval[1]}"
        for row in scores.rows
        if row.interval is not None and outside(row.value, row.interval)
    ]


def _intervals(scores: Scores) -> int:
    """How many scores have an interval."""
    return sum(row.interval is not None for row in scores.rows)


def _rows_hold(scores: Scores) -> Result:
    wrong, number = _missed(scores), _intervals(scores)
    statement = f"{number} {scores.protocol} scores of {scores.model} with intervals"
    subject, share = Subject(scores.id, scores.where, statement), f"{len(wrong)} of {number} outside"
    if not wrong:
        return subject.passed(f"{number} of {number} scores lie in the intervals beside them", share)
    return subject.failed(
        f"found {listed(wrong, separator='; ')}; expected each score inside the interval beside it",
        recomputed=share,
        question=f"what are the intervals of, given {wrong[0]}?",
        does_not_show="It does not show that a score is wrong.",
    )


@published(
    level="warning",
    why="A reader compares an interval with the number it stands beside. An interval in perplexity beside an increase "
    "in percent looks narrow or wide by accident, and whether it holds zero cannot be seen.",
    remedy="Give the interval of the increase itself, from paired windows; until then, say which column it is of.",
    waive="When the table's heading says plainly which column the interval is of.",
    nothing="no printed row has both an estimate and an interval",
)
def interval_in_another_unit(publication: Publication) -> Iterator[Result]:
    """A published interval stands in another unit than the estimate beside it."""
    for removal in publication.removals:
        if removal.interval is not None and _estimates(removal) and not removal.archive:
            yield _in_unit(publication, removal, removal.interval)


def _in_unit(publication: Publication, removal: Removal, ends: Ends) -> Result:
    estimates, unit, interval = _estimates(removal), _unit(removal, ends), f"{ends[0]} to {ends[1]}"
    subject = Subject(removal.id, removal.where, f"{quoted(removal)}, interval {interval}")
    if unit is None:
        return subject.undecided(
            f"the unit of the interval from {interval} is not stated, and would decide",
            "is the interval in perplexity or in percent?",
        )
    beside: Unit = "percent" if "percent" in estimates else "perplexity"
    if unit == beside:
        return subject.passed(
            f"the interval from {interval} is in {unit}, as {estimates[unit]} beside it is", f"interval in {unit}"
        )
    of_increase = f"an increase of {removal.increase} %"
    estimate = of_increase if beside == "percent" else f"a perplexity of {removal.perplexity}"
    turned = _turned(publication, removal, ends, beside)
    recomputed = f"{turned} in {beside}" if turned else f"in {beside}, which the baseline would give"
    either = f", or said to be of the perplexity {removal.perplexity}" if "perplexity" in estimates and turned else ""
    return subject.failed(
        f"found an interval in {unit}, {interval}, beside {estimate}; expected {recomputed}{either}",
        recomputed=recomputed,
        question=f"is {interval} an interval in {unit}, and if so, what is that of {estimate}?",
        does_not_show="It does not show that the interval is wrong, nor what that of the difference would be: taken "
        "over a fixed baseline it leaves out that both were measured on the same windows.",
    )


def _unit(removal: Removal, ends: Ends) -> Unit | None:
    """The unit of a row's interval: as stated, or that of the only estimate which lies inside."""
    if removal.interval_unit != "undeclared":
        return removal.interval_unit
    inside = [unit for unit, estimate in _estimates(removal).items() if not outside(estimate, ends)]
    return inside[0] if len(inside) == 1 else None


def _turned(publication: Publication, removal: Removal, ends: Ends, unit: Unit) -> str:
    """An interval in the other unit, over the stated baseline; empty where there is none."""
    stated = baselines(publication, removal)
    if not stated:
        return ""
    base = stated[0].perplexity
    if unit == "percent":
        return " to ".join(f"{float(increase(end, base)):+.1f}" for end in ends)
    return " to ".join(f"{float((end / 100 + 1) * base):.2f}" for end in ends)


@published(
    level="warning",
    why="Pairs are ranked by one statistic, say the larger direction, and the uncertainty of that ranking is the "
    "uncertainty of that statistic. Intervals of another one, say the mean of both directions, say nothing of it.",
    remedy="Ask for intervals of the ranked statistic.",
    waive="When the source does not rank by the scores that the intervals stand beside.",
    nothing="no table of scores has intervals",
)
def interval_of_another_statistic(publication: Publication) -> Iterator[Result]:
    """Published intervals belong to another statistic than the scores they stand beside."""
    return (_same_statistic(scores) for scores in publication.scores if _intervals(scores))


def _same_statistic(scores: Scores) -> Result:
    number, of = _intervals(scores), scores.interval_of
    beside = "scores" if scores.direction == "undeclared" else f"{scores.direction} scores"
    statement = f"{number} intervals beside the {beside} of {scores.model}, {scores.protocol}"
    subject = Subject(scores.id, scores.where, statement)
    if of in (None, scores.direction) and of != "undeclared":
        return subject.passed(f"the intervals are of the {beside} beside them", "one statistic")
    if "undeclared" in (of, scores.direction):
        missing = "the intervals are of" if of == "undeclared" else "the scores are of"
        return subject.undecided(
            f"which direction {missing} is not stated, and would decide whether they belong together",
            "which direction are the scores of, and which the intervals?",
        )
    return subject.failed(
        f"found intervals of the {of} beside scores of the {scores.direction}; expected both of one statistic",
        recomputed=f"{len(_missed(scores))} of {number} scores lie outside the interval beside them",
        question=f"what are the intervals of the {scores.direction}, by which pairs are ranked?",
        does_not_show="It does not show that the ranking is wrong, nor that it is uncertain.",
    )
