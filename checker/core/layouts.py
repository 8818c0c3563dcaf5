"""The one noun for every intervention, the layout; and which sets of blocks may be removed from a stack."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, pairwise


@dataclass(frozen=True, order=True)
class Place:
    """What runs at one place: a weighted sum of blocks' weights, in a slot. ``((1, 1.0),)`` at slot 2 is ``1@2``."""

    weights: tuple[tuple[int, float], ...]
    slot: int

    @classmethod
    def of(cls, block: int, slot: int | None = None) -> Place:
        return cls(((block, 1.0),), block if slot is None else slot)

    @property
    def own(self) -> bool:
        """Whether the slot runs its own block, unchanged."""
        return self.weights == ((self.slot, 1.0),)

    def __str__(self) -> str:
        if self.own:
            return str(self.slot)
        if len(self.weights) == 1 and self.weights[0][1] == 1.0:
            return f"{self.weights[0][0]}@{self.slot}"
        parts = ",".join(f"{block}:{_short(weight)}" for block, weight in self.weights)
        return f"mix({parts})@{self.slot}"


def _short(weight: float) -> str:
    text = repr(weight + 0.0).removesuffix(".0")  # + 0.0, because -0.0 equals 0.0 and must not be written otherwise
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


_PLACE = re.compile(r"(?:mix\((?P<mix>[^()]*)\)|(?P<block>\d+))(?:@(?P<slot>\d+))?", re.ASCII)
_PART = re.compile(r"(\d+):([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)", re.ASCII)


