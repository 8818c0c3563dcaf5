"""Rules about published intervals: around their estimate, in its unit, and of the statistic that is ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from checker.core.rule import Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed, increase
from checker.published.publication import Baseline, Ends, Publication, Removal, Scores
from checker.published.rules.rows import baselines, groups, outside, places, published, row, some

Unit = Literal["perplexity", "percent"]


@published(
    level="error",
    why="An interval is a statement about the estimate beside it. Where the estimate lies outside, the two are of "
    "different quantities, runs or rows.",
    remedy="Ask the source what the interval is of.",
    waive="When the source says that its intervals need not hold their estimate, as those of a biased bootstrap.",
)
def interval_misses_estimate(publication: Publication) -> Iterator[Result]:
    """A published interval does not hold the estimate that it stands beside."""
    concluded = False
    rows: tuple[Baseline | Removal, ...] = (*publication.baselines, *publication.removals)
    for items in groups(rows, lambda one: (one.model, one.archive)).values():
        found = [(one, _holds(publication, one, one.interval)) for one in items if one.interval is not None]
        inside = [one for one, result in found if result is None]
        concluded = concluded or bool(found)
        if inside:
            yield _all_inside(inside)
        yield from (result for _, result in found if result is not None)
    for scores in publication.scores:
        if scores.interval_of in (None, scores.direction) and any(one.interval for one in scores.rows):
            concluded = True
            yield _rows_hold(scores)
    if not concluded:
        yield not_applicable("no interval stands beside an estimate of its own")


def _all_inside(items: Sequence[Baseline | Removal]) -> Result:
    estimates = f"{'archived' if items[0].archive else 'printed'} estimates of {items[0].model}"
    return passed(f"{len(items)} of {len(items)} {estimates} lie in their intervals", where=places(items),
                  statement=f"{len(items)} {estimates} with intervals",
                  recomputed=f"0 of {len(items)} outside")  # fmt: skip


def _holds(publication: Publication, item: Baseline | Removal, ends: Ends) -> Result | None:
    """What stands against an interval; None where its estimate lies inside."""
    estimates = _estimates(item)
    unit = item.interval_unit if isinstance(item, Removal) else "perplexity"
    told = f"interval {ends[0]} to {ends[1]}"
    statement = f"{row(item) if isinstance(item, Removal) else f'baseline {item.perplexity}'}, {told}"
    candidates = [estimates[name] for name in estimates if unit in (name, "undeclared")]
    if not candidates and isinstance(item, Removal):
        candidates = _derived(publication, item)
    if not candidates:
        wanted = "estimate" if unit == "undeclared" else "increase in percent" if unit == "percent" else unit
        return undecided(f"the interval {ends[0]} to {ends[1]} stands without its {wanted}, which would decide whether "
                         "it lies inside", item.id, where=item.where, statement=statement,
                         question=f"{item.where}: what is the {wanted}?")  # fmt: skip
    if not all(outside(estimate, ends) for estimate in candidates):
        return None
    named = " and ".join(str(estimate) for estimate in candidates)
    side = "below" if candidates[0].surely_below(ends[0]) else "above"
    return failed(
        f"found {named} outside the interval from {ends[0]} to {ends[1]}; expected the estimate inside",
        item.id,
        where=item.where,
        statement=statement,
        recomputed=f"{candidates[0]} lies {side} the interval",
        question=f"{item.where}: what is the interval from {ends[0]} to {ends[1]} of?",
        does_not_show="It does not show that the estimate is wrong.",
    )


def _derived(publication: Publication, removal: Removal) -> list[Printed]:
    """A row's estimate in the other unit, over each baseline that may be meant."""
    stated = [one.perplexity for one in baselines(publication, removal)]
    if removal.perplexity is not None:
        return [increase(removal.perplexity, base) for base in stated]
    return [(removal.increase / 100 + 1) * base for base in stated] if removal.increase is not None else []


def _estimates(item: Baseline | Removal) -> dict[Unit, Printed]:
    found: dict[Unit, Printed] = {} if item.perplexity is None else {"perplexity": item.perplexity}
    if isinstance(item, Removal) and item.increase is not None:
        found["percent"] = item.increase
    return found


def _missed(scores: Scores) -> list[str]:
    """The scores outside the interval beside them."""
    return [f"{one.value} for the pair {one.i}, {one.j}, outside {one.interval[0]} to {one.interval[1]}"
            for one in scores.rows if one.interval is not None and outside(one.value, one.interval)]  # fmt: skip


def _rows_hold(scores: Scores) -> Result:
    wrong, number = _missed(scores), sum(one.interval is not None for one in scores.rows)
    statement = f"{number} {scores.protocol} scores of {scores.model} with intervals"
    if not wrong:
        return passed(f"{number} of {number} scores lie in the intervals beside them", scores.id, where=scores.where,
                      statement=statement, recomputed=f"0 of {number} outside")  # fmt: skip
    return failed(
        f"found {some(wrong, '; ')}; expected each score inside the interval beside it",
        scores.id,
        where=scores.where,
        statement=statement,
        recomputed=f"{len(wrong)} of {number} outside",
        question=f"{scores.where}: what are the intervals of, given {wrong[0]}?",
        does_not_show="It does not show that a score is wrong.",
    )


