"""Rules about how removal sets are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import log1p
from typing import Any

from checker.core.records import DECIDING_DRAWS, MethodSettings, Selection
from checker.core.rule import Result, failed, not_applicable, passed, rule, undecided
from checker.core.words import enumerated, examples, numbered
from checker.judge.case import Case, each_claim
from checker.judge.figures.costs import error_rate
from checker.judge.figures.form import ArmRow, RangeRow, StabilityRow
from checker.selection.methods import METHODS
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.removal import Removal

_NO_COMPARISON = "no claim compares methods or names the blocks that it removes"
_QUARTERS = 4  # with fewer prompts than quarters, some portions of them are all of them


@rule(
    "selection",
    level="warning",
    why="Symmetric scores tie the two members of every pair, and ties decide results: on SmolLM2, at three "
    "blocks, the ways of breaking interchange's ties cost 55 to 114 % perplexity. A single number then "
    "reports a coin toss.",
    remedy="Publish the arm as a range over its ties, or state the tie rule as part of the method.",
    waive="When the source states its tie rule and the audit follows it with `ties: lower`.",
    nothing="no arm depends on ties",
)
def ties_change_result(case: Case) -> Iterator[Result]:
    """The ways of breaking a method's ties cost noticeably different amounts."""
    margin = case.audit.statistics.margin
    return (_tied(row, margin) for row in case.primary(case.figures["ranges"]) if row["ties"] > 1)


def _tied(row: RangeRow, margin: float) -> Result:
    name = f"{row['method']} at budget {row['budget']}"
    ways = f"{'' if row['ties_counted'] else 'at least '}{row['ties']} ways of breaking ties"
    least, most = row["least_percent"], row["most_percent"]
    if least is None or most is None:
        return undecided(f"{name}: none of the {ways} is measured")
    apart = log1p(most / 100) - log1p(least / 100)
    complete = row["measured"] == row["ties"] and row["ties_counted"]
    which = f"the {ways}" if complete else f"{row['measured']} of {ways} are measured and"
    sentence = f"{name}: {which} cost {least:+.1f} to {most:+.1f} % perplexity"
    if apart > margin:
        return failed(f"{sentence}; expected at most {margin:g} nats per token between them")
    # Those that were not measured may still differ.
    return passed(sentence) if complete else undecided(sentence)


@rule(
    "selection",
    level="warning",
    why="A method that chooses no better than chance has not found redundancy, whatever its scores say. The "
    "comparison is with the draws themselves, never with their mean, which a few catastrophic draws make "
    "useless.",
    remedy="Report the removal without claiming that the method found it, or use a method that does better than the "
    "draws.",
    waive="When the arm is a baseline that is not claimed to be good.",
    nothing="no arm has random draws at its budget",
)
def no_better_than_random(case: Case) -> Iterator[Result]:
    """An arm does not cost less than random removals of the same size under the same constraints."""
    level = error_rate(case.audit.statistics)
    drawn = {budget for control in _controls(case) for budget in control.budgets}
    for method in _choosing(case):
        for budget in method.budgets:
            if budget not in drawn:
                continue
            if reason := case.nothing_compared(method):
                yield not_applicable(f"{method.name} at budget {budget}: {reason}")
            else:
                sets = case.audit.geometry(case.facts.model.blocks).count(budget)
                yield _against_draws(f"{method.name} at budget {budget}", case.arms(method.name, budget), level, sets)


def _controls(case: Case) -> list[MethodSettings]:
    """The methods that draw at random."""
    return [method for method in case.audit.methods if METHODS[method.name].control]


def _choosing(case: Case) -> list[MethodSettings]:
    """The methods that are meant to choose well, under the audit's own constraints: no draws, and no turned order."""
    return [
        method
        for method in case.audit.methods
        if "matched" in method.forms and not (METHODS[method.name].control or METHODS[method.name].turns_round)
    ]


def _against_draws(name: str, arms: Sequence[ArmRow], level: float, sets: int) -> Result:
    """``sets`` is how many removal sets of that size there are."""
    if not arms or any(arm["p"] is None for arm in arms):
        return undecided(f"{name}: its removals or the random draws are not all measured; run the audit to its end")
    worst = max(arms, key=lambda arm: arm["p"] or 0.0)
    p, smallest = worst["p"] or 0.0, worst["smallest_p"] or 0.0
    sentence = f"{name}: p = {p:.3g} against {worst['draws']} draws"
    if p <= level:
        return passed(sentence)
    if smallest > level:
        few = f"{sentence}; with so few draws no p below {smallest:.3g} can be reached"
        if sets * level < 1.0:
            return undecided(f"{few}, nor with all {sets} sets that there are; loosen `selection`")
        return undecided(f"{few}; use at least {min(DECIDING_DRAWS, sets)}")
    return failed(f"{sentence}; expected at most {level:.3g}")