@dataclass(frozen=True, order=True)
class Layout:
    """What runs, in order: blocks in slots. Every intervention is one (design, 2).

    The text form is canonical: ``(0,2@1,1@2,3)`` swaps blocks 1 and 2 of a model of four.
    """

    places: tuple[Place, ...]

    @staticmethod
    @lru_cache(maxsize=16)  # every removal starts from it
    def base(blocks: int) -> Layout:
        """The unchanged stack of ``blocks`` blocks."""
        return Layout(tuple(Place.of(block) for block in range(blocks)))

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Reads the text form; ValueError where it is not one."""
        inner = text.strip()
        if not (inner.startswith("(") and inner.endswith(")")):
            raise ValueError(f"found layout {text!r}; expected something like (0,2@1,1@2,3)")
        # In two steps, each of which takes time in proportion to the text: it may come from a stranger.
        inner = re.sub(" +", " ", inner[1:-1].strip(" "))
        places, position, inner = [], 0, re.sub(r" ?([(),:@]) ?", r"\1", inner)
        while inner:
            match = _PLACE.match(inner, position)
            if match is None:
                expected = "a place, as in 3, 1@2 or mix(1:.5,2:.5)@1"
                raise ValueError(f"found layout {text!r}; expected {expected}, and found {inner[position:]!r}")
            places.append(_place(match, text))
            if match.end() == len(inner):
                break
            if inner[match.end()] != ",":
                raise ValueError(f"found layout {text!r}; expected a comma before {inner[match.end() :]!r}")
            position = match.end() + 1
        return cls(tuple(places))

    def without(self, blocks: Iterable[int]) -> Layout:
        """Deletes slots with their blocks; the kept ones keep their own slots."""
        gone = set(blocks)
        return Layout(tuple(place for place in self.places if place.slot not in gone))

    def with_weights(self, weights: Mapping[int, int | Mapping[int, float]]) -> Layout:
        """Puts other weights into slots: ``{slot: block}`` or ``{slot: {block: weight}}``."""

        def change(place: Place) -> Place:
            if place.slot not in weights:
                return place
            new = weights[place.slot]
            parts = {new: 1.0} if isinstance(new, int) else new
            return Place(tuple(sorted((block, float(weight)) for block, weight in parts.items())), place.slot)

        return Layout(tuple(change(place) for place in self.places))

    @property
    def slots(self) -> tuple[int, ...]:
        return tuple(place.slot for place in self.places)

    def removed(self, blocks: int) -> tuple[int, ...]:
        """The slots of a stack of ``blocks`` that it leaves out, ascending."""
        return tuple(sorted(set(range(blocks)) - set(self.slots)))

    def within(self, blocks: int) -> bool:
        """Whether a stack of ``blocks`` has its slots, each once and in order, and the blocks in them."""
        held = [block for place in self.places for block, _ in place.weights]
        ascending = all(low < high for low, high in pairwise(self.slots))
        return bool(held) and ascending and max(*held, *self.slots) < blocks

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return f"({','.join(str(place) for place in self.places)})"

    # Layouts are keys of every table of answers, so both are worked out once.
    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self.places)

    def __len__(self) -> int:
        return len(self.places)


def _place(match: re.Match[str], text: str) -> Place:
    if match["block"] is not None:
        block = int(match["block"])
        return Place.of(block, int(match["slot"]) if match["slot"] else None)
    if not match["slot"]:
        raise ValueError(f"found layout {text!r}; expected a slot after {match[0]!r}, as in {match[0]}@1")
    parts = [_PART.fullmatch(part) for part in match["mix"].split(",")]
    weights = {int(part[1]): float(part[2]) for part in parts if part is not None}
    if len(weights) < len(parts) or not all(math.isfinite(weight) for weight in weights.values()):
        expected = "each block once with a weight, as in mix(1:.5,2:.5)"
        raise ValueError(f"found layout {text!r}; expected {expected}, and found {match[0]!r}")
    return Place(tuple(sorted(weights.items())), int(match["slot"]))


@dataclass(frozen=True)
class Geometry:
    """The constraints on a removal set: index distance above ``spacing``, nothing from ``exclude``."""

    blocks: int
    spacing: int = 1
    exclude: tuple[int, ...] = ()

    @cached_property
    def candidates(self) -> tuple[int, ...]:
        return tuple(block for block in range(self.blocks) if block not in set(self.exclude))

    def allows(self, layers: Iterable[int]) -> bool:
        """Whether a set obeys the constraints (and leaves at least one block)."""
        chosen = sorted(layers)
        inside = all(layer in set(self.candidates) for layer in chosen)
        apart = all(b - a > self.spacing for a, b in pairwise(chosen))
        return inside and apart and len(set(chosen)) == len(chosen) < self.blocks

    def grown(self, layers: Iterable[int]) -> Iterator[tuple[int, ...]]:
        """The sets with one more block than ``layers`` that obey the constraints, by that block."""
        return filter(self.allows, (tuple(sorted((*layers, block))) for block in self.candidates))

    def count(self, budget: int) -> int:
        """How many sets of ``budget`` blocks the constraints leave."""
        return self._ways[budget][0] if 0 < budget < self.blocks else 0

    def nth(self, budget: int, rank: int) -> tuple[int, ...]:
        """The set number ``rank`` in lexicographic order, from 0; IndexError beyond the last."""
        if not 0 <= rank < self.count(budget):
            raise IndexError(rank)
        chosen: list[int] = []
        place, left = 0, budget
        while left:
            block = self.candidates[place]
            following = self._next(place)
            with_block = self._ways[left - 1][following]
            if rank < with_block:
                chosen.append(block)
                place, left = following, left - 1
            else:
                rank, place = rank - with_block, place + 1
        return tuple(chosen)

    @property
    def largest(self) -> int:
        """The largest budget that can be reached."""
        return max((budget for budget in range(1, self.blocks) if self.count(budget)), default=0)

    def _next(self, place: int) -> int:
        """The first candidate that may follow the one at ``place``."""
        return bisect_right(self.candidates, self.candidates[place] + self.spacing)

    @cached_property
    def _ways(self) -> list[list[int]]:
        """``ways[budget][place]``: sets of ``budget`` blocks among the candidates from ``place`` on."""
        end = len(self.candidates)
        ways = [[1] * (end + 1)]
        for _ in range(1, self.blocks):
            row = [0] * (end + 1)
            for place in range(end - 1, -1, -1):
                row[place] = row[place + 1] + ways[-1][self._next(place)]
            ways.append(row)
        return ways


def same_removal(left: Iterable[int], right: Iterable[int], twins: Iterable[Iterable[int]] = ()) -> bool:
    """Whether two sets of blocks leave the same weights; ``twins`` are groups of blocks with the very same weights."""
    first, second = set(left), set(right)
    for group in map(set, twins):
        if len(first & group) == len(second & group):
            second = (second - group) | (first & group)
    return first == second


def pairs_within(blocks: int, max_gap: int) -> tuple[tuple[int, int], ...]:
    """All pairs i < j of ``blocks`` blocks whose distance is at most ``max_gap``, in order."""
    return tuple((i, j) for i, j in combinations(range(blocks), 2) if j - i <= max_gap)
