"""Rules about the policy: whether it can be followed, and whether the audit has what it demands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from checker.core.questions import counted_windows
from checker.core.records import AnyAudit
from checker.core.rule import AnyCase, Result, failed, passed, rule, undecided
from checker.core.words import counted, listed
from checker.judge.case import Case
from checker.judge.figures.form import ArmRow
from checker.judge.waivers import of as waivers_of
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.removal import Removal
from checker.spec.policies import unknown_rules

_NAMED = 3  # intervals that a message names
_LIFT = "When the demand cannot be met for this model, and the reason says why."


@rule(
    "policy",
    level="error",
    why="A level that is set for a rule that does not exist changes nothing: the rule that was meant keeps its own.",
    remedy="Correct the slug; `pruneaudit rules` lists them all.",
    waive="Never; correct the policy.",
    nothing="the policy changes no rule's level",
)
def unknown_rule(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """The policy sets a level for a rule that does not exist or that has only one."""
    policy = case.audit.policy
    unknown = dict(unknown_rules(policy, case.known_rules))
    for name, level in policy.rules.items():
        place = policy.sources.get(f"rules.{name}", "policy.rules")
        if name in unknown:
            yield failed(f"{place}: found {name!r} set to {level}; expected {unknown[name]}")
        else:
            family = "" if name in case.known_rules else "the family "
            yield passed(f"{family}{name} exists and is set to {level}")


@rule(
    "policy",
    level="error",
    why="What a policy requires is what its readers rely on. Without both protocols nothing says whether the two tests "
    "agree, and without random removals of the same size nothing says whether a method did better than chance.",
    remedy="Add the method to `methods` and run the audit.",
    waive=_LIFT,
    nothing="the policy requires no method",
)
def required_method(case: Case) -> Iterator[Result]:
    """A method that the policy requires is not run."""
    run, demanded = [method.name for method in case.audit.methods], _demanded(case, "required_methods")
    for name in case.audit.policy.required_methods:
        if name not in run:
            yield failed(
                f"found {', '.join(run) or 'none'} as methods; expected {name} among them, as {demanded}; add it to "
                "`methods` and run the audit"
            )
        elif not any(_measured(row) for row in case.figures["arms"] if row["method"] == name):
            yield undecided(f"{name} is among the methods, but no arm of it is measured; {_why_silent(case, name)}")
        else:
            yield passed(f"{name} is run, as {demanded}")


@rule(
    "policy",
    level="error",
    why="What removing one block costs says little of what removing five does, so a policy may fix the sizes at which "
    "models are compared. A method that leaves one of them out cannot be held against the others there.",
    remedy="Add the budget to `budgets`, and to methods that have `budgets` of their own, and run the audit.",
    waive="When the budget cannot be reached in this model, and the reason says why.",
    nothing="the policy requires no budget",
)
def required_budget(case: Case) -> Iterator[Result]:
    """A budget that the policy requires is left out by a required method, or by every method where none is required."""
    return (_at_budget(case, budget) for budget in case.audit.policy.required_budgets)


def _why_silent(case: Case, name: str) -> str:
    """Why a method of the audit has no measured arm, and what would give it one."""
    settings = next(method for method in case.audit.methods if method.name == name)
    return case.nothing_compared(settings) or "run the audit to its end"


def _at_budget(case: Case, budget: int) -> Result:
    run = {method.name: budget in method.budgets for method in case.audit.methods}
    at_budget = [name for name, included in run.items() if included]
    asked = [name for name in case.audit.policy.required_methods if name in run]  # others are a finding of their own
    missing = [name for name in asked if name not in at_budget]
    if missing or not at_budget:
        who = f"left out by {', '.join(missing)}" if missing else "run by no method"
        demanded = _demanded(case, "required_budgets")
        return failed(f"found budget {budget} {who}; expected it, as {demanded}; add it to `budgets` and run the audit")
    measured = {row["method"] for row in case.figures["arms"] if row["budget"] == budget and _measured(row)}
    silent = [name for name in asked or at_budget if name not in measured]
    if silent and (asked or not measured):
        return undecided(f"budget {budget}: no arm of {', '.join(silent)} is measured; {_why_silent(case, silent[0])}")
    return passed(f"budget {budget} is run by {', '.join(asked or at_budget)}")


def _measured(row: ArmRow) -> bool:
    return row["perplexity"] is not None


@rule(
    "policy",
    level="error",
    why="The fewer windows, the more one odd passage decides. A policy may ask for more of them than an interval needs "
    "at all (`statistics/too-few-units`), so that results of several models can be held against each other.",
    remedy="Raise `words` of the evaluation text, or lower `stride`.",
    waive=_LIFT,
    nothing="the policy demands no number of windows",
)
def too_few_windows(case: Case) -> Result | None:
    """There are fewer evaluation windows than the policy demands."""
    least, evaluation = case.audit.policy.minimum_windows, case.facts.evaluation
    if least is None:
        return None
    if evaluation is None:
        return undecided("the evaluation text is not read yet; run the audit")
    windows = len(counted_windows(case.audit, case.facts))
    sentence, demanded = f"found {windows} evaluation windows", _demanded(case, "minimum_windows")
    if windows < least:
        return failed(f"{sentence}; expected at least {least}, as {demanded}; raise `words`, or lower `stride`")
    return passed(f"{sentence}; at least {least} are demanded")


@rule(
    "policy",
    level="error",
    why="A wide interval says that the figure could as well be another one. Where it is wider than what is claimed, a "
    "verdict of supported or contradicted is luck. The width is taken relative to the perplexity after the removal, so "
    "that one bound serves cheap and dear removals.",
    remedy="Add evaluation windows: four times as many halve the width.",
    waive="When the wide interval belongs to an arm that no claim rests on.",
    nothing="the policy bounds no interval",
)
def wide_interval(case: Case) -> Iterator[Result]:
    """The interval of an arm's or a claimed removal's cost is wider than the policy allows."""
    bound = case.audit.policy.maximum_interval_width_percent
    if bound is None:
        return
    yield _arms_width(case, bound)
    for claim in case.audit.claims_of(Removal):
        row = case.verdict(claim)
        if row["interval"] is None:
            yield undecided(f"the claimed removal has no interval; {_ON_WINDOWS}", claim.id)
            continue
        width = _width(row["interval"], row["value"])
        sentence = f"found an interval of the removal's cost that is {width:.3g} % of its perplexity wide"
        if width > bound:
            yield failed(f"{sentence}; expected at most {bound:g} %, as {_demanded(case, _WIDTH)}", claim.id)
        else:
            yield passed(f"{sentence}; at most {bound:g} % is allowed", claim.id)


_WIDTH = "maximum_interval_width_percent"
_ON_WINDOWS = "run the audit, on 8 windows at least"


def _arms_width(case: Case, bound: float) -> Result:
    """The arms of the comparison that verdicts rest on, but random draws, which nobody claims."""
    arms = [row for row in case.primary(case.figures["arms"]) if not row["draw"]]
    known = [(_width(row["interval"], row["increase_percent"]), _name(row)) for row in arms if row["interval"]]
    widths = sorted(known, reverse=True)
    wide = [f"{name} ({width:.3g} %)" for width, name in widths if width > bound]
    if wide:
        found = f"{len(wide)} of {len(arms)} arms with an interval wider than {bound:g} % of their perplexity"
        return failed(f"found {found}: {listed(wide, _NAMED)}; expected none, as {_demanded(case, _WIDTH)}")
    if len(known) < len(arms):
        return undecided(f"{len(arms) - len(known)} of {len(arms)} arms have no interval; {_ON_WINDOWS}")
    if not arms:
        return undecided("no arm is measured that could have an interval; run the audit")
    widest = f"the widest interval of {len(arms)} arms is {widths[0][0]:.3g} % of its perplexity"
    return passed(f"{widest}; at most {bound:g} % is allowed")


def _name(row: ArmRow) -> str:
    tie = f", tie {row['tie'] + 1}" if row["ties"] > 1 else ""
    return f"{row['method']} at budget {row['budget']}{tie}"


def _width(interval: Sequence[float], increase: float | None) -> float:
    """From an interval's lower to its upper end, in percent of the perplexity after the removal."""
    return 100.0 * (interval[1] - interval[0]) / (100.0 + (increase or 0.0))


