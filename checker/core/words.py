"""Counts and lists in words, as messages hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def counted(number: int, noun: str) -> str:
    """A count with its noun: ``1 row``, ``3 rows``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def numbered(noun: str, numbers: Sequence[object]) -> str:
    """A noun with the numbers of what it names: ``block 3``, ``blocks 3, 4``."""
    return f"{noun}{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def listed(items: Iterable[object], most: int = 3, separator: str = ", ") -> str:
    """The first few items, and how many more there are: ``a, b, c and 2 more``."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def examples(sentences: Sequence[str], most: int = 3) -> str:
    """The first few of longer parts, and how many more there are: ``a; b; c; and 2 more``."""
    more = [f"and {len(sentences) - most} more"] if len(sentences) > most else []
    return "; ".join([*sentences[:most], *more])


def enumerated(names: Iterable[object], last: str = "and") -> str:
    """All names, the last after a word: ``a, b and c``; empty where there are none."""
    texts = [str(name) for name in names]
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def amount(number: float) -> str:
    """A number of parameters as cards write it: 1.09 B, 218.1 M, 2,000."""
    for unit, size in ((" B", 1e9), (" M", 1e6)):
        if abs(number) >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:,.0f}"
