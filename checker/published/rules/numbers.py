"""Rules about printed numbers: whether each is possible, and whether those of one row follow from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from checker.core.rule import Result
from checker.core.words import listed
from checker.published.printed import Printed
from checker.published.publication import Baseline, Pair, Publication, Removal, Scores
from checker.published.rules.rows import groups, measurement, places, short
from checker.published.rules.subject import Subject, published

_ZERO = Printed.exactly(Fraction(-1, 10**6))  # rounding may leave a divergence as low as this (design, 3.5)
_SLACK = Fraction(1, 10**6)  # relative; archived means were taken in float32


@published(
    level="error",
    why="A KL divergence is never negative, and a perplexity never below 1, because both are made of probabilities "
    "(Cover and Thomas, Elements of Information Theory, chapter 2). A number that cannot be is a slip of the pen, of "
    "the table or of the code, whatever else it says.",
    remedy="Ask the source for the number that was meant; correct the audit file if it was copied wrongly.",
    waive="When the source has acknowledged the number and a correction is under way.",
    nothing="the audit file holds no score and no perplexity",
)
def impossible_score(publication: Publication) -> Iterator[Result]:
    """A published score or perplexity has a value that nothing measured can have."""
    for tables in groups(publication.scores, lambda table: (table.model, table.protocol)).values():
        wrong = [(table, pairs) for table in tables if (pairs := _negative(table))]
        yield from (_some_negative(table, pairs) for table, pairs in wrong)
        if sound := [table for table in tables if not _negative(table)]:
            yield _none_negative(sound)
    yield from _perplexities([*publication.baselines, *publication.removals])


def _perplexities(items: Sequence[Baseline | Removal]) -> Iterator[Result]:
    rows = [(item, item.perplexity) for item in items if item.perplexity is not None]
    wrong = [(item, perplexity) for item, perplexity in rows if perplexity.surely_below(1)]
    yield from (_impossible_perplexity(item, perplexity) for item, perplexity in wrong)
    if rows and not wrong:
        least = min((perplexity for _, perplexity in rows), key=lambda perplexity: perplexity.low)
        where = listed(dict.fromkeys(item.table or item.where for item, _ in rows))
        subject = Subject(None, where, f"{len(rows)} perplexities")
        yield subject.passed("none of the perplexities is below 1", f"least {least}")


def _negative(scores: Scores) -> list[tuple[Pair, Printed]]:
    return [(pair, value) for pair, value in scores.by_pair.items() if value.surely_below(_ZERO)]


def _none_negative(tables: Sequence[Scores]) -> Result:
    values = [value for table in tables for value in table.by_pair.values()]
    first, several = tables[0], f" in {len(tables)} tables" if len(tables) > 1 else ""
    statement = f"{len(values)} {first.protocol} scores of {first.model}{several}"
    return Subject(first.id, places(tables), statement).passed(
        f"none of {len(values)} scores is negative",
        f"least score {short(min(values, key=lambda value: value.low), 8)} nats",
    )


def _some_negative(scores: Scores, wrong: list[tuple[Pair, Printed]]) -> Result:
    named = [f"{value} for the pair {i}, {j}" for (i, j), value in wrong]
    subject = Subject(scores.id, scores.where, f"{len(scores.rows)} {scores.protocol} scores of {scores.model}")
    return subject.failed(
        f"found {listed(named)}; expected no negative score, as a divergence has none",
        recomputed=f"{len(wrong)} of {len(scores.rows)} below 0",
        question=f"is {named[0]} a divergence, and if so, of what?",
        does_not_show="It does not show that the other scores are wrong.",
    )


def _impossible_perplexity(item: Baseline | Removal, perplexity: Printed) -> Result:
    return Subject(item.id, item.where, f"perplexity {perplexity}").failed(
        f"found a perplexity of {perplexity}; expected at least 1",
        recomputed="less than 1",
        question=f"is {perplexity} a perplexity, or a loss in nats or bits?",
        does_not_show="It does not show that the order of the rows is wrong.",
    )


@published(
    level="error",
    why="Of two directed scores of a pair, their mean is at least the smaller and at most the larger, and the larger "
    "at most twice the mean, because a divergence is not negative. Columns that break this are not of the same "
    "prompts, or one of them is not what its heading says.",
    remedy="Ask the source which direction, and which mean, each column holds.",
    waive="When the source says that its columns were measured on different prompts.",
    nothing="no pair has scores of two directions",
)
def impossible_directions(publication: Publication) -> Iterator[Result]:
    """Forward, backward, largest and mean scores of a pair cannot be of one measurement."""
    declared = [scores for scores in publication.scores if scores.direction != "undeclared"]
    for tables in groups(declared, measurement).values():
        merged: dict[str, dict[Pair, Printed]] = {}
        for scores in sorted(tables, key=lambda table: not table.archive):  # archived figures have more digits
            for pair, value in scores.by_pair.items():
                merged.setdefault(scores.direction, {}).setdefault(pair, value)
        pairs = sorted(set().union(*merged.values()))
        of_pairs = {pair: {name: values[pair] for name, values in merged.items() if pair in values} for pair in pairs}
        if number := sum(len(directions) > 1 for directions in of_pairs.values()):
            statement = f"{', '.join(merged)} of {tables[0].protocol} scores of {tables[0].model}"
            yield _directions_possible(Subject(tables[0].id, places(tables), statement), of_pairs, number)


def _directions_possible(subject: Subject, of_pairs: Mapping[Pair, Mapping[str, Printed]], number: int) -> Result:
    broken = {pair: relation for pair, directions in of_pairs.items() if (relation := _broken(directions))}
    wrong = [f"{relation} for the pair {i}, {j}" for (i, j), relation in broken.items()]
    recomputed = f"{len(wrong)} of {number} pairs break it"
    if not wrong:
        return subject.passed(f"smaller <= mean <= larger <= twice the mean in {number} of {number} pairs", recomputed)
    return subject.failed(
        f"found {listed(wrong, separator='; ')}; expected smaller <= mean <= larger <= twice the mean",
        recomputed=recomputed,
        question=f"what are the columns of, given {wrong[0]}?",
        does_not_show="It does not show which of the columns is wrong.",
    )


def _broken(of: Mapping[str, Printed]) -> str:
    """The first relation between one pair's scores that cannot hold, in words; empty where all can."""
    checks = [(name, value, "max", of["max"]) for name, value in of.items() if name != "max" and "max" in of]
    if "mean" in of:
        checks += [(name, value, "twice the mean", of["mean"] * 2) for name, value in of.items() if name != "mean"]
    if {"forward", "backward"} <= set(of):
        both = of["forward"] + of["backward"]
        if "max" in of:
            checks.append(("max", of["max"], "both directions together", both))
        if "mean" in of:
            checks.append(("half of both directions together", both / 2, "mean", of["mean"]))
            checks.append(("mean", of["mean"], "half of both directions together", both / 2))
    for name, value, bound_name, bound in checks:
        if value.low > bound.high + abs(bound.high) * _SLACK:
            return f"{name} {value} above {bound_name} {bound}"
    return ""
