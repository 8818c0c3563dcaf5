"""What stands in two places: units of a text that repeat earlier ones, and two texts that overlap, in any script.

Texts are compared by their letters alone, so that no comma, space or hidden character keeps a copy from being one; by
their token ids where they have too few letters. Either is a row of *signs* here. N signs take O(N log N), and at most
90 bytes each. Of more than ``MOST`` signs, only runs are compared that their own hash chooses: a run that is found
was there, though a longer one may be missed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

RUN = 32  # signs; what two places share by more than chance: some seven words, or half a Chinese sentence
HALF = 0.5  # of a unit's signs: from here on it stands elsewhere
FEWEST = 0.25  # letters per token, below which a unit is compared by its tokens
MOST = 8_000_000  # signs of both texts that are compared run by run

# Of letters and marks, those that no page shows: joiners, fillers of Hangul, selectors of a variant.
_HIDDEN = frozenset(chain((0x34F, 0x115F, 0x1160, 0x3164, 0xFFA0), range(0x180B, 0x1810), range(0xFE00, 0xFE10)))
_CUT = "\ufffd"  # what a decoder gives for bytes that are no whole letter
_SELECTORS = range(0xE0100, 0xE01F0)

_Signs = NDArray[np.uint64]
_Places = NDArray[np.intp]


@dataclass(frozen=True)
class Stretch:
    """What a unit adds to its text: a prompt whole, of a window what no earlier one holds."""

    ids: tuple[int, ...]
    letters: str

    @property
    def has_letters(self) -> bool:
        return len(self.letters) >= FEWEST * len(self.ids)


class Overlap(NamedTuple):
    """How much of an evaluation text stands in another one."""

    letters: int = 0  # in the longest run that both share
    tokens: int = 0  # likewise
    windows: float = 0.0  # the share of windows of which at least half stands there


def stretches(parts: Sequence[Sequence[int]], tokenizer: Any) -> tuple[Stretch, ...]:
    """Parts of a text, in token ids, with their letters."""
    texts = _decoded(parts, tokenizer)
    return tuple(Stretch(tuple(ids), letters(text)) for ids, text in zip(parts, texts, strict=True))


def _decoded(parts: Sequence[Sequence[int]], tokenizer: Any) -> Iterator[str]:
    """The text of each part; a letter that is cut in two, as some take several tokens, belongs to the first of them."""
    taken = 0  # tokens that the part before took
    for ids, following in pairwise([*parts, ()]):
        own = list(ids[taken:])
        text, taken = tokenizer.decode(own, skip_special_tokens=True), 0
        for more in range(1, 1 + min(3, len(following)) * text.endswith(_CUT)):
            longer = tokenizer.decode([*own, *following[:more]], skip_special_tokens=True)
            if longer.count(_CUT) < text.count(_CUT):
                text, taken = longer, more
                break
        yield text


def letters(text: str) -> str:
    """The letters, digits and marks that a text shows, in the one form that Unicode has for each, without case."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    shown = apart.translate({ord(sign): None for sign in set(apart) if not _shows(sign)})
    return unicodedata.normalize("NFC", shown)


def _shows(sign: str) -> bool:
    hidden = ord(sign) in _HIDDEN or ord(sign) in _SELECTORS
    return unicodedata.category(sign)[0] in "LNM" and not hidden


def same(prompts: Sequence[Stretch]) -> set[int]:
    """Numbers of the prompts that are an earlier one again, in its letters or its token ids."""
    again: set[int] = set()
    known: set[object] = set()
    for number, prompt in enumerate(prompts):
        names = {prompt.ids, prompt.letters} if prompt.has_letters else {prompt.ids}
        if not known.isdisjoint(names):
            again.add(number)
        known |= names
    return again


def repeated(units: Sequence[Stretch]) -> set[int]:
    """Numbers of the units of which at least half stands in earlier ones, by runs of ``RUN`` signs."""
    return set(np.flatnonzero(_shares(units, None) >= HALF).tolist())


def overlap(evaluation: Sequence[Stretch], other: Sequence[Stretch]) -> Overlap:
    """How much of an evaluation text's windows stands in the units of another text."""
    in_letters = longest_shared_run(_letters(evaluation).signs, _letters(other).signs)
    in_tokens = longest_shared_run(_tokens(evaluation).signs, _tokens(other).signs)
    there = _shares(evaluation, other) >= HALF
    return Overlap(in_letters, in_tokens, float(there.mean()) if there.size else 0.0)


