"""The nouns of published numbers: what a source states, each item with the place where it stands.

A ``where`` is a place in the source, a ``location`` one in the audit file. None means that neither the audit file nor,
as far as it says, the source gives a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, TypeVar

from checker.checkpoints.config_sizes import ConfigSizes
from checker.core.records import Location, Policy, Waiver
from checker.published.printed import Printed

UNSTATED = "unstated"
Pair = tuple[int, int]  # i < j
Ends = tuple[Printed, Printed]
Protocol = Literal["interchange", "replacement", "deletion", "averaging"]
Direction = Literal["forward", "backward", "max", "mean", "undeclared"]
Positions = Literal["all", "last", "undeclared"]
Quantity = Literal["perplexity", "increase"]
S = TypeVar("S", bound="Statement")


@dataclass(frozen=True)
class Source:
    """Who published the numbers, and which version of it was read."""

    title: str
    authors: tuple[str, ...] = ()
    url: str | None = None
    revision: str | None = None
    accessed: str | None = None  # ISO date


@dataclass(frozen=True)
class Caveat:
    """What the source says itself of its numbers' limits."""

    says: str
    where: str


@dataclass(frozen=True)
class PublishedModel:
    id: str
    name: str
    location: Location
    blocks: int | None = None
    config: ConfigSizes | None = None


@dataclass(frozen=True)
class PublishedContract:
    """What the source says of how a perplexity was measured; ``unstated`` names what it leaves unsaid."""

    id: str
    location: Location
    text: str | None = None
    words: int | None = None
    window: int | None = None  # tokens
    stride: int | None = None  # tokens
    tokenizer: str | None = None
    boundary: str | None = None
    special_tokens: str | None = None
    dtype: str | None = None
    unstated: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Baseline:
    """The perplexity of an unchanged model under a contract."""

    id: str
    model: str  # key in Publication.models
    contract: str  # key in Publication.contracts
    perplexity: Printed
    where: str
    location: Location
    interval: Ends | None = None  # of the perplexity
    windows: int | None = None
    table: str | None = None
    archive: bool = False

    increase: ClassVar[None] = None
    interval_unit: ClassVar[Literal["perplexity"]] = "perplexity"


@dataclass(frozen=True)
class Score:
    """The score of one pair, in nats, with the ends of its interval where there is one."""

    i: int
    j: int
    value: Printed
    interval: Ends | None = None


@dataclass(frozen=True)
class Scores:
    """A table of pair scores of one protocol, in the order of the source."""

    id: str
    model: str
    protocol: Protocol
    rows: tuple[Score, ...]
    where: str
    location: Location
    direction: Direction = "undeclared"  # forward is i<-j, position i runs block j, i < j
    positions: Positions = "undeclared"
    prompts: int | None = None
    text: str | None = None
    dtype: str | None = None
    checkpoint: str | None = None
    max_gap: int | None = None
    interval_of: Direction | None = None  # None: of the scores beside them
    archive: bool = False

    @cached_property
    def by_pair(self) -> Mapping[Pair, Printed]:
        return {(row.i, row.j): row.value for row in self.rows}

    def within(self, gap: int | None) -> Mapping[Pair, Printed]:
        """The scores of pairs exactly ``gap`` blocks apart; all where it is None."""
        return {(i, j): value for (i, j), value in self.by_pair.items() if gap in (None, j - i)}


@dataclass(frozen=True)
class Removal:
    """Blocks that were removed, and what it cost."""

    id: str
    model: str
    method: str  # as the source calls it; random is a random control
    where: str
    location: Location
    protocol: Protocol | None = None
    search: Literal["one_shot", "iterative", "unstated"] = "unstated"
    rule: str | None = None  # id of the selection rule that chose the blocks
    budget: int | None = None
    layers: tuple[int, ...] | None = None  # ascending
    contract: str | None = None
    perplexity: Printed | None = None
    increase: Printed | None = None  # percent
    interval: Ends | None = None  # in ``interval_unit``
    interval_unit: Literal["perplexity", "percent", "undeclared"] = "undeclared"
    windows: int | None = None
    selected_on: str | None = None  # name of a text, or unstated
    calls: int | None = None
    prompts: int | None = None
    positions: Positions = "undeclared"
    direction: Direction = "undeclared"
    seeds: int | None = None
    bold: bool = False
    archive: bool = False
    table: str | None = None

    def figure(self, quantity: Quantity) -> Printed | None:
        return self.perplexity if quantity == "perplexity" else self.increase


@dataclass(frozen=True)
class SourceRule:
    """A selection rule as the source states it; None is a choice it leaves unsaid, so every one is tried."""

    id: str
    where: str
    location: Location
    models: tuple[str, ...] = ()  # empty: all
    protocols: tuple[Protocol, ...] = ()  # empty: all
    says: str | None = None
    score: Literal["least_over_partners", "mean_over_partners"] | None = None
    symmetrisation: Literal["into", "max", "mean", "min"] | None = None
    spacing: int | None = None
    exclude: tuple[int, ...] = ()
    max_gap: int | None = None
    ties: Literal["lower", "higher"] | None = None

    def speaks_of(self, removal: Removal) -> bool:
        """Whether it is said to have chosen a removal's blocks."""
        if removal.rule is not None:
            return removal.rule == self.id
        of_model = not self.models or removal.model in self.models
        return of_model and removal.protocol is not None and (not self.protocols or removal.protocol in self.protocols)


@dataclass(frozen=True)
class Statement:
    """A sentence of the source that its numbers bear out or not."""

    id: str
    says: str
    where: str
    location: Location
    model: str | None = field(default=None, kw_only=True)
    gap: int | None = field(default=None, kw_only=True)  # only pairs exactly so far apart