@rule(
    "policy",
    level="error",
    why="Those whose audit it is set its thresholds. At a confidence of 0.5 an open claim becomes a supported one, and "
    "a claimed cost that reaches far to both sides holds whatever is measured.",
    remedy="Set the threshold as the policy demands, and judge again: nothing has to be measured anew.",
    waive=_LIFT,
    nothing="the policy bounds no threshold of the audit",
)
def loosened(case: Case) -> Iterator[Result]:
    """The audit or a claim sets a looser threshold than the policy allows."""
    policy, declared = case.audit.policy, case.audit.statistics
    for demand in ("minimum_confidence", "maximum_margin", "minimum_resamples"):
        key, bound = demand.partition("_")[2], getattr(policy, demand)
        if bound is not None:
            yield _held(case, key, getattr(declared, key), demand, bound)
    if policy.maximum_within is not None:
        for claim in case.audit.claims_of(Removal):
            if claim.equals is not None:
                yield _reach(case, claim, policy.maximum_within)


def _held(case: Case, key: str, found: float, demand: str, bound: float) -> Result:
    """A threshold of the audit against a bound; the name of the demand says of which side."""
    least = demand.startswith("minimum")
    sentence, side = f"found `statistics.{key}: {found:g}`", "least" if least else "most"
    if found < bound if least else found > bound:
        return failed(f"{sentence}; expected at {side} {bound:g}, as {_demanded(case, demand)}")
    return passed(f"{sentence}; at {side} {bound:g} is demanded")


