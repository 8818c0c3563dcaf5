"""Rules about the audit file itself."""

from __future__ import annotations

from checker.core.records import AnyAudit
from checker.core.rule import AnyCase, Conclusion, Result, failed, passed, rule
from checker.core.words import counted, numbered
from checker.judge.case import Case


@rule(
    "spec",
    level="note",
    why="The audit file is what a reader runs again. What was set on the command line is not in it, and the file alone "
    "gives other numbers. Choices that no document shows are how a result comes to depend on whoever made it "
    "(Simmons, Nelson and Simonsohn 2011).",
    remedy="Write the values into the audit file before publishing, and run it without `--set`.",
    waive="When the command line is published beside the audit file.",
)
def values_overridden(case: AnyCase[AnyAudit]) -> Result:
    """Values of the audit file were changed on the command line."""
    settings = ", ".join(f"{key}={value}" for key, value in case.audit.overrides)
    if settings:
        return failed(f"found {settings} set on the command line; expected the audit as its file says it")
    return passed("the audit is as its file says it")


@rule(
    "spec",
    level="note",
    why="An audit that claims nothing passes whatever is measured: only a statement fixed before measuring can turn "
    "out wrong.",
    remedy="Write down, as `claims:`, what is going to be published about the model.",
    waive="When the audit only measures, and nothing is published that rests on it.",
)
def no_claims(case: Case) -> Result:
    """The audit makes no claims."""
    if case.audit.claims:
        return passed(f"the audit makes {counted(len(case.audit.claims), 'claim')}")
    return failed("claims: found none; expected at least one statement that measuring can contradict")


@rule(
    "spec",
    level="error",
    why="A claim about a block that is not there was written about another model, or counts blocks from 1. `run` "
    "refuses such a file; where evidence is judged, the file may have been changed since.",
    remedy="Correct the numbers: blocks count from 0. Or name the model that the claim is about.",
    waive="Never; correct the audit file.",
)
def blocks_beyond_model(case: Case) -> Conclusion:
    """The audit names blocks that the model does not have."""
    blocks = case.facts.model.blocks
    expected = f"expected blocks from 0 to {blocks - 1}"
    claimed = {claim.id: missing for claim in case.audit.claims if (missing := claim.beyond(blocks))}
    results = [failed(f"found {numbered('block', claimed[claim])}; {expected}", claim) for claim in claimed]
    selections = case.audit.selections
    constraining = {block for selection in selections for block in (*selection.exclude, *(selection.region or ()))}
    selected = sorted(block for block in constraining if block >= blocks)
    if selected:
        results.append(failed(f"selection: found {numbered('block', selected)}; {expected}"))
    return results or passed(f"every block that the audit names is one of the model's {blocks}")