@dataclass(frozen=True)
class Universal(Statement):
    """``relation`` holds of every pair: of ``left`` to ``right``, or to ``bound``, which is exact."""

    left: str  # id of scores
    relation: Literal["at_most", "below", "at_least", "above"]
    right: str | None = None  # id of scores
    bound: Printed | None = None


@dataclass(frozen=True)
class Count(Statement):
    """So many pairs have a score from ``at_least`` (inclusive) to ``below`` (exclusive); both bounds are exact."""

    scores: str
    count: int
    of: int | None = None
    below: Printed | None = None
    at_least: Printed | None = None


@dataclass(frozen=True)
class Ratio(Statement):
    """``left`` over ``right``; of removals, of their ``quantity``. ``of`` None: the kind of ratio is unstated."""

    value: Printed
    left: str  # id of scores or of a removal
    right: str
    of: Literal["mean_of_ratios", "ratio_of_means", "geometric_mean", "median_of_ratios", "ratio_of_medians"] | None = (
        None
    )
    quantity: Quantity = "increase"


Coefficient = Literal["pearson", "spearman", "kendall"]


@dataclass(frozen=True)
class Correlation(Statement):
    """Of two tables pair by pair, or (``left`` and ``right`` None) of columns that the source does not publish."""

    left: str | None = None  # id of scores
    right: str | None = None
    coefficient: Coefficient | None = None  # None: unstated
    value: Printed | None = None
    p: Printed | None = None
    sign: Literal["positive", "negative"] | None = None


@dataclass(frozen=True)
class PValue(Statement):
    """The p-value of a test, from its own numbers or from two tables of scores."""

    test: Literal["sign", "correlation"]
    value: Printed | None = None
    at_most: Printed | None = None
    sides: Literal["one", "two"] | None = None  # None: unstated
    successes: int | None = None  # sign test
    trials: int | None = None  # sign test
    coefficient: Coefficient | None = None
    correlation: Printed | None = None
    observations: int | None = None  # of the correlation
    left: str | None = None  # id of scores
    right: str | None = None


@dataclass(frozen=True)
class Extremum(Statement):
    """A pair of ``scores``, or a removal among ``removals``, has the least or the greatest figure."""

    of: Literal["least", "greatest"]
    scores: str | None = None
    pair: Pair | None = None
    removals: tuple[str, ...] = ()
    removal: str | None = None
    quantity: Quantity = "increase"
    value: Printed | None = None


@dataclass(frozen=True)
class Overlap(Statement):
    """The intervals of every two of these removals overlap, or those of no two do."""

    of: tuple[str, ...]
    overlaps: bool


@dataclass(frozen=True)
class Sum(Statement):
    """Parts and their total: printed numbers, or counts, which nobody rounded (they are exact then)."""

    parts: tuple[Printed, ...]
    total: Printed


@dataclass(frozen=True)
class Trend(Statement):
    """A figure of tables moves one way in the order given: of the tables, of their difference from ``against``, or of
    the ratio to it."""

    scores: tuple[str, ...]
    direction: Literal["increasing", "decreasing", "constant"]
    against: tuple[str, ...] = ()
    figure: Literal["value", "difference", "ratio"] = "value"
    of: Literal["mean", "median", "geometric_mean"] = "mean"


@dataclass(frozen=True)
class OfPruned(Statement):
    """A number of the pruned model ``of`` beside the unpruned ``model``; both are keys in Publication.models."""

    of: str


@dataclass(frozen=True)
class Blocks(OfPruned):
    """It has ``removed`` blocks less, which are ``layers`` where the source names them."""

    removed: int
    layers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Parameters(OfPruned):
    """It has so many parameters less, in number or in percent of the unpruned model's, or so many in all."""

    fewer: Printed | None = None
    fewer_percent: Printed | None = None
    total: Printed | None = None


STATEMENTS: Mapping[str, type[Statement]] = {
    "universal": Universal, "count": Count, "ratio": Ratio, "correlation": Correlation, "p_value": PValue,
    "extremum": Extremum, "overlap": Overlap, "blocks": Blocks, "parameters": Parameters, "sum": Sum, "trend": Trend,
}  # fmt: skip

Item = Baseline | Scores | Removal | SourceRule | Statement  # what findings and waivers refer to by id


@dataclass(frozen=True)
class Publication:
    """An audit of published numbers: an audit file with `published:`, checked."""

    name: str
    title: str
    path: str
    text: str  # the file, verbatim
    overrides: tuple[tuple[str, str], ...]
    source: Source
    models: Mapping[str, PublishedModel]
    waivers: tuple[Waiver, ...]
    policy: Policy
    contracts: Mapping[str, PublishedContract] = field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()
    scores: tuple[Scores, ...] = ()
    removals: tuple[Removal, ...] = ()
    rules: tuple[SourceRule, ...] = ()
    statements: tuple[Statement, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # of scores: base name, sha256

    @cached_property
    def places(self) -> Mapping[str, Location]:
        """Where each item with an id stands in the audit file."""
        items: tuple[Item, ...] = (*self.baselines, *self.scores, *self.removals, *self.rules, *self.statements)
        return {item.id: item.location for item in items}

    @cached_property
    def scores_by_id(self) -> Mapping[str, Scores]:
        return {scores.id: scores for scores in self.scores}

    @cached_property
    def removals_by_id(self) -> Mapping[str, Removal]:
        return {removal.id: removal for removal in self.removals}

    def statements_of(self, kind: type[S]) -> Iterator[S]:
        return (statement for statement in self.statements if isinstance(statement, kind))

    def baselines_of(self, model: str, contract: str | None) -> tuple[Baseline, ...]:
        """The baselines of a model under a contract; none where the contract is None."""
        return tuple(each for each in self.baselines if (each.model, each.contract) == (model, contract))