def _reach(case: Case, claim: Removal, bound: float) -> Result:
    """How far a claimed cost reaches to each side, against the policy's bound."""
    allowed = case.verdict(claim)["range"]
    if claim.interval_unit == "perplexity" and case.figures["baseline"] is None:
        return undecided("its interval is in perplexity, and the baseline is not measured; run the audit", claim.id)
    assert allowed is not None  # a claimed value has both ends
    reach = ((allowed["upper"] or 0.0) - (allowed["lower"] or 0.0)) / 2
    sentence = f"found a claimed cost that reaches {reach:.3g} % to each side"
    if reach > bound * (1 + 1e-9):
        demanded = f"expected at most {bound:g} %, as {_demanded(case, 'maximum_within')}"
        return failed(f"{sentence}; {demanded}; claim a narrower one, or a bound (`at_most`)", claim.id)
    return passed(f"{sentence}; at most {bound:g} % is allowed", claim.id)


@rule(
    "policy",
    level="error",
    why="A regime speaks of the whole stack. With blocks left out it rests on what is left, down to one pair, and "
    "those whose audit it is choose which.",
    remedy="Exclude fewer blocks, or widen `region`.",
    waive=_LIFT,
    nothing="the policy demands no share of the pairs, or no adjacent blocks are comparable",
)
def too_few_pairs(case: Case) -> Result | None:
    """The metric regime rests on a smaller share of the adjacent pairs than the policy demands."""
    least = case.audit.policy.minimum_pairs
    if least is None:
        return None
    left_out = {row["block"] for row in case.figures["blocks"] if row["excluded"]}
    pairs = [(row["i"], row["j"]) for row in case.figures["pairs"] if row["gap"] == 1 and row["comparable"]]
    kept = [pair for pair in pairs if not left_out.intersection(pair)]
    if not pairs:
        return None
    sentence = f"found a metric regime over {len(kept)} of {counted(len(pairs), 'comparable adjacent pair')}"
    if len(kept) < least * len(pairs):
        demanded = _demanded(case, "minimum_pairs")
        return failed(f"{sentence}; expected a share of at least {least:g}, as {demanded}; exclude fewer blocks")
    return passed(f"{sentence}; a share of at least {least:g} is demanded")


