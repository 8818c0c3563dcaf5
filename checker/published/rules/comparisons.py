"""Rules about rows that a source holds against each other: whether they are two observations, and comparable ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from checker.core.rule import Result
from checker.core.words import counted, enumerated, listed
from checker.published.publication import UNSTATED, Publication, Quantity, Removal, Scores, Statement
from checker.published.recompute import below
from checker.published.rules.rows import blocks, budget_of, groups, is_random, places
from checker.published.rules.subject import Subject, published

_UNDECLARED = (None, "undeclared", UNSTATED)
_CHOICE = ("calls", "prompts", "positions", "selected_on")  # what rows that are compared should share
_WORDS = {"selected_on": "selection text"}
_SCORED = ("prompts", "positions", "text", "dtype")  # what tables of scores that are compared should share
Rows = list[Removal]


@published(
    level="warning",
    why="Removing the same layers under the same contract is one measurement, however many methods or protocols would "
    "have chosen them. A table that gives it a row for each shows agreement where nothing was compared: the second "
    "row is a proxy of the first.",
    remedy="Ask the source to print the layers of every row, and to say where two rows are one run.",
    waive="When the source says beside the rows that they are one measurement.",
    nothing="no two rows of one model can be held against each other",
)
def one_observation(publication: Publication) -> Iterator[Result]:
    """Rows of two methods or protocols are one measurement."""
    whole = [row for row in publication.removals if row.layers is not None]
    sets = groups(whole, lambda row: (row.model, row.contract, row.archive, row.layers)).values()
    yield from (_same_layers(rows) for rows in sets if _names(rows))
    without = [row for row in publication.removals if row.layers is None and not is_random(row)]
    for rows in groups(without, lambda row: (row.model, row.contract, row.archive)).values():
        yield from (_without_layers(left, right) for left, right in _pairs_of_methods(rows))
    if known := [rows for rows in sets if not _names(rows)]:
        everything = [row for rows in known for row in rows]
        yield Subject(None, places(everything), f"{len(everything)} rows with layers").passed(
            f"{counted(len(known), 'set')} of layers, each of one method", counted(len(known), "observation")
        )


def _names(rows: Rows) -> bool:
    """Whether rows go by more than one method or protocol."""
    return len({row.method for row in rows}) > 1 or len({row.protocol for row in rows} - {None}) > 1


def _same_layers(rows: Rows) -> Result:
    removed = blocks(rows[0].layers)
    methods = " and ".join(dict.fromkeys(row.method for row in rows))
    return Subject(rows[-1].id, places(rows), "; ".join(map(_row, rows))).failed(
        f"found {counted(len(rows), 'row')} ({methods}) that remove {removed} under one contract; expected a row "
        "for each observation, and these are one",
        recomputed="1 observation",
        question=f"were these rows measured once or {len(rows)} times? {removed} is removed in each.",
        does_not_show="It does not show that the methods agree elsewhere, nor that either chose badly: one measurement "
        "cannot tell two methods apart.",
    )


def _pairs_of_methods(rows: Rows) -> list[tuple[Rows, Rows]]:
    methods = groups(rows, lambda row: (row.method, row.protocol)).values()
    return [(left, right) for left, right in combinations(methods, 2) if _figures(left).keys() & _figures(right)]


def _figures(rows: Rows) -> dict[int, str]:
    """The printed figure per budget: the increase, or the perplexity where there is none."""
    figures = {}
    for row in rows:
        figure, budget = row.increase or row.perplexity, budget_of(row)
        if figure is not None and budget is not None:
            figures[budget] = f"{figure}{' %' if row.increase is not None else ''}"
    return figures


def _without_layers(first: Rows, second: Rows) -> Result:
    """Rows whose layers are not printed, of two methods; the same figure at every budget shows that they are one."""
    left, right = _figures(first), _figures(second)
    budgets = sorted(left.keys() & right.keys())
    alike = [budget for budget in budgets if left[budget] == right[budget]]
    rows = [row for row in (*first, *second) if budget_of(row) in budgets]
    subject = Subject(second[-1].id, places(rows), "; ".join(map(_row, rows)))
    figures = ", ".join(f"{left[budget]} at budget {budget}" for budget in alike)
    methods = f"{first[0].method} and {second[0].method}"
    if len(alike) == len(budgets) > 1:
        return subject.failed(
            f"found the same figures for {methods} at every budget ({figures}) and no layers; expected two "
            "observations to differ somewhere, so these are one as far as is printed",
            recomputed=f"{len(alike)} of {len(budgets)} budgets alike: one observation each",
            question=f"did {methods} remove the same layers, and were these rows measured once?",
            does_not_show="It does not show that the sets are the same, because they are not printed; the layers of "
            "each row would decide.",
        )
    if alike:
        return subject.undecided(
            f"{methods} print the same figure ({figures}) and no layers, which would decide whether they are one "
            "measurement",
            "which layers did each remove?",
        )
    return subject.passed(f"{methods} print different figures at {counted(len(budgets), 'budget')}")


@published(
    level="error",
    why="A row marked as the best has the least cost among those that can be compared with it: of the same table, "
    "model, contract and budget.",
    remedy="Ask the source by which figure and among which rows the mark was set.",
    waive="When the source says that the mark means something else, for instance its own method.",
    nothing="no row is marked as the best",
)
def best_is_not_best(publication: Publication) -> Iterator[Result]:
    """A row marked as the best is not the best of the rows it can be compared with."""
    cells = groups(publication.removals, _cell)
    for row in publication.removals:
        if row.bold:
            yield _best(row, [other for other in cells[_cell(row)] if other is not row])


def _cell(row: Removal) -> tuple[object, ...]:
    """What has to be equal for two rows to be comparable."""
    return (row.table, row.model, row.contract, row.archive, budget_of(row))


def _best(row: Removal, others: Rows) -> Result:
    subject = Subject(row.id, row.where, f"{_row(row)}, marked as the best")
    quantity: Quantity = "perplexity" if row.perplexity is not None else "increase"
    own = row.figure(quantity)
    figures = {other: other.figure(quantity) for other in others}
    bare = [other.id for other, figure in figures.items() if figure is None]
    less = {other: figure for other, figure in figures.items() if own and figure and below(figure, own)}
    compared = counted(len(others) + 1, "comparable row")
    if less:
        best = min(less, key=lambda other: less[other].middle)
        return subject.failed(
            f"found {row.id} marked as the best ({quantity} {own}); expected the mark at {best.id} ({less[best]}), "
            f"the least of {compared}",
            recomputed=f"{less[best]} ({best.where})",
            question=f"among which rows is {own} the best? {best.where} has {less[best]}.",
            does_not_show="It does not show that the difference between the two is larger than their uncertainty.",
        )
    if own is None or bare or not others:
        missing = "a figure of this row" if own is None else "the rows it is compared with"
        missing = f"the {quantity} of {bare[0]}" if bare else missing
        return subject.undecided(
            f"{missing} would decide whether it is the best", f"what is this row compared with, and what is {missing}?"
        )
    return subject.passed(f"{own} is the least of {compared}", f"{quantity} {own}")


@published(
    level="warning",
    why="A comparison of two methods is one of the methods only if they were given the same: the same budgets, calls, "
    "prompts, positions, direction and text. Otherwise part of the difference, or of the tie, is that of the effort.",
    remedy="Ask the source for the figures at equal settings, or to print the settings beside each row.",
    waive="When the source compares the methods as published, settings included, and says so.",
    nothing="no table holds two methods, and no statement two tables of scores",
)
def compared_unlike(publication: Publication) -> Iterator[Result]:
    """Rows or tables that are compared differ in budget, calls, prompts, positions, direction or text."""
    rows = [row for row in publication.removals if not is_random(row) and row.table is not None]
    for side_by_side in groups(rows, lambda row: (row.table, row.model, row.archive)).values():
        if len({(row.method, row.protocol) for row in side_by_side}) > 1:
            yield _unlike_rows(side_by_side)
    # Two tables are looked at once, whatever the number of statements that compare them.
    comparisons = groups(_tables_compared(publication), lambda compared: (compared[1].id, compared[2].id))
    yield from (_unlike_tables(*compared[0]) for compared in comparisons.values())


def _unlike_rows(rows: Rows) -> Result:
    differing = {name: values for name in _CHOICE if len(values := _values(rows, name)) > 1}
    replaced = [row for row in rows if row.protocol == "replacement"]
    further = {"direction": _values(replaced, "direction"), "contract": _values(rows, "contract")}
    differing |= {name: values for name, values in further.items() if len(values) > 1}
    if unshared := _unshared_budgets(rows):
        differing["budget"] = unshared
    methods = ", ".join(dict.fromkeys(row.method for row in rows))
    subject = Subject(rows[-1].id, str(rows[0].table), f"{methods} side by side ({rows[0].model})")
    if unlike := _differ(subject, differing) or _undeclared(subject, rows, _CHOICE, "every row"):
        return unlike
    return subject.passed(f"{methods} share calls, prompts, positions and text")


def _undeclared(subject: Subject, items: Sequence[Removal | Scores], names: Iterable[str], all_: str) -> Result | None:
    """What is open as some item leaves it undeclared; None where nothing is."""
    silent = [name for name in names if any(getattr(item, name) in _UNDECLARED for item in items)]
    if not silent:
        return None
    fields = ", ".join(_WORDS.get(name, name) for name in silent)
    return subject.undecided(
        f"{fields} of {all_} would decide whether they can be compared", f"were {fields} the same for {all_}?"
    )


def _unshared_budgets(rows: Rows) -> dict[str, list[str]]:
    """The budgets with their methods, where no two methods have one in common."""
    methods: dict[int, list[str]] = {}
    for row in rows:
        if (budget := budget_of(row)) is not None and row.method not in methods.setdefault(budget, []):
            methods[budget].append(row.method)
    shared = any(len(names) > 1 for names in methods.values())
    return {} if shared else {str(budget): names for budget, names in sorted(methods.items())}


def _tables_compared(publication: Publication) -> Iterator[tuple[Statement, Scores, Scores]]:
    """Every statement that holds one table against another, with the two."""
    for statement in publication.statements:
        names = (getattr(statement, "left", None), getattr(statement, "right", None))
        left, right = (publication.scores_by_id.get(name or "") for name in names)
        if left is not None and right is not None:
            yield statement, left, right


def _unlike_tables(statement: Statement, left: Scores, right: Scores) -> Result:
    subject = Subject(statement.id, statement.where, f"{left.id} against {right.id}")
    differing = {name: values for name in _SCORED if len(values := _values((left, right), name)) > 1}
    if unlike := _differ(subject, differing) or _undeclared(subject, (left, right), _SCORED, "both tables"):
        return unlike
    return subject.passed("both tables share prompts, positions, text and dtype")


def _differ(subject: Subject, differing: Mapping[str, Mapping[str, list[str]]]) -> Result | None:
    """What stands against a comparison of values that differ; None where none does."""
    if not differing:
        return None
    by_name = {_WORDS.get(name, name): values for name, values in differing.items()}
    sides = "; ".join(
        f"{name} {', '.join(f'{value} ({listed(whose)})' for value, whose in values.items())}"
        for name, values in by_name.items()
    )
    return subject.failed(
        f"found different {enumerated(by_name)}; expected the same on both sides of a comparison: {sides}",
        recomputed=sides,
        question=f"what are the figures at equal {enumerated(by_name)}?",
        does_not_show="It does not show that the difference between the two sides comes from this.",
    )


def _values(items: Iterable[Removal | Scores], name: str) -> dict[str, list[str]]:
    """The declared values of a field, with whose they are."""
    values: dict[str, list[str]] = {}
    for item in items:
        if (value := getattr(item, name)) not in _UNDECLARED:
            values.setdefault(str(value), []).append(item.id)
    return values


def _row(row: Removal) -> str:
    figure = row.perplexity if row.increase is None else f"{row.increase} %"
    layers = f" {blocks(row.layers)}" if row.layers else f" at budget {row.budget}" if row.budget else ""
    return f"{row.method}{layers}" + (f": {figure}" if figure is not None else "")
