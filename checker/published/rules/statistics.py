"""Rules about figures that a source computes from its own tables: ratios, correlations and p-values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from checker.core.rule import Placed, Result, failed, not_applicable, passed, undecided
from checker.published.printed import Printed
from checker.published.publication import Correlation, Publication, PValue, Ratio, Statement
from checker.published.recompute import COEFFICIENTS, correlation, correlation_test, paired, ratios, sign_test
from checker.published.rules.rows import published

_SIDES = {"one": "one-sided", "two": "two-sided"}


def _told(statement: Statement) -> Placed:
    return {"where": statement.where, "statement": statement.says}


@published(
    level="error",
    why="The mean of ratios, the ratio of means, the ratio of geometric means and the two ways with medians are "
    "different numbers of the same tables, often by a factor. A ratio that names no kind can be any of them, and one "
    "that follows from none belongs to other numbers.",
    remedy="Ask the source for the kind of ratio, and which pairs it is over; print the kind beside the number.",
    waive="When the source says that the ratio is over other pairs or rows than those published.",
)
def ratio_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A stated ratio is not that of the published figures, in the kind that is stated or in any."""
    statements = list(publication.statements_of(Ratio))
    for statement in statements:
        yield _ratio(publication, statement)
    if not statements:
        yield not_applicable("the source states no ratio")


def _ratio(publication: Publication, statement: Ratio) -> Result:
    told = _told(statement)
    found, missing = _ratios(publication, statement)
    if not found:
        return undecided(f"{missing} would decide it", statement.id, **told,
                         question=f"{statement.where}: can {missing} be published?")  # fmt: skip
    recomputed = "; ".join(f"{_words(kind)} {value.ends()}" for kind, value in found.items())
    matching = [kind for kind, value in found.items() if value.meets(statement.value)]
    stated = statement.of if statement.of in found else None
    if (matching and stated is None) or stated in matching:
        kinds = _words(stated) if stated else " or ".join(map(_words, matching))
        unsaid = "" if stated or len(found) == 1 else "; the source does not name the kind"
        return passed(f"{statement.value} is the {kinds}{unsaid}", statement.id, **told, recomputed=recomputed)
    expected = (
        f"{_words(stated)} {found[stated].ends()}"
        if stated
        else f"one of: {recomputed}"
        if len(found) > 1
        else recomputed
    )
    also = f"; it is the {' or '.join(map(_words, matching))}" if matching else ""
    return failed(
        f"found a ratio of {statement.value}; expected {expected}{also}",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: which kind of ratio is {statement.value}, and over which pairs? "
        f"The published figures give {recomputed}.",
        does_not_show="It does not show that the direction of the comparison is wrong.",
    )


def _ratios(publication: Publication, statement: Ratio) -> tuple[dict[str, Printed], str]:
    """The ratios that can be had, by kind; or what is missing."""
    names = (statement.left, statement.right)
    if all(name in publication.scores_by_id for name in names):
        left, right = (publication.scores_by_id[name] for name in names)
        found = ratios(list(paired(left, right, statement.gap).values()))
        return found, "scores above zero of the same pairs in both tables"
    if any(name in publication.scores_by_id for name in names):
        return {}, "two tables of scores, or two rows,"
    rows = [publication.removals_by_id[name] for name in names]
    figures = [(row.id, row.figure(statement.quantity)) for row in rows]
    (_, one), (_, other) = figures
    if one is None or other is None or other.low <= 0 <= other.high:
        bare = next((name for name, value in figures if value is None), names[1])
        return {}, f"the {statement.quantity} of {bare}, other than zero,"
    return {"ratio": one / other}, ""


def _words(kind: str | None) -> str:
    return {"geometric_mean": "ratio of geometric means"}.get(str(kind), str(kind).replace("_", " "))