@rule(
    "policy",
    level="error",
    why="What random removals of the same size cost is what a claim has to be better than. Draws at another budget say "
    "nothing of it, and with fewer than 39 no p of 0.025 can be reached.",
    remedy="Add `random` to `methods` with the budget and enough `draws`, and run the audit.",
    waive=_LIFT,
    nothing="the policy demands no number of draws, or no claim speaks of a removal",
)
def too_few_draws(case: Case) -> Iterator[Result]:
    """A budget that a claim speaks of has fewer random draws than the policy demands."""
    least = case.audit.policy.minimum_draws
    if least is None:
        return
    budgets = set()
    for claim in case.audit.claims_of(Removal, Comparison):
        budget = claim.size if isinstance(claim, Removal) else claim.budget
        if budget is None:
            yield undecided("the blocks that its checkpoint lacks are not known; run the audit", claim.id)
        else:
            budgets.add(budget)
    yield from (_drawn(case, budget, least) for budget in sorted(budgets))


def _drawn(case: Case, budget: int, least: int) -> Result:
    """The random draws at a budget; all sets count as enough where the constraints leave fewer than demanded."""
    draws = [row for row in case.primary(case.figures["arms"]) if row["draw"] and row["budget"] == budget]
    there_are = case.audit.geometry(case.facts.model.blocks).count(budget)
    enough = min(least, there_are or least)
    sentence = f"found {counted(len(draws), 'random draw')} at budget {budget}"
    if len(draws) < enough:
        all_there_are = ", which is all there are" if enough < least else ""
        expected = f"expected at least {enough}{all_there_are}, as {_demanded(case, 'minimum_draws')}"
        where = "at this budget" if there_are else "and constraints that leave sets to draw,"
        return failed(f"{sentence}; {expected}; add `random` {where} and run the audit")
    if missing := sum(not _measured(row) for row in draws):
        return undecided(f"{sentence}, {missing} of them not measured; run the audit to its end")
    return passed(f"{sentence}; at least {enough} are demanded")


@rule(
    "policy",
    level="error",
    why="A waiver is written by those whose audit it is. A policy may say how many of them it puts up with, down to "
    "none.",
    remedy="Mend what the waived rules found, and take the waivers out.",
    waive="Never; it would be one waiver more.",
    nothing="the policy bounds no number of waivers",
)
def too_many_waivers(case: AnyCase[AnyAudit]) -> Result | None:
    """The audit has more waivers than the policy allows."""
    most, number = case.audit.policy.maximum_waivers, len(case.audit.waivers)
    if most is None:
        return None
    sentence = f"found {counted(number, 'waiver')}"
    if number > most:
        return failed(f"{sentence}; expected at most {most}, as {_demanded(case, 'maximum_waivers')}; take some out")
    return passed(f"{sentence}; allowed are at most {most}")


@rule(
    "policy",
    level="error",
    why="A waiver is meant to end. One that runs for years is a level that nobody set; a policy may say how far ahead "
    "its last day may lie.",
    remedy="Give it an earlier last day, and renew it with a new reason when that has come.",
    waive="Never; shorten the waiver.",
    nothing="the policy bounds no waiver's time, or nothing is waived",
)
def too_long_waiver(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """A waiver holds for longer than the policy allows."""
    most = case.audit.policy.maximum_waiver_days
    if most is None:
        return
    for waiver in waivers_of(case.audit):
        days = (date.fromisoformat(waiver.expires) - date.fromisoformat(case.today)).days
        subject = f"{waiver.location.place}: waiver of {waiver.rule}"
        if days > most:
            demanded = _demanded(case, "maximum_waiver_days")
            yield failed(f"{subject} holds for {days} days from {case.today}; expected at most {most}, as {demanded}")
        else:
            yield passed(f"{subject} holds until {waiver.expires}; allowed are at most {counted(most, 'day')}")


def _demanded(case: AnyCase[AnyAudit], key: str) -> str:
    """Who demands it, and where."""
    place = case.audit.policy.sources.get(key)
    return f"the policy demands ({place})" if place else "the policy demands"
