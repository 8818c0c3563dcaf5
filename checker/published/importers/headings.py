"""What headings, labels and cells of a card's tables say. A word inside of a name, as in `Qwen-Base-8B`, says nothing.

All take text as ``plain`` makes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

_LONGEST = 1000  # characters of a cell that are looked at
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()]*\)")
_MARKUP = re.compile(r"\*+|__|[`$]|\\(?=%)")

_PERPLEXITY = frozenset({"ppl", "perplexity", "perplexities"})
_CHANGES = frozenset({"increase", "change", "changes", "degradation", "delta", "difference", "diff"})
_NO_PERPLEXITY = frozenset(
    {"log", "ratio", "relative", "rank", "std", "stdev", "stderr", "error", "deviation", "variance", "ci", "interval"}
)
_BESIDE_A_CHANGE = (
    _CHANGES | _PERPLEXITY | {"relative", "rel", "in", "of", "over", "vs", "to", "the", "from", "percent"}
)
_METHODS = frozenset({"method", "methods", "approach", "algorithm"})
_PARTS = frozenset({"layer", "layers", "block", "blocks"})
_AMOUNTS = _PARTS | {"ratio", "params", "parameters"}
_KEPT = frozenset({"kept", "keep", "remaining", "retained", "left", "total", "after"})
_REMOVAL = re.compile(r"(?:remov|prun|drop|delet|skip|spars)[a-z]*")

_TRIANGLE = re.compile("[\u0394\u2206]")  # the letter and the sign
_UNIT_PERCENT = re.compile(r"(?<![0-9])(?<![0-9] )%")  # of the column, as in PPL (%); not a share, as in 25 %
_WHOLE = "(?:base(?:line)?|dense|full|original|uncompressed|unmodified|unpruned)"
_UNPRUNED = re.compile(
    rf"(?:the )?{_WHOLE}(?: (?:model|{_WHOLE}))*|no pruning|before(?: pruning)?|none|0 ?%", re.IGNORECASE
)
_LIST = re.compile(
    r"[\[({]?\s*[0-9]{1,4}(?:\s*(?:,|;|-|\u2013|to|and)\s*[0-9]{1,4})+\s*[\])}]?|[\[({]\s*[0-9]{1,4}\s*[\])}]"
)
_UNIT = r"(?:%|l\b|layers?\b|blocks?\b)"
_NOTHING = re.compile(rf"[-\u2013\u2014]*|none|n/?a|[\[({{]\s*[\])}}]|0+(?:\.0+)?\s*{_UNIT}?", re.IGNORECASE)
_AMOUNT = re.compile(rf"[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?\s*{_UNIT}?", re.IGNORECASE)
_NOTHING_IN_LABEL = re.compile(rf"(?:(?<![^a-z0-9.])[^a-z0-9.]++|^)0+(?:\.0+)?\s*{_UNIT}.*")
_WORD_END = re.compile("(?<=[a-z0-9])[^a-z0-9]")
_AMOUNT_IN_LABEL = re.compile(rf"(?<![a-z0-9.])([0-9]+(?:\.[0-9]+)?)\s*{_UNIT}", re.IGNORECASE)


def plain(cell: str) -> str:
    """A cell without emphasis, code marks and the addresses of links, its spaces single."""
    return " ".join(_MARKUP.sub("", _LINK.sub(r"\1", cell[:_LONGEST])).split()).strip("_")


def _words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())


def is_perplexity(heading: str) -> bool:
    """Whether figures under it are perplexities, of a model that the heading does not name as the unpruned one."""
    words = _words(heading)
    if not _PERPLEXITY.intersection(words) or _NO_PERPLEXITY.intersection(words) or is_change(heading):
        return False
    return not is_unpruned(" ".join(word for word in words if word not in _PERPLEXITY))


def is_change(heading: str) -> bool:
    """Whether it speaks of a change: in a word, or as `PPL (%)` and `+%` do."""
    words = _words(heading)
    if _CHANGES.intersection(words) or _TRIANGLE.search(heading):
        return True
    return _UNIT_PERCENT.search(heading) is not None and (not words or not _PERPLEXITY.isdisjoint(words))


def is_change_alone(heading: str, measure: str = "") -> bool:
    """Whether it speaks of a change and of nothing else, other than of the measure."""
    return is_change(heading) and set(_words(heading)) <= _BESIDE_A_CHANGE.union(_words(measure))


def in_percent(heading: str) -> bool:
    return "%" in heading or "percent" in _words(heading)


def is_method(heading: str) -> bool:
    return heading.lower() in _METHODS


def is_amount(heading: str, cells: Sequence[str]) -> bool:
    """Whether a column says how much of the model, or what, is removed."""
    words = set(_words(heading))
    if words & (_KEPT | _PERPLEXITY) or is_change(heading):
        return False
    removal = {word for word in words if _REMOVAL.fullmatch(word)}
    if removal:
        return bool(words & _AMOUNTS) or words == removal or "sparsity" in words
    return bool(words & _PARTS) and any(map(is_list, cells))


def is_list(cell: str) -> bool:
    """Whether it lists blocks: `21, 22`, `[21]`, `21-28`."""
    return _LIST.fullmatch(cell) is not None


def amount(cell: str) -> bool | None:
    """Whether a cell of such a column says that something is removed; None where it says neither."""
    if _NOTHING.fullmatch(cell):
        return False
    return True if is_list(cell) or _AMOUNT.fullmatch(cell) else None


def is_unpruned(label: str) -> bool:
    """Whether a label says that the model is unpruned, and nothing else."""
    return _UNPRUNED.fullmatch(label) is not None


def stems(labels: Iterable[str]) -> set[str]:
    """The beginnings, up to the end of a word, of labels that go on to say how much is removed: `qwen-8b` of
    `Qwen-8B-7L-less` and of `Qwen-8B (ours, 25 %)`."""
    found: set[str] = set()
    for label in map(str.lower, labels):
        place = _removed_at(label)
        if place is not None:
            found |= {label[: end.start()] for end in _WORD_END.finditer(label[:place])} | (
                {""} if place == 0 else set()
            )
    return found


def is_stem(label: str, stems: Collection[str]) -> bool:
    """Whether a label is one of the stems, and says no more, or that nothing is removed."""
    return _removed_at(label) is None and bool(label) and _NOTHING_IN_LABEL.sub("", label.lower()) in stems


def _removed_at(label: str) -> int | None:
    """Where a label says how much is removed: at `7L`, at `25 %`."""
    return next((each.start() for each in _AMOUNT_IN_LABEL.finditer(label) if float(each[1])), None)
