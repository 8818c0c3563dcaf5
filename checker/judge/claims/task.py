"""Claims about scores on tasks: decided on documents, paired with the model's own (design, 3.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from checker.core import paired
from checker.core.facts import TaskFacts
from checker.core.paired import Mean
from checker.core.questions import Values
from checker.core.records import Interval, Verdict
from checker.core.statistics import MINIMUM_WINDOWS
from checker.core.words import counted, enumerated
from checker.judge.claims.backing import Backing, of_removal
from checker.judge.claims.decision import Decision, Figures, largest_p, nearest, outermost, tally
from checker.judge.claims.kind import Kind, Range
from checker.judge.figures import tasks
from checker.judge.figures.costs import error_rate
from checker.judge.figures.tasks import Side
from checker.judge.form import Unit
from checker.spec.claims.task import TaskScore, said

LEAST_RETAINED = 100  # documents that score 0 or 1, fewer of which do not decide what is retained
_SLACK = 1e-9  # of a score: what rounding may make of one that equals its bound


@dataclass(frozen=True)
class _Measured:
    """What the claim's tasks gave: one item per task."""

    facts: Sequence[TaskFacts]
    own: Sequence[Values]
    base: Sequence[Values]  # none where a claim needs none and it is not measured
    chances: Sequence[float | None]

    @property
    def score(self) -> Mean:
        return paired.macro([paired.score(values) for values in self.own])

    @property
    def model(self) -> Mean:
        return paired.macro([paired.score(values) for values in self.base])

    @property
    def difference(self) -> Mean:
        return paired.macro([paired.difference(*both) for both in zip(self.own, self.base, strict=True)])

    @property
    def chance(self) -> float | None:
        known = [chance for chance in self.chances if chance is not None]
        return float(np.mean(known)) if known and len(known) == len(self.chances) else None

    @property
    def binary(self) -> bool:
        return bool(self.base) and paired.is_binary(*self.own, *self.base)

    def excess(self, share: float, above: bool) -> Mean:
        """How far more than a share of the model's score is kept, above chance or with it counted in."""
        chances = [(chance or 0.0) if above else 0.0 for chance in self.chances]
        items = zip(self.own, self.base, chances, strict=True)
        return paired.macro([paired.excess(own, base, share, chance) for own, base, chance in items])

    def retained(self, above: bool) -> float | None:
        return tasks.retained(self.score.value, self.model.value, (self.chance or 0.0) if above else 0.0)


@dataclass(frozen=True)
class _Test:
    """A mean that is held against a bound, and the claim's own figure, in its own unit."""

    mean: Mean
    bound: float
    value: float
    interval: Interval | None
    least: int = MINIMUM_WINDOWS


def _decide(figures: Figures, claim: TaskScore) -> Decision:
    sides, reason = _sides(figures, claim)
    if not sides:
        return _open(claim, reason)
    decisions = [_of_side(figures, claim, side) for side in sides]
    chosen = [] if claim.method is None else figures.chosen(claim.method, claim.budget)
    if not chosen or chosen[0].ties == 1:
        return decisions[0]
    complete = len(decisions) == chosen[0].ties and chosen[0].ties_counted
    return _over_ties(claim, decisions, chosen[0].ways, complete)


def _sides(figures: Figures, claim: TaskScore) -> tuple[list[Side], str]:
    """What the claim is about, or why that is not known: several sides where a method's ties have resolutions."""
    if claim.of is not None:
        side = figures.tasks.of_checkpoint(claim.of)
        return ([side], "") if side else ([], f"{claim.of} was not read, run the audit")
    if claim.layers is not None:
        return [figures.tasks.of_layout(figures.costs.unchanged.without(claim.layers))], ""
    chosen = figures.chosen(claim.method, claim.budget)
    return [figures.tasks.of_layout(arm.layout) for arm in chosen], figures.why_none(claim.method, claim.budget)


def _open(claim: TaskScore, reason: str) -> Decision:
    return Decision("open", f"{reason}; {_statement(claim)}", unit=_unit(claim), threshold=claim.bound[1])


