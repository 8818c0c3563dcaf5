"""What rules about published rows share: rows in groups and in words, and the baselines that go with a row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from operator import attrgetter
from typing import TypeVar

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.printed import Printed
from checker.published.publication import Baseline, Ends, Item, Publication, Quantity, Removal
from checker.published.rules.subject import Subject

MEASUREMENT = ("model", "protocol", "positions", "prompts", "text", "dtype", "checkpoint")
measurement = attrgetter(*MEASUREMENT)  # what scores of one measurement have in common, whatever the direction
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def groups(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by key, both in the order in which they come."""
    by_key: dict[K, list[T]] = {}
    for item in items:
        by_key.setdefault(key(item), []).append(item)
    return by_key


def is_random(removal: Removal) -> bool:
    """Whether a row is a random draw, by the name of its method."""
    return removal.method.lower().startswith("random")


def budget_of(removal: Removal) -> int | None:
    """The stated budget, or as many layers as are removed."""
    return removal.budget if removal.budget is not None else len(removal.layers) if removal.layers else None


def places(items: Iterable[Item]) -> str:
    """Where items stand in the source, each place once."""
    return listed(dict.fromkeys(item.where for item in items), separator="; ")


def quoted(removal: Removal) -> str:
    """A row of a table as a reader would quote it."""
    set_or_budget = "" if removal.budget is None else f"budget {removal.budget}"
    if removal.layers is not None:
        set_or_budget = blocks(removal.layers)
    details = ", ".join(filter(None, (set_or_budget, cost(removal))))
    return f"{removal.method}: {details}" if details else removal.method


def blocks(layers: Iterable[int] | None) -> str:
    """A set as text: {15, 17, 20}."""
    return f"{{{', '.join(map(str, layers or ()))}}}"


def cost(removal: Removal) -> str:
    """What a removal cost, as it is printed; empty where no figure is."""
    figures = [f"perplexity {removal.perplexity}"] if removal.perplexity is not None else []
    if removal.increase is not None:
        figures.append(f"increase {removal.increase} %")
    return ", ".join(figures)


def shared_quantity(*rows: Removal) -> Quantity:
    """What rows are held against each other by: their perplexities where each has one, else their increases."""
    return "increase" if any(row.perplexity is None for row in rows) else "perplexity"


def baselines(publication: Publication, removal: Removal) -> list[Baseline]:
    """The baselines that a row's increase may have been taken from: printed ones for a printed row, archived ones for
    an archived row, and all under its contract where there are none such."""
    under = publication.baselines_of(removal.model, removal.contract)
    return [baseline for baseline in under if baseline.archive == removal.archive] or list(under)


def outside(value: Printed, ends: Ends) -> bool:
    """Whether a value lies outside an interval, whatever the digits that were not printed."""
    return value.surely_below(ends[0]) or ends[1].surely_below(value)


def short(value: Printed, longest: int = 9) -> str:
    """A number as it is printed, or in six digits where it has more characters than a reader wants."""
    return str(value) if len(str(value)) <= longest else value.ends()


def rows_of(removal: Removal, number: int) -> str:
    """So many rows of the table that a row stands in, in words."""
    return f"{number} rows of {removal.table}" if removal.table else f"{number} rows outside any table"


def folded(results: Iterable[tuple[Removal, Result]], held: str) -> Iterator[Result]:
    """Results of rows, those that passed joined table by table, where a table is named: in the words ``held``.

    What stands against a row, or is open, is a result of its own.
    """
    results = list(results)
    passes = [(row, result) for row, result in results if result.outcome == "pass" and row.table is not None]
    by_table = groups(passes, lambda pair: (pair[0].table, pair[0].model))
    tables = {key: rows for key, rows in by_table.items() if len(rows) > 1}
    for (table, model), rows in tables.items():
        number = f"{len(rows)} rows"
        quotes = listed((quoted(row) for row, _ in rows), separator="; ")
        recomputed = listed(dict.fromkeys(result.recomputed for _, result in rows), separator="; ")
        subject = Subject(rows[0][0].id, str(table), f"{number} of {model}: {quotes}")
        yield subject.passed(f"{number}: {held}", recomputed)
    joined = {id(result) for rows in tables.values() for _, result in rows}
    yield from (result for _, result in results if id(result) not in joined)