@published(
    level="warning",
    why="A reader compares an interval with the number it stands beside. An interval in perplexity beside an increase "
    "in percent looks narrow or wide by accident, and whether it holds zero cannot be seen.",
    remedy="Give the interval of the increase itself, from paired windows; until then, say which column it is of.",
    waive="When the table's heading says plainly which column the interval is of.",
)
def interval_in_another_unit(publication: Publication) -> Iterator[Result]:
    """A published interval stands in another unit than the estimate beside it."""
    found = [one for one in publication.removals if one.interval is not None and _estimates(one) and not one.archive]
    for removal in found:
        if removal.interval is not None:
            yield _in_unit(publication, removal, removal.interval)
    if not found:
        yield not_applicable("no printed row has both an estimate and an interval")


def _in_unit(publication: Publication, removal: Removal, ends: Ends) -> Result:
    estimates, unit = _estimates(removal), _unit(removal, ends)
    statement = f"{row(removal)}, interval {ends[0]} to {ends[1]}"
    if unit is None:
        return undecided(f"the unit of the interval from {ends[0]} to {ends[1]} is not stated, and would decide",
                         removal.id, where=removal.where, statement=statement,
                         question=f"{removal.where}: is the interval in perplexity or in percent?")  # fmt: skip
    beside: Unit = "percent" if "percent" in estimates else "perplexity"
    if unit == beside:
        return passed(f"the interval from {ends[0]} to {ends[1]} is in {unit}, as {estimates[unit]} beside it is",
                      removal.id, where=removal.where, statement=statement,
                      recomputed=f"interval in {unit}")  # fmt: skip
    estimate = f"a perplexity of {removal.perplexity}"
    if beside == "percent":
        estimate = f"an increase of {removal.increase} %"
    turned = _turned(publication, removal, ends, beside)
    told = f"{turned} in {beside}" if turned else f"in {beside}, which the baseline would give"
    either = f", or said to be of the perplexity {removal.perplexity}" if "perplexity" in estimates and turned else ""
    return failed(
        f"found an interval in {unit}, {ends[0]} to {ends[1]}, beside {estimate}; expected {told}{either}",
        removal.id,
        where=removal.where,
        statement=statement,
        recomputed=told,
        question=f"{removal.where}: is {ends[0]} to {ends[1]} an interval in {unit}, and if so, what is that of "
        f"{estimate}?",
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
        low, high = (f"{float(increase(end, base)):+.1f}" for end in ends)
    else:
        low, high = (f"{float((end / 100 + 1) * base):.2f}" for end in ends)
    return f"{low} to {high}"


@published(
    level="warning",
    why="Pairs are ranked by one statistic, say the larger direction, and the uncertainty of that ranking is the "
    "uncertainty of that statistic. Intervals of another one, say the mean of both directions, say nothing of it.",
    remedy="Ask for intervals of the ranked statistic.",
    waive="When the source does not rank by the scores that the intervals stand beside.",
)
def interval_of_another_statistic(publication: Publication) -> Iterator[Result]:
    """Published intervals belong to another statistic than the scores they stand beside."""
    found = [scores for scores in publication.scores if any(one.interval for one in scores.rows)]
    for scores in found:
        yield _same_statistic(scores)
    if not found:
        yield not_applicable("no table of scores has intervals")


def _same_statistic(scores: Scores) -> Result:
    number = sum(one.interval is not None for one in scores.rows)
    of = scores.interval_of
    beside = "scores" if scores.direction == "undeclared" else f"{scores.direction} scores"
    statement = f"{number} intervals beside the {beside} of {scores.model}, {scores.protocol}"
    if of in (None, scores.direction) and of != "undeclared":
        return passed(f"the intervals are of the {beside} beside them", scores.id, where=scores.where,
                      statement=statement, recomputed="one statistic")  # fmt: skip
    if "undeclared" in (of, scores.direction):
        missing = "the intervals are of" if of == "undeclared" else "the scores are of"
        return undecided(f"which direction {missing} is not stated, and would decide whether they belong together",
                         scores.id, where=scores.where, statement=statement,
                         question=f"{scores.where}: which direction are the scores of, and which the "
                         "intervals?")  # fmt: skip
    return failed(
        f"found intervals of the {of} beside scores of the {scores.direction}; expected both of one statistic",
        scores.id,
        where=scores.where,
        statement=statement,
        recomputed=f"{len(_missed(scores))} of {number} scores lie outside the interval beside them",
        question=f"{scores.where}: what are the intervals of the {scores.direction}, by which pairs are ranked?",
        does_not_show="It does not show that the ranking is wrong, nor that it is uncertain.",
    )