def _statement(claim: TaskScore) -> str:
    whom = "claimed of these very documents" if claim.scope == "contract" else "claimed"
    return f"{whom}: {said(claim)}"


def _unit(claim: TaskScore) -> Unit:
    return "points" if claim.drop_at_most is not None else "score"


def _of_side(figures: Figures, claim: TaskScore, side: Side) -> Decision:
    reason = _unfit(figures, claim, side) or _unmeasured(figures, claim, side)
    if reason:
        return _open(claim, reason)
    measured = _measured(figures, claim, side)
    message = _message(figures, claim, side, measured)
    reason = _undecidable(figures, claim, measured)
    if reason:
        return _open(claim, f"{message}; {reason}")
    test = _test(figures, claim, measured)
    if test is None:
        return _open(claim, f"{message}; the model scores nothing of which a share could be kept")
    if claim.scope == "contract":
        verdict: Verdict = "supported" if test.mean.value >= test.bound - _SLACK else "contradicted"
        return _decision(claim, verdict, message, test)
    return _of_population(figures, claim, measured, message, test)


def _unfit(figures: Figures, claim: TaskScore, side: Side) -> str:
    """Why a task cannot tell what is claimed of it; empty where all can."""
    for name in claim.tasks:
        fact = figures.tasks.evidence.facts.task(name)
        if fact is None:
            return f"the task {name} was not read, run the audit to its end"
        if fact.imported and not side.whole:
            return f"scores on {name} are imported, which are of whole models; take its `results` away to measure them"
        if fact.generates and not side.whole:
            return f"{name} generates its answers, which runs on whole models alone; name a checkpoint in `of`"
        if claim.metric not in fact.metrics:
            return f"{name} has no {claim.metric} of each document: found {enumerated(fact.metrics)}; claim one of them"
        if not fact.higher_is_better[fact.metrics.index(claim.metric)]:
            return f"of {claim.metric} on {name} less is better, so that it is no score that is kept"
    return _mixed(figures, claim)


def _mixed(figures: Figures, claim: TaskScore) -> str:
    """That some of the tasks' scores are imported and others measured; empty where all are of one class."""
    facts = _facts(figures, claim)
    if len(tasks.evidence_of(facts)) < 2:
        return ""
    imported, measured = ([fact.name for fact in facts if bool(fact.imported) is each] for each in (True, False))
    found = f"scores on {enumerated(imported)} are imported and those on {enumerated(measured)} measured"
    return f"{found}, which no one mean is taken of; claim them apart"


def _facts(figures: Figures, claim: TaskScore) -> list[TaskFacts]:
    return [fact for name in claim.tasks if (fact := figures.tasks.evidence.facts.task(name)) is not None]


def _unmeasured(figures: Figures, claim: TaskScore, side: Side) -> str:
    """Which score is missing, and what to do; empty where none is."""
    wanted = [(side.phrase.rstrip(","), side.values, "checkpoints" if side.whole else "claims")]
    if claim.at_least is None:
        wanted.append(("the model", figures.tasks.base, "model"))
    for what, values, subject in wanted:
        missing = [name for name in claim.tasks if values(name, claim.metric) is None]
        if missing:
            if any(fact.imported for fact in _facts(figures, claim)):
                return f"what {what} scores on {enumerated(missing)} is not imported, add its file to `results`"
            remedy = "run the audit to its end"
            if subject not in figures.audit.tasks_on:
                remedy = f"add `{subject}` to `tasks: {{on: [...]}}`"
            return f"what {what} scores on {enumerated(missing)} is not measured, {remedy}"
    return ""


def _measured(figures: Figures, claim: TaskScore, side: Side) -> _Measured:
    known, facts = figures.tasks, _facts(figures, claim)
    own = [values for name in claim.tasks if (values := side.values(name, claim.metric)) is not None]
    base = [values for name in claim.tasks if (values := known.base(name, claim.metric)) is not None]
    base = base if len(base) == len(own) else []
    chances = [known.chance(fact, values) for fact, values in zip(facts, base or own, strict=True)]
    return _Measured(facts, own, base, chances)


