"""The weights of a pruned checkpoint and of its base: the layout that makes the one of the other.

No model is built. Which base block each block is, what became of it, what else differs, and whether the configuration
fits the weights; what cannot be decided is open, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from checker.checkpoints.provenance.blocks import Parts, read_blocks
from checker.checkpoints.provenance.origins import Origin, origins, twins
from checker.checkpoints.provenance.outside import Outside, Setting, outside, settings
from checker.checkpoints.provenance.weights import Checkpoint, open_folder
from checker.core.errors import CannotRun, UsageError
from checker.core.layouts import Layout, Place, same_removal
from checker.core.words import enumerated

Agreement = Literal["agrees", "differs", "open"]
# What a way to choose slots costs, what counts most first. Single blocks: slots whose own block is used nowhere, slots
# of other blocks. Sums: slots of another kind, slots whose own block is used nowhere, slots that are not their first
# block's. All: how far they are from there.
_Cost = tuple[int, ...]


@dataclass(frozen=True)
class Provenance:
    """Where the weights of a checkpoint come from."""

    base: str  # the folder's name
    checkpoint: str
    base_blocks: int
    origins: tuple[Origin, ...]  # per block of the checkpoint, in order
    layout: Layout | None  # None where a block is open, or more blocks are there than the base has slots
    twins: tuple[tuple[int, ...], ...]  # base blocks with the very same weights
    outside: tuple[Outside, ...]
    settings: tuple[Setting, ...]

    @property
    def removed(self) -> tuple[int, ...]:
        """The base blocks whose weights stand nowhere, as far as no block is open."""
        kept = {number for origin in self.origins for number, _ in origin.parts}
        return tuple(number for number in range(self.base_blocks) if number not in kept)

    @property
    def merged(self) -> tuple[int, ...]:
        """The places of weighted sums of base blocks."""
        return tuple(place for place, origin in enumerate(self.origins) if origin.parts and origin.block is None)

    @property
    def retrained(self) -> tuple[int, ...]:
        """The places whose weights were changed after they were taken from the base."""
        return tuple(place for place, origin in enumerate(self.origins) if origin.retrained)

    @property
    def quantised(self) -> tuple[int, ...]:
        """The places whose weights are rounded to the grid of a quantised type, and otherwise what they were."""
        states = ("quantised", "merged and quantised")
        return tuple(place for place, origin in enumerate(self.origins) if origin.state in states)

    @property
    def types(self) -> str:
        """The quantised types that blocks are stored in; empty without."""
        found = (origin.through for origin in self.origins if "quantised" in origin.state)
        return ", ".join(sorted({kind for through in found for kind in (through or "").split(", ") if kind}))

    @property
    def in_part(self) -> tuple[str, ...]:
        """The tensors that were changed, by their short names, where that is few of each block that was changed."""
        changed = [self.origins[place].in_part for place in self.retrained]
        return tuple(sorted({name for names in changed for name in names})) if all(changed) else ()

    @property
    def share(self) -> float:
        """Of the parameters of a block, those of the tensors that were changed, where that is most."""
        return max((self.origins[place].share for place in self.retrained), default=0.0)

    @property
    def duplicated(self) -> tuple[int, ...]:
        """The base blocks that stand alone in more than one place."""
        counted = Counter(origin.block for origin in self.origins if origin.block is not None)
        return tuple(sorted(number for number, times in counted.items() if times > 1))

    @property
    def reordered(self) -> bool:
        """Whether base blocks stand in another order."""
        alone = [origin.block for origin in self.origins if origin.block is not None]
        return alone != sorted(alone)

    @property
    def undecided(self) -> tuple[int, ...]:
        """The places whose origin is open."""
        return tuple(place for place, origin in enumerate(self.origins) if origin.state == "open")

    @property
    def cut(self) -> bool:
        """Whether every block is one of the base's and they stand in the base's order, retrained or not."""
        return not (self.undecided or self.merged or self.duplicated or self.reordered)

    @property
    def touched(self) -> tuple[str, ...]:
        """The tensors outside of the block stack that hold other values than the base's, or may do so."""
        return tuple(tensor.name for tensor in self.outside if tensor.touched)

    @property
    def open(self) -> tuple[str, ...]:
        """What could not be decided, each with its reason."""
        return tuple(self._reasons())

    def _reasons(self) -> Iterator[str]:
        for place in self.undecided:
            yield f"block {place} of the checkpoint: {self.origins[place].reason}"
        for group in () if self.undecided else self.twins:
            if 0 < len(set(self.removed) & set(group)) < len(group):
                numbers = ", ".join(map(str, group))
                yield f"base blocks {numbers} have the very same weights, so which of them is gone cannot be told"
        if self.layout is None and not self.undecided:
            counts = f"the checkpoint has {len(self.origins)} blocks and the base {self.base_blocks}"
            yield f"{counts}, so that a layout has no slots for them all"
        yield from (f"{tensor.name}: {tensor.note}" for tensor in self.outside if tensor.state == "open")

    @property
    def done(self) -> list[str]:
        """What was done to the base's blocks, in a few words each."""
        if self.undecided:
            return [f"the origin of {in_words(self.undecided)} of {len(self.origins)} is open"]
        changed = f"changed in {enumerated(self.in_part)}" if self.in_part else "retrained"
        deeds = {
            f"{in_words(self.removed)} removed": self.removed,
            f"{len(self.merged)} merged": self.merged,
            f"{in_words(self.duplicated)} duplicated": self.duplicated,
            "blocks reordered": self.reordered,
            f"{len(self.retrained)} of {len(self.origins)} {changed}": self.retrained,
            f"quantised ({self.types})": self.types,
        }
        return [deed for deed, happened in deeds.items() if happened] or ["nothing done to its blocks"]

    def agreement(self, layers: Sequence[int]) -> tuple[Agreement, str]:
        """Whether the blocks are the base's without ``layers``, retrained or not, and why."""
        if self.undecided:
            return "open", self.open[0]
        if not self.cut:
            return "differs", f"the checkpoint is more than a removal: {', '.join(self.done)}"
        same = same_removal(layers, self.removed, self.twins)
        return "agrees" if same else "differs", f"the checkpoint lacks {in_words(self.removed)}"