def longest_shared_run(one: _Signs, other: _Signs) -> int:
    """Length of the longest run of signs that stands in both rows.

    Rows that share a run share every shorter one, so that each length tried halves those left.
    """
    step = _step(one.size + other.size)
    runs, others = _Runs(one), _Runs(other)
    shared, beyond = 0, min(one.size, other.size) + 1
    while beyond - shared > 1:
        length = (shared + beyond) // 2
        if _meet(runs.hashed(length, step)[1], others.hashed(length, step)[1]):
            shared = length
        else:
            beyond = length
    return shared


def _meet(one: _Signs, other: _Signs) -> bool:
    """Whether two rows of hashes share one: sorted together, an even one stands right before its odd twin."""
    odd = np.uint64(1)
    both = np.sort(np.concatenate([one & ~odd, other | odd]))
    return bool((both[1:] ^ both[:-1] == odd).any())


# --- shares of units -------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """The signs of all units of a text, one after another, and where each unit begins; the last entry is the end."""

    signs: _Signs
    starts: _Places


def _letters(units: Sequence[Stretch]) -> _Row:
    codes = np.frombuffer("".join(unit.letters for unit in units).encode("utf-32-le", "surrogatepass"), np.uint32)
    return _Row(codes.astype(np.uint64), _starts(len(unit.letters) for unit in units))


def _tokens(units: Sequence[Stretch]) -> _Row:
    ids = np.fromiter(chain.from_iterable(unit.ids for unit in units), np.uint64)
    return _Row(ids, _starts(len(unit.ids) for unit in units))


def _starts(lengths: Iterable[int]) -> _Places:
    return np.cumsum([0, *lengths], dtype=np.intp)


def _shares(units: Sequence[Stretch], other: Sequence[Stretch] | None) -> NDArray[np.float64]:
    """Per unit, the share of its signs that stands in another text, or in earlier units."""
    lettered = np.array([unit.has_letters for unit in units], bool)
    shares = _share(_letters(units), None if other is None else _letters(other))
    if lettered.all():
        return shares
    return np.where(lettered, shares, _share(_tokens(units), None if other is None else _tokens(other)))


def _share(row: _Row, other: _Row | None) -> NDArray[np.float64]:
    step = _step(row.signs.size + (0 if other is None else other.signs.size))
    places, hashes = _Runs(row.signs).hashed(RUN, step)
    if other is None:
        _, first, names = np.unique(hashes, return_index=True, return_inverse=True)
        # What begins before its first likeness ends belongs to no later unit: a unit may repeat itself.
        end = places[first][names] + RUN
        begin = np.maximum(places, row.starts[np.searchsorted(row.starts, end)])
    else:
        begin = places[np.isin(hashes, _Runs(other.signs).hashed(RUN, step)[1])]
        places = begin
    # A run stands for those up to the next that its hash chooses.
    end = np.minimum(places + RUN + step - 1, row.signs.size)
    begin, end = begin[begin < end], end[begin < end]
    size = row.signs.size + 1
    depth = np.cumsum(np.bincount(begin, minlength=size) - np.bincount(end, minlength=size))
    there = np.concatenate([[0], np.cumsum(depth[:-1] > 0)])
    return np.diff(there[row.starts]) / np.maximum(np.diff(row.starts), 1)


def _step(signs: int) -> int:
    """One run in how many is compared."""
    return 1 + signs // MOST


class _Runs:
    """Hashes of a row's runs: a polynomial in an odd base, taken modulo 2**64."""

    _BASE = 0x9E3779B97F4A7C15

    def __init__(self, signs: _Signs) -> None:
        powers = np.cumprod(np.full(signs.size, self._BASE, np.uint64), dtype=np.uint64)
        inverse = pow(self._BASE, -1, 2**64)
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(signs) * powers, dtype=np.uint64)])
        self._inverse = np.cumprod(np.full(signs.size, inverse, np.uint64), dtype=np.uint64)

    def hashed(self, length: int, step: int) -> tuple[_Places, _Signs]:
        """Where runs of ``length`` signs begin, one in ``step`` as their hashes have it, and these."""
        count = max(0, self._sums.size - length)
        hashes = _mixed((self._sums[length:] - self._sums[:count]) * self._inverse[:count])
        if step == 1:
            return np.arange(count), hashes
        chosen = np.flatnonzero(hashes % np.uint64(step) == 0)
        return chosen, hashes[chosen]


def _mixed(values: _Signs) -> _Signs:
    """Every value as another one in which each bit depends on all (the finaliser of SplitMix64)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
