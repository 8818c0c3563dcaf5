"""Published pair scores -> the removal sets that a selection rule gives, over the choices that a source leaves unsaid.

Scores are intervals of printed precision. Blocks whose scores may be equal are tied; a tie rule decides
between the two blocks of one pair, and no rule decides between pairs that only look equal in the digits that are
printed: there every order is followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Literal

from checker.core.layouts import Geometry
from checker.core.words import enumerated
from checker.published.printed import Printed, mean, monotone
from checker.published.publication import Pair, Publication, Scores, SourceRule
from checker.selection.select import Selected, select

Ties = Literal["lower", "higher", "any"]
_least, _largest = partial(monotone, min), partial(monotone, max)
TIES: tuple[Ties, ...] = ("lower", "higher", "any")
SPACINGS = (0, 1, 2, 3)
SYMMETRIC = "symmetric"  # a protocol that has no direction
UNDECLARED = "undeclared"
_BLOCK_SCORES = ("least_over_partners", "mean_over_partners")
_TIE_WORDS: Mapping[tuple[Ties, ...], str] = {
    ("any",): "under some way of breaking ties",
    ("lower", "any"): "ties to the lower index",
    ("higher", "any"): "ties to the higher index",
    ("lower", "higher", "any"): "ties to either index",
}


@dataclass(frozen=True)
class Choice:
    """One way of coming from pair scores to a set: every choice made."""

    protocol: str
    symmetrisation: str  # a SourceRule's, or symmetric, forward, backward, undeclared
    score: str  # least_over_partners | mean_over_partners
    max_gap: int
    spacing: int
    ties: Ties


@dataclass(frozen=True)
class Table:
    """Scores of one protocol, by (block, partner): what the block gets from that partner."""

    protocol: str
    symmetrisation: str
    scores: Mapping[tuple[int, int], Printed]

    @cached_property
    def largest_gap(self) -> int:
        return max(abs(block - partner) for block, partner in self.scores)


@dataclass(frozen=True)
class Ranking:
    """Blocks in ascending order of score, in groups of those whose scores may be equal.

    ``apart`` says whether only the two blocks of a pair are ever tied, so that a tie rule settles everything.
    """

    groups: tuple[tuple[int, ...], ...]
    apart: bool

    def ranks(self, block: int) -> tuple[int, int] | None:
        """The first and the last rank that a block may have, from 1; None where it has no score."""
        before = 0
        for group in self.groups:
            if block in group:
                return before + 1, before + len(group)
            before += len(group)
        return None

    def sets(self, geometry: Geometry, budget: int, ties: Ties) -> Selected:
        """The sets that the order gives; at most 16 of them are named."""
        ties = ties if self.apart else "any"
        ranks = {block: float(place) for place, group in enumerate(self.groups) for block in group}
        if ties != "higher":
            return select(ranks, geometry, budget, "all" if ties == "any" else "lower")
        # In the mirror, where block 0 is the last, the higher of two blocks is the lower.
        last = geometry.blocks - 1
        mirrored = Geometry(geometry.blocks, geometry.spacing, tuple(last - block for block in geometry.exclude))
        selected = select({last - block: rank for block, rank in ranks.items()}, mirrored, budget, "lower")
        sets = tuple(tuple(sorted(last - block for block in chosen)) for chosen in selected.sets)
        return Selected(sets, selected.total, selected.counted)

    def gives(self, layers: Iterable[int], geometry: Geometry, ties: Ties) -> bool:
        """Whether a set is among those that the order gives, however many they are."""
        chosen = set(layers)
        if ties != "any" and self.apart:
            return tuple(sorted(chosen)) in self.sets(geometry, len(chosen), ties).sets
        return geometry.allows(chosen) and self._reaches(chosen, geometry)

    def _reaches(self, chosen: set[int], geometry: Geometry) -> bool:
        """Group by group: what is taken of it must leave nothing free, unless the budget is used up."""
        # Some order of a group takes exactly these blocks if they are free and leave no other free: put them first. So
        # one look at each group stands for all its orders, of which there are n! for n blocks.
        taken: set[int] = set()
        for group in self.groups:
            free = {block for block in group if block in geometry.candidates and _clear(block, taken, geometry)}
            taken |= chosen & free
            if taken == chosen:
                return True
            if any(_clear(block, taken, geometry) for block in free):
                return False
        return False


def _clear(block: int, taken: set[int], geometry: Geometry) -> bool:
    return block not in taken and all(abs(block - other) > geometry.spacing for other in taken)


def tables(publication: Publication, model: str) -> tuple[Table, ...]:
    """A model's scores by protocol and symmetrisation: those that are published, and those that follow from them.

    Archived scores, which have more digits, come before printed ones; scores of single checkpoints are left out.
    """
    own = [scores for scores in publication.scores if scores.model == model and not scores.checkpoint and scores.rows]
    own.sort(key=lambda scores: not scores.archive)
    by_kind: dict[tuple[str, str], Table] = {}
    for protocol in dict.fromkeys(scores.protocol for scores in own):
        for table in _of_protocol(protocol, [scores for scores in own if scores.protocol == protocol]):
            by_kind.setdefault((table.protocol, table.symmetrisation), table)
    return tuple(by_kind.values())


def _of_protocol(protocol: str, published: Sequence[Scores]) -> Iterator[Table]:
    if protocol != "replacement":
        for scores in published:
            yield Table(protocol, SYMMETRIC, _both_ways(scores.by_pair))
        return
    later = {"forward": 1, "backward": 2}  # than scores without one direction
    for scores in sorted(published, key=lambda scores: later.get(scores.direction, 0)):
        yield Table(protocol, scores.direction, _both_ways(scores.by_pair))
    directed = {scores.direction: scores.by_pair for scores in reversed(published)}  # the first of each counts
    forward, backward = directed.get("forward", {}), directed.get("backward", {})
    if pairs := forward.keys() & backward.keys():
        yield from _directed({pair: (forward[pair], backward[pair]) for pair in sorted(pairs)})


def _directed(both: Mapping[Pair, tuple[Printed, Printed]]) -> Iterator[Table]:
    """What follows from the two directions; forward is i<-j, so it is what block i gets from partner j."""
    into = {(i, j): forward for (i, j), (forward, _) in both.items()}
    into |= {(j, i): backward for (i, j), (_, backward) in both.items()}
    yield Table("replacement", "into", into)
    for name, pick in (("max", _largest), ("mean", mean), ("min", _least)):
        yield Table("replacement", name, _both_ways({pair: pick(values) for pair, values in both.items()}))


def _both_ways(scores: Mapping[Pair, Printed]) -> dict[tuple[int, int], Printed]:
    return {way: value for (i, j), value in scores.items() for way in ((i, j), (j, i))}


def ranking(table: Table, score: str, max_gap: int) -> Ranking:
    """Blocks by their score over partners at most ``max_gap`` away; a block without such a partner has no rank."""
    partners: dict[int, dict[int, Printed]] = {}
    for (block, partner), value in table.scores.items():
        if abs(block - partner) <= max_gap:
            partners.setdefault(block, {})[partner] = value
    pick = _least if score == "least_over_partners" else mean
    scores = {block: pick(list(values.values())) for block, values in partners.items()}
    groups = _groups(scores)
    apart = all(len(group) == 1 or _one_pair(group, table, scores, score) for group in groups)
    return Ranking(groups, apart)


def _groups(scores: Mapping[int, Printed]) -> tuple[tuple[int, ...], ...]:
    """Neighbours in the order whose intervals overlap stand together; intervals that only touch are apart, as those of
    0.21 and 0.22 are."""
    # In the order of lower ends, a block joins the group if it begins below the highest end so far. Two blocks of one
    # group may well be told apart, if others between them join them.
    groups: list[list[int]] = []
    reach = None
    for block in sorted(scores, key=lambda block: (scores[block].low, scores[block].high, block)):
        own = scores[block]
        if reach is not None and (own.low < reach or own.low == own.high == reach):
            groups[-1].append(block)
            reach = max(reach, own.high)
        else:
            groups.append([block])
            reach = own.high
    return tuple(tuple(sorted(group)) for group in groups)


def _one_pair(group: Sequence[int], table: Table, scores: Mapping[int, Printed], score: str) -> bool:
    """Whether two blocks are tied because one pair is the least of both."""
    if len(group) != 2 or score != "least_over_partners" or table.symmetrisation == "into":
        return False
    own = table.scores.get((group[0], group[1]))
    return own == scores[group[0]] == scores[group[1]]


class Search:
    """The sets that a model's published scores give, choice by choice; rankings are made once."""

    def __init__(self, publication: Publication, model: str) -> None:
        self.tables = {(table.protocol, table.symmetrisation): table for table in tables(publication, model)}
        known = [block for table in self.tables.values() for block, _ in table.scores]
        self.blocks = publication.models[model].blocks or max(known, default=0) + 1
        self._rankings: dict[tuple[str, str, str, int], Ranking] = {}

    def stated(self, rule: SourceRule, protocol: str) -> list[Choice]:
        """The choices that fit what a source states, with every one that it leaves unsaid; none without scores."""
        fit = [
            table
            for (own, symmetrisation), table in self.tables.items()
            if own == protocol
            and (symmetrisation in (SYMMETRIC, UNDECLARED) or rule.symmetrisation in (None, symmetrisation))
            and (rule.max_gap or 1) <= table.largest_gap
        ]
        spacings = SPACINGS if rule.spacing is None else (rule.spacing,)
        return self._choices(fit, rule, spacings, (rule.ties,) if rule.ties else TIES, rule.max_gap)

    def every(self, rule: SourceRule) -> list[Choice]:
        """Every protocol, symmetrisation, largest gap, spacing and tie rule; the block score stays the stated one."""
        return self._choices(self.tables.values(), rule, sorted({*SPACINGS, rule.spacing or 0}), TIES)

    def _choices(
        self,
        fit: Iterable[Table],
        rule: SourceRule,
        spacings: Sequence[int],
        ties: Sequence[Ties],
        gap: int | None = None,
    ) -> list[Choice]:
        # The product of all that is open. Spacing and tie rule do not change a ranking, so each ranking is made once
        # and serves a dozen choices.
        block_scores = (rule.score,) if rule.score else _BLOCK_SCORES
        return [
            Choice(table.protocol, table.symmetrisation, *chosen)
            for table in fit
            for chosen in product(block_scores, [gap] if gap else range(1, table.largest_gap + 1), spacings, ties)
        ]

    def ranking(self, choice: Choice) -> Ranking:
        key = (choice.protocol, choice.symmetrisation, choice.score, choice.max_gap)
        if key not in self._rankings:
            self._rankings[key] = ranking(self.tables[key[:2]], choice.score, choice.max_gap)
        return self._rankings[key]

    def sets(self, choice: Choice, rule: SourceRule, budget: int) -> Selected:
        return self.ranking(choice).sets(self._geometry(choice, rule), budget, choice.ties)

    def gives(self, choice: Choice, rule: SourceRule, layers: Iterable[int]) -> bool:
        return self.ranking(choice).gives(layers, self._geometry(choice, rule), choice.ties)

    def _geometry(self, choice: Choice, rule: SourceRule) -> Geometry:
        return Geometry(self.blocks, choice.spacing, rule.exclude)


