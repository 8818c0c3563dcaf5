"""Every rule over the evidence, waivers applied: stored answers -> the report, without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from checker.core.records import Audit, Policy
from checker.core.store import Store
from checker.core.words import counted
from checker.judge import findings, waivers
from checker.judge.claims.backing import of_named
from checker.judge.evidence import stored_evidence
from checker.judge.findings import Conclusions, exit_code, outcome_of
from checker.judge.form import AuditOutcome, ClaimRow, Report, ReportFigures
from checker.judge.origin import origin_of
from checker.judge.report import report_figures
from checker.judge.rules import MEASURED, RULES, Case
from checker.spec import policies

__all__ = ["exit_code", "judge", "outcome_of"]


def judge(audit: Audit, store: Store, today: date | None = None) -> Report:
    """The report of an audit, from stored evidence.

    Raises EvidenceMissing where this model was never measured in this store; everything less than that is *open* in the
    report, with the reason. Raises EvidenceDamaged where stored bytes do not match their digests.
    """
    evidence = stored_evidence(audit, store)
    environment = store.read_record("environment", audit.name)
    origin = origin_of(store, evidence.audit, evidence.facts)
    figures, gaps = report_figures(evidence, environment, origin)
    day = (today or date.today()).isoformat()
    conclusions = findings.conclude(MEASURED, Case(evidence.audit, day, RULES, evidence.facts, figures, gaps))
    outcome = outcome_of(conclusions.findings, audit.policy.fail_on)
    return {
        "format": "pruneaudit/report/1",
        "title": audit.title,
        "outcome": outcome,
        "summary": _summary(outcome, figures, conclusions, audit.policy),
        **figures,
        "policy": policies.row(audit.policy),
        "waivers": [waivers.row(standing) for standing in conclusions.standings],
        "findings": [findings.row(finding) for finding in conclusions.findings],
    }


_REGIMES = {
    "divergent": "the two tests of redundancy diverge on this checkpoint",
    "reversed": "interchange is the stricter of the two tests of redundancy on this checkpoint",
    "low": "neighbouring blocks can stand in for each other on this checkpoint",
    "high": "neighbouring blocks cannot stand in for each other on this checkpoint, and no gap between the two tests "
    "of redundancy is shown",
    "open": "how the two tests of redundancy relate is not decided",
}
_RULES = {"contradicted": "claim/contradicted", "open": "claim/undecided"}
_BE = ("is", "are")


def _summary(outcome: AuditOutcome, figures: ReportFigures, conclusions: Conclusions, policy: Policy) -> str:
    """The verdict in one sentence: what came out, and what stands against the claims first."""
    came_out = findings.came_out(outcome, policy, list(_against(figures["claims"])), conclusions.findings)
    regime, counts = _REGIMES[figures["regime"]["metric"]["name"]], conclusions.counts
    if not any(row["comparable"] for row in figures["pairs"] if row["gap"] == 1):
        regime = "no neighbouring blocks are comparable"
    numbers = f"{counted(counts['fail'], 'finding')} failed and {counts['open']} open"
    parts = (*_of_claims(figures["claims"]), regime, ", ".join(filter(None, (numbers, conclusions.waived))))
    return f"{came_out}: {'; '.join(parts)}."


def _against(claims: Sequence[ClaimRow]) -> Iterator[findings.About]:
    """What stands against the claims, by the rules whose own level would let no audit pass with it."""
    for claim in claims:
        if claim["verdict"] != "supported":
            yield _RULES[claim["verdict"]], claim["id"]
        if of_named(claim)[0] in ("no", "open"):
            yield "claim/not-backed", claim["id"]


def _of_claims(claims: Sequence[ClaimRow]) -> Iterator[str]:
    """How many claims have which verdict, the worst first, and how many their own protocol does not back."""
    if not claims:
        yield "it makes no claims"
        return
    verdicts = Counter(claim["verdict"] for claim in claims)
    found = [(verdicts[name], name) for name in ("contradicted", "open", "supported") if verdicts[name]]
    if len(found) == 1:
        yield f"the one claim is {found[0][1]}" if len(claims) == 1 else f"all {len(claims)} claims are {found[0][1]}"
    else:
        (first, word), *rest = found
        further = "".join(f", {number} {_BE[number > 1]} {name}" for number, name in rest)
        yield f"{first} of {len(claims)} claims {_BE[first > 1]} {word}{further}"
    if unbacked := sum(of_named(claim)[0] == "no" for claim in claims):
        which = "it" if len(claims) == 1 else f"{unbacked} of {len(claims)} claims"
        names = "it names" if unbacked == 1 else "they name"
        yield f"{which} {_BE[unbacked > 1]} not backed by the protocol {names}"