@rule(
    "selection",
    level="warning",
    why="A selection that changes when a quarter of the prompts is left out was chosen by those prompts, not by the "
    "model. Its cost is one draw from several sets' costs.",
    remedy="Raise `prompts` as the message says, or report how the selection changes.",
    waive="When the sets that it changes between cost the same to within the margin.",
    nothing="no method of the audit chooses by scores taken on prompts",
)
def unstable(case: Case) -> Iterator[Result]:
    """A method chooses other blocks on fewer of the prompts."""
    rows = {row["method"]: row for row in case.figures["stability"]}
    scoring, selecting = case.audit.scoring, case.audit.selecting or case.audit.scoring
    for settings in case.audit.methods:
        name, method = settings.name, METHODS[settings.name]
        contract = selecting if method.looks_at == "selection" else scoring
        if not method.measured_on_prompts:
            continue
        if reason := case.nothing_compared(settings):
            yield not_applicable(f"{name}: {reason}")
            continue
        if name not in rows:
            yield undecided(f"{name}: its scores are not all measured; run the audit to its end")
            continue
        for budget in settings.budgets:
            yield _stable(rows[name], budget, contract.prompts)


def _stable(row: StabilityRow, budget: int, prompts: int) -> Result:
    name = f"{row['method']} at budget {budget}"
    if prompts < _QUARTERS:  # where some of them hold all prompts
        return undecided(f"{name}: found {prompts} prompts; expected at least {_QUARTERS}, to look at fewer of them")
    growing = [part for part in row["portions"] if part["from_quarter"] == 0 and part["to_quarter"] >= 2]
    shared = [overlap["shared"] for part in growing for overlap in part["overlap"] if overlap["budget"] == budget]
    known = [count for count in shared if count is not None]
    if not shared or len(known) < len(shared):
        return undecided(f"{name}: too few prompts, or no set of that size, to look at fewer of them")
    if min(known) == budget:
        return passed(f"{name}: half and three quarters of the prompts choose the same blocks as all of them")
    further = next(more["prompts"] for more in row["further_prompts"] if more["budget"] == budget)
    settle = "no number of prompts is known to settle it" if further is None else f"{further} more would settle it"
    return failed(
        f"{name}: half or three quarters of the prompts leave {min(known)} of {budget} blocks the same; expected all; "
        f"{settle}"
    )


@rule(
    "selection",
    level="note",
    why="The smallest p that n draws can give is 1 / (1 + n), whatever the arm costs (Phipson and Smyth 2010): against "
    "a single draw nothing below 0.5 can come out, and a win over it is a coin toss.",
    remedy=f"Give the random control `draws: {DECIDING_DRAWS}` or more; where there are fewer feasible sets, all of "
    "them are drawn.",
    waive="When nothing is claimed against chance.",
    nothing="the audit has no random control",
)
def too_few_draws(case: Case) -> Iterator[Result]:
    """The random control has so few draws that no small p can be reached."""
    for control in _controls(case):
        for selection in case.audit.selections:
            for budget in control.budgets:
                yield _enough_draws(control, budget, selection, case.facts.model.blocks)


def _enough_draws(control: MethodSettings, budget: int, selection: Selection, blocks: int) -> Result:
    feasible = selection.geometry(blocks).count(budget)
    draws, deciding = min(control.draws, feasible), min(DECIDING_DRAWS, feasible)
    sets = "the only feasible set" if feasible == 1 else f"{draws:,} of {feasible:,} feasible sets"
    subject = f"{control.name} at budget {budget} (selection `{selection.name}`)"
    sentence = f"{subject}: {sets}; no p below {1 / (1 + draws):.3g} can be reached"
    if draws >= deciding:
        return passed(sentence + ("; there are no more sets to draw" if draws == feasible else ""))
    return failed(f"{sentence}; expected at least {deciding} draws")