def _undecidable(figures: Figures, claim: TaskScore, measured: _Measured) -> str:
    """Why the claim is open whatever the figures; empty where it is not."""
    limited = [fact for fact in measured.facts if len(fact.documents) < fact.whole]
    if claim.scope == "contract" and limited:
        return "the claim is about all documents of the task; raise `limit`, or claim it of a population"
    if claim.retains_at_least is None:
        return ""
    if claim.above_chance and measured.chance is None:
        unknown = [fact.name for fact, chance in zip(measured.facts, measured.chances, strict=True) if chance is None]
        return f"what guessing scores on {enumerated(unknown)} is not known; declare `chance:` of the task"
    if figures.tasks.at_chance(measured.model, measured.chance):
        score = _percent(measured.model, figures.tasks.confidence)
        return f"the model's own {score} is not told from guessing, so that what is kept of it says nothing"
    return ""


def _test(figures: Figures, claim: TaskScore, measured: _Measured) -> _Test | None:
    """None where the model has no score of which a share could be kept."""
    name, stated = claim.bound
    confidence, bound = figures.tasks.confidence, stated / 100.0
    if name == "at_least":
        score = measured.score
        return _Test(score, bound, 100.0 * score.value, _scaled(score.interval(confidence), 100.0))
    if name == "drop_at_most":
        change = measured.difference
        return _Test(change, -bound, -100.0 * change.value, _scaled(change.interval(confidence), -100.0))
    above = bool(claim.above_chance)
    kept = measured.retained(above)
    if kept is None:
        return None
    ends = paired.retained(lambda share: measured.excess(share, above), kept, confidence)
    least = LEAST_RETAINED if measured.binary else MINIMUM_WINDOWS
    return _Test(measured.excess(bound, above), 0.0, 100.0 * kept, _scaled(ends, 100.0), least)


def _of_population(figures: Figures, claim: TaskScore, measured: _Measured, message: str, test: _Test) -> Decision:
    error = error_rate(figures.audit.statistics) / 2.0
    undecided = _decision(claim, "open", message, test)
    if test.mean.units < test.least:
        few = f"{counted(test.mean.units, 'document')} decide nothing about a population, at least {test.least} do"
        missing = test.least - test.mean.units
        return replace(undecided, message=f"{undecided.message}; {few}", further_units=missing)
    if test.mean.p is None:
        return replace(undecided, message=f"{undecided.message}; the documents do not vary, so nothing tells how far")
    above, below = test.mean.p(test.bound, "above"), test.mean.p(test.bound, "below")
    verdict: Verdict = "supported" if above <= error else "contradicted" if below <= error else "open"
    shared = min(1.0, 2.0 * min(above, below))
    decision = replace(_decision(claim, verdict, message, test), p=shared)
    if verdict != "open":
        return decision
    further = _further(claim, test)
    left = min(fact.whole - len(fact.documents) for fact in measured.facts)
    would = "no number of further documents would" if further is None else f"about {further} further documents would"
    few = f", and the task has {left or 'no'} more" if further is not None and left < further else ""
    note = f"; the interval does not decide it: {would}, if value and spread stay{few}"
    return replace(decision, message=decision.message + note, further_units=further)


def _further(claim: TaskScore, test: _Test) -> int | None:
    """How many further documents of each task would move the interval off the bound; None where none would."""
    bound = claim.bound[1]
    if test.interval is None or test.value == bound:
        return None
    reach = abs(test.interval[1 if bound > test.value else 0] - test.value)
    return max(1, ceil(test.mean.units * ((reach / abs(bound - test.value)) ** 2 - 1.0)))


def _decision(claim: TaskScore, verdict: Verdict, message: str, test: _Test) -> Decision:
    message = f"{message}; {_statement(claim)}"
    return Decision(verdict, message, test.value, test.interval, _unit(claim), claim.bound[1])