@published(
    level="error",
    why="A correlation of two published tables can be computed again. Pearson's, Spearman's and Kendall's coefficients "
    "differ, so a number that names none of them can be any.",
    remedy="Ask the source for the coefficient, and which pairs it is over.",
    waive="When the source says that the correlation is over other pairs than those published.",
)
def correlation_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A stated correlation is not that of the published scores."""
    statements = [found for found in publication.statements_of(Correlation) if found.value is not None]
    for statement in statements:
        if statement.value is not None:
            yield _correlation(publication, statement, statement.value)
    if not statements:
        yield not_applicable("the source states no correlation of published scores")


def _correlation(publication: Publication, statement: Correlation, stated: Printed) -> Result:
    told = _told(statement)
    found, pairs = _coefficients(publication, statement)
    if not found:
        return _too_few(statement)
    recomputed = f"{_listed(found)} over {pairs} pairs"
    matching = [name for name, value in found.items() if value.meets(stated)]
    wanted = statement.coefficient
    if (matching and wanted is None) or wanted in matching:
        unsaid = "" if wanted else "; the source does not name the coefficient"
        return passed(f"{stated} is {wanted or ' or '.join(matching)} over {pairs} pairs{unsaid}", statement.id,
                      **told, recomputed=recomputed)  # fmt: skip
    expected = f"{wanted} {found[wanted].ends(signed=True)}" if wanted else f"one of: {_listed(found)}"
    also = f"; it is {' or '.join(matching)}" if matching else ""
    return failed(
        f"found a correlation of {stated}; expected {expected} over {pairs} pairs{also}",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: which coefficient is {stated}, and over which pairs? The published scores give "
        f"{_listed(found)}.",
        does_not_show="It does not show that the two tables are unrelated, nor that one does not predict the other.",
    )


@published(
    level="error",
    why="A sentence about a positive or negative relation has the sign of its coefficient.",
    remedy="Ask the source whether the sentence or the sign of the number was meant.",
    waive="When the source measures one of the two quantities on a reversed scale and says so.",
)
def correlation_has_the_other_sign(publication: Publication) -> Iterator[Result]:
    """A correlation has not the sign that its sentence gives it."""
    statements = [found for found in publication.statements_of(Correlation) if found.sign is not None]
    for statement in statements:
        yield _signed(publication, statement)
    if not statements:
        yield not_applicable("no sentence of the source gives a correlation a sign")


def _signed(publication: Publication, statement: Correlation) -> Result:
    told = _told(statement)
    all_of_them, pairs = _coefficients(publication, statement)
    wanted = statement.coefficient
    found = {} if statement.value is None else {"printed": statement.value}
    found |= {name: value for name, value in all_of_them.items() if wanted in (None, name)}
    if not found:
        return _too_few(statement)
    recomputed = _listed(found) + (f" over {pairs} pairs" if all_of_them else "")
    signs = {name: _sign(value) for name, value in found.items()}
    other = "negative" if statement.sign == "positive" else "positive"
    against = [name for name, sign in signs.items() if sign == other]
    if against:
        return failed(
            f"found a correlation said to be {statement.sign}; expected {other}, as "
            f"{_listed({name: found[name] for name in against})} is",
            statement.id,
            **told,
            recomputed=recomputed,
            question=f"{statement.where}: is the correlation {statement.sign} or {other}?",
            does_not_show="It does not show that the relation is other than zero: that is for an interval or a test.",
        )
    if None in signs.values():
        return undecided("the printed digits leave the sign open; more digits of the scores would decide",
                         statement.id, **told, recomputed=recomputed,
                         question=f"{statement.where}: can the scores be published with more digits?")  # fmt: skip
    return passed(f"it is {statement.sign}, as the sentence says", statement.id, **told, recomputed=recomputed)


def _sign(value: Printed) -> str | None:
    return "positive" if value.low > 0 else "negative" if value.surely_below(0) else None


def _coefficients(publication: Publication, statement: Correlation | PValue) -> tuple[dict[str, Printed], int]:
    """Every coefficient of two tables, and over how many pairs; none without tables or with too few pairs."""
    if statement.left is None or statement.right is None:
        return {}, 0
    left, right = publication.scores_by_id[statement.left], publication.scores_by_id[statement.right]
    pairs = list(paired(left, right, statement.gap).values())
    found = {name: correlation(name, pairs) for name in COEFFICIENTS}
    return {name: value for name, value in found.items() if value is not None}, len(pairs)


def _too_few(statement: Statement) -> Result:
    missing = "scores of at least 3 pairs that stand in both tables and are not all equal"
    return undecided(f"{missing} would decide it", statement.id, where=statement.where, statement=statement.says,
                     question=f"{statement.where}: can {missing} be published?")  # fmt: skip


def _listed(found: Mapping[str, Printed]) -> str:
    return ", ".join(f"{name} {value if name == 'printed' else value.ends(signed=True)}"
                     for name, value in found.items())  # fmt: skip


@published(
    level="error",
    why="The p-value of a sign test follows from two counts, and that of a correlation from the coefficient and the "
    "number of pairs. One-sided and two-sided values differ by a factor of two, so a number that names no side can be "
    "either. Pairs of neighbouring layers share layers and are not independent, so even a right p-value is too small.",
    remedy="Ask the source for the test, its sides and the numbers that went in.",
    waive="When the source uses another test than the one entered here.",
)
def p_value_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A stated p-value is not that of the test from the published numbers."""
    stated = list(publication.statements_of(PValue))
    beside = [found for found in publication.statements_of(Correlation) if found.p is not None]
    for test in stated:
        found, numbers = _p_values(publication, test)
        yield _p_value(test, found, numbers, test.sides)
    for sentence in beside:
        coefficients, pairs = _coefficients(publication, sentence)
        yield _p_value(sentence, _of_coefficients(coefficients, pairs, sentence.coefficient), f"{pairs} pairs", None)
    if not stated and not beside:
        yield not_applicable("the source states no p-value of a sign test or a correlation")


