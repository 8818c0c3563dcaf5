"""Rules about how removal sets are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log1p
from typing import Any

from checker.costs import error_rate
from checker.methods import METHODS
from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule, undecided

_QUARTERS = 4  # with fewer prompts than quarters, some portions of them are all of them


@rule(
    "selection",
    level="warning",
    why="Symmetric scores tie the two members of every pair, and ties decide results: on SmolLM2, at three "
    "blocks, the ways of breaking interchange's ties cost 55 to 114 % perplexity. A single number then "
    "reports a coin toss.",
    remedy="Publish the arm as a range over its ties, or state the tie rule as part of the method.",
    waive="When the source states its tie rule and the audit follows it with `ties: lower`.",
)
def ties_change_result(case: Case) -> Iterator[Result]:
    """The ways of breaking a method's ties cost noticeably different amounts."""
    tied = [row for row in case.primary("ranges") if row["ties"] > 1]
    for row in tied:
        yield _tied(row, case.audit.statistics.margin)
    if not tied:
        yield not_applicable("no arm depends on ties")


def _tied(row: Mapping[str, Any], margin: float) -> Result:
    name = f"{row['method']} at budget {row['budget']}"
    ways = f"{'' if row['ties_counted'] else 'at least '}{row['ties']} ways of breaking ties"
    if not row["measured"]:
        return undecided(f"{name}: none of the {ways} is measured")
    apart = log1p(row["most_percent"] / 100) - log1p(row["least_percent"] / 100)
    complete = row["measured"] == row["ties"] and row["ties_counted"]
    which = f"the {ways}" if complete else f"{row['measured']} of {ways} are measured and"
    told = f"{name}: {which} cost {row['least_percent']:+.1f} to {row['most_percent']:+.1f} % perplexity"
    if apart > margin:
        return failed(f"{told}; expected at most {margin:g} nats per token between them")
    # Those that were not measured may still differ.
    return passed(told) if complete else undecided(told)


@rule(
    "selection",
    level="warning",
    why="A method that chooses no better than chance has not found redundancy, whatever its scores say. The "
    "comparison is with the draws themselves, never with their mean, which a few catastrophic draws make "
    "useless.",
    remedy="Report the removal without claiming that the method found it, or use a method that does better than the "
    "draws.",
    waive="When the arm is a baseline that is not claimed to be good.",
)
def no_better_than_random(case: Case) -> Iterator[Result]:
    """An arm does not cost less than random removals of the same size under the same constraints."""
    level = error_rate(case.audit.statistics)
    compared = _compared(case)
    for method, budget in compared:
        rows = [arm for arm in case.primary("arms") if (arm["method"], arm["budget"]) == (method, budget)]
        yield _against_draws(f"{method} at budget {budget}", rows, level)
    if not compared:
        yield not_applicable("no arm has random draws at its budget")


def _compared(case: Case) -> list[tuple[str, int]]:
    """The arms that the audit sets beside random draws: methods that choose, at budgets at which others are drawn."""
    drawn = {b for own in case.audit.methods if METHODS[own.name].control for b in own.budgets}
    choosing = [own for own in case.audit.methods if not METHODS[own.name].control and "matched" in own.forms]
    return [(own.name, budget) for own in choosing for budget in own.budgets if budget in drawn]


def _against_draws(name: str, arms: list[Mapping[str, Any]], level: float) -> Result:
    if not arms or any(arm["p"] is None for arm in arms):
        return undecided(f"{name}: its removals or the random draws are not all measured; run the audit to its end")
    worst = max(arms, key=lambda arm: float(arm["p"]))
    told = f"{name}: p = {worst['p']:.3g} against {worst['draws']} draws"
    if worst["p"] <= level:
        return passed(told)
    if worst["smallest_p"] > level:
        return undecided(
            f"{told}; with so few draws no p below {worst['smallest_p']:.3g} can be reached; use at least 39"
        )
    return failed(f"{told}; expected at most {level:.3g}")


@rule(
    "selection",
    level="warning",
    why="A selection that changes when a quarter of the prompts is left out was chosen by those prompts, not by the "
    "model. Its cost is one draw from several sets' costs.",
    remedy="Raise `prompts` as the message says, or report how the selection changes.",
    waive="When the sets that it changes between cost the same to within the margin.",
)
def unstable(case: Case) -> Iterator[Result]:
    """A method chooses other blocks on fewer of the prompts."""
    rows = {row["method"]: row for row in case.figures["stability"]}
    choosing = [own for own in case.audit.methods if METHODS[own.name].measured_on_prompts]
    for own in choosing:
        if own.name not in rows:
            yield undecided(f"{own.name}: its scores are not all measured; run the audit to its end")
            continue
        for budget in own.budgets:
            yield _stable(rows[own.name], budget, _prompts(case, own.name))
    if not choosing:
        yield not_applicable("no method of the audit chooses by scores taken on prompts")


def _prompts(case: Case, method: str) -> int:
    """How many prompts a method's scores are taken on."""
    chosen_on = case.audit.selecting if METHODS[method].looks_at == "selection" else None
    return (chosen_on or case.audit.scoring).prompts


def _stable(row: Mapping[str, Any], budget: int, prompts: int) -> Result:
    name = f"{row['method']} at budget {budget}"
    if prompts < _QUARTERS:  # where some of them hold all prompts
        return undecided(f"{name}: found {prompts} prompts; expected at least {_QUARTERS}, to look at fewer of them")
    growing = [part for part in row["portions"] if part["from_quarter"] == 0 and part["to_quarter"] >= 2]
    shared = [found["shared"] for part in growing for found in part["overlap"] if found["budget"] == budget]
    if not shared or any(count is None for count in shared):
        return undecided(f"{name}: too few prompts, or no set of that size, to look at fewer of them")
    if min(shared) == budget:
        return passed(f"{name}: half and three quarters of the prompts choose the same blocks as all of them")
    further = next(found["prompts"] for found in row["further_prompts"] if found["budget"] == budget)
    settle = "no number of prompts is known to settle it" if further is None else f"{further} more would settle it"
    return failed(
        f"{name}: half or three quarters of the prompts leave {min(shared)} of {budget} blocks the same; expected all; "
        f"{settle}"
    )
