"""Claims that a checkpoint is so many times as fast as the audited model, decided on the newest timing of the two."""

from __future__ import annotations

from collections.abc import Sequence

from checker.core.records import Verdict
from checker.core.resampling import MINIMUM_UNITS
from checker.core.statistics import Estimate
from checker.core.timings import TimingFacts
from checker.core.words import counted
from checker.judge.claims.decision import Decision, Figures, effective, shared_p, span
from checker.judge.claims.kind import Kind
from checker.judge.figures import speed
from checker.judge.figures.released import Released
from checker.judge.figures.speed import PhaseSpeed
from checker.spec.claims.speed import DOING, Speed

_REMEDY = "run: pruneaudit time AUDIT"
_UNITS = "pairs of turns"


def _decide(figures: Figures, claim: Speed) -> Decision:
    known = figures.checkpoints.get(claim.of)
    timings = () if known is None else known.timings
    statement = f"claimed: at least {claim.at_least:g} times as fast"
    reason = _why_none(claim, known)
    if known is None or reason:
        return Decision("open", f"{reason}; {statement}", unit="times", threshold=claim.at_least)
    found = speed.of_phase(timings[-1], claim.phase, figures.audit.statistics)
    assert found is not None
    message = f"{_timed(claim, timings[-1], found, known)}; {statement}{_others(timings)}"
    return _held_against(figures, claim, found.ratio, message)


def _why_none(claim: Speed, known: Released | None) -> str:
    """Why there is no ratio to decide by; empty where there is one."""
    if known is None:
        return f"{claim.of} was not read yet, run the audit, and for its speed {_REMEDY}"
    if not known.timings:
        return f"{claim.of} is not timed against the model with these settings; {_REMEDY}"
    if claim.phase == "decode" and known.timings[-1].decode is None:
        return f"{claim.of} cannot be timed decoding: {known.timings[-1].no_decode}"
    return ""


def _timed(claim: Speed, timing: TimingFacts, found: PhaseSpeed, known: Released) -> str:
    ratio = found.ratio
    dtypes = " against ".join(dict.fromkeys((timing.checkpoint_dtype, timing.dtype)))
    tokens = ", tokens of its own tokenizer" if known.fact.unlike else ""
    return (
        f"{claim.of} {DOING[claim.phase]} {ratio.value:.3g} times as fast as the model{span(ratio.interval)}"
        f"{effective(ratio, _UNITS)}: {speed.rates(found)} of "
        f"{speed.amount(timing.settings, claim.phase)} in {dtypes}{tokens}, on {timing.machine}"
    )


def _others(timings: Sequence[TimingFacts]) -> str:
    """How many timings there are beside the newest, and on how many machines."""
    earlier = timings[:-1]
    if not earlier:
        return ""
    elsewhere = {timing.machine for timing in earlier} - {timings[-1].machine}
    machines = f", some on {counted(len(elsewhere), 'other machine')}" if elsewhere else ", all on that machine"
    return f"; the newest of {len(timings)} timings{machines}"


def _held_against(figures: Figures, claim: Speed, ratio: Estimate, message: str) -> Decision:
    bound = claim.at_least
    verdict = _verdict(ratio, bound)
    p = shared_p(ratio, verdict, [(bound, "above")], [(bound, "below")])
    decision = Decision(verdict, message, ratio.value, ratio.interval, "times", bound, p=p)
    if verdict != "open":
        return decision
    return figures.left_open(decision, ratio, [bound], MINIMUM_UNITS, _UNITS)


def _verdict(ratio: Estimate, bound: float) -> Verdict:
    if ratio.decisive is None:
        return "open"
    low, high = ratio.decisive
    if low >= bound:
        return "supported"
    return "contradicted" if high < bound else "open"


KIND = Kind(Speed, _decide, allowed=lambda _, claim: (claim.at_least, None))
