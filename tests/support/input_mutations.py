"""Ways to make a wrong input of a valid one: its bytes, its words and, where it holds values, their structure.

Each takes a ``random.Random``, so that the same seed makes the same input again.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml
from pack_mutations import HOSTILE, LITERALS, changed, places

NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2, 7, 255, 2**31, 2**32 - 1, 2**53, 2**63, 2**64 - 1, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("-inf"), float("nan"), 0.9999999999999999, 9999999,
)  # fmt: skip
TEXTS = (
    *HOSTILE, "\x1b[2J", "<script>alert(1)</script>", "NaN", ".inf", "-.inf", "9" * 400, "1" * 5000, "1e999", "0x1F",
    "1_000", "٣", "²", "½", "\ufeff", "\u200b", "e\u0301" * 40, "\U0001f600", "\x85", "\u2028", "a\nb", "ß" * 3000,
    "{}", "[", "- ", "!foo", "!!python/object:os.system x", "*x", "&x", "%TAG", "---", "...", "? ", "<<", "=", "true",
    "2030-13-45", "2030-01-01", "12:30:45", "gelu", "FILL-IN", "/dev/zero", "${HOME}", "%s", "|", "```", "#", "<!--",
)  # fmt: skip
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_MOST = 200_000  # characters of an input that is grown


def number(rng: Random) -> Any:
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randint(-300, 300)


def value(rng: Random) -> Any:
    """Anything that may stand where something else was expected."""
    return rng.choice([
        number, lambda rng: rng.choice(TEXTS), lambda _: None, lambda rng: rng.random() < 0.5, lambda _: [],
        lambda _: {}, lambda rng: [number(rng) for _ in range(rng.randint(1, 4))], lambda rng: {rng.choice(TEXTS): 1},
        lambda rng: nested(rng.choice([3, 30, 90])), lambda rng: ["x"] * rng.choice([100, 3000]),
    ])(rng)  # fmt: skip


def nested(depth: int) -> Any:
    found: Any = 1
    for level in range(depth):
        found = [found] if level % 2 else {"a": found}
    return found


# --- bytes and words -------------------------------------------------------------------------------------------------


def in_bytes(rng: Random, content: bytes, other: bytes) -> bytes:
    """A few bytes flipped, cut, doubled, swapped, put in, or spliced from another input."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        start, end = sorted(rng.randint(0, len(content)) for _ in range(2))
        if rng.random() < 0.7:
            end = min(end, start + rng.choice([1, 2, 8, 40]))
        part, middle = content[start:end], rng.randint(0, len(other))
        put = {
            "delete": b"",
            "double": part * rng.choice([2, 2, 3, 50]),
            "flip": bytes(byte ^ 1 << rng.randint(0, 7) for byte in part),
            "random": rng.randbytes(rng.choice([1, 2, 8])),
            "literal": rng.choice(LITERALS[:6] + LITERALS[8:]),
            "splice": other[middle : middle + rng.choice([4, 30, 300])],
            "reverse": part[::-1],
        }[rng.choice(["delete", "double", "flip", "random", "literal", "splice", "reverse"])]
        content = (content[:start] + put + content[end:])[:_MOST]
    return content if rng.random() < 0.95 else content[: rng.randint(0, len(content))]