def _message(figures: Figures, claim: TaskScore, side: Side, measured: _Measured) -> str:
    """Both scores, their difference, how much is kept, and on which documents."""
    confidence = figures.tasks.confidence
    parts = [f"{side.phrase} scores {_percent(measured.score, confidence)} {claim.metric} on {claim.on}"]
    if measured.base:
        parts[0] += f" and the model {_percent(measured.model, confidence)}"
        change = measured.difference
        ends = _scaled(change.interval(confidence), 100.0)
        parts.append(f"{100.0 * change.value:+.4g} points{_span(ends)} on {_documents(measured)}")
        if claim.retains_at_least is not None:
            parts += _kept(measured)
    else:
        parts.append(f"on {_documents(measured)}")
    if any(fact.imported for fact in measured.facts):
        parts.append("these scores are imported, and nothing shows which weights they are of")
    return "; ".join(parts)


def _kept(measured: _Measured) -> list[str]:
    kept = [(measured.retained(False), "")]
    if measured.chance is not None:
        kept.append((measured.retained(True), f" above chance, {100.0 * measured.chance:.4g} %"))
    known = [f"{100.0 * share:.4g} %{of}" for share, of in kept if share is not None]
    return [f"it retains {enumerated(known)}"] if known else []


def _documents(measured: _Measured) -> str:
    number, whole = sum(len(fact.documents) for fact in measured.facts), sum(fact.whole for fact in measured.facts)
    found = counted(number, "document") if number == whole else f"the first {number} of {whole} documents"
    if len(measured.facts) > 1:
        found += f" of {len(measured.facts)} tasks"
    if measured.binary:
        pairs = [paired.discordant(*both) for both in zip(measured.own, measured.base, strict=True)]
        gained, lost = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        found += f", {gained + lost} of them discordant ({gained} gained and {lost} lost)"
    return found


def _over_ties(claim: TaskScore, decisions: Sequence[Decision], ways: str, complete: bool) -> Decision:
    """What holds for every resolution of the ties, else open."""
    known = [decision for decision in decisions if decision.value is not None]
    if not known:
        return decisions[0]
    complete = complete and len(known) == len(decisions)
    if complete and len({decision.verdict for decision in decisions}) == 1:
        note = f"the {ways} ways of breaking ties agree, this one is the nearest to the claim"
        return replace(nearest(known, note), p=largest_p(known))
    values = [decision.value or 0.0 for decision in known]
    unit = "points" if _unit(claim) == "points" else "%"
    which = f"the {ways}" if complete else f"{len(known)} of {ways}"
    message = (
        f"over {which} ways of breaking ties, {min(values):.4g} to {max(values):.4g} {unit}{outermost(known)}; "
        f"{_statement(claim)}: {tally(known)}"
    )
    p = largest_p(known) if complete else None
    return replace(known[0], verdict="open", message=message, further_units=None, p=p)


def _percent(mean: Mean, confidence: float) -> str:
    return f"{100.0 * mean.value:.4g} %{_span(_scaled(mean.interval(confidence), 100.0))}"


def _span(interval: Interval | None) -> str:
    return " (no interval)" if interval is None else f" [{interval[0]:.4g}, {interval[1]:.4g}]"


def _scaled(interval: Interval | None, factor: float) -> Interval | None:
    if interval is None:
        return None
    low, high = sorted(factor * end for end in interval)
    return low, high


def _allowed(_: Figures, claim: TaskScore) -> Range:
    name, bound = claim.bound
    return (None, bound) if name == "drop_at_most" else (bound, None)


def _backing(figures: Figures, claim: TaskScore, protocol: str) -> Backing:
    """As of a removal claim about the same blocks; of a checkpoint, those that it lacks."""
    sets = [arm.layers for arm in figures.chosen(claim.method, claim.budget)] if claim.method else []
    if claim.layers is not None:
        sets = [claim.layers]
    known = figures.checkpoints.get(claim.of or "")
    if known is not None and known.raw is not None:
        sets = [known.raw.removed(figures.costs.blocks)]
    if not any(sets):
        return Backing("open", f"{protocol} cannot back what is kept without blocks that are not known")
    return of_removal(figures.distances, figures.prediction, protocol, sets)


def _evidence(figures: Figures, claim: TaskScore) -> str:
    """Measured or imported; both where the claim is open because its tasks are of both classes."""
    return enumerated(tasks.evidence_of(_facts(figures, claim))) or "measured"


KIND = Kind(TaskScore, _decide, _allowed, _backing, _evidence)
