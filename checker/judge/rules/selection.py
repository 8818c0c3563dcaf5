"""Rules about how removal sets are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import log1p
from typing import Any

from checker.core.records import DECIDING_DRAWS, MethodSettings, Selection
from checker.core.rule import Result, failed, passed, rule, undecided
from checker.core.words import enumerated, numbered
from checker.judge.case import Case
from checker.judge.figures.costs import error_rate
from checker.judge.figures.form import ArmRow, Ends, RangeRow, StabilityRow
from checker.selection.methods import METHODS
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.removal import Removal

_NAMED = 3  # examples that a message names
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
    for row in case.primary(case.figures["ranges"]):
        if row["ties"] > 1:
            yield _tied(row, case.audit.statistics.margin)


def _tied(row: RangeRow, margin: float) -> Result:
    name = f"{row['method']} at budget {row['budget']}"
    ways = f"{'' if row['ties_counted'] else 'at least '}{row['ties']} ways of breaking ties"
    least, most = row["least_percent"], row["most_percent"]
    if least is None or most is None:
        return undecided(f"{name}: none of the {ways} is measured")
    apart = log1p(most / 100) - log1p(least / 100)
    complete = row["measured"] == row["ties"] and row["ties_counted"]
    which = f"the {ways}" if complete else f"{row['measured']} of {ways} are measured and"
    told = f"{name}: {which} cost {least:+.1f} to {most:+.1f} % perplexity"
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
    nothing="no arm has random draws at its budget",
)
def no_better_than_random(case: Case) -> Iterator[Result]:
    """An arm does not cost less than random removals of the same size under the same constraints."""
    level = error_rate(case.audit.statistics)
    for method, budget in _compared(case):
        rows = [arm for arm in case.primary(case.figures["arms"]) if (arm["method"], arm["budget"]) == (method, budget)]
        yield _against_draws(f"{method} at budget {budget}", rows, level)


def _compared(case: Case) -> list[tuple[str, int]]:
    """The arms that the audit sets beside random draws: methods that choose, at budgets at which others are drawn."""
    drawn = {b for own in case.audit.methods if METHODS[own.name].control for b in own.budgets}
    choosing = [own for own in case.audit.methods if not METHODS[own.name].control and "matched" in own.forms]
    return [(own.name, budget) for own in choosing for budget in own.budgets if budget in drawn]


def _against_draws(name: str, arms: Sequence[ArmRow], level: float) -> Result:
    if not arms or any(arm["p"] is None for arm in arms):
        return undecided(f"{name}: its removals or the random draws are not all measured; run the audit to its end")
    worst = max(arms, key=lambda arm: arm["p"] or 0.0)
    p, smallest = worst["p"] or 0.0, worst["smallest_p"] or 0.0
    told = f"{name}: p = {p:.3g} against {worst['draws']} draws"
    if p <= level:
        return passed(told)
    if smallest > level:
        return undecided(
            f"{told}; with so few draws no p below {smallest:.3g} can be reached; use at least {DECIDING_DRAWS}"
        )
    return failed(f"{told}; expected at most {level:.3g}")


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
    for own in case.audit.methods:
        if not METHODS[own.name].measured_on_prompts:
            continue
        if own.name not in rows:
            yield undecided(f"{own.name}: its scores are not all measured; run the audit to its end")
            continue
        for budget in own.budgets:
            yield _stable(rows[own.name], budget, _prompts(case, own.name))


def _prompts(case: Case, method: str) -> int:
    """How many prompts a method's scores are taken on."""
    chosen_on = case.audit.selecting if METHODS[method].looks_at == "selection" else None
    return (chosen_on or case.audit.scoring).prompts


def _stable(row: StabilityRow, budget: int, prompts: int) -> Result:
    name = f"{row['method']} at budget {budget}"
    if prompts < _QUARTERS:  # where some of them hold all prompts
        return undecided(f"{name}: found {prompts} prompts; expected at least {_QUARTERS}, to look at fewer of them")
    growing = [part for part in row["portions"] if part["from_quarter"] == 0 and part["to_quarter"] >= 2]
    shared = [found["shared"] for part in growing for found in part["overlap"] if found["budget"] == budget]
    known = [count for count in shared if count is not None]
    if not shared or len(known) < len(shared):
        return undecided(f"{name}: too few prompts, or no set of that size, to look at fewer of them")
    if min(known) == budget:
        return passed(f"{name}: half and three quarters of the prompts choose the same blocks as all of them")
    further = next(found["prompts"] for found in row["further_prompts"] if found["budget"] == budget)
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
    for own in (own for own in case.audit.methods if METHODS[own.name].control):
        for selection in case.audit.selections:
            for budget in own.budgets:
                yield _enough_draws(own, budget, selection, case.facts.model.blocks)