def in_words(choices: Iterable[Choice]) -> list[str]:
    """Choices in words; those that differ in largest gap, spacing and tie rule alone stand together where they can."""
    ties: dict[tuple[str, str, str], dict[tuple[int, int], list[Ties]]] = {}
    for choice in choices:
        key = (choice.protocol, choice.symmetrisation, choice.score)
        ties.setdefault(key, {}).setdefault((choice.max_gap, choice.spacing), []).append(choice.ties)
    words = []
    for (protocol, symmetrisation, score), by_place in ties.items():
        of = protocol if symmetrisation == SYMMETRIC else f"{protocol} ({symmetrisation})"
        kind = "" if score == "least_over_partners" else ", mean over partners"
        for gaps, spacings, rules in _together(by_place):
            tie_rule = _TIE_WORDS.get(rules) or f"ties to the {' or '.join(rules)} index"
            gap, spacing = enumerated(gaps, "or"), enumerated(spacings, "or")
            words.append(f"{of}{kind}, largest gap {gap}, spacing {spacing}, {tie_rule}")
    return words


def _together(
    by_place: Mapping[tuple[int, int], Sequence[Ties]],
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[Ties, ...]]]:
    """Gaps and spacings that the same tie rules go with: first spacings of one gap, then gaps of the same spacings."""
    by_gap: dict[tuple[int, tuple[Ties, ...]], list[int]] = {}
    for (gap, spacing), rules in by_place.items():
        by_gap.setdefault((gap, tuple(rules)), []).append(spacing)
    alike: dict[tuple[tuple[int, ...], tuple[Ties, ...]], list[int]] = {}
    for (gap, rules_of_gap), spacings in by_gap.items():
        alike.setdefault((tuple(spacings), rules_of_gap), []).append(gap)
    yield from ((tuple(gaps), spacings, rules) for (spacings, rules), gaps in alike.items())
