"""Rules about the evidence as a whole."""

from __future__ import annotations

from checker.core.facts import AmountRow
from checker.core.records import Claim
from checker.core.rule import Conclusion, Result, failed, passed, rule, undecided
from checker.core.words import counted, enumerated
from checker.judge.case import Case, each_claim


@rule(
    "evidence",
    level="error",
    why="What was not measured cannot be passed. An audit that skipped a part in silence would look like one that"
    " found nothing wrong.",
    remedy="Run the audit to its end: `pruneaudit run` measures only what is missing.",
    waive="Never: an incomplete run does not pass. Take out of the audit file what is not to be measured.",
)
def incomplete(case: Case) -> Conclusion:
    """Part of the evidence that the audit asks for is missing."""
    return [undecided(gap) for gap in case.gaps] or passed("everything the audit asks for is measured")


@rule(
    "evidence",
    level="error",
    why="A NaN or an infinity is no score: ranked, it would be the best or the worst of all, depending on the code. A "
    "run stops at the first one, and what it did not reach is not measured.",
    remedy="Run with `dtype: float32`. If the value stays, that layout breaks the model: take out the method or the "
    "claim that asks for it.",
    waive="When the layout is meant to break the model, and the report says that it was not scored.",
)
def not_finite(case: Case) -> Result:
    """The last run stopped at a value that is not a finite number."""
    stop = case.figures["evidence"]["not_finite"]
    if stop is None:
        return passed("no run stopped at a value that is not a finite number")
    return failed(
        f"layout {stop['layout']}, {stop['unit']}: found a {stop['quantity']} that is not a finite number; "
        "expected a finite one; the run stopped there"
    )


@rule(
    "evidence",
    level="warning",
    why="Answers of two versions of the measuring code may differ by more than the intervals say, and are never mixed: "
    "those of another version count as not measured.",
    remedy="Run the audit to its end: what another version measured is measured again.",
    waive="When the older figures are wanted: judge them with the version that measured them.",
    nothing="no answer is stored for these weights and contracts",
)
def other_measuring_code(case: Case) -> Result | None:
    """Part of the evidence is from another version of the measuring code."""
    present = case.figures["tool"]["measuring_code"]
    counts = {row["measuring_code"]: row["answers"] for row in case.figures["evidence"]["answers"]}
    if not counts:
        return None
    others = ", ".join(f"{number} of version {code}" for code, number in counts.items() if code != present)
    if others and case.gaps:
        return failed(f"found answers from other measuring code: {others}; expected all of version {present}")
    if len(counts) > 1:
        return passed(f"nothing rests on the answers from other measuring code: {others}")
    return passed(f"all answers are from version {next(iter(counts))} of the measuring code")


@rule(
    "evidence",
    level="warning",
    why="Whoever measures on more text, on other text or with another seed until a verdict comes out as hoped, finds "
    "one sooner or later whatever is true: intervals and p hold for an amount of text that was fixed beforehand "
    "(Armitage, McPherson and Rowe 1969; Simmons, Nelson and Simonsohn 2011). Only runs in this folder are known.",
    remedy="Publish every run, or fix prompts, words and seed beforehand and decide on text that no earlier run read.",
    waive="When the amount was fixed in writing before the first run, or the earlier run was a trial of the set-up.",
    nothing="the audit has no claims",
)
@each_claim(Claim)
def rerun_until_settled(case: Case, claim: Claim) -> Result:
    """A claim was decided after runs on other amounts of text, or with another seed, that decided it otherwise."""
    origin, verdict = case.figures["evidence"], case.verdict(claim)["verdict"]
    own = origin["amount"]
    known = [(past, run["amount"]) for run in origin["other_runs"] if (past := run["verdicts"].get(claim.id))]
    others = [f"{past} on {_amount(amount, own)}" for past, amount in known if past != verdict]
    sentence = f"{verdict} on {_amount(own, own)}"
    if others and verdict != "open":
        expected = "one amount of text, fixed beforehand"
        return failed(f"{sentence}; found it {', '.join(others)}; expected {expected}")
    if others:
        return passed(f"{sentence}, so that no other run settled it: {', '.join(others)}")
    if known:
        return passed(f"{sentence}, as in {counted(len(known), 'other run')}")
    return passed(f"{sentence}, and no run on another amount of text is known")


def _amount(amount: AmountRow, own: AmountRow) -> str:
    """How much a run read, and what else it changed."""
    read = [f"{amount['prompts']} prompts"]
    if amount["selection_prompts"] is not None:
        read.append(f"{amount['selection_prompts']} selection prompts")
    read.append(f"{amount['windows']} windows")
    changed = [f"seed {amount['seed']}"] if amount["seed"] != own["seed"] else []
    changed += ["other text"] if amount["texts"] != own["texts"] else []
    return enumerated(read) + (f" ({', '.join(changed)})" if changed else "")