def in_words(rng: Random, content: bytes, other: bytes) -> bytes:
    """Words and marks replaced, doubled, swapped, or repeated many times."""
    words = _WORD.findall(content.decode(errors="replace")) or [" "]
    others = _WORD.findall(other.decode(errors="replace")) or [" "]
    for _ in range(rng.choice([1, 1, 2, 5])):
        place, second = rng.randrange(len(words)), rng.randrange(len(words))
        how = rng.choice(["number", "text", "other", "delete", "double", "swap", "many", "deep", "line"])
        if how == "swap":
            words[place], words[second] = words[second], words[place]
        elif how == "line":
            words[place] = rng.choice(["\n", "\r", "\t", "\n\n", "    ", ""]) + words[place]
        else:
            words[place] = {
                "number": str(number(rng)) if rng.random() < 0.8 else "1" + "0" * 300,
                "text": rng.choice(TEXTS),
                "other": rng.choice(others),
                "delete": "",
                "double": words[place] * 2,
                "many": words[place] * rng.choice([20, 3000]),
                "deep": rng.choice(["[", "{", "> ", "- ", "(", "*", "{a: ", "[[", "#"]) * rng.choice([3, 60, 2000]),
            }[how]
    return "".join(words)[:_MOST].encode(errors="surrogatepass")


# --- structure -------------------------------------------------------------------------------------------------------


def in_structure(rng: Random, whole: Any, other: Any) -> Any:
    """Values replaced, nudged, removed, added, doubled under another key, swapped, or taken from another input."""
    whole = copy.deepcopy(whole)
    for _ in range(rng.choice([1, 1, 2, 4])):
        where = rng.choice(list(places(whole)) or [()])
        how = rng.choice(
            ["replace", "replace", "replace", "nudge", "remove", "add", "swap", "splice", "rename", "wrap"]
        )
        put = value(rng)
        if how in ("swap", "splice"):
            source = whole if how == "swap" else other
            put, how = at(source, rng.choice(list(places(source)))), "replace"
        elif how == "wrap":
            put, how = rng.choice([[at(whole, where)], {"a": at(whole, where)}, str(at(whole, where))]), "replace"
        elif how == "rename":
            put, how = _renamed(rng, at(whole, where)), "replace"
        whole = changed(whole, where, put, how if where or how != "remove" else "replace")
    return whole


def at(whole: Any, where: Sequence[Any]) -> Any:
    for key in where:
        whole = whole[key]
    return whole


def _alike(rng: Random, found: Any) -> Any:
    """Another value of the same type, which a schema may let through."""
    if isinstance(found, bool):
        return not found
    if isinstance(found, int | float):
        return rng.choice([each for each in NUMBERS if type(each) is type(found)])
    if isinstance(found, str):
        return rng.choice([rng.choice(TEXTS), str(number(rng)), found + rng.choice(TEXTS)])
    return found * 2 if isinstance(found, list) else found


def _renamed(rng: Random, found: Any) -> Any:
    """A mapping with one of its keys called otherwise, or a list in another order."""
    if isinstance(found, dict) and found:
        key = rng.choice(list(found))
        called = rng.choice([rng.choice(TEXTS), str(key).upper(), f"{key} ", rng.choice(list(found))])
        return {called if name == key else name: item for name, item in found.items()}
    return rng.sample(found, len(found)) if isinstance(found, list) else found


def as_json(found: Any) -> bytes:
    return json.dumps(found).encode()


def as_yaml(found: Any) -> bytes:
    return yaml.dump(found, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False).encode()


class Mutated:
    """Wrong inputs made of the valid ``seeds``, which hold values where ``load`` and ``dump`` read and write them."""

    def __init__(
        self,
        seeds: Sequence[bytes],
        load: Callable[[bytes], Any] | None = None,
        dump: Callable[[Any], bytes] = as_json,
    ) -> None:
        self.seeds, self.dump = seeds, dump
        self.values = [load(seed) for seed in seeds] if load else []

    def __call__(self, rng: Random) -> bytes:
        how = rng.random()
        if self.values and how < 0.6:
            try:
                made = self.dump(in_structure(rng, rng.choice(self.values), rng.choice(self.values)))
            except (ValueError, UnicodeError, RecursionError):  # what the format cannot hold at all
                made = rng.choice(self.seeds)
            if how < 0.5:
                return made
        else:
            made = rng.choice(self.seeds)
        mutate = rng.choice([in_bytes, in_words])
        return mutate(rng, made, rng.choice(self.seeds))