def _p_value(statement: PValue | Correlation, found: Mapping[str, Printed], numbers: str, sides: str | None) -> Result:
    """``found`` has p-values by test and side: `sign test, two-sided`."""
    told = _told(statement)
    fitting = {name: value for name, value in found.items() if sides is None or name.endswith(_SIDES[sides])}
    if not fitting:
        return undecided("the numbers that went into the test would decide it", statement.id, **told,
                         question=f"{statement.where}: from which numbers was the p-value computed?")  # fmt: skip
    recomputed = "; ".join(f"{name} {value.ends()}" for name, value in found.items())
    stated, expected = _stated(statement)
    holding = [name for name, value in fitting.items() if _fits(statement, value)]
    if holding:
        return passed(f"{stated} fits {numbers}: {' or '.join(holding)}", statement.id, **told, recomputed=recomputed)
    return failed(
        f"found {stated}; expected {expected}{'; '.join(f'{n} {v.ends()}' for n, v in fitting.items())} from {numbers}",
        statement.id,
        **told,
        recomputed=recomputed,
        question=f"{statement.where}: by which test, on how many sides and from which numbers is {stated}? "
        f"{numbers[0].upper()}{numbers[1:]} give {recomputed}.",
        does_not_show="It does not show that there is no effect; and pairs that share layers are not independent, so "
        "neither p-value should be taken at its word.",
    )


def _stated(statement: PValue | Correlation) -> tuple[str, str]:
    if isinstance(statement, Correlation):
        return f"p = {statement.p}", ""
    if statement.value is not None:
        return f"p = {statement.value}", ""
    return f"p at most {statement.at_most}", "no smaller one than "


def _fits(statement: PValue | Correlation, found: Printed) -> bool:
    if isinstance(statement, PValue) and statement.at_most is not None:
        return found.low <= statement.at_most.middle  # a bound is the very number, and no rounding of another
    stated = statement.p if isinstance(statement, Correlation) else statement.value
    return stated is not None and stated.meets(found)


def _p_values(publication: Publication, statement: PValue) -> tuple[dict[str, Printed], str]:
    """The p-values of a test, by name and side, and the numbers that they are from, in words."""
    if statement.test == "sign":
        successes, trials = _signs(publication, statement)
        found = sign_test(successes, trials) if trials and successes <= trials else {}
        named = {f"sign test, {_SIDES[side]}": value for side, value in found.items()}
        return named, f"{successes} of {trials}"
    if statement.correlation is not None and statement.observations is not None:
        given = dict.fromkeys(COEFFICIENTS, statement.correlation)
        numbers = f"a correlation of {statement.correlation} over {statement.observations} observations"
        return _of_coefficients(given, statement.observations, statement.coefficient), numbers
    coefficients, pairs = _coefficients(publication, statement)
    return _of_coefficients(coefficients, pairs, statement.coefficient), f"{pairs} pairs"


def _of_coefficients(found: Mapping[str, Printed], observations: int, wanted: str | None) -> dict[str, Printed]:
    return {
        f"{name}, {_SIDES[side]}": p
        for name, value in found.items()
        if wanted in (None, name)
        for side, p in correlation_test(name, value, observations).items()
    }


def _signs(publication: Publication, statement: PValue) -> tuple[int, int]:
    """How often the left score is the smaller one, out of the pairs that differ; or the counts as they are stated."""
    if statement.successes is not None and statement.trials is not None:
        return statement.successes, statement.trials
    if statement.left is None or statement.right is None:
        return 0, 0
    left, right = publication.scores_by_id[statement.left], publication.scores_by_id[statement.right]
    pairs = [(one, other) for one, other in paired(left, right, statement.gap).values() if one != other]
    return sum(one.middle < other.middle for one, other in pairs), len(pairs)
