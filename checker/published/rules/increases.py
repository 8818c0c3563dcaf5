"""Rules about printed increases: whether each follows from the perplexity and the baseline beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from checker.core.rule import Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed, implied_baseline, increase, intersection
from checker.published.publication import Baseline, Publication, Removal
from checker.published.rules.rows import baselines, groups, places, published, some

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
    def _found(self) -> list[tuple[Baseline, Printed]]:
        perplexity = self.removal.perplexity
        return [] if perplexity is None else [(one, increase(perplexity, one.perplexity)) for one in self.baselines]

    @cached_property
    def follows(self) -> bool:
        return any(percent.meets(self.stated) for _, percent in self._found)

    @property
    def nearest(self) -> tuple[Baseline, str]:
        """The baseline that it follows from, or the first; and the increase that this gives."""
        held = [one for one in self._found if one[1].meets(self.stated)]
        baseline, percent = (held or self._found)[0]
        return baseline, f"{percent.ends(signed=True)} %"


@published(
    level="error",
    why="A row that prints a perplexity and its increase in percent prints the baseline a second time: increase = "
    "100 * (perplexity / baseline - 1). Where the printed digits cannot all be roundings of one measurement, at least "
    "one of them belongs to another run, another contract or another formula.",
    remedy="Ask the source which of the three numbers is from another run, and which baseline the percentages use.",
    waive="When the source names another formula or another baseline for its percentages.",
)
def increase_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A published increase in percent does not follow from the perplexity and the baseline beside it."""
    rows = [_Row(removal, removal.increase, baselines(publication, removal))
            for removal in publication.removals if removal.increase is not None]  # fmt: skip
    for table in groups(rows, lambda row: (row.removal.table or row.removal.id, row.removal.model)).values():
        for missing, bare in groups([row for row in table if row.missing], lambda row: row.missing).items():
            yield _alone(bare[0], missing) if len(bare) == 1 else _all_alone(bare, missing)
        whole = [row for row in table if not row.missing]
        for follows, some_rows in groups(whole, lambda row: row.follows).items():
            if follows:
                yield _follows(some_rows[0]) if len(some_rows) == 1 else _all_follow(some_rows)
            else:
                yield _fails(some_rows[0]) if len(some_rows) == 1 else _all_fail(some_rows, len(whole))
    if not rows:
        yield not_applicable("the audit file holds no increase in percent")


def _alone(row: _Row, missing: str) -> Result:
    return undecided(f"{row.stated} % stands without {missing}, which would decide whether it follows", row.removal.id,
                     where=row.removal.where, statement=f"increase {row.stated} %",
                     question=f"{row.removal.where}: what is {missing}?")  # fmt: skip


def _follows(row: _Row) -> Result:
    baseline, percent = row.nearest
    told = f"{row.stated} % follows from {row.removal.perplexity} and the baseline {baseline.perplexity}"
    return passed(told, row.removal.id, where=row.removal.where, statement=_statement(row), recomputed=percent)


def _fails(row: _Row) -> Result:
    removal, (baseline, percent) = row.removal, row.nearest
    return failed(
        f"found an increase of {row.stated} %; expected {percent}, which {removal.perplexity} over the baseline "
        f"{baseline.perplexity} gives at the printed precision",
        removal.id,
        where=removal.where,
        statement=_statement(row),
        recomputed=percent,
        question=f"{removal.where}: which baseline is {row.stated} % taken from? {removal.perplexity} over "
        f"{baseline.perplexity} ({baseline.where}) is {percent}.",
        does_not_show=_ONE_WRONG,
    )


def _statement(row: _Row) -> str:
    return f"perplexity {row.removal.perplexity}, increase {row.stated} %"


def _all_alone(rows: Sequence[_Row], missing: str) -> Result:
    where = _where(rows)
    return undecided(f"{len(rows)} increases stand without {missing}, which would decide whether they follow",
                     rows[0].removal.id, where=where, statement=_increases(rows),
                     question=f"{where}: what is {missing} of each of the {len(rows)} rows?")  # fmt: skip


def _all_follow(rows: Sequence[_Row]) -> Result:
    used = some(list(dict.fromkeys(str(row.nearest[0].perplexity) for row in rows)))
    told = f"{len(rows)} increases follow from their perplexities and the baseline {used}"
    number = f"{len(rows)} of {len(rows)} follow"
    return passed(told, rows[0].removal.id, where=_where(rows), statement=_increases(rows), recomputed=number)


def _all_fail(rows: Sequence[_Row], of: int) -> Result:
    used = some(list(dict.fromkeys(str(row.nearest[0].perplexity) for row in rows)))
    examples = some([f"{row.nearest[1]} for {row.removal.perplexity} and not {row.stated} % ({row.removal.where})"
                     for row in rows], "; ")  # fmt: skip
    fits = intersection([implied_baseline(row.removal.perplexity, row.stated) for row in rows
                         if row.removal.perplexity is not None and row.stated.low > -100])  # fmt: skip
    instead = f"all {len(rows)} follow from a baseline of {fits.ends()}" if fits else "no one baseline gives them all"
    return failed(
        f"found {len(rows)} of {of} increases that the baseline {used} does not give at the printed precision; "
        f"expected {examples}; {instead}",
        rows[0].removal.id,
        where=_where(rows),
        statement=_increases(rows),
        recomputed=f"{len(rows)} of {of} do not follow; {instead}",
        question=f"{_where(rows)}: which baseline are these {len(rows)} increases taken from? Not from {used}: "
        f"{instead}.",
        does_not_show=_ONE_WRONG,
    )


def _increases(rows: Sequence[_Row]) -> str:
    return f"{len(rows)} increases of {rows[0].removal.model}: {some([f'{row.stated} %' for row in rows])}"


def _where(rows: Sequence[_Row]) -> str:
    return rows[0].removal.table or places(row.removal for row in rows)