@rule(
    "selection",
    level="note",
    why="Two tests of redundancy (Garcia, arXiv 2605.16234) that choose the same blocks have one measured cost between "
    "them. Listed as two arms it looks like agreement of two experiments, and counts twice in any tally of wins.",
    remedy="Count the removal once and name every method that chose it, or compare at a budget where they differ.",
    waive="When the report says that the methods chose the same set.",
    nothing="no two methods choose at the same budget",
)
def same_set_twice(case: Case) -> Iterator[Result]:
    """Several methods chose the very same blocks, which is one observation and not several."""
    idle = {method.name: reason for method in _choosing(case) if (reason := case.nothing_compared(method))}
    choosing = [method for method in _choosing(case) if method.name not in idle]
    for budget in sorted({budget for method in choosing for budget in method.budgets}):
        methods = {method.name for method in choosing if budget in method.budgets}
        if len(methods) > 1:
            yield _distinct(case, budget, methods)
    for name, reason in idle.items():
        yield not_applicable(f"{name}: {reason}")


def _distinct(case: Case, budget: int, methods: set[str]) -> Result:
    chosen_by: dict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    for arm in case.primary(case.figures["arms"]):
        if arm["budget"] == budget and arm["method"] in methods:
            chosen_by[tuple(arm["layers"]), arm["merged"]][arm["method"]] = None
    shared = [
        f"{numbered('block', layers)} chosen by {enumerated(names)}"
        for (layers, _), names in chosen_by.items()
        if len(names) > 1
    ]
    if shared:
        return failed(f"budget {budget}: found {examples(shared)}; expected each set to count once, whoever chose it")
    missing = sorted(methods.difference(*chosen_by.values()))
    if missing:
        unknown = f"it is not known what {enumerated(missing)} would choose"
        return undecided(f"budget {budget}: {unknown}; run the audit to its end")
    return passed(f"budget {budget}: no two methods chose the same blocks")


@rule(
    "selection",
    level="note",
    why="Removing more blocks is expected to cost more. Where a larger set is clearly cheaper than a part of it, or "
    "a single deletion lowers perplexity, costs do not add up on this checkpoint, and an order of single blocks is no "
    "guide to sets of them. SLEB (Song et al. 2024, arXiv 2402.09025) measures again after every removal for it.",
    remedy="Choose sets by measuring sets (sleb, beam, exhaustive), and look at the blocks that are named: one that "
    "harms the model on this text may be a fault of the checkpoint, or of the text.",
    waive="When the report discusses the sets that are named.",
)
def superset_cheaper(case: Case) -> Result:
    """A removal costs clearly less than another one that it includes."""
    costs = _costs(case)
    if not costs:
        return undecided("no removal is measured with an interval; run the audit on more evaluation windows")
    costs[frozenset()] = [0.0, 0.0]  # of removing nothing
    pairs = [(part, whole) for part in costs for whole in costs if part < whole and costs[whole][1] < costs[part][0]]
    if not pairs:
        return passed(f"of {len(costs)} measured removals none costs clearly less than one that it includes")
    pairs.sort(key=lambda pair: (len(pair[0]), len(pair[1]), sorted(pair[0]), sorted(pair[1])))
    sentences = [
        f"removing {_at_cost(whole, costs)}, below removing {_at_cost(part, costs, ' alone')}" for part, whole in pairs
    ]
    return failed(f"found {examples(sentences)}; expected a larger removal to cost at least as much")


def _costs(case: Case) -> dict[frozenset[int], Sequence[float]]:
    """The interval of the cost in percent of every removal that has one."""
    intervals = {frozenset([row["block"]]): row["interval"] for row in case.figures["blocks"]}
    intervals |= {frozenset(arm["layers"]): arm["interval"] for arm in case.figures["arms"] if arm["merged"] is None}
    return {blocks: interval for blocks, interval in intervals.items() if interval is not None}


def _at_cost(blocks: frozenset[int], costs: Mapping[frozenset[int], Sequence[float]], alone: str = "") -> str:
    if not blocks:
        return "nothing"
    low, high = costs[blocks]
    return f"{numbered('block', sorted(blocks))}{alone} at [{low:+.2f}, {high:+.2f}] %"


