"""Rules about trends: a figure that is said to grow or shrink from table to table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed
from checker.published.publication import Publication, Trend
from checker.published.recompute import figure, moves
from checker.published.rules.rows import published


def _told(statement: Trend) -> Placed:
    return {"where": statement.where, "statement": statement.says}


@published(
    level="error",
    why="A figure that is said to grow or shrink must do so from each table to the next. The tables tell.",
    remedy="Ask the source which figure the sentence is about, and whether it means every step or the ends alone.",
    waive="When the source says that the sentence is about the first and the last table only.",
)
def trend_is_broken(publication: Publication) -> Iterator[Result]:
    """A figure does not move as it is said to, from table to table."""
    statements = list(publication.statements_of(Trend))
    for statement in statements:
        yield _trend(publication, statement)
    if not statements:
        yield not_applicable("the source states no trend")


def _trend(publication: Publication, statement: Trend) -> Result:
    told = _told(statement)
    figures = _figures(publication, statement, statement.figure)
    if figures is None:
        return undecided("a table has no such figure; scores of the same pairs in every table would decide",
                         statement.id, **told,
                         question=f"{statement.where}: can the scores of every table be published?")  # fmt: skip
    recomputed = f"{statement.of.replace('_', ' ')} {statement.figure}: {_in_order(figures)}"
    held = moves(figures, statement.direction)
    if held is None:
        return undecided("the printed digits do not tell two steps apart; more digits would", statement.id, **told,
                         recomputed=recomputed,
                         question=f"{statement.where}: can the scores be published with more digits?")  # fmt: skip
    if held:
        return passed(f"{statement.direction} over {len(figures)} tables", statement.id, **told, recomputed=recomputed)
    return failed(
        f"found {_in_order(figures)}; expected it to be {statement.direction} from each table to the next",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: which figure is {statement.direction}? The {statement.of.replace('_', ' ')} "
        f"{statement.figure} is {_in_order(figures)}.",
        does_not_show="It does not show that there is no trend on the whole, nor that each step is larger than its "
        "uncertainty.",
    )


@published(
    level="warning",
    why="A difference of two quantities grows when both grow in proportion. Where the quantities change in scale, as "
    "divergences do over training, the difference and the ratio can move in opposite directions, and a sentence about "
    "a growing gap rests on the choice between them.",
    remedy="Ask the source to report the ratio beside the difference, and which of the two the conclusion needs.",
    waive="When the conclusion needs the absolute difference and the source says so.",
)
def ratio_moves_the_other_way(publication: Publication) -> Iterator[Result]:
    """A difference is reported to move one way where the ratio of the same figures moves the other way."""
    statements = [found for found in publication.statements_of(Trend) if _of_growth(found)]
    for statement in statements:
        yield _scale(publication, statement)
    if not statements:
        yield not_applicable("the source states no trend of a difference")


def _of_growth(statement: Trend) -> bool:
    return statement.figure == "difference" and statement.direction != "constant"


def _scale(publication: Publication, statement: Trend) -> Result:
    told = _told(statement)
    found = _figures(publication, statement, "ratio")
    if found is None:
        return undecided("the ratio of the two figures cannot be had; scores of the same pairs in every table would "
                         "decide", statement.id, **told,
                         question=f"{statement.where}: what is the ratio in every table?")  # fmt: skip
    recomputed = f"ratio of the {statement.of.replace('_', ' ')}s: {_in_order(found)}"
    other = {"increasing": "decreasing", "decreasing": "increasing"}[statement.direction]
    if not moves([found[0], found[-1]], other):
        return passed(
            "the ratio does not move the other way from the first table to the last",
            statement.id,
            **told,
            recomputed=recomputed,
        )
    return failed(
        f"found a difference said to be {statement.direction}; expected the ratio not to move the other way from the "
        f"first table to the last, and it does: {_in_order(found)}",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: does the conclusion need the difference? The ratio goes {_in_order(found)}.",
        does_not_show="It does not show that the difference is wrong, nor which of the two is the better measure.",
    )


def _figures(publication: Publication, statement: Trend, kind: str) -> list[Printed] | None:
    against = statement.against or (None,) * len(statement.scores)
    found = [
        figure(kind, statement.of, publication.scores_by_id[name],
               None if other is None else publication.scores_by_id[other], statement.gap)
        for name, other in zip(statement.scores, against, strict=True)
    ]  # fmt: skip
    figures = [one for one in found if one is not None]
    return figures if len(figures) == len(found) else None


def _in_order(figures: Sequence[Printed]) -> str:
    return ", ".join(one.ends() for one in figures)
