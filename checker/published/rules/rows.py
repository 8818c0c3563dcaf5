"""What rules about published rows share: rows in groups and in words, and the baselines that go with a row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import wraps
from typing import TypeVar

from checker.core.rule import AnyCase, Level, Result, Rule, passed, rule
from checker.published.printed import Printed
from checker.published.publication import Baseline, Ends, Item, Publication, Removal

_SHOWN = 3  # places, or findings of one kind, that are named
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def published(
    *, level: Level, why: str, remedy: str, waive: str
) -> Callable[[Callable[[Publication], Iterable[Result]]], Rule[AnyCase[Publication]]]:
    """As ``rule``, of a function that looks at the published numbers alone; the family is `published`."""

    def made(check: Callable[[Publication], Iterable[Result]]) -> Rule[AnyCase[Publication]]:
        @wraps(check)
        def of_case(case: AnyCase[Publication]) -> Iterable[Result]:
            return check(case.audit)

        return rule("published", level=level, why=why, remedy=remedy, waive=waive)(of_case)

    return made


def groups(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by key, both in the order in which they come."""
    found: dict[K, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def some(texts: Sequence[str], separator: str = ", ") -> str:
    """The first few, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return separator.join(texts[:_SHOWN]) + more


def counted(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def is_random(removal: Removal) -> bool:
    """Whether a row is a random draw, by the name of its method."""
    return removal.method.lower().startswith("random")


def budget_of(removal: Removal) -> int | None:
    """The stated budget, or as many layers as are removed."""
    return removal.budget if removal.budget is not None else len(removal.layers) if removal.layers else None


def places(items: Iterable[Item]) -> str:
    """Where items stand in the source, each place once."""
    return some(list(dict.fromkeys(item.where for item in items)), "; ")


def blocks(layers: Iterable[int] | None) -> str:
    """A set as text: {15, 17, 20}."""
    return f"{{{', '.join(map(str, layers or ()))}}}"


def row(removal: Removal) -> str:
    """A row of a table as a reader would quote it."""
    told = [removal.method]
    if removal.layers is not None:
        told.append(blocks(removal.layers))
    elif removal.budget is not None:
        told.append(f"budget {removal.budget}")
    if figures := cost(removal):
        told.append(figures)
    return ": ".join((told[0], ", ".join(told[1:]))) if told[1:] else told[0]


def cost(removal: Removal) -> str:
    """What a removal cost, as it is printed; empty where no figure is."""
    told = [f"perplexity {removal.perplexity}"] if removal.perplexity is not None else []
    if removal.increase is not None:
        told.append(f"increase {removal.increase} %")
    return ", ".join(told)


def baselines(publication: Publication, removal: Removal) -> list[Baseline]:
    """The baselines that a row's increase may have been taken from: printed ones for a printed row, archived ones for
    an archived row, and all under its contract where there are none such."""
    found = publication.baselines_of(removal.model, removal.contract)
    return [one for one in found if one.archive == removal.archive] or list(found)


def outside(value: Printed, ends: Ends) -> bool:
    """Whether a value lies outside an interval, whatever the digits that were not printed."""
    return value.surely_below(ends[0]) or ends[1].surely_below(value)


def rows_of(removal: Removal, number: int) -> str:
    """So many rows of the table that a row stands in, in words."""
    return f"{number} rows of {removal.table}" if removal.table else f"{number} rows outside any table"


def folded(found: Iterable[tuple[Removal, Result]], held: str) -> Iterator[Result]:
    """Results of rows, those that passed told together table by table, where a table is named: in the words ``held``.

    What stands against a row, or is open, is told row by row.
    """
    found = list(found)
    passes = [(one, result) for one, result in found if result.outcome == "pass" and one.table is not None]
    tables = {key: rows for key, rows in groups(passes, lambda pair: (pair[0].table, pair[0].model)).items()
              if len(rows) > 1}  # fmt: skip
    told = {id(result) for rows in tables.values() for _, result in rows}
    for (table, model), rows in tables.items():
        yield passed(f"{len(rows)} rows: {held}", rows[0][0].id, where=str(table),
                     statement=f"{len(rows)} rows of {model}: {some([row(one) for one, _ in rows], '; ')}",
                     recomputed=some(list(dict.fromkeys(result.recomputed for _, result in rows)), "; "))  # fmt: skip
    yield from (result for _, result in found if id(result) not in told)
