"""Rules about what published costs are held against: random removals, and the text that layers were chosen on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from checker.core.records import DECIDING_DRAWS
from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.publication import UNSTATED, Publication, Quantity, Removal
from checker.published.recompute import below
from checker.published.rules.rows import budget_of, counted, folded, groups, is_random, published, some

_LEVEL = 0.05
Rows = list[Removal]
Cell = tuple[str, str | None, int]  # model, contract, budget


@published(
    level="warning",
    why="Layers that were chosen on the text they are evaluated on are fitted to it. The cost that is printed is then "
    "that of training data, and lower than on other text.",
    remedy="Ask the source for the cost on text that took no part in the choice.",
    waive="When the figure is given as that of the selection text, and no general claim rests on it.",
)
def selected_on_evaluation_text(publication: Publication) -> Iterator[Result]:
    """Layers were chosen on the text that their cost is measured on, or it is not said on which."""
    chosen = [row for row in publication.removals if not is_random(row)]
    texts: dict[tuple[str, str | None, str | None, str], Rows] = {}
    for row in chosen:
        text = publication.contracts[row.contract].text if row.contract is not None else None
        selected = None if row.selected_on == UNSTATED else row.selected_on
        texts.setdefault((row.model, selected, text, row.table or row.where), []).append(row)
    for (_, selected, text, _), rows in texts.items():
        yield _selected(rows, selected, text)
    if not chosen:
        yield not_applicable("the audit file holds no removal that a method chose")


def _selected(rows: Rows, selected: str | None, text: str | None) -> Result:
    told: Placed = {
        "where": rows[0].table or rows[0].where,
        "statement": f"{some(list(dict.fromkeys(row.method for row in rows)))} chosen on {selected or 'a text unsaid'},"
        f" evaluated on {text or 'a text unsaid'} ({rows[0].model})",
    }
    if selected is None or text is None:
        missing = "the text that the layers were chosen on" if selected is None else "the evaluation text"
        return undecided(f"{missing} would decide whether the choice saw the evaluation", rows[0].id, **told,
                         question=f"{told['where']}: what is {missing}?")  # fmt: skip
    one, other = _plain(selected), _plain(text)
    if one == other:
        return failed(
            f"found {counted(len(rows), 'row')} chosen on {selected}; expected another text than the one they are "
            "evaluated on",
            rows[0].id,
            **told,
            recomputed=f"both are {text}",
            question=f"{told['where']}: what is the cost on text that took no part in the choice?",
            does_not_show="It does not show by how much the choice profits from it.",
        )
    if one in other or other in one:
        return undecided(f"{selected} and {text} may be one text; the part that was used of each would decide",
                         rows[0].id, **told,
                         question=f"{told['where']}: which part of {selected} were the layers chosen on?")  # fmt: skip
    return passed(f"chosen on {selected} and evaluated on {text}", rows[0].id, **told)


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@published(
    level="warning",
    why="A set of layers is well chosen where it costs less than sets that nobody chose. One random draw says what one "
    "set costs and nothing of how the others spread, and without any there is nothing to be better than: with n draws "
    "no p-value below 1 / (1 + n) can be reached.",
    remedy=f"Ask the source for at least {DECIDING_DRAWS} random draws under the same constraints.",
    waive="When no sentence of the source rests on being better than chance.",
)
def single_random_draw(publication: Publication) -> Iterator[Result]:
    """Chosen sets stand beside one random draw, or beside none."""
    cells = _cells(publication.removals)
    compared = {cell: rows for cell, rows in cells.items() if not all(map(is_random, rows))}
    for cell, rows in compared.items():
        yield _draws(cell, rows)
    if not compared:
        yield not_applicable("the audit file holds no removal of a known budget that a method chose")


def _cells(removals: Iterable[Removal]) -> dict[Cell, Rows]:
    found: dict[Cell, Rows] = {}
    for row in removals:
        if (budget := budget_of(row)) is not None:
            found.setdefault((row.model, row.contract, budget), []).append(row)
    return found


def _draws(cell: Cell, rows: Rows) -> Result:
    model, _, budget = cell
    drawn = [row for row in rows if is_random(row)]
    first = next(row for row in rows if not is_random(row))
    name = f"{model} at budget {budget}"
    told: Placed = {"where": some(list(dict.fromkeys(row.where for row in drawn or rows)), "; "),
                  "statement": f"{name}: {counted(len(rows) - len(drawn), 'chosen row')}, "
                  f"{counted(len(drawn), 'random row')}"}  # fmt: skip
    # A draw that is both printed and archived is one draw.
    sets = {row.layers for row in drawn if row.layers is not None}
    seeds = max((row.seeds for row in drawn if row.seeds is not None), default=0)
    number = max(len(sets), seeds)
    if drawn and number == 0:
        return undecided(f"the number of random draws for {name} would decide what they show", drawn[0].id, **told,
                         question=f"{told['where']}: how many random draws is the row of?")  # fmt: skip
    if number > 1:
        return passed(f"{number} random draws for {name}; they reach no p-value below {1 / (1 + number):.2g}",
                      first.id, **told, recomputed=f"{number} draws")  # fmt: skip
    found = "a single random draw" if drawn else "no random control"
    return failed(
        f"found {found} for {name}; expected at least {DECIDING_DRAWS} random draws",
        (drawn or [first])[0].id,
        **told,
        recomputed="1 draw: the smallest p-value is 0.5" if drawn else "0 draws",
        question=f"{told['where']}: what do further random draws of {budget} layers cost?",
        does_not_show="It does not show that chance would do as well.",
    )


@published(
    level="warning",
    why="A chosen set that costs as much as a random one of the same size, within the interval that is printed, is no "
    "evidence that the scores found anything.",
    remedy="Ask the source for more random draws, and for the paired difference on the same windows with its interval.",
    waive="When the row is a baseline that is not claimed to be good.",
)
def row_no_better_than_random(publication: Publication) -> Iterator[Result]:
    """A row costs no less than a random removal of the same size, or not by more than its interval."""
    compared = [
        (row, draws)
        for rows in _cells(publication.removals).values()
        for row in rows
        if not is_random(row) and (draws := [other for other in rows if is_random(other) and _alike(row, other)])
    ]
    for cell in groups(compared, lambda one: (one[0].table or one[0].id, one[0].model, budget_of(one[0]))).values():
        found = [(row, draws[0], _against(row, draws[0])) for row, draws in cell if len(draws) == 1]
        worse = [(row, draw) for row, draw, result in found if result.outcome == "fail"]
        if len(worse) > 1:
            first = next(result for _, _, result in found if result.outcome == "fail")
            yield _together(worse, first, len(cell))
            found = [one for one in found if one[2].outcome != "fail"]
        among = [(row, _among(row, draws)) for row, draws in cell if len(draws) > 1]
        yield from folded([*((row, result) for row, _, result in found), *among],
                          "less than one random row of the same size")  # fmt: skip
    if not compared:
        yield not_applicable("no row stands beside a random removal of the same size")


def _together(rows: Sequence[tuple[Removal, Removal]], first: Result, of: int) -> Result:
    """The rows of one table and budget that are no better than the one random row there."""
    row, draw = rows[0]
    where, budget = str(row.table), budget_of(row)
    each = "; ".join(f"{_row(one)}: {_worse(one, other, _quantity(one, other))}" for one, other in rows)
    return replace(
        first,
        message=f"found {len(rows)} of {of} rows no better than random: {each}; expected less than random by more than "
        "their interval",
        where=where,
        statement=f"{len(rows)} rows of {row.model} at budget {budget}, and {_row(draw)}",
        question=f"{where}: what is the paired difference of each row to {_row(draw)} on the same windows, and what do "
        f"other draws of {budget} cost?",
    )


def _alike(row: Removal, draw: Removal) -> bool:
    return row.archive == draw.archive


def _among(row: Removal, draws: Rows) -> Result:
    """Against several draws: the share of those that are not costlier."""
    quantity: Quantity = "perplexity" if all(one.perplexity is not None for one in (row, *draws)) else "increase"
    own, others = row.figure(quantity), [draw.figure(quantity) for draw in draws]
    told: Placed = {"where": row.where, "statement": f"{_row(row)}: {quantity} {own}"}
    if own is None or None in others:
        return undecided(f"one figure of all rows, perplexity or increase, would decide whether {row.id} is better "
                         "than random", row.id, **told,
                         question=f"{row.where}: what is the perplexity of this row, and of each draw?")  # fmt: skip
    cheaper = sum(other is not None and not below(own, other) for other in others)
    p, least = (1 + cheaper) / (1 + len(draws)), 1 / (1 + len(draws))
    found = f"{cheaper} of {len(draws)} random removals cost no more"
    if p <= _LEVEL:
        return passed(f"{found}; p = {p:.2g}", row.id, **told, recomputed=f"p = {p:.2g}")
    if not cheaper:
        return undecided(f"{found}; {len(draws)} draws reach no p below {least:.2g}, and {DECIDING_DRAWS} would decide",
                         row.id, **told, recomputed=f"p = {p:.2g}",
                         question=f"{row.where}: what do further random draws cost?")  # fmt: skip
    return failed(
        f"found that {found} than {own}; expected a p of at most {_LEVEL:g}, and it is {p:.2g}",
        row.id,
        **told,
        recomputed=f"p = {p:.2g}",
        question=f"{row.where}: what do further random draws cost, and what is each paired difference?",
        does_not_show="It does not show that the choice is no better than chance at other budgets or on other text.",
    )


def _against(row: Removal, draw: Removal) -> Result:
    quantity = _quantity(row, draw)
    own, other = row.figure(quantity), draw.figure(quantity)
    unit = " %" if quantity == "increase" else ""
    told: Placed = {"where": row.where, "statement": f"{_row(row)}: {quantity} {own}{unit}"}
    if own is None or other is None:
        missing = "one figure of both rows, perplexity or increase,"
        return undecided(f"{missing} would decide whether {row.id} is better than random", row.id, **told,
                         question=f"{row.where}: what is the perplexity of this row, and of {draw.where}?")  # fmt: skip
    recomputed = f"random: {other}{unit} ({draw.where})"
    if worse := _worse(row, draw, quantity):
        return _no_better(row, draw, told, worse)
    alone = "" if row.interval or draw.interval else "; no interval stands beside either"
    return passed(
        f"{own}{unit} is less than {other}{unit} of one random row{alone}", row.id, **told, recomputed=recomputed
    )


def _worse(row: Removal, draw: Removal, quantity: Quantity) -> str:
    """How a row is no better than a random one, in words; empty where it is better."""
    own, other = row.figure(quantity), draw.figure(quantity)
    unit = " %" if quantity == "increase" else ""
    if own is None or other is None:
        return ""
    if not below(own, other):
        how = "more than" if below(other, own) else "as much as"
        return f"{own}{unit}, {how} {_row(draw)} at {other}{unit}"
    within = _within(row, draw, quantity)
    return f"{own}{unit} against {other}{unit} of {_row(draw)}, {within}" if within else ""


def _quantity(row: Removal, draw: Removal) -> Quantity:
    return "increase" if row.perplexity is None or draw.perplexity is None else "perplexity"


def _within(row: Removal, draw: Removal, quantity: Quantity) -> str | None:
    """How an interval of one row takes in the figure of the other, in words."""
    for one, other, whose in ((row, draw, "its own"), (draw, row, "the random row's")):
        figure = other.figure(quantity)
        unit = "perplexity" if quantity == "perplexity" else "percent"
        if one.interval is None or one.interval_unit not in (unit, "undeclared") or figure is None:
            continue
        low, high = one.interval
        inside = not figure.surely_below(low) and not high.surely_below(figure)
        if inside:
            return f"inside {whose} interval [{low}, {high}]"
    return None


def _no_better(row: Removal, draw: Removal, told: Placed, found: str) -> Result:
    quantity = _quantity(row, draw)
    unit = " %" if quantity == "increase" else ""
    return failed(
        f"found {found}; expected less than random by more than its interval",
        row.id,
        **told,
        recomputed=f"random: {draw.figure(quantity)}{unit} ({draw.where})",
        question=f"{row.where}: what is the paired difference to {draw.where} on the same windows, and what do other "
        "draws cost?",
        does_not_show="It does not show that the choice is no better than chance: one draw may be lucky, and intervals "
        "of two rows on the same windows say little about their paired difference.",
    )


def _row(row: Removal) -> str:
    layers = f" {{{', '.join(map(str, row.layers))}}}" if row.layers else ""
    return f"{row.method}{layers}"