@rule(
    "selection",
    level="warning",
    why="A constraint on which blocks may go together changes what a removal costs as much as the method does: "
    "published methods take any blocks (ShortGPT, arXiv 2403.03853), one contiguous run (Gromov et al., arXiv "
    "2403.17887) or none that are neighbours. Costs under different constraints compare the constraints.",
    remedy="Run both methods in their matched form; for a published set of blocks, make its constraints the first "
    "entry of `selection` (for instance `spacing: 0`), so that methods and random draws obey them too.",
    waive="When the claim says that the constraints differ.",
    nothing=_NO_COMPARISON,
)
@each_claim(Removal, Comparison)
def unlike_constraints(case: Case, claim: Removal | Comparison) -> Result | None:
    """A claim sets a removal beside others that obey another spacing, other exclusions or another form."""
    if isinstance(claim, Comparison):
        return _both_matched(case, claim)
    return _same_constraints(case, claim) if claim.blocks else None


def _same_constraints(case: Case, claim: Removal) -> Result:
    blocks, selection = numbered("block", claim.blocks), case.audit.selection
    if case.audit.geometry(case.facts.model.blocks).allows(claim.blocks):
        return passed(f"{blocks}: within the constraints of `{selection.name}`, which arms obey")
    broken = _broken(claim.blocks, selection)
    return failed(f"{blocks}: found {broken}; expected a set that the arms beside it could have been")


def _broken(layers: Sequence[int], selection: Selection) -> str:
    """Which of the selection's constraints a set of blocks breaks."""
    near = [pair for pair in combinations(sorted(layers), 2) if pair[1] - pair[0] <= selection.spacing]
    excluded = sorted(set(layers) & set(selection.exclude))
    first, last = selection.region or (0, max(layers))
    outside = sorted(layer for layer in layers if not first <= layer <= last)
    broken = [f"{i} and {j} too near for `spacing: {selection.spacing}`" for i, j in near[:1]]
    broken += [f"{numbered('block', excluded)} excluded"] if excluded else []
    broken += [f"{numbered('block', outside)} outside of the region from {first} to {last}"] if outside else []
    return ", ".join(broken)


def _both_matched(case: Case, claim: Comparison) -> Result:
    settings = _settings(case, claim)
    if isinstance(settings, Result):
        return settings
    native = [method.name for method in settings if "matched" not in method.forms]
    if native:
        return failed(
            f"{enumerated(native)}: found `forms: [native]`, with constraints of its own; expected its matched form, "
            "which obeys the same constraints as the other method"
        )
    both = enumerated([claim.better, claim.worse])
    return passed(f"{both} obey the same constraints, `{case.audit.selection.name}`")


def _settings(case: Case, claim: Comparison) -> list[MethodSettings] | Result:
    """What is set for the two methods that are compared; an open result where one of them is not run."""
    known = {method.name: method for method in case.audit.methods}
    missing = [name for name in (claim.better, claim.worse) if name not in known]
    if missing:
        return undecided(f"the audit does not run {enumerated(missing)}; add it to `methods`")
    return [known[claim.better], known[claim.worse]]


@rule(
    "selection",
    level="warning",
    why="Cost grows with the number of blocks, and not in proportion: Gromov et al. (arXiv 2403.17887) see quality "
    "collapse abruptly beyond some number. A method at three blocks against another at five compares the budgets.",
    remedy="Run both methods at the claim's budget; for a claim that names its blocks, add their number to `budgets`.",
    waive="When the claim stands alone and is compared with nothing.",
    nothing=_NO_COMPARISON,
)
@each_claim(Removal, Comparison)
def unlike_budgets(case: Case, claim: Removal | Comparison) -> Result | None:
    """A claim's removal has no counterpart of the same size among the methods it is read beside."""
    if isinstance(claim, Comparison):
        return _common_budget(case, claim)
    return _same_size(case, claim) if claim.blocks else None


def _same_size(case: Case, claim: Removal) -> Result:
    size = len(claim.blocks)
    beside = [method.name for method in case.audit.methods if size in method.budgets and "matched" in method.forms]
    if beside:
        return passed(f"budget {size}: read beside {enumerated(beside)}")
    budgets = sorted({budget for method in case.audit.methods for budget in method.budgets})
    found = f"{numbered('block', claim.blocks)} beside arms at {numbered('budget', budgets)}"
    return failed(f"found {found}; expected a method or random draws at budget {size}")


def _common_budget(case: Case, claim: Comparison) -> Result:
    settings = _settings(case, claim)
    if isinstance(settings, Result):
        return settings
    if all(claim.budget in method.budgets for method in settings):
        return passed(f"{enumerated([claim.better, claim.worse])} both run at budget {claim.budget}")
    found = enumerated(f"{method.name} at {numbered('budget', method.budgets)}" for method in settings)
    return failed(f"found {found}; expected both at budget {claim.budget}")