def _enough_draws(own: MethodSettings, budget: int, selection: Selection, blocks: int) -> Result:
    feasible = selection.geometry(blocks).count(budget)
    draws = min(own.draws, feasible)
    of = "the only feasible set" if feasible == 1 else f"{draws:,} of {feasible:,} feasible sets"
    told = f"{own.name} at budget {budget} (selection `{selection.name}`): {of}; no p below {1 / (1 + draws):.3g}"
    if draws >= min(DECIDING_DRAWS, feasible):
        return passed(f"{told} can be reached" + ("; there are no more sets to draw" if draws == feasible else ""))
    return failed(f"{told} can be reached; expected at least {min(DECIDING_DRAWS, feasible)} draws")


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
    choosing = [own for own in case.audit.methods if not METHODS[own.name].control and "matched" in own.forms]
    budgets = sorted({budget for own in choosing for budget in own.budgets})
    for budget in budgets:
        asked = {own.name for own in choosing if budget in own.budgets}
        rows = [arm for arm in case.primary(case.figures["arms"]) if arm["budget"] == budget and arm["method"] in asked]
        if len(asked) > 1:
            yield _distinct(budget, rows, asked)


def _distinct(budget: int, arms: Sequence[ArmRow], asked: set[str]) -> Result:
    chosen: dict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    for arm in arms:
        chosen[tuple(arm["layers"]), arm["merged"]][arm["method"]] = None
    shared = [(layers, list(methods)) for (layers, _), methods in chosen.items() if len(methods) > 1]
    if shared:
        named = "; ".join(f"{_blocks(layers)} chosen by {enumerated(methods)}" for layers, methods in shared[:_NAMED])
        more = f"; and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
        return failed(f"budget {budget}: found {named}{more}; expected each set to count once, whoever chose it")
    missing = sorted(asked - {arm["method"] for arm in arms})
    if missing:
        return undecided(
            f"budget {budget}: it is not known what {enumerated(missing)} would choose; run the audit to its end"
        )
    return passed(f"budget {budget}: no two methods chose the same blocks")


