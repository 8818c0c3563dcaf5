"""Rules about the card that lies beside the model: README.md of a folder or of a repository on the hub."""

from __future__ import annotations

from checker.core.facts import CardFacts
from checker.core.rule import Conclusion, Result, failed, not_applicable, passed, rule, undecided
from checker.judge.case import Case

_WRITE = "seal the run and write the block again: pruneaudit pack, pruneaudit card"


def _with_block(case: Case) -> CardFacts | Result:
    """The card beside the model; where it has no block that could be read, why not."""
    card = case.facts.model.card
    if card is None:
        return not_applicable("no README.md lies beside the model")
    if card.problem is not None:
        return undecided(f"README.md: {card.problem}")
    return card if card.block else not_applicable("README.md has no pruneaudit block")


@rule(
    "card",
    level="warning",
    why="Readers meet the card long before the report. A block that was made from another audit or from other weights "
    "vouches for numbers that nobody measured on this model.",
    remedy="Seal the finished run with `pruneaudit pack` and write the block again with `pruneaudit card`; in a "
    "release pipeline, `pruneaudit card PACK --card README.md --check` keeps the two together.",
    waive="While the audit file is being changed and the card is to follow before the release.",
)
def block_out_of_date(case: Case) -> Conclusion:
    """The card's pruneaudit block was made from another audit, or from other weights."""
    card = _with_block(case)
    if isinstance(card, Result):
        return card
    results = [
        failed(
            f"README.md: found a block of the {what} {_short(digest)}; expected {_short(audited)}, which is audited "
            f"here; {_WRITE}"
        )
        for what, digest, audited in (
            ("audit", card.audit_digest, case.figures["audit"]["digest"]),
            ("model", card.model_digest, case.figures["model"]["digest"]),
        )
        if digest != audited
    ]
    return results or passed("the block in README.md is of this audit and of these weights")


def _short(digest: str | None) -> str:
    return "without a digest" if digest is None else f"{digest[:12]}…" if len(digest) > 12 else digest


@rule(
    "card",
    level="warning",
    why="A block that says who measured it and holds figures that somebody typed borrows trust it does not have. Its "
    "digest shows a slip of the hand, and no more: whoever edits on purpose can compute it again, which only the pack "
    "shows.",
    remedy="Write the block again with `pruneaudit card`, and put your own words outside of its markers.",
    waive="Never, as long as the block keeps its markers; take them away, and the text is your own.",
)
def block_edited(case: Case) -> Result:
    """The card's pruneaudit block was changed after it was written."""
    card = _with_block(case)
    if isinstance(card, Result):
        return card
    if not card.edited:
        return passed("the block in README.md is as it was written")
    return failed(f"README.md: found a block that is not what its digest says; expected it as it was written; {_WRITE}")
