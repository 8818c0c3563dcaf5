"""Rules about rows that a source holds against each other: whether they are two observations, and comparable ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any

from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.publication import UNSTATED, Publication, Quantity, Removal, Scores
from checker.published.recompute import below
from checker.published.rules.rows import budget_of, counted, is_random, published, some

_UNDECLARED = (None, "undeclared", UNSTATED)
_CHOICE = ("calls", "prompts", "positions", "selected_on")  # what rows that are compared should share
_WORDS = {"selected_on": "selection text"}
_SCORED = ("prompts", "positions", "text", "dtype")  # what tables of scores that are compared should share
Rows = list[Removal]
Key = tuple[Any, ...]


@published(
    level="warning",
    why="Removing the same layers under the same contract is one measurement, however many methods or protocols would "
    "have chosen them. A table that gives it a row for each shows agreement where nothing was compared: the second "
    "row is a proxy of the first.",
    remedy="Ask the source to print the layers of every row, and to say where two rows are one run.",
    waive="When the source says beside the rows that they are one measurement.",
)
def one_observation(publication: Publication) -> Iterator[Result]:
    """Rows of two methods or protocols are one measurement."""
    by_sets = _grouped(publication.removals, lambda row: (row.model, row.contract, row.archive, row.layers))
    same = [rows for (*_, layers), rows in by_sets.items() if layers is not None and _names(rows)]
    for rows in same:
        yield _same_layers(rows)
    without = [row for row in publication.removals if row.layers is None and not is_random(row)]
    by_methods = _grouped(without, lambda row: (row.model, row.contract, row.archive))
    pairs = [pair for rows in by_methods.values() for pair in _pairs_of_methods(rows)]
    for one, other in pairs:
        yield from _without_layers(one, other)
    known = [rows for (*_, layers), rows in by_sets.items() if layers is not None and not _names(rows)]
    if known:
        everything = [row for rows in known for row in rows]
        yield passed(f"{counted(len(known), 'set')} of layers, each of one method", where=_places(everything),
                     statement=f"{len(everything)} rows with layers",
                     recomputed=f"{counted(len(known), 'observation')}")  # fmt: skip
    if not same and not known and not pairs:
        yield not_applicable("no two rows of one model can be held against each other")


def _names(rows: Rows) -> bool:
    """Whether rows go by more than one method or protocol."""
    return len({row.method for row in rows}) > 1 or len({row.protocol for row in rows} - {None}) > 1


def _same_layers(rows: Rows) -> Result:
    layers = rows[0].layers or ()
    methods = " and ".join(dict.fromkeys(row.method for row in rows))
    return failed(
        f"found {counted(len(rows), 'row')} ({methods}) that remove {_set(layers)} under one contract; expected a row "
        "for each observation, and these are one",
        rows[-1].id,
        where=_places(rows),
        statement="; ".join(map(_row, rows)),
        recomputed="1 observation",
        question=f"{_places(rows)}: were these rows measured once or {len(rows)} times? {_set(layers)} is removed in "
        "each.",
        does_not_show="It does not show that the methods agree elsewhere, nor that either chose badly: one measurement "
        "cannot tell two methods apart.",
    )


def _pairs_of_methods(rows: Rows) -> list[tuple[Rows, Rows]]:
    methods = _grouped(rows, lambda row: (row.method, row.protocol))
    return [(one, other) for one, other in combinations(methods.values(), 2) if _figures(one).keys() & _figures(other)]


def _figures(rows: Rows) -> dict[int, str]:
    """The printed figure per budget: the increase, or the perplexity where there is none."""
    found = {}
    for row in rows:
        figure, budget = row.increase or row.perplexity, budget_of(row)
        if figure is not None and budget is not None:
            found[budget] = f"{figure}{' %' if row.increase is not None else ''}"
    return found


def _without_layers(one: Rows, other: Rows) -> Iterator[Result]:
    """Rows whose layers are not printed, of two methods; the same figure at every budget gives them away."""
    left, right = _figures(one), _figures(other)
    budgets = sorted(left.keys() & right.keys())
    alike = [budget for budget in budgets if left[budget] == right[budget]]
    rows = [row for row in (*one, *other) if budget_of(row) in budgets]
    told: Placed = {"where": _places(rows), "statement": "; ".join(map(_row, rows))}
    figures = ", ".join(f"{left[budget]} at budget {budget}" for budget in alike)
    methods = f"{one[0].method} and {other[0].method}"
    if len(alike) == len(budgets) > 1:
        yield failed(
            f"found the same figures for {methods} at every budget ({figures}) and no layers; expected two "
            "observations to differ somewhere, so these are one as far as is printed",
            other[-1].id,
            **told,
            recomputed=f"{len(alike)} of {len(budgets)} budgets alike: one observation each",
            question=f"{_places(rows)}: did {methods} remove the same layers, and were these rows measured once?",
            does_not_show="It does not show that the sets are the same, because they are not printed; the layers of "
            "each row would decide.",
        )
    elif alike:
        yield undecided(f"{methods} print the same figure ({figures}) and no layers, which would decide whether they "
                        "are one measurement", other[-1].id, **told,
                        question=f"{_places(rows)}: which layers did each remove?")  # fmt: skip
    else:
        yield passed(f"{methods} print different figures at {counted(len(budgets), 'budget')}", other[-1].id, **told)


@published(
    level="error",
    why="A row marked as the best has the least cost among those that can be compared with it: of the same table, "
    "model, contract and budget.",
    remedy="Ask the source by which figure and among which rows the mark was set.",
    waive="When the source says that the mark means something else, for instance its own method.",
)
def best_is_not_best(publication: Publication) -> Iterator[Result]:
    """A row marked as the best is not the best of the rows it can be compared with."""
    marked = [row for row in publication.removals if row.bold]
    for row in marked:
        yield _best(row, [other for other in publication.removals if other is not row and _comparable(row, other)])
    if not marked:
        yield not_applicable("no row is marked as the best")


def _best(row: Removal, others: Rows) -> Result:
    told: Placed = {"where": row.where, "statement": f"{_row(row)}, marked as the best"}
    quantity: Quantity = "perplexity" if row.perplexity is not None else "increase"
    own = row.figure(quantity)
    figures = {other: other.figure(quantity) for other in others}
    bare = [other.id for other, figure in figures.items() if figure is None]
    less = {other: figure for other, figure in figures.items() if own and figure and below(figure, own)}
    if less:
        best = min(less, key=lambda other: less[other].middle)
        return failed(
            f"found {row.id} marked as the best ({quantity} {own}); expected the mark at {best.id} ({figures[best]}), "
            f"the least of {counted(len(others) + 1, 'comparable row')}",
            row.id,
            **told,
            recomputed=f"{figures[best]} ({best.where})",
            question=f"{row.where}: among which rows is {own} the best? {best.where} has {figures[best]}.",
            does_not_show="It does not show that the difference between the two is larger than their uncertainty.",
        )
    if own is None or bare or not others:
        missing = f"the {quantity} of {bare[0]}" if bare else "a figure of this row" if own is None else (
            "the rows it is compared with")  # fmt: skip
        return undecided(f"{missing} would decide whether it is the best", row.id, **told,
                         question=f"{row.where}: what is this row compared with, and what is {missing}?")  # fmt: skip
    return passed(f"{own} is the least of {counted(len(others) + 1, 'comparable row')}", row.id, **told,
                  recomputed=f"{quantity} {own}")  # fmt: skip


def _comparable(row: Removal, other: Removal) -> bool:
    return (row.table, row.model, row.contract, row.archive, budget_of(row)) == (
        (other.table, other.model, other.contract, other.archive, budget_of(other)))  # fmt: skip


@published(
    level="warning",
    why="A comparison of two methods is one of the methods only if they were given the same: the same budgets, calls, "
    "prompts, positions, direction and text. Otherwise part of the difference, or of the tie, is that of the effort.",
    remedy="Ask the source for the figures at equal settings, or to print the settings beside each row.",
    waive="When the source compares the methods as published, settings included, and says so.",
)
def compared_unlike(publication: Publication) -> Iterator[Result]:
    """Rows or tables that are compared differ in budget, calls, prompts, positions, direction or text."""
    rows = [row for row in publication.removals if not is_random(row) and row.table is not None]
    groups = _grouped(rows, lambda row: (row.table, row.model, row.archive))
    compared = [group for group in groups.values() if len({(row.method, row.protocol) for row in group}) > 1]
    for group in compared:
        yield _unlike_rows(group)
    tables: dict[tuple[str, str], tuple[str, str, Scores, Scores]] = {}  # told once, whatever compares them
    for named, where, left, right in _tables_compared(publication):
        tables.setdefault((left.id, right.id), (named, where, left, right))
    for named, where, left, right in tables.values():
        yield _unlike_tables(named, where, left, right)
    if not compared and not tables:
        yield not_applicable("no table holds two methods, and no statement two tables of scores")


def _unlike_rows(rows: Rows) -> Result:
    differing = {name: values for name in _CHOICE if len(values := _values(rows, name)) > 1}
    replaced = [row for row in rows if row.protocol == "replacement"]
    if len(directions := _values(replaced, "direction")) > 1:
        differing["direction"] = directions
    differing |= {name: values for name in ("contract",) if len(values := _values(rows, name)) > 1}
    if unshared := _unshared_budgets(rows):
        differing["budget"] = unshared
    methods = ", ".join(dict.fromkeys(row.method for row in rows))
    told: Placed = {"where": f"{rows[0].table}", "statement": f"{methods} side by side ({rows[0].model})"}
    if differing:
        return _differ(rows[-1].id, told, differing)
    silent = [name for name in _CHOICE if any(getattr(row, name) in _UNDECLARED for row in rows)]
    if silent:
        listed = ", ".join(_WORDS.get(name, name) for name in silent)
        return undecided(f"{listed} of every row would decide whether they can be compared", rows[-1].id, **told,
                         question=f"{rows[0].table}: were {listed} the same for every row?")  # fmt: skip
    return passed(f"{methods} share calls, prompts, positions and text", rows[-1].id, **told)


def _unshared_budgets(rows: Rows) -> dict[str, list[str]]:
    """The budgets with their methods, where no two methods have one in common."""
    methods: dict[int, list[str]] = {}
    for row in rows:
        if (budget := budget_of(row)) is not None and row.method not in methods.setdefault(budget, []):
            methods[budget].append(row.method)
    shared = any(len(names) > 1 for names in methods.values())
    return {} if shared else {str(budget): names for budget, names in sorted(methods.items())}


def _tables_compared(publication: Publication) -> Iterator[tuple[str, str, Scores, Scores]]:
    """The two tables of every statement that holds one against another."""
    for statement in publication.statements:
        names = (getattr(statement, "left", None), getattr(statement, "right", None))
        left, right = (publication.scores_by_id.get(name or "") for name in names)
        if left is not None and right is not None:
            yield statement.id, statement.where, left, right


def _unlike_tables(named: str, where: str, left: Scores, right: Scores) -> Result:
    told: Placed = {"where": where, "statement": f"{left.id} against {right.id}"}
    differing = {name: values for name in _SCORED if len(values := _values((left, right), name)) > 1}
    if differing:
        return _differ(named, told, differing)
    silent = [name for name in _SCORED if any(getattr(table, name) in _UNDECLARED for table in (left, right))]
    if silent:
        return undecided(f"{', '.join(silent)} of both tables would decide whether they can be compared", named,
                         **told, question=f"{where}: were {', '.join(silent)} the same for both tables?")  # fmt: skip
    return passed("both tables share prompts, positions, text and dtype", named, **told)


def _differ(named: str, told: Placed, differing: Mapping[str, Mapping[str, list[str]]]) -> Result:
    listed = "; ".join(
        f"{_WORDS.get(name, name)} {', '.join(f'{value} ({some(whose)})' for value, whose in values.items())}"
        for name, values in differing.items()
    )
    return failed(
        f"found different {_and([_WORDS.get(name, name) for name in differing])}; expected the same on both sides of "
        f"a comparison: {listed}",
        named,
        **told,
        recomputed=listed,
        question=f"{told['where']}: what are the figures at equal {_and([_WORDS.get(n, n) for n in differing])}?",
        does_not_show="It does not show that the difference between the two sides comes from this.",
    )


def _values(items: Iterable[Removal | Scores], name: str) -> dict[str, list[str]]:
    """The declared values of a field, with whose they are."""
    found: dict[str, list[str]] = {}
    for item in items:
        if (value := getattr(item, name)) not in _UNDECLARED:
            found.setdefault(str(value), []).append(item.id)
    return found


def _grouped(rows: Iterable[Removal], key: Callable[[Removal], Key]) -> dict[Key, Rows]:
    found: dict[Key, Rows] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def _set(layers: Iterable[int]) -> str:
    return f"{{{', '.join(map(str, layers))}}}"


def _row(row: Removal) -> str:
    figure = row.perplexity if row.increase is None else f"{row.increase} %"
    layers = f" {_set(row.layers)}" if row.layers else f" at budget {row.budget}" if row.budget else ""
    return f"{row.method}{layers}" + (f": {figure}" if figure is not None else "")


def _places(rows: Iterable[Removal]) -> str:
    return some(list(dict.fromkeys(row.where for row in rows)), "; ")


def _and(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
