"""Rules about the waivers themselves. They look at the findings of all other rules."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.records import AnyAudit
from checker.core.rule import AnyCase, Result, failed, passed, rule
from checker.judge.waivers import REFUSED, names_nothing, of, refused

_NONE = "the audit waives nothing"


@rule(
    "waiver",
    level="error",
    why="A waiver is a promise with a date. After it, the finding counts again.",
    remedy="Mend what the rule found, or renew the waiver with a new date and reason.",
    waive="Never; renew the waiver instead.",
    nothing=_NONE,
)
def expired(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """A waiver's expiry date has passed."""
    for waiver in of(case.audit):
        subject = f"{waiver.location.place}: waiver of {waiver.rule}"
        if waiver.expires < case.today:
            yield failed(f"{subject} expired on {waiver.expires}; expected a date that has not passed")
        else:
            yield passed(f"{subject} holds until {waiver.expires}")


@rule(
    "waiver",
    level="error",
    why="A waiver of a rule that does not exist protects nothing and hides a typing mistake. One without a claim would "
    "cover every claim that is added later. Some rules cannot be waived: those about waivers, and "
    "`evidence/incomplete`.",
    remedy="Correct the slug (`pruneaudit rules` lists them all), or name the claim.",
    waive="Never; correct the waiver.",
    nothing=_NONE,
)
def unknown(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """A waiver names a rule or claim that does not exist, no claim where one is needed, or what cannot be waived."""
    for waiver in of(case.audit):
        place = waiver.location.place
        problem = names_nothing(waiver, case.known_rules, case.audit.places)
        yield failed(f"{place}: {problem}") if problem else passed(f"{place}: {waiver.rule} exists")


@rule(
    "waiver",
    level="error",
    why="Whether a claim holds is what an audit is asked. Whoever makes the claim cannot accept for its readers that "
    "it does not hold, or that its own ground does not bear it: that is up to whoever sets the gate.",
    remedy="Correct the claim. Where the gate is to let it pass, put the waiver into the policy file that is given by "
    "`--policy`.",
    waive="Never; take the waiver out.",
    nothing=_NONE,
)
def of_a_verdict(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """A waiver that no policy of the command line has accepts that a claim is contradicted, vacuous or not backed."""
    without = refused(case.audit)
    for waiver in of(case.audit):
        subject = f"{waiver.location.place}: the waiver of {waiver.rule}"
        if waiver in without:
            yield failed(f"{subject} {REFUSED}")
        else:
            yield passed(f"{subject} is its author's to give")


@rule(
    "waiver",
    level="warning",
    why="A waiver that matches no finding is left over from an earlier state and will hide the next finding of "
    "its kind.",
    remedy="Take the waiver out.",
    waive="Never; take the waiver out.",
    nothing=_NONE,
)
def unmatched(case: AnyCase[AnyAudit]) -> Iterator[Result]:
    """A waiver matches no finding."""
    for number, waiver in enumerate(of(case.audit)):
        subject = f"{waiver.location.place}: the waiver of {waiver.rule}"
        if number in case.matched_waivers:
            yield passed(f"{subject} matches a finding")
        else:
            yield failed(f"{subject} matches no finding; expected one that is failed or open")
