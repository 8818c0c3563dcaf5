"""Rules about the card that lies beside the model: README.md of a folder or of a repository on the hub."""

from __future__ import annotations

from collections.abc import Iterator

from checker.core.facts import CardFacts
from checker.core.rule import Result, failed, not_applicable, passed, rule, undecided
from checker.judge.case import Case

_WRITE = "seal the run and write the block again: pruneaudit pack, pruneaudit card"


def _unread(case: Case) -> Result | None:
    """Why the card says nothing; None where it was read."""
    card = case.facts.model.card
    if card is None:
        return not_applicable("no README.md lies beside the model")
    if card.problem is not None:
        return undecided(f"README.md: {card.problem}")
    return None


def _read(case: Case) -> CardFacts:
    card = case.facts.model.card
    assert card is not None
    return card


@rule(
    "card",
    level="warning",
    why="Readers meet the card long before the report. A block that was made from another audit or from other weights "
    "vouches for numbers that nobody measured on this model.",
    remedy="Seal the finished run with `pruneaudit pack` and write the block again with `pruneaudit card`; in a "
    "release pipeline, `pruneaudit card PACK --card README.md --check` keeps the two together.",
    waive="While the audit file is being changed and the card is to follow before the release.",
)
def block_out_of_date(case: Case) -> Iterator[Result]:
    """The card's pruneaudit block was made from another audit, or from other weights."""
    if unread := _unread(case):
        yield unread
        return
    card, figures = _read(case), case.figures
    if not card.block:
        yield not_applicable("README.md has no pruneaudit block")
        return
    named = {
        "audit": (card.audit_digest, figures["audit"]["digest"]),
        "model": (card.model_digest, figures["model"]["digest"]),
    }
    other = [what for what, (found, expected) in named.items() if found != expected]
    for what in other:
        found, expected = named[what]
        yield failed(
            f"README.md: found a block of the {what} {_short(found)}; expected {_short(expected)}, which is audited "
            f"here; {_WRITE}"
        )
    if not other:
        yield passed("the block in README.md is of this audit and of these weights")


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
def block_edited(case: Case) -> Iterator[Result]:
    """The card's pruneaudit block was changed after it was written."""
    if unread := _unread(case):
        yield unread
    elif not _read(case).block:
        yield not_applicable("README.md has no pruneaudit block")
    elif _read(case).edited:
        yield failed("README.md: found a block that is not what its digest says; expected it as it was written; "
                     f"{_WRITE}")  # fmt: skip
    else:
        yield passed("the block in README.md is as it was written")
