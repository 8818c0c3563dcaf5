"""Rules about printed numbers: whether each is possible, and whether those of one row follow from each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from checker.core.rule import Result, failed, not_applicable, passed
from checker.published.printed import Printed
from checker.published.publication import Baseline, Pair, Publication, Removal, Scores
from checker.published.rules.rows import groups, places, published, some

_SHOWN = 3  # pairs or places that a message names
_ZERO = Printed.exactly(Fraction(-1, 10**6))  # rounding may leave a divergence as low as this (design, 3.5)
_LONG = 8  # characters of a number that is shown as it is
_SLACK = Fraction(1, 10**6)  # relative; archived means were taken in float32


@published(
    level="error",
    why="A KL divergence is never negative, and a perplexity never below 1, because both are made of probabilities "
    "(Cover and Thomas, Elements of Information Theory, chapter 2). A number that cannot be is a slip of the pen, of "
    "the table or of the code, whatever else it says.",
    remedy="Ask the source for the number that was meant; correct the audit file if it was copied wrongly.",
    waive="When the source has acknowledged the number and a correction is under way.",
)
def impossible_score(publication: Publication) -> Iterator[Result]:
    """A published score or perplexity has a value that nothing measured can have."""
    for tables in groups(publication.scores, lambda table: (table.model, table.protocol)).values():
        found = [(table, _negative(table)) for table in tables]
        yield from (_some_negative(table, pairs) for table, pairs in found if pairs)
        if sound := [table for table, pairs in found if not pairs]:
            yield _none_negative(sound)
    printed: tuple[Baseline | Removal, ...] = (*publication.baselines, *publication.removals)
    rows = [(item, item.perplexity) for item in printed if item.perplexity is not None]
    wrong = [(item, perplexity) for item, perplexity in rows if perplexity.surely_below(1)]
    yield from (_impossible_perplexity(item, perplexity) for item, perplexity in wrong)
    if rows and not wrong:
        least = min((perplexity for _, perplexity in rows), key=lambda perplexity: perplexity.low)
        yield passed("none of the perplexities is below 1", where=_places([item for item, _ in rows]),
                     statement=f"{len(rows)} perplexities", recomputed=f"least {least}")  # fmt: skip
    if not publication.scores and not rows:
        yield not_applicable("the audit file holds no score and no perplexity")


def _negative(scores: Scores) -> list[tuple[Pair, Printed]]:
    return [(pair, value) for pair, value in scores.by_pair.items() if value.surely_below(_ZERO)]


def _none_negative(tables: Sequence[Scores]) -> Result:
    values = [value for table in tables for value in table.by_pair.values()]
    first, several = tables[0], f" in {len(tables)} tables" if len(tables) > 1 else ""
    return passed(f"none of {len(values)} scores is negative", first.id, where=places(tables),
                  statement=f"{len(values)} {first.protocol} scores of {first.model}{several}",
                  recomputed=f"least score {_short(min(values, key=lambda value: value.low))} nats")  # fmt: skip


def _short(value: Printed) -> str:
    """A number as it is printed, or in six digits where it has far more."""
    return str(value) if len(str(value)) <= _LONG else value.ends()


def _some_negative(scores: Scores, wrong: list[tuple[Pair, Printed]]) -> Result:
    named = some([f"{value} for the pair {i}, {j}" for (i, j), value in wrong])
    (i, j), value = wrong[0]
    return failed(
        f"found {named}; expected no negative score, as a divergence has none",
        scores.id,
        where=scores.where,
        statement=f"{len(scores.rows)} {scores.protocol} scores of {scores.model}",
        recomputed=f"{len(wrong)} of {len(scores.rows)} below 0",
        question=f"{scores.where}: is {value} for the pair {i}, {j} a divergence, and if so, of what?",
        does_not_show="It does not show that the other scores are wrong.",
    )


def _places(items: list[Baseline | Removal]) -> str:
    """The tables that rows stand in, or the rows' own places where no table is named."""
    places = list(dict.fromkeys(item.table or item.where for item in items))
    return ", ".join(places[:_SHOWN]) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")


