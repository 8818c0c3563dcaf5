"""Rules about trends: a figure that is said to grow or shrink from table to table."""

from __future__ import annotations

from collections.abc import Sequence

from checker.core.rule import Result
from checker.published.printed import Printed
from checker.published.publication import Publication, Scores, Trend
from checker.published.recompute import figure, moves
from checker.published.rules.subject import Subject, of_each, published


@published(
    level="error",
    why="A figure that is said to grow or shrink must do so from each table to the next. The tables tell.",
    remedy="Ask the source which figure the sentence is about, and whether it means every step or the ends alone.",
    waive="When the source says that the sentence is about the first and the last table only.",
    nothing="the source states no trend",
)
@of_each(Trend)
def trend_is_broken(publication: Publication, statement: Trend, subject: Subject) -> Result:
    """A figure does not move as it is said to, from table to table."""
    direction = statement.direction
    figures = _figures(publication, statement, statement.figure)
    if figures is None:
        return subject.undecided(
            "a table has no such figure; scores of the same pairs in every table would decide",
            "can the scores of every table be published?",
        )
    kind = f"{statement.of.replace('_', ' ')} {statement.figure}"
    recomputed = f"{kind}: {_in_order(figures)}"
    held = moves(figures, direction)
    if held is None:
        return subject.undecided(
            "the printed digits do not tell two steps apart; more digits would",
            "can the scores be published with more digits?",
            recomputed,
        )
    if held:
        return subject.passed(f"{direction} over {len(figures)} tables", recomputed)
    return subject.failed(
        f"found {_in_order(figures)}; expected it to be {direction} from each table to the next",
        recomputed=recomputed,
        question=f"which figure is {direction}? The {kind} is {_in_order(figures)}.",
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
    nothing="the source states no trend of a difference",
)
@of_each(Trend)
def ratio_moves_the_other_way(publication: Publication, statement: Trend, subject: Subject) -> Result | None:
    """A difference is reported to move one way where the ratio of the same figures moves the other way."""
    if statement.figure != "difference" or statement.direction == "constant":
        return None
    ratios = _figures(publication, statement, "ratio")
    if ratios is None:
        return subject.undecided(
            "the ratio of the two figures cannot be had; scores of the same pairs in every table would decide",
            "what is the ratio in every table?",
        )
    recomputed = f"ratio of the {statement.of.replace('_', ' ')}s: {_in_order(ratios)}"
    opposite = {"increasing": "decreasing", "decreasing": "increasing"}[statement.direction]
    if not moves([ratios[0], ratios[-1]], opposite):
        return subject.passed("the ratio does not move the other way from the first table to the last", recomputed)
    return subject.failed(
        f"found a difference said to be {statement.direction}; expected the ratio not to move the other way from the "
        f"first table to the last, and it does: {_in_order(ratios)}",
        recomputed=recomputed,
        question=f"does the conclusion need the difference? The ratio goes {_in_order(ratios)}.",
        does_not_show="It does not show that the difference is wrong, nor which of the two is the better measure.",
    )


def _figures(publication: Publication, statement: Trend, kind: str) -> list[Printed] | None:
    """The figure of every table, in order; None where one has none."""
    scores = publication.scores_by_id
    against: list[Scores | None] = [scores[name] for name in statement.against] or [None] * len(statement.scores)
    values = [
        figure(kind, statement.of, scores[name], table, statement.gap)
        for name, table in zip(statement.scores, against, strict=True)
    ]
    figures = [value for value in values if value is not None]
    return figures if len(figures) == len(values) else None


def _in_order(figures: Sequence[Printed]) -> str:
    return ", ".join(value.ends() for value in figures)