def provenance(base: Path, checkpoint: Path) -> Provenance:
    """Where the weights of a checkpoint come from, held against the base's; both are read in pieces, at most twice.

    CannotRun where a folder, its configuration or its weights are missing, damaged or inconsistent.
    """
    source = open_folder(base)
    return compared(source, open_folder(checkpoint, like=source))


def compared(base: Checkpoint, checkpoint: Checkpoint) -> Provenance:
    """As ``provenance``, of two checkpoints whose headers were read already."""
    _check_base(base)
    sources = read_blocks(base)
    traced = tuple(origins(sources, read_blocks(checkpoint)))
    layout = layout_of([origin.parts for origin in traced], _kinds(base), _kinds(checkpoint))
    return Provenance(
        base.name,
        checkpoint.name,
        len(sources),
        traced,
        layout,
        tuple(sorted(set(twins(sources).values()))),
        tuple(outside(base, checkpoint)),
        tuple(settings(base, checkpoint, layout)),
    )


def _check_base(base: Checkpoint) -> None:
    numbers = list(base.blocks)
    if numbers != list(range(len(numbers))) or base.announced not in (None, len(numbers)):
        announced = "" if base.announced is None else f", as config.json says {base.announced}"
        raise CannotRun.at(
            base.place,
            f"{len(numbers)} blocks, numbered {numbers[0]} to {numbers[-1]}",
            f"a whole base model, numbered from 0 without a gap{announced}",
            "name the checkpoint that was pruned",
        )


def check_claim(comparison: Provenance, layers: Sequence[int]) -> None:
    """UsageError where blocks that are said to be removed are none of the base's."""
    if beyond := [layer for layer in layers if layer >= comparison.base_blocks]:
        raise UsageError.at(
            "--claim",
            f"block {beyond[0]}",
            f"blocks of {comparison.base}, from 0 to {comparison.base_blocks - 1}",
            "correct the number; the first block is 0",
        )


def layout_of(parts: Sequence[Parts], slots: Sequence[str], kinds: Sequence[str]) -> Layout | None:
    """The layout that these weighted sums make, in order; None where one is not known, or no slots are left.

    ``slots`` are the kinds of the base's slots, ``kinds`` those that the checkpoint says of its own. Weights tell no
    slots: taken are ascending ones, their own for as many single blocks as can be, and for weighted sums those of the
    right kind, then the nearest to their first block.
    """
    if not all(parts) or len(parts) > len(slots):
        return None
    used = {number for part in parts for number, _ in part}

    def cost(place: int, slot: int) -> _Cost:
        lead = parts[place][0][0]
        unused, away, distance = int(slot not in used), int(slot != lead), abs(slot - lead)
        if parts[place] == ((lead, 1.0),):
            return unused, away, 0, 0, 0, distance
        return 0, 0, int(kinds[place] != slots[slot]), unused, away, distance

    chosen = _cheapest(len(parts), len(slots), cost)
    return Layout(tuple(Place(part, slot) for part, slot in zip(parts, chosen, strict=True)))


def _kinds(checkpoint: Checkpoint) -> list[str]:
    """Per block, the kind of its slot as the configuration says it; the same for all where it says none."""
    kinds, blocks = checkpoint.config.get("layer_types"), len(checkpoint.blocks)
    return list(map(str, kinds)) if isinstance(kinds, list) and len(kinds) == blocks else [""] * blocks


def _cheapest(places: int, slots: int, cost: Callable[[int, int], _Cost]) -> list[int]:
    """Ascending slots for places, at the least cost in all; the lowest of those that cost the same."""
    # A dynamic programme over slots: the cheapest way to seat the places so far in slots up to this one either leaves
    # this slot free, as the way up to the slot before does, or adds it to the cheapest way of one place less below it.
    # That is a step for each place and slot, where the ways are as many as subsets; `chosen` leads back through them.
    best: list[tuple[_Cost, int]] = [((), -1)] * (slots + 1)  # per slot: the cheapest way that ends below it
    chosen: list[list[int]] = []
    for place in range(places):
        row: list[tuple[_Cost, int]] = [((places + 1,), -1)]  # more than any way costs
        for slot in range(slots):
            if place <= slot <= slots - places + place:
                added = cost(place, slot)
                whole = tuple(map(sum, zip_longest(best[slot][0], added, fillvalue=0)))
                row.append(min(row[-1], (whole, slot), key=lambda way: way[0]))
            else:
                row.append(row[-1])
        best = row
        chosen.append([slot for _, slot in row])
    taken, end = [], slots
    for row_of_slots in reversed(chosen):
        end = row_of_slots[end]
        taken.append(end)
    return taken[::-1]


def in_words(blocks: Sequence[int]) -> str:
    """Blocks as a message names them."""
    if not blocks:
        return "no block"
    return f"block{'s' if len(blocks) > 1 else ''} {', '.join(map(str, blocks))}"
