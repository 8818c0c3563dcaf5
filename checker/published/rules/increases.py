"""Rules about printed increases: whether each follows from the perplexity and the baseline beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.printed import Printed, implied_baseline, increase, intersection
from checker.published.publication import Baseline, Publication, Removal
from checker.published.rules.rows import baselines, groups, places
from checker.published.rules.subject import Subject, published

_ONE_WRONG = (
    "It does not show which of the three numbers is wrong, nor that the removal costs more or less than printed."
)


@dataclass(frozen=True)
class _Row:
    """A row with an increase, and the baselines that it may have been taken from."""

    removal: Removal
    stated: Printed
    baselines: Sequence[Baseline]

    @cached_property
    def missing(self) -> str:
        if self.removal.perplexity is None:
            return "the perplexity after the removal"
        return "" if self.baselines else "the baseline under this contract"

    @cached_property
    def _increases(self) -> list[tuple[Baseline, Printed]]:
        perplexity = self.removal.perplexity
        if perplexity is None:
            return []
        return [(baseline, increase(perplexity, baseline.perplexity)) for baseline in self.baselines]

    @cached_property
    def follows(self) -> bool:
        return any(percent.meets(self.stated) for _, percent in self._increases)

    @property
    def nearest(self) -> tuple[Baseline, str]:
        """The baseline that it follows from, or the first; and the increase that this gives."""
        held = [(baseline, percent) for baseline, percent in self._increases if percent.meets(self.stated)]
        baseline, percent = (held or self._increases)[0]
        return baseline, f"{percent.ends(signed=True)} %"


@published(
    level="error",
    why="A row that prints a perplexity and its increase in percent prints the baseline a second time: increase = "
    "100 * (perplexity / baseline - 1). Where the printed digits cannot all be roundings of one measurement, at least "
    "one of them belongs to another run, another contract or another formula.",
    remedy="Ask the source which of the three numbers is from another run, and which baseline the percentages use.",
    waive="When the source names another formula or another baseline for its percentages.",
    nothing="the audit file holds no increase in percent",
)
def increase_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A published increase in percent does not follow from the perplexity and the baseline beside it."""
    rows = [
        _Row(removal, removal.increase, baselines(publication, removal))
        for removal in publication.removals
        if removal.increase is not None
    ]
    for table in groups(rows, lambda row: (row.removal.table or row.removal.id, row.removal.model)).values():
        for missing, bare in groups([row for row in table if row.missing], lambda row: row.missing).items():
            yield _alone(bare[0], missing) if len(bare) == 1 else _all_alone(bare, missing)
        whole = [row for row in table if not row.missing]
        for follows, some_rows in groups(whole, lambda row: row.follows).items():
            if follows:
                yield _follows(some_rows[0]) if len(some_rows) == 1 else _all_follow(some_rows)
            else:
                yield _fails(some_rows[0]) if len(some_rows) == 1 else _all_fail(some_rows, len(whole))


def _alone(row: _Row, missing: str) -> Result:
    return Subject(row.removal.id, row.removal.where, f"increase {row.stated} %").undecided(
        f"{row.stated} % stands without {missing}, which would decide whether it follows", f"what is {missing}?"
    )


def _follows(row: _Row) -> Result:
    baseline, percent = row.nearest
    message = f"{row.stated} % follows from {row.removal.perplexity} and the baseline {baseline.perplexity}"
    return _of_row(row).passed(message, percent)


def _fails(row: _Row) -> Result:
    perplexity, (baseline, percent) = row.removal.perplexity, row.nearest
    return _of_row(row).failed(
        f"found an increase of {row.stated} %; expected {percent}, which {perplexity} over the baseline "
        f"{baseline.perplexity} gives at the printed precision",
        recomputed=percent,
        question=f"which baseline is {row.stated} % taken from? {perplexity} over {baseline.perplexity} "
        f"({baseline.where}) is {percent}.",
        does_not_show=_ONE_WRONG,
    )


def _of_row(row: _Row) -> Subject:
    statement = f"perplexity {row.removal.perplexity}, increase {row.stated} %"
    return Subject(row.removal.id, row.removal.where, statement)


def _all_alone(rows: Sequence[_Row], missing: str) -> Result:
    return _of_rows(rows).undecided(
        f"{len(rows)} increases stand without {missing}, which would decide whether they follow",
        f"what is {missing} of each of the {len(rows)} rows?",
    )


def _all_follow(rows: Sequence[_Row]) -> Result:
    message = f"{len(rows)} increases follow from their perplexities and the baseline {_used(rows)}"
    return _of_rows(rows).passed(message, f"{len(rows)} of {len(rows)} follow")


def _all_fail(rows: Sequence[_Row], of: int) -> Result:
    used, share = _used(rows), f"{len(rows)} of {of}"
    examples = listed(
        (f"{row.nearest[1]} for {row.removal.perplexity} and not {row.stated} % ({row.removal.where})" for row in rows),
        separator="; ",
    )
    fits = intersection(
        implied_baseline(row.removal.perplexity, row.stated)
        for row in rows
        if row.removal.perplexity is not None and row.stated.low > -100
    )
    instead = f"all {len(rows)} follow from a baseline of {fits.ends()}" if fits else "no one baseline gives them all"
    return _of_rows(rows).failed(
        f"found {share} increases that the baseline {used} does not give at the printed precision; expected "
        f"{examples}; {instead}",
        recomputed=f"{share} do not follow; {instead}",
        question=f"which baseline are these {len(rows)} increases taken from? Not from {used}: {instead}.",
        does_not_show=_ONE_WRONG,
    )


def _used(rows: Sequence[_Row]) -> str:
    """The baselines that rows are held against."""
    return listed(dict.fromkeys(str(row.nearest[0].perplexity) for row in rows))


def _of_rows(rows: Sequence[_Row]) -> Subject:
    first = rows[0].removal
    increases = listed(f"{row.stated} %" for row in rows)
    where = first.table or places(row.removal for row in rows)
    return Subject(first.id, where, f"{len(rows)} increases of {first.model}: {increases}")
