"""Rules about figures that a source computes from its own tables: ratios, correlations and p-values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from checker.core.rule import Result
from checker.published.printed import Printed
from checker.published.publication import Correlation, Publication, PValue, Ratio
from checker.published.recompute import COEFFICIENTS, correlation, correlation_test, paired, ratios, sign_test
from checker.published.rules.subject import Subject, of_each, published

_SIDES = {"one": "one-sided", "two": "two-sided"}


Coefficients = Mapping[str, Printed]  # by name


@published(
    level="error",
    why="The mean of ratios, the ratio of means, the ratio of geometric means and the two ways with medians are "
    "different numbers of the same tables, often by a factor. A ratio that names no kind can be any of them, and one "
    "that follows from none belongs to other numbers.",
    remedy="Ask the source for the kind of ratio, and which pairs it is over; print the kind beside the number.",
    waive="When the source says that the ratio is over other pairs or rows than those published.",
    nothing="the source states no ratio",
)
@of_each(Ratio)
def ratio_does_not_follow(publication: Publication, statement: Ratio, subject: Subject) -> Result:
    """A stated ratio is not that of the published figures, in the kind that is stated or in any."""
    values, missing = _ratios(publication, statement)
    if not values:
        return subject.undecided(f"{missing} would decide it", f"can {missing} be published?")
    recomputed = "; ".join(f"{_words(kind)} {value.ends()}" for kind, value in values.items())
    matching = [kind for kind, value in values.items() if value.meets(statement.value)]
    stated = statement.of if statement.of in values else None
    if (matching and stated is None) or stated in matching:
        kinds = _words(stated) if stated else " or ".join(map(_words, matching))
        unsaid = "" if stated or len(values) == 1 else "; the source does not name the kind"
        return subject.passed(f"{statement.value} is the {kinds}{unsaid}", recomputed)
    expected = f"one of: {recomputed}" if len(values) > 1 else recomputed
    if stated:
        expected = f"{_words(stated)} {values[stated].ends()}"
    also = f"; it is the {' or '.join(map(_words, matching))}" if matching else ""
    return subject.failed(
        f"found a ratio of {statement.value}; expected {expected}{also}",
        recomputed=recomputed,
        question=f"which kind of ratio is {statement.value}, and over which pairs? The published figures give "
        f"{recomputed}.",
        does_not_show="It does not show that the direction of the comparison is wrong.",
    )


def _ratios(publication: Publication, statement: Ratio) -> tuple[dict[str, Printed], str]:
    """The ratios that can be had, by kind; or what is missing."""
    names = (statement.left, statement.right)
    if all(name in publication.scores_by_id for name in names):
        left, right = (publication.scores_by_id[name] for name in names)
        pairs = paired(left, right, statement.gap).values()
        return ratios(list(pairs)), "scores above zero of the same pairs in both tables"
    if any(name in publication.scores_by_id for name in names):
        return {}, "two tables of scores, or two rows,"
    dividend, divisor = (publication.removals_by_id[name].figure(statement.quantity) for name in names)
    if dividend is None or divisor is None or divisor.low <= 0 <= divisor.high:
        bare = names[0] if dividend is None else names[1]
        return {}, f"the {statement.quantity} of {bare}, other than zero,"
    return {"ratio": dividend / divisor}, ""


def _words(kind: str | None) -> str:
    return {"geometric_mean": "ratio of geometric means"}.get(str(kind), str(kind).replace("_", " "))


@published(
    level="error",
    why="A correlation of two published tables can be computed again. Pearson's, Spearman's and Kendall's coefficients "
    "differ, so a number that names none of them can be any.",
    remedy="Ask the source for the coefficient, and which pairs it is over.",
    waive="When the source says that the correlation is over other pairs than those published.",
    nothing="the source states no correlation of published scores",
)
@of_each(Correlation)
def correlation_does_not_follow(publication: Publication, statement: Correlation, subject: Subject) -> Result | None:
    """A stated correlation is not that of the published scores."""
    stated = statement.value
    if stated is None:
        return None
    values, pairs = _coefficients(publication, statement)
    if not values:
        return _too_few(subject)
    recomputed = f"{_listed(values)} over {pairs} pairs"
    matching = [name for name, value in values.items() if value.meets(stated)]
    named = statement.coefficient
    if (matching and named is None) or named in matching:
        unsaid = "" if named else "; the source does not name the coefficient"
        return subject.passed(f"{stated} is {named or ' or '.join(matching)} over {pairs} pairs{unsaid}", recomputed)
    expected = f"{named} {values[named].ends(signed=True)}" if named else f"one of: {_listed(values)}"
    also = f"; it is {' or '.join(matching)}" if matching else ""
    return subject.failed(
        f"found a correlation of {stated}; expected {expected} over {pairs} pairs{also}",
        recomputed=recomputed,
        question=f"which coefficient is {stated}, and over which pairs? The published scores give {_listed(values)}.",
        does_not_show="It does not show that the two tables are unrelated, nor that one does not predict the other.",
    )


@published(
    level="error",
    why="A sentence about a positive or negative relation has the sign of its coefficient.",
    remedy="Ask the source whether the sentence or the sign of the number was meant.",
    waive="When the source measures one of the two quantities on a reversed scale and says so.",
    nothing="no sentence of the source gives a correlation a sign",
)
@of_each(Correlation)
def correlation_has_the_other_sign(publication: Publication, statement: Correlation, subject: Subject) -> Result | None:
    """A correlation has not the sign that its sentence gives it."""
    if statement.sign is None:
        return None
    coefficients, pairs = _coefficients(publication, statement)
    values = {} if statement.value is None else {"printed": statement.value}
    values |= {name: value for name, value in coefficients.items() if statement.coefficient in (None, name)}
    if not values:
        return _too_few(subject)
    recomputed = _listed(values) + (f" over {pairs} pairs" if coefficients else "")
    signs = {name: _sign(value) for name, value in values.items()}
    opposite = "negative" if statement.sign == "positive" else "positive"
    against = {name: value for name, value in values.items() if signs[name] == opposite}
    if against:
        return subject.failed(
            f"found a correlation said to be {statement.sign}; expected {opposite}, as {_listed(against)} is",
            recomputed=recomputed,
            question=f"is the correlation {statement.sign} or {opposite}?",
            does_not_show="It does not show that the relation is other than zero: that is for an interval or a test.",
        )
    if None in signs.values():
        return subject.undecided(
            "the printed digits leave the sign open; more digits of the scores would decide",
            "can the scores be published with more digits?",
            recomputed,
        )
    return subject.passed(f"it is {statement.sign}, as the sentence says", recomputed)


def _sign(value: Printed) -> str | None:
    return "positive" if value.low > 0 else "negative" if value.surely_below(0) else None


def _coefficients(publication: Publication, statement: Correlation | PValue) -> tuple[Coefficients, int]:
    """Every coefficient of two tables, and over how many pairs; none without tables or with too few pairs."""
    if statement.left is None or statement.right is None:
        return {}, 0
    left, right = publication.scores_by_id[statement.left], publication.scores_by_id[statement.right]
    pairs = list(paired(left, right, statement.gap).values())
    values = {name: correlation(name, pairs) for name in COEFFICIENTS}
    return {name: value for name, value in values.items() if value is not None}, len(pairs)


def _too_few(subject: Subject) -> Result:
    missing = "scores of at least 3 pairs that stand in both tables and are not all equal"
    return subject.undecided(f"{missing} would decide it", f"can {missing} be published?")


def _listed(values: Coefficients) -> str:
    shown = {name: str(value) if name == "printed" else value.ends(signed=True) for name, value in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


@published(
    level="error",
    why="The p-value of a sign test follows from two counts, and that of a correlation from the coefficient and the "
    "number of pairs. One-sided and two-sided values differ by a factor of two, so a number that names no side can be "
    "either. Pairs of neighbouring layers share layers and are not independent, so even a right p-value is too small.",
    remedy="Ask the source for the test, its sides and the numbers that went in.",
    waive="When the source uses another test than the one entered here.",
    nothing="the source states no p-value of a sign test or a correlation",
)
def p_value_does_not_follow(publication: Publication) -> Iterator[Result]:
    """A stated p-value is not that of the test from the published numbers."""
    correlations = [sentence for sentence in publication.statements_of(Correlation) if sentence.p is not None]
    tests = (*publication.statements_of(PValue), *map(_tested, correlations))
    return (_p_value(publication, test) for test in tests)


def _tested(sentence: Correlation) -> PValue:
    """The test of a correlation that is stated together with its p-value."""
    shared = {name: value for name, value in vars(sentence).items() if name not in ("value", "p", "sign")}
    return PValue(**shared, test="correlation", value=sentence.p)


def _p_value(publication: Publication, statement: PValue) -> Result:
    subject, side = Subject.of(statement), _SIDES.get(statement.sides or "", "")
    p_values, numbers = _p_values(publication, statement)
    fitting = {name: value for name, value in p_values.items() if name.endswith(side)}
    if not fitting:
        return subject.undecided(
            "the numbers that went into the test would decide it", "from which numbers was the p-value computed?"
        )
    recomputed = _each(p_values)
    bound = statement.value is None
    stated = f"p at most {statement.at_most}" if bound else f"p = {statement.value}"
    holding = [name for name, value in fitting.items() if _fits(statement, value)]
    if holding:
        return subject.passed(f"{stated} fits {numbers}: {' or '.join(holding)}", recomputed)
    return subject.failed(
        f"found {stated}; expected {'no smaller one than ' if bound else ''}{_each(fitting)} from {numbers}",
        recomputed=recomputed,
        question=f"by which test, on how many sides and from which numbers is {stated}? "
        f"{numbers[0].upper()}{numbers[1:]} give {recomputed}.",
        does_not_show="It does not show that there is no effect; and pairs that share layers are not independent, so "
        "neither p-value should be taken at its word.",
    )


def _each(p_values: Mapping[str, Printed]) -> str:
    return "; ".join(f"{name} {value.ends()}" for name, value in p_values.items())


def _fits(statement: PValue, p_value: Printed) -> bool:
    if statement.at_most is not None:
        return p_value.low <= statement.at_most.middle  # a bound is the very number, and no rounding of another
    return statement.value is not None and statement.value.meets(p_value)


def _p_values(publication: Publication, statement: PValue) -> tuple[dict[str, Printed], str]:
    """The p-values of a test, by name and side (`sign test, two-sided`), and the numbers they are from, in words."""
    if statement.test == "sign":
        successes, trials = _signs(publication, statement)
        by_side = sign_test(successes, trials) if trials and successes <= trials else {}
        named = {f"sign test, {_SIDES[side]}": value for side, value in by_side.items()}
        return named, f"{successes} of {trials}"
    if statement.correlation is not None and statement.observations is not None:
        given = dict.fromkeys(COEFFICIENTS, statement.correlation)
        numbers = f"a correlation of {statement.correlation} over {statement.observations} observations"
        return _of_coefficients(given, statement.observations, statement.coefficient), numbers
    coefficients, pairs = _coefficients(publication, statement)
    return _of_coefficients(coefficients, pairs, statement.coefficient), f"{pairs} pairs"


def _of_coefficients(values: Coefficients, observations: int, named: str | None) -> dict[str, Printed]:
    """The p-values of the coefficient that is named, or of all where none is."""
    return {
        f"{name}, {_SIDES[side]}": p_value
        for name, value in values.items()
        if named in (None, name)
        for side, p_value in correlation_test(name, value, observations).items()
    }


def _signs(publication: Publication, statement: PValue) -> tuple[int, int]:
    """How often the left score is the smaller one, out of the pairs that differ; or the counts as they are stated."""
    if statement.successes is not None and statement.trials is not None:
        return statement.successes, statement.trials
    if statement.left is None or statement.right is None:
        return 0, 0
    tables = publication.scores_by_id[statement.left], publication.scores_by_id[statement.right]
    pairs = [(left, right) for left, right in paired(*tables, statement.gap).values() if left != right]
    return sum(left.middle < right.middle for left, right in pairs), len(pairs)
