"""Rules about a source's data files: what is printed rounds what is archived, all of it, and nothing stands twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from operator import attrgetter

from checker.core.rule import Result
from checker.core.words import counted, listed
from checker.published.printed import Printed
from checker.published.publication import Baseline, Publication, Removal, Scores
from checker.published.rules.rows import MEASUREMENT, cost, folded, groups, measurement, places, quoted
from checker.published.rules.subject import Subject, published

_TELLING = 12  # significant digits that two tables must share before a repetition is no accident
_measured_as = attrgetter("model", "contract")
_CONTEXT = Context(prec=300)  # of the longest decimals that an audit file may hold
Shared = list[tuple[str, Printed, Printed]]  # figures by name, as they are printed and as they are archived


@published(
    level="error",
    why="A number in a table is said to be the rounding of one in the archived results. Where it is not, the table was "
    "made from another run, another contract or by hand, and whoever repeats the archive's run will not get the table.",
    remedy="Ask the source which run the printed number is from.",
    waive="When the source says that the archive holds a later run.",
    nothing="no printed number stands beside an archive of the same model and contract",
)
def not_the_rounding(publication: Publication) -> Iterator[Result]:
    """A printed number is not the rounding of the archived one."""
    for printed in publication.baselines:
        same = publication.baselines_of(printed.model, printed.contract)
        archived = [baseline for baseline in same if baseline.archive]
        if archived and not printed.archive:
            yield _rounds(printed, archived, f"baseline {printed.perplexity}")
    yield from _removals_round(publication)
    yield from _tables_round(publication)


def _removals_round(publication: Publication) -> Iterator[Result]:
    whole = _whole(publication)
    archive = groups((removal for removal in whole if removal.archive), _measured_as)
    alone: list[Removal] = []
    held: list[tuple[Removal, Result]] = []
    for printed in (removal for removal in whole if not removal.archive):
        under = archive.get(_measured_as(printed), [])
        same = [archived for archived in under if archived.layers == printed.layers and _shared(printed, archived)]
        if same:
            by_name = sorted(same, key=lambda archived: archived.method != printed.method)
            held.append((printed, _rounds(printed, by_name, quoted(printed))))
        elif under and cost(printed):
            alone.append(printed)
    yield from folded(held, "what is printed rounds what is archived")
    for (model, contract), rows in groups(alone, _measured_as).items():
        yield _unarchived(rows, f"the archive of {model} under {contract}")


def _whole(publication: Publication) -> list[Removal]:
    """The rows whose layers and contract are known."""
    return [row for row in publication.removals if row.layers is not None and row.contract is not None]


def _unarchived(rows: Sequence[Removal], archive: str) -> Result:
    texts = [quoted(removal) for removal in rows]
    return Subject(rows[0].id, places(rows), "; ".join(texts)).undecided(
        f"{archive} has no figure for {listed(texts, separator='; ')}, which would decide",
        f"from which run are these figures, which {archive} does not have?",
        f"{counted(len(rows), 'printed row')} without an archived one",
    )


def _figures(item: Baseline | Removal) -> dict[str, Printed]:
    low, high = item.interval or (None, None)
    ends = {f"lower end in {item.interval_unit}": low, f"upper end in {item.interval_unit}": high}
    figures = {"perplexity": item.perplexity, "increase": item.increase, **ends}
    return {name: value for name, value in figures.items() if value is not None}


def _shared(printed: Baseline | Removal, archived: Baseline | Removal) -> Shared:
    theirs = _figures(archived)
    return [(name, value, theirs[name]) for name, value in _figures(printed).items() if name in theirs]


def _rounds(printed: Baseline | Removal, archived: Sequence[Baseline | Removal], statement: str) -> Result:
    """A printed item held against the archived one from which the fewest of its figures differ."""
    subject = Subject(printed.id, printed.where, statement)
    source = min(archived, key=lambda item: len(_apart(_shared(printed, item))))
    shared = _shared(printed, source)
    apart = _apart(shared)
    if not apart:
        figures = ", ".join(f"{name} {theirs}" for name, _, theirs in shared)
        return subject.passed(f"what is printed rounds the archived {figures}", figures)
    differences = "; ".join(
        f"{name} {value} where the archived {theirs} rounds to {_rounded(theirs, value)}"
        for name, value, theirs in apart
    )
    name, value, theirs = apart[0]
    return subject.failed(
        f"found {differences}; expected the rounding of what is archived ({source.where})",
        recomputed=", ".join(f"{name} {_rounded(theirs, value)}" for name, value, theirs in apart),
        question=f"from which run is {name} {value}, where {source.where} has {theirs}?",
        does_not_show="It does not show which of the two was measured as described.",
    )


def _apart(shared: Shared) -> Shared:
    """The figures that are no rounding of the archived ones."""
    return [(name, value, theirs) for name, value, theirs in shared if not value.meets(theirs)]


def _rounded(archived: Printed, printed: Printed) -> str:
    """An archived number in the decimals of a printed one."""
    exponent = int(_decimal(printed).as_tuple().exponent)
    sign = "+" if printed.text.startswith("+") else ""
    return f"{_decimal(archived).quantize(Decimal(1).scaleb(exponent), ROUND_HALF_UP, _CONTEXT):{sign}f}"


def _decimal(printed: Printed) -> Decimal:
    return Decimal(printed.text.replace("\u2212", "-"))


def _tables_round(publication: Publication) -> Iterator[Result]:
    for same in groups(publication.scores, lambda table: (*measurement(table), table.direction)).values():
        archived = {pair: value for table in same if table.archive for pair, value in table.by_pair.items()}
        for printed in (table for table in same if not table.archive):
            shared = {pair: value for pair, value in printed.by_pair.items() if pair in archived}
            if shared:
                apart = [
                    f"{value} for the pair {i}, {j}, archived as {archived[i, j]}"
                    for (i, j), value in shared.items()
                    if not value.meets(archived[i, j])
                ]
                yield _table_rounds(printed, apart, len(shared))


def _table_rounds(printed: Scores, apart: Sequence[str], pairs: int) -> Result:
    subject = Subject(printed.id, printed.where, f"{len(printed.rows)} {printed.protocol} scores of {printed.model}")
    share = f"{pairs - len(apart)} of {pairs} scores round the archived ones"
    if not apart:
        return subject.passed(share, share)
    return subject.failed(
        f"found {listed(apart, separator='; ')}; expected the rounding of what is archived",
        recomputed=share,
        question=f"from which run is {apart[0]}?",
        does_not_show="It does not show which of the two was measured as described.",
    )


@published(
    level="note",
    why="An archive often holds more sets than the tables show. A set that was measured under the same contract and is "
    "not printed may change what the printed ones seem to say.",
    remedy="Ask the source why the row is not in the table; add it to the comparison.",
    waive="When the source says which rows it leaves out, and why.",
    nothing="no contract has both printed and archived rows with layers",
)
def archived_row_not_printed(publication: Publication) -> Iterator[Result]:
    """A row of the archive stands in no table of the source, which prints others of its model and contract."""
    for rows in groups(_whole(publication), _measured_as).values():
        printed, archived = ([row for row in rows if row.archive is kept] for kept in (False, True))
        if printed and archived:
            yield _all_printed(printed, archived)


def _all_printed(printed: Sequence[Removal], archived: Sequence[Removal]) -> Result:
    shown = {removal.layers for removal in printed}
    missing = [removal for removal in archived if removal.layers not in shown]
    first, number = archived[0], len(archived)
    rows, under = f"{number} archived rows of {first.model}", f"{first.model} under {first.contract}"
    if not missing:
        return Subject(first.id, places(archived), rows).passed(
            f"{number} of {number} archived rows of {under} are printed", "0 missing from the tables"
        )
    texts = [quoted(removal) for removal in missing]
    return Subject(missing[0].id, places(missing), f"{rows}, {len(printed)} printed ones").failed(
        f"found {listed(texts, separator='; ')} in the archive and in no printed row; expected all archived rows of "
        f"{under}, or the reason why not",
        recomputed=f"{len(missing)} of {number} missing from the tables: {'; '.join(texts)}",
        question=f"why do the tables leave out {len(missing)} of {number} rows?",
        does_not_show="It does not show that a row was left out for its value, nor that no table has it: only the "
        "rows that the audit file holds are compared.",
    )


@published(
    level="warning",
    why="Two checkpoints, texts or models do not give scores that are equal to the last digit. Where they do, one file "
    "was written twice, or the weights of one checkpoint were loaded for both.",
    remedy="Ask the source for the digest of the weights behind each table; measure one of the two again.",
    waive="When the source says that the two are of the same weights.",
    nothing=f"there are no two tables of scores with {_TELLING} significant digits",
)
def figures_repeated(publication: Publication) -> Iterator[Result]:
    """The figures of one checkpoint, model or text are repeated exactly at another."""
    telling = [scores for scores in publication.scores if _digits(scores) >= _TELLING]
    repeated = [pair for same in groups(telling, _values).values() for pair in _repeats(same)]
    yield from (_repeated(first, again) for first, again in repeated)
    if not repeated and len(telling) > 1:
        yield Subject(None, places(telling), f"{len(telling)} tables of scores").passed(
            f"no two of {len(telling)} tables repeat each other's figures", "0 tables repeated to the last digit"
        )


def _repeated(first: Scores, again: Scores) -> Result:
    differ, number = _differing(first, again), len(again.rows)
    here, there = _named(again, differ), _named(first, differ)
    return Subject(
        again.id, places((again, first)), f"{number} {again.protocol} scores of {again.model} at {here}"
    ).failed(
        f"found the {number} figures at {here} equal to those at {there} to the last digit; expected others",
        recomputed=f"{number} of {number} figures equal those of {first.id}",
        question=f"are the figures at {here} measured there, or those at {there} ({first.where})?",
        asked_at=again.where,
        does_not_show="It does not show which of the two tables, if any, is of the weights it names.",
    )


def _digits(scores: Scores) -> int:
    """Significant digits of a whole table."""
    return sum(len(_decimal(row.value).as_tuple().digits) for row in scores.rows)


def _values(scores: Scores) -> tuple[object, ...]:
    return tuple(sorted((row.i, row.j, row.value.low, row.value.high) for row in scores.rows))


def _repeats(same: Sequence[Scores]) -> Iterator[tuple[Scores, Scores]]:
    """Tables of equal figures that are said to be of different measurements, each with the first it repeats."""
    for number, again in enumerate(same):
        for first in same[:number]:
            if _differing(first, again):
                yield first, again
                break


def _differing(first: Scores, again: Scores) -> list[str]:
    """What two tables state differently. Directions may agree: one may be the larger of every pair."""
    stated = {name: {getattr(first, name), getattr(again, name)} for name in MEASUREMENT}
    return [name for name, values in stated.items() if len(values) == 2 and not values & {None, "undeclared"}]


def _named(scores: Scores, differ: Sequence[str]) -> str:
    return ", ".join(f"{name} {getattr(scores, name)}" for name in differ)