def _blocks(layers: Sequence[int]) -> str:
    return numbered("block", layers)


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
def superset_cheaper(case: Case) -> Iterator[Result]:
    """A removal costs clearly less than another one that it includes."""
    costs = _measured_sets(case)
    known = {layers: interval for layers, interval in costs.items() if interval is not None}
    if not known:
        yield undecided("no removal is measured with an interval; run the audit on more evaluation windows")
        return
    found = [(less, more) for less in known for more in known if less < more and known[more][1] < known[less][0]]
    if not found:
        yield passed(f"of {len(known)} measured removals none costs clearly less than one that it includes")
        return
    found.sort(key=lambda pair: (len(pair[0]), len(pair[1]), sorted(pair[0]), sorted(pair[1])))
    told = "; ".join(_cheaper(less, more, known) for less, more in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    yield failed(f"found {told}{more}; expected a larger removal to cost at least as much")


def _measured_sets(case: Case) -> dict[frozenset[int], Ends]:
    """The interval of the cost in percent of every removal that is measured; removing nothing costs nothing."""
    found: dict[frozenset[int], Ends] = {}
    for row in case.figures["blocks"]:
        if row["single_deletion_increase_percent"] is not None:
            found[frozenset([row["block"]])] = row["interval"]
    for arm in case.figures["arms"]:
        if arm["increase_percent"] is not None and arm["merged"] is None:
            found[frozenset(arm["layers"])] = arm["interval"]
    return {frozenset(): [0.0, 0.0], **found} if any(found.values()) else {}


def _cheaper(less: frozenset[int], more: frozenset[int], costs: Mapping[frozenset[int], Sequence[float]]) -> str:
    larger = f"removing {_blocks(sorted(more))} at [{costs[more][0]:+.2f}, {costs[more][1]:+.2f}] %"
    if not less:
        return f"{larger}, below removing nothing"
    return f"{larger}, below removing {_blocks(sorted(less))} alone at [{costs[less][0]:+.2f}, {costs[less][1]:+.2f}] %"


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
def unlike_constraints(case: Case) -> Iterator[Result]:
    """A claim sets a removal beside others that obey another spacing, other exclusions or another form."""
    own = {method.name: method for method in case.audit.methods}
    for claim in _comparing(case):
        yield _same_constraints(case, claim) if isinstance(claim, Removal) else _both_matched(case, claim, own)


def _comparing(case: Case) -> list[Removal | Comparison]:
    """The claims whose removals are read beside those of other methods."""
    claims = case.audit.claims_of(Removal, Comparison)
    return [claim for claim in claims if claim.blocks or isinstance(claim, Comparison)]


def _same_constraints(case: Case, claim: Removal) -> Result:
    layers, selection = claim.blocks, case.audit.selection
    if case.audit.geometry(case.facts.model.blocks).allows(layers):
        return passed(f"{_blocks(layers)}: within the constraints of `{selection.name}`, which arms obey", claim.id)
    found = _broken(layers, selection)
    return failed(f"{_blocks(layers)}: found {found}; expected a set that the arms beside it could have been", claim.id)


def _broken(layers: Sequence[int], selection: Selection) -> str:
    """Which of the selection's constraints a set of blocks breaks."""
    near = [pair for pair in combinations(sorted(layers), 2) if pair[1] - pair[0] <= selection.spacing]
    excluded = sorted(set(layers) & set(selection.exclude))
    first, last = selection.region or (0, max(layers))
    outside = sorted(layer for layer in layers if not first <= layer <= last)
    told = [f"{i} and {j} too near for `spacing: {selection.spacing}`" for i, j in near[:1]]
    told += [f"{_blocks(excluded)} excluded"] if excluded else []
    told += [f"{_blocks(outside)} outside of the region from {first} to {last}"] if outside else []
    return ", ".join(told)


def _both_matched(case: Case, claim: Comparison, own: Mapping[str, MethodSettings]) -> Result:
    methods = [claim.better, claim.worse]
    missing = [name for name in methods if name not in own]
    if missing:
        return undecided(f"the audit does not run {enumerated(missing)}; add it to `methods`", claim.id)
    native = [name for name in methods if "matched" not in own[name].forms]
    if native:
        other = "expected its matched form, which obeys the same constraints as the other method"
        return failed(f"{enumerated(native)}: found `forms: [native]`, with constraints of its own; {other}", claim.id)
    return passed(f"{enumerated(methods)} obey the same constraints, `{case.audit.selection.name}`", claim.id)


@rule(
    "selection",
    level="warning",
    why="Cost grows with the number of blocks, and not in proportion: Gromov et al. (arXiv 2403.17887) see quality "
    "collapse abruptly beyond some number. A method at three blocks against another at five compares the budgets.",
    remedy="Run both methods at the claim's budget; for a claim that names its blocks, add their number to `budgets`.",
    waive="When the claim stands alone and is compared with nothing.",
    nothing=_NO_COMPARISON,
)
def unlike_budgets(case: Case) -> Iterator[Result]:
    """A claim's removal has no counterpart of the same size among the methods it is read beside."""
    for claim in _comparing(case):
        yield _same_size(case, claim) if isinstance(claim, Removal) else _common_budget(case, claim)


def _same_size(case: Case, claim: Removal) -> Result:
    size = len(claim.blocks)
    beside = [own.name for own in case.audit.methods if size in own.budgets and "matched" in own.forms]
    if beside:
        return passed(f"budget {size}: read beside {enumerated(beside)}", claim.id)
    run = sorted({budget for own in case.audit.methods for budget in own.budgets})
    found = f"found {_blocks(claim.blocks)} beside arms at {_budgets(run)}"
    return failed(f"{found}; expected a method or random draws at budget {size}", claim.id)


def _common_budget(case: Case, claim: Comparison) -> Result:
    budgets = {own.name: own.budgets for own in case.audit.methods}
    methods = [claim.better, claim.worse]
    missing = [name for name in methods if name not in budgets]
    if missing:
        return undecided(f"the audit does not run {enumerated(missing)}; add it to `methods`", claim.id)
    if all(claim.budget in budgets[name] for name in methods):
        return passed(f"{enumerated(methods)} both run at budget {claim.budget}", claim.id)
    run = " and ".join(f"{name} at {_budgets(budgets[name])}" for name in methods)
    return failed(f"found {run}; expected both at budget {claim.budget}", claim.id)


def _budgets(budgets: Sequence[int]) -> str:
    return numbered("budget", budgets)
