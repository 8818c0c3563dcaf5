"""Rules about a source's data files: what is printed rounds what is archived, all of it, and nothing stands twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

from checker.core.rule import Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed
from checker.published.publication import Baseline, Publication, Removal, Scores
from checker.published.rules.rows import cost, folded, groups, places, published, row, some

_TELLING = 12  # significant digits that two tables must share before a repetition is no accident
_MEASUREMENT = ("model", "protocol", "positions", "prompts", "text", "dtype", "checkpoint")
_CONTEXT = Context(prec=300)  # of the longest decimals that an audit file may hold


@published(
    level="error",
    why="A number in a table is said to be the rounding of one in the archived results. Where it is not, the table was "
    "made from another run, another contract or by hand, and whoever repeats the archive's run will not get the table.",
    remedy="Ask the source which run the printed number is from.",
    waive="When the source says that the archive holds a later run.",
)
def not_the_rounding(publication: Publication) -> Iterator[Result]:
    """A printed number is not the rounding of the archived one."""
    concluded = False
    for found in (_baselines_round(publication), _removals_round(publication), _tables_round(publication)):
        for result in found:
            concluded = True
            yield result
    if not concluded:
        yield not_applicable("no printed number stands beside an archive of the same model and contract")


def _baselines_round(publication: Publication) -> Iterator[Result]:
    for printed in (one for one in publication.baselines if not one.archive):
        same = publication.baselines_of(printed.model, printed.contract)
        archived = [one for one in same if one.archive]
        if archived:
            yield _rounds(printed, archived, f"baseline {printed.perplexity}")


def _removals_round(publication: Publication) -> Iterator[Result]:
    whole = [one for one in publication.removals if one.layers is not None and one.contract is not None]
    archive = groups([one for one in whole if one.archive], lambda one: (one.model, one.contract))
    alone: dict[tuple[str, str | None], list[Removal]] = {}
    held: list[tuple[Removal, Result]] = []
    for printed in (one for one in whole if not one.archive):
        under = archive.get((printed.model, printed.contract), [])
        same = [one for one in under if one.layers == printed.layers and _shared(printed, one)]
        if same:
            by_name = sorted(same, key=lambda one: one.method != printed.method)
            held.append((printed, _rounds(printed, by_name, row(printed))))
        elif under and cost(printed):
            alone.setdefault((printed.model, printed.contract), []).append(printed)
    yield from folded(held, "what is printed rounds what is archived")
    for (model, contract), rows in alone.items():
        yield _unarchived(rows, f"the archive of {model} under {contract}")


def _unarchived(rows: Sequence[Removal], archive: str) -> Result:
    told, where = [row(one) for one in rows], places(rows)
    return undecided(
        f"{archive} has no figure for {some(told, '; ')}, which would decide",
        rows[0].id,
        where=where,
        statement="; ".join(told),
        recomputed=f"{len(rows)} printed row{'' if len(rows) == 1 else 's'} without an archived one",
        question=f"{where}: from which run are these figures, which {archive} does not have?",
    )


def _figures(item: Baseline | Removal) -> dict[str, Printed]:
    found = {} if item.perplexity is None else {"perplexity": item.perplexity}
    unit = "perplexity"
    if isinstance(item, Removal):
        unit = item.interval_unit
        if item.increase is not None:
            found["increase"] = item.increase
    if item.interval is not None:
        found[f"lower end in {unit}"], found[f"upper end in {unit}"] = item.interval
    return found


def _shared(printed: Baseline | Removal, archived: Baseline | Removal) -> list[tuple[str, Printed, Printed]]:
    theirs = _figures(archived)
    return [(name, value, theirs[name]) for name, value in _figures(printed).items() if name in theirs]


def _rounds(printed: Baseline | Removal, archived: Sequence[Baseline] | Sequence[Removal], statement: str) -> Result:
    compared = [_shared(printed, one) for one in archived]
    wrong = [[(name, value, theirs) for name, value, theirs in shared if not value.meets(theirs)]
             for shared in compared]  # fmt: skip
    best = min(range(len(wrong)), key=lambda number: len(wrong[number]))
    source = archived[best].where
    if not wrong[best]:
        told = ", ".join(f"{name} {theirs}" for name, _, theirs in compared[best])
        return passed(f"what is printed rounds the archived {told}", printed.id, where=printed.where,
                      statement=statement, recomputed=told)  # fmt: skip
    found = "; ".join(
        f"{name} {value} where the archived {theirs} rounds to {_rounded(theirs, value)}"
        for name, value, theirs in wrong[best]
    )
    name, value, theirs = wrong[best][0]
    return failed(
        f"found {found}; expected the rounding of what is archived ({source})",
        printed.id,
        where=printed.where,
        statement=statement,
        recomputed=", ".join(f"{name} {_rounded(theirs, value)}" for name, value, theirs in wrong[best]),
        question=f"{printed.where}: from which run is {name} {value}, where {source} has {theirs}?",
        does_not_show="It does not show which of the two was measured as described.",
    )


def _rounded(archived: Printed, printed: Printed) -> str:
    """An archived number in the decimals of a printed one."""
    exponent = int(_decimal(printed).as_tuple().exponent)
    sign = "+" if printed.text.startswith("+") else ""
    return f"{_decimal(archived).quantize(Decimal(1).scaleb(exponent), ROUND_HALF_UP, _CONTEXT):{sign}f}"


def _decimal(printed: Printed) -> Decimal:
    return Decimal(printed.text.replace("\u2212", "-"))


def _tables_round(publication: Publication) -> Iterator[Result]:
    for same in groups(publication.scores, lambda one: (*_measurement(one), one.direction)).values():
        archived = {pair: value for table in same if table.archive for pair, value in table.by_pair.items()}
        for printed in (table for table in same if not table.archive):
            pairs = [pair for pair in printed.by_pair if pair in archived]
            if pairs:
                apart = [f"{printed.by_pair[pair]} for the pair {pair[0]}, {pair[1]}, archived as {archived[pair]}"
                         for pair in pairs if not printed.by_pair[pair].meets(archived[pair])]  # fmt: skip
                yield _table_rounds(printed, apart, len(pairs))


def _measurement(scores: Scores) -> tuple[object, ...]:
    return tuple(getattr(scores, name) for name in _MEASUREMENT)


def _table_rounds(printed: Scores, apart: Sequence[str], pairs: int) -> Result:
    statement = f"{len(printed.rows)} {printed.protocol} scores of {printed.model}"
    told = f"{pairs - len(apart)} of {pairs} scores round the archived ones"
    if not apart:
        return passed(told, printed.id, where=printed.where,
                      statement=statement, recomputed=told)  # fmt: skip
    return failed(
        f"found {some(apart, '; ')}; expected the rounding of what is archived",
        printed.id,
        where=printed.where,
        statement=statement,
        recomputed=told,
        question=f"{printed.where}: from which run is {apart[0]}?",
        does_not_show="It does not show which of the two was measured as described.",
    )


@published(
    level="note",
    why="An archive often holds more sets than the tables show. A set that was measured under the same contract and is "
    "not printed may change what the printed ones seem to say.",
    remedy="Ask the source why the row is not in the table; add it to the comparison.",
    waive="When the source says which rows it leaves out, and why.",
)
def archived_row_not_printed(publication: Publication) -> Iterator[Result]:
    """A row of the archive stands in no table of the source, which prints others of its model and contract."""
    whole = [one for one in publication.removals if one.layers is not None and one.contract is not None]
    concluded = False
    for rows in groups(whole, lambda one: (one.model, one.contract)).values():
        printed, archived = ([one for one in rows if one.archive is kept] for kept in (False, True))
        if printed and archived:
            concluded = True
            yield _all_printed(printed, archived)
    if not concluded:
        yield not_applicable("no contract has both printed and archived rows with layers")


def _all_printed(printed: Sequence[Removal], archived: Sequence[Removal]) -> Result:
    shown = {one.layers for one in printed}
    missing = [one for one in archived if one.layers not in shown]
    first = archived[0]
    if not missing:
        return passed(f"{len(archived)} of {len(archived)} archived rows of {first.model} under {first.contract} are "
                      "printed", first.id, where=places(archived),
                      statement=f"{len(archived)} archived rows of {first.model}",
                      recomputed="0 missing from the tables")  # fmt: skip
    told = [row(one) for one in missing]
    return failed(
        f"found {some(told, '; ')} in the archive and in no printed row; expected all archived rows of {first.model} "
        f"under {first.contract}, or the reason why not",
        missing[0].id,
        where=places(missing),
        statement=f"{len(archived)} archived rows of {first.model}, {len(printed)} printed ones",
        recomputed=f"{len(missing)} of {len(archived)} missing from the tables: {'; '.join(told)}",
        question=f"{places(missing)}: why do the tables leave out {len(missing)} of {len(archived)} rows?",
        does_not_show="It does not show that a row was left out for its value, nor that no table has it: only the "
        "rows that the audit file holds are compared.",
    )


@published(
    level="warning",
    why="Two checkpoints, texts or models do not give scores that are equal to the last digit. Where they do, one file "
    "was written twice, or the weights of one checkpoint were loaded for both.",
    remedy="Ask the source for the digest of the weights behind each table; measure one of the two again.",
    waive="When the source says that the two are of the same weights.",
)
def figures_repeated(publication: Publication) -> Iterator[Result]:
    """The figures of one checkpoint, model or text are repeated exactly at another."""
    telling = [scores for scores in publication.scores if _digits(scores) >= _TELLING]
    repeated = [(one, other) for same in groups(telling, _values).values() for one, other in _repeats(same)]
    for first, again in repeated:
        differ = _differing(first, again)
        here, there = _named(again, differ), _named(first, differ)
        yield failed(
            f"found the {len(again.rows)} figures at {here} equal to those at {there} to the last digit; "
            "expected others",
            again.id,
            where=places((again, first)),
            statement=f"{len(again.rows)} {again.protocol} scores of {again.model} at {here}",
            recomputed=f"{len(again.rows)} of {len(again.rows)} figures equal those of {first.id}",
            question=f"{again.where}: are the figures at {here} measured there, or those at {there} ({first.where})?",
            does_not_show="It does not show which of the two tables, if any, is of the weights it names.",
        )
    if not repeated and len(telling) > 1:
        yield passed(f"no two of {len(telling)} tables repeat each other's figures", where=places(telling),
                     statement=f"{len(telling)} tables of scores",
                     recomputed="0 tables repeated to the last digit")  # fmt: skip
    elif not repeated:
        yield not_applicable(f"there are no two tables of scores with {_TELLING} significant digits")


def _digits(scores: Scores) -> int:
    """Significant digits of a whole table."""
    return sum(len(_decimal(one.value).as_tuple().digits) for one in scores.rows)


def _values(scores: Scores) -> tuple[object, ...]:
    return tuple(sorted((one.i, one.j, one.value.low, one.value.high) for one in scores.rows))


def _repeats(same: Sequence[Scores]) -> Iterator[tuple[Scores, Scores]]:
    """Tables of equal figures that are said to be of different measurements, each with the first it repeats."""
    for number, again in enumerate(same):
        for first in same[:number]:
            if _differing(first, again):
                yield first, again
                break


def _differing(first: Scores, again: Scores) -> list[str]:
    """What two tables state differently. Directions may agree: one may be the larger of every pair."""
    unstated = (None, "undeclared")
    return [name for name in _MEASUREMENT
            if getattr(first, name) != getattr(again, name)
            and not {getattr(first, name), getattr(again, name)} & set(unstated)]  # fmt: skip


def _named(scores: Scores, differ: Sequence[str]) -> str:
    return ", ".join(f"{name} {getattr(scores, name)}" for name in differ)
