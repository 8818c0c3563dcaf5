"""Rules about what published costs are held against: random removals, and the text that layers were chosen on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from checker.core.records import DECIDING_DRAWS
from checker.core.rule import Result
from checker.core.words import counted, listed
from checker.published.publication import UNSTATED, Publication, Quantity, Removal
from checker.published.recompute import below
from checker.published.rules.rows import blocks, budget_of, folded, groups, is_random, outside, places, shared_quantity
from checker.published.rules.subject import Subject, published

_LEVEL = 0.05
Rows = list[Removal]


@published(
    level="warning",
    why="Layers that were chosen on the text they are evaluated on are fitted to it. The cost that is printed is then "
    "that of training data, and lower than on other text.",
    remedy="Ask the source for the cost on text that took no part in the choice.",
    waive="When the figure is given as that of the selection text, and no general claim rests on it.",
    nothing="the audit file holds no removal that a method chose",
)
def selected_on_evaluation_text(publication: Publication) -> Iterator[Result]:
    """Layers were chosen on the text that their cost is measured on, or it is not said on which."""
    texts: dict[tuple[str, str | None, str | None, str], Rows] = {}
    for row in publication.removals:
        if not is_random(row):
            text = publication.contracts[row.contract].text if row.contract is not None else None
            selected = None if row.selected_on == UNSTATED else row.selected_on
            texts.setdefault((row.model, selected, text, row.table or row.where), []).append(row)
    for (_, selected, text, _), rows in texts.items():
        yield _selected(rows, selected, text)


def _selected(rows: Rows, selected: str | None, text: str | None) -> Result:
    first, methods = rows[0], listed(dict.fromkeys(row.method for row in rows))
    texts = f"chosen on {selected or 'a text unsaid'}, evaluated on {text or 'a text unsaid'}"
    subject = Subject(first.id, first.table or first.where, f"{methods} {texts} ({first.model})")
    if selected is None or text is None:
        missing = "the text that the layers were chosen on" if selected is None else "the evaluation text"
        return subject.undecided(f"{missing} would decide whether the choice saw the evaluation", f"what is {missing}?")
    chosen_on, evaluated_on = _plain(selected), _plain(text)
    if chosen_on == evaluated_on:
        return subject.failed(
            f"found {counted(len(rows), 'row')} chosen on {selected}; expected another text than the one they are "
            "evaluated on",
            recomputed=f"both are {text}",
            question="what is the cost on text that took no part in the choice?",
            does_not_show="It does not show by how much the choice profits from it.",
        )
    if chosen_on in evaluated_on or evaluated_on in chosen_on:
        return subject.undecided(
            f"{selected} and {text} may be one text; the part that was used of each would decide",
            f"which part of {selected} were the layers chosen on?",
        )
    return subject.passed(f"chosen on {selected} and evaluated on {text}")


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


@published(
    level="warning",
    why="A set of layers is well chosen where it costs less than sets that nobody chose. One random draw says what one "
    "set costs and nothing of how the others spread, and without any there is nothing to be better than: with n draws "
    "no p-value below 1 / (1 + n) can be reached.",
    remedy=f"Ask the source for at least {DECIDING_DRAWS} random draws under the same constraints.",
    waive="When no sentence of the source rests on being better than chance.",
    nothing="the audit file holds no removal of a known budget that a method chose",
)
def single_random_draw(publication: Publication) -> Iterator[Result]:
    """Chosen sets stand beside one random draw, or beside none."""
    return (_draws(rows) for rows in _cells(publication) if not all(map(is_random, rows)))


def _cells(publication: Publication) -> Iterable[Rows]:
    """Rows of one model, contract and budget."""
    whole = [row for row in publication.removals if budget_of(row) is not None]
    return groups(whole, lambda row: (row.model, row.contract, budget_of(row))).values()


def _draws(rows: Rows) -> Result:
    model, budget = rows[0].model, budget_of(rows[0])
    drawn, chosen = [row for row in rows if is_random(row)], [row for row in rows if not is_random(row)]
    name = f"{model} at budget {budget}"
    sides = f"{counted(len(chosen), 'chosen row')}, {counted(len(drawn), 'random row')}"
    subject = Subject((drawn or chosen)[0].id, places(drawn or rows), f"{name}: {sides}")
    # A draw that is both printed and archived is one draw.
    sets = {row.layers for row in drawn if row.layers is not None}
    seeds = max((row.seeds for row in drawn if row.seeds is not None), default=0)
    number = max(len(sets), seeds)
    if drawn and number == 0:
        return subject.undecided(
            f"the number of random draws for {name} would decide what they show",
            "how many random draws is the row of?",
        )
    if number > 1:
        return replace(subject, id=chosen[0].id).passed(
            f"{number} random draws for {name}; they reach no p-value below {1 / (1 + number):.2g}", f"{number} draws"
        )
    draws = "a single random draw" if drawn else "no random control"
    return subject.failed(
        f"found {draws} for {name}; expected at least {DECIDING_DRAWS} random draws",
        recomputed="1 draw: the smallest p-value is 0.5" if drawn else "0 draws",
        question=f"what do further random draws of {budget} layers cost?",
        does_not_show="It does not show that chance would do as well.",
    )


@published(
    level="warning",
    why="A chosen set that costs as much as a random one of the same size, within the interval that is printed, is no "
    "evidence that the scores found anything.",
    remedy="Ask the source for more random draws, and for the paired difference on the same windows with its interval.",
    waive="When the row is a baseline that is not claimed to be good.",
    nothing="no row stands beside a random removal of the same size",
)
def row_no_better_than_random(publication: Publication) -> Iterator[Result]:
    """A row costs no less than a random removal of the same size, or not by more than its interval."""
    compared = [
        (row, draws)
        for rows in _cells(publication)
        for row in rows
        if not is_random(row)
        and (draws := [other for other in rows if is_random(other) and other.archive == row.archive])
    ]
    # Rows stand in one result where table, model and budget are equal.
    cells = groups(compared, lambda pair: (pair[0].table or pair[0].id, pair[0].model, budget_of(pair[0])))
    for cell in cells.values():
        results = [(row, draws[0], _against(row, draws[0])) for row, draws in cell if len(draws) == 1]
        worse = [(row, draw, result) for row, draw, result in results if result.outcome == "fail"]
        if len(worse) > 1:
            yield _together([(row, draw) for row, draw, _ in worse], worse[0][2], len(cell))
            results = [(row, draw, result) for row, draw, result in results if result.outcome != "fail"]
        among = [(row, _among(row, draws)) for row, draws in cell if len(draws) > 1]
        single = [(row, result) for row, _, result in results]
        yield from folded([*single, *among], "less than one random row of the same size")


def _together(rows: Sequence[tuple[Removal, Removal]], first: Result, of: int) -> Result:
    """The rows of one table and budget that are no better than the one random row there."""
    row, draw = rows[0]
    where, budget = str(row.table), budget_of(row)
    each = "; ".join(f"{_row(row)}: {_worse(row, draw, shared_quantity(row, draw))}" for row, draw in rows)
    return replace(
        first,
        message=f"found {len(rows)} of {of} rows no better than random: {each}; expected less than random by more than "
        "their interval",
        where=where,
        statement=f"{len(rows)} rows of {row.model} at budget {budget}, and {_row(draw)}",
        question=f"{where}: what is the paired difference of each row to {_row(draw)} on the same windows, and what do "
        f"other draws of {budget} cost?",
    )


def _among(row: Removal, draws: Rows) -> Result:
    """A row held against several draws: the share of those that are not costlier."""
    quantity = shared_quantity(row, *draws)
    own, costs = row.figure(quantity), [draw.figure(quantity) for draw in draws]
    subject = Subject(row.id, row.where, f"{_row(row)}: {quantity} {own}")
    if own is None or None in costs:
        return subject.undecided(
            f"one figure of all rows, perplexity or increase, would decide whether {row.id} is better than random",
            "what is the perplexity of this row, and of each draw?",
        )
    cheaper = sum(cost is not None and not below(own, cost) for cost in costs)
    p_value, least = (1 + cheaper) / (1 + len(draws)), 1 / (1 + len(draws))
    share, recomputed = f"{cheaper} of {len(draws)} random removals cost no more", f"p = {p_value:.2g}"
    if p_value <= _LEVEL:
        return subject.passed(f"{share}; {recomputed}", recomputed)
    if not cheaper:
        return subject.undecided(
            f"{share}; {len(draws)} draws reach no p below {least:.2g}, and {DECIDING_DRAWS} would decide",
            "what do further random draws cost?",
            recomputed,
        )
    return subject.failed(
        f"found that {share} than {own}; expected a p of at most {_LEVEL:g}, and it is {p_value:.2g}",
        recomputed=recomputed,
        question="what do further random draws cost, and what is each paired difference?",
        does_not_show="It does not show that the choice is no better than chance at other budgets or on other text.",
    )


def _against(row: Removal, draw: Removal) -> Result:
    """A row held against the only draw."""
    quantity = shared_quantity(row, draw)
    own, random = _shown(row, quantity), _shown(draw, quantity)
    subject = Subject(row.id, row.where, f"{_row(row)}: {quantity} {own}")
    if row.figure(quantity) is None or draw.figure(quantity) is None:
        return subject.undecided(
            f"one figure of both rows, perplexity or increase, would decide whether {row.id} is better than random",
            f"what is the perplexity of this row, and of {draw.where}?",
        )
    recomputed = f"random: {random} ({draw.where})"
    if worse := _worse(row, draw, quantity):
        return subject.failed(
            f"found {worse}; expected less than random by more than its interval",
            recomputed=recomputed,
            question=f"what is the paired difference to {draw.where} on the same windows, and what do other draws "
            "cost?",
            does_not_show="It does not show that the choice is no better than chance: one draw may be lucky, and "
            "intervals of two rows on the same windows say little about their paired difference.",
        )
    alone = "" if row.interval or draw.interval else "; no interval stands beside either"
    return subject.passed(f"{own} is less than {random} of one random row{alone}", recomputed)


def _worse(row: Removal, draw: Removal, quantity: Quantity) -> str:
    """How a row is no better than a random one, in words; empty where it is better."""
    own, random = row.figure(quantity), draw.figure(quantity)
    if own is None or random is None:
        return ""
    if not below(own, random):
        how = "more than" if below(random, own) else "as much as"
        return f"{_shown(row, quantity)}, {how} {_row(draw)} at {_shown(draw, quantity)}"
    within = _within(row, draw, quantity)
    return f"{_shown(row, quantity)} against {_shown(draw, quantity)} of {_row(draw)}, {within}" if within else ""


def _shown(row: Removal, quantity: Quantity) -> str:
    return f"{row.figure(quantity)}{' %' if quantity == 'increase' else ''}"


def _within(row: Removal, draw: Removal, quantity: Quantity) -> str:
    """How an interval of one row takes in the figure of the other, in words; empty where none does."""
    units = ("perplexity" if quantity == "perplexity" else "percent", "undeclared")
    for held, beside, whose in ((row, draw, "its own"), (draw, row, "the random row's")):
        figure = beside.figure(quantity)
        if held.interval and held.interval_unit in units and figure and not outside(figure, held.interval):
            return f"inside {whose} interval [{held.interval[0]}, {held.interval[1]}]"
    return ""


def _row(row: Removal) -> str:
    return f"{row.method} {blocks(row.layers)}" if row.layers else row.method
