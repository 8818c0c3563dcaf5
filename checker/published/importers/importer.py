"""The one shape of an importer: a file that people have -> a draft; and how files from strangers are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checker.checkpoints.config import COUNTS, of_text
from checker.checkpoints.trust import existing
from checker.core.canonical import read_json
from checker.core.errors import UsageError
from checker.core.escape import one_line
from checker.published.importers.draft import Draft, blank

LARGEST_TABLE = 10_000_000  # bytes
MOST_ROWS = 10_000  # of a table of scores
MOST_BLOCKS = 9999
BROKEN = "no finite number: the model or its evaluation broke"
_NOT_FINITE = re.compile(r"[+\-\u2212]?(?:nan|inf|infinity|\u221e)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What shall be imported, and what the command line adds to it."""

    path: Path
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # i, j, value, low, high -> names
    records: str | None = None  # where the list stands in a JSON file, as a.b
    base: Path | None = None  # the unpruned model's folder, or its results
    blocks: int | None = None  # of the unpruned model

    @property
    def name(self) -> str:
        return one_line(self.path.name)


@dataclass(frozen=True)
class Importer:
    """``options`` are the names of what it takes beside the path."""

    name: str
    summary: str
    options: frozenset[str]
    draft: Callable[[Request], Draft]


def block_count(request: Request) -> int | None:
    """The blocks of the unpruned model: as ``--blocks`` says, else as the config.json of ``--base`` does."""
    if request.blocks is not None or request.base is None:
        return request.blocks
    return blocks_of(request.base)


def blocks_of(folder: Path) -> int:
    """The count of blocks that a folder's config.json states; UsageError where it states none."""
    config = existing(folder.resolve(), "config.json") if folder.is_dir() else None
    if config is None:
        raise UsageError.at(
            folder, "no config.json there", "the folder of a model", "give the number of blocks with --blocks instead"
        )
    settings = of_text(read_json(config))
    count = next((settings[key] for key in COUNTS if settings.get(key) is not None), None)
    if type(count) is not int or not 0 < count <= MOST_BLOCKS:
        raise UsageError.at(
            config, f"{one_line(count)!r} blocks", f"a whole number from 1 to {MOST_BLOCKS}", "give it with --blocks"
        )
    return count


def model(name: str | None, blocks: int | None) -> dict[str, Any]:
    """The entry of `models`, with blanks for what is not known."""
    return {
        "name": one_line(name) if name else blank("name of the unpruned model"),
        "blocks": blocks or blank("number of its blocks, as in num_hidden_layers of its config.json"),
    }


def blank_contract(text: str) -> dict[str, Any]:
    """An entry of `contracts` of which nothing is known yet; ``text`` says what belongs there."""
    return {
        "text": blank(text),
        "window": blank("tokens of a window"),
        "stride": blank("tokens from one window's start to the next one's"),
    }


def blank_baseline(contract: str) -> dict[str, Any]:
    """The baseline under a contract, of which nothing is known yet."""
    return {
        "contract": contract,
        "perplexity": blank("perplexity of the unpruned model, as it is printed"),
        "where": blank("the place in the source"),
    }


def whole_number(text: object) -> int | None:
    """A block's number; None for anything else."""
    digits = str(text).strip() if isinstance(text, str | int) and not isinstance(text, bool) else ""
    return int(digits) if re.fullmatch(r"[0-9]{1,4}", digits) else None


def not_finite(text: str) -> bool:
    """Whether a text says NaN or infinity."""
    return _NOT_FINITE.fullmatch(text) is not None