def _impossible_perplexity(item: Baseline | Removal, perplexity: Printed) -> Result:
    return failed(
        f"found a perplexity of {perplexity}; expected at least 1",
        item.id,
        where=item.where,
        statement=f"perplexity {perplexity}",
        recomputed="less than 1",
        question=f"{item.where}: is {perplexity} a perplexity, or a loss in nats or bits?",
        does_not_show="It does not show that the order of the rows is wrong.",
    )


@published(
    level="error",
    why="Of two directed scores of a pair, their mean is at least the smaller and at most the larger, and the larger "
    "at most twice the mean, because a divergence is not negative. Columns that break this are not of the same "
    "prompts, or one of them is not what its heading says.",
    remedy="Ask the source which direction, and which mean, each column holds.",
    waive="When the source says that its columns were measured on different prompts.",
)
def impossible_directions(publication: Publication) -> Iterator[Result]:
    """Forward, backward, largest and mean scores of a pair cannot be of one measurement."""
    declared = [scores for scores in publication.scores if scores.direction != "undeclared"]
    concluded = False
    for tables in groups(declared, _measurement).values():
        merged: dict[str, dict[Pair, Printed]] = {}
        for scores in sorted(tables, key=lambda table: not table.archive):  # archived figures have more digits
            for pair, value in scores.by_pair.items():
                merged.setdefault(scores.direction, {}).setdefault(pair, value)
        count = [sum(pair in values for values in merged.values()) for pair in set().union(*merged.values())]
        if any(number > 1 for number in count):
            concluded = True
            yield _directions_possible(tables, merged, sum(number > 1 for number in count))
    if not concluded:
        yield not_applicable("no pair has scores of two directions")


def _measurement(scores: Scores) -> tuple[object, ...]:
    return (scores.model, scores.protocol, scores.positions, scores.prompts, scores.text, scores.dtype,
            scores.checkpoint)  # fmt: skip


def _directions_possible(tables: list[Scores], merged: Mapping[str, Mapping[Pair, Printed]], pairs: int) -> Result:
    first, where = tables[0], places(tables)
    statement = f"{', '.join(merged)} of {first.protocol} scores of {first.model}"
    wrong = []
    for pair in sorted(set().union(*merged.values())):
        if told := _broken({name: values[pair] for name, values in merged.items() if pair in values}):
            wrong.append(f"{told} for the pair {pair[0]}, {pair[1]}")
    if not wrong:
        return passed(f"smaller <= mean <= larger <= twice the mean in {pairs} of {pairs} pairs", first.id, where=where,
                      statement=statement, recomputed=f"0 of {pairs} pairs break it")  # fmt: skip
    return failed(
        f"found {some(wrong, '; ')}; expected smaller <= mean <= larger <= twice the mean",
        first.id,
        where=where,
        statement=statement,
        recomputed=f"{len(wrong)} of {pairs} pairs break it",
        question=f"{where}: what are the columns of, given {wrong[0]}?",
        does_not_show="It does not show which of the columns is wrong.",
    )


def _broken(of: Mapping[str, Printed]) -> str:
    """The first relation between one pair's scores that cannot hold, in words; empty where all can."""
    bounds = {name: value for name, value in of.items() if name != "max"}
    both = of["forward"] + of["backward"] if {"forward", "backward"} <= set(of) else None
    checks = [(name, value, "max", of["max"]) for name, value in bounds.items() if "max" in of]
    if "mean" in of:
        checks += [(name, of[name], "twice the mean", of["mean"] * 2) for name in of if name != "mean"]
    if both is not None and "max" in of:
        checks.append(("max", of["max"], "both directions together", both))
    if both is not None and "mean" in of:
        checks.append(("half of both directions together", both / 2, "mean", of["mean"]))
        checks.append(("mean", of["mean"], "half of both directions together", both / 2))
    for left, value, right, bound in checks:
        if value.low > bound.high + abs(bound.high) * _SLACK:
            return f"{left} {value} above {right} {bound}"
    return ""
