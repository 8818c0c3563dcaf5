"""mergekit passthrough slices -> the blocks they leave out. Ranges are half-open: [0, 21] keeps blocks 0 to 20."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import Any

from checker.core.errors import InvalidAudit, UsageError
from checker.core.escape import one_line
from checker.published.importers.draft import MODEL, Draft, blank
from checker.published.importers.importer import (
    MOST_BLOCKS,
    Importer,
    Request,
    blank_baseline,
    blank_contract,
    block_count,
    model,
)
from checker.spec import document as documents
from checker.spec.document import Document, Where

_MOST_SLICES = 1000
_KNOWN = (
    *("slices", "merge_method", "dtype", "out_dtype", "base_model"),
    *("tokenizer_source", "tokenizer", "name", "chat_template"),
)
_RECIPE = "a mergekit configuration"


@dataclass(frozen=True)
class Recipe:
    """What a configuration says. ``layers`` None: it is not a plain removal of blocks, or not known to be one."""

    model: str | None
    layers: tuple[int, ...] | None
    end: int  # after the last block that is named
    kept: int
    where: str
    wrong: tuple[str, ...]

    @property
    def left_out(self) -> str:
        return ", ".join(map(str, self.layers or ())) or "none"


def read(document: Document, blocks: int | None, name: str, first_line: int = 1) -> Recipe:
    """The recipe in a document, whose first line is ``first_line`` of the file called ``name``.

    InvalidAudit where YAML holds what is not read from strangers; UsageError where there are no slices.
    """
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    slices = document.get("slices")
    if not isinstance(slices, list) or not slices or len(slices) > _MOST_SLICES:
        raise UsageError.at(
            document.file,
            "no list `slices`",
            f"a passthrough configuration of mergekit with 1 to {_MOST_SLICES} slices",
            "check the file",
        )
    wrong: list[str] = []

    def place(where: Where) -> str:
        return f"{name}:{(document.keys.get(where) or document.place(where)).line + first_line - 1}"

    parts = [part for number in range(len(slices)) if (part := _part(document, number, place, wrong))]
    names = sorted({part[0] for part in parts})
    if len(names) > 1:
        wrong.append(f"{place(('slices',))}: blocks of several models, {one_line(', '.join(names))}")
    if document.get("merge_method") != "passthrough":
        method = one_line(document.get("merge_method"), 40)
        wrong.append(f"{place(('merge_method',))}: the method `{method}`, and not passthrough")
    ranges = [part[1:] for part in parts]
    plain = not wrong
    wrong += [f"{place((key,))}: `{one_line(key, 40)}`" for key in document.data if key not in _KNOWN]
    if plain and any(later[0] < former[1] for former, later in pairwise(ranges)):
        order = "; ".join(f"{start} to {end - 1}" for start, end in ranges)
        wrong.append(f"{place(('slices',))}: blocks that stand twice or in another order ({one_line(order)})")
        plain = False
    for start, end in ranges:
        if blocks is not None and end > blocks:
            raise UsageError.at(
                document.file,
                f"the range [{start}, {end}]",
                f"it to end at {blocks}, the number of the model's blocks, or before",
                "correct --blocks or --base",
            )
    end = max((end for _, end in ranges), default=0)
    left_out = sorted(set(range(blocks or end)).difference(*starmap(range, ranges)))
    return Recipe(
        model=names[0] if len(names) == 1 else None,
        layers=tuple(left_out) if plain else None,
        end=end,
        kept=sum(end - start for start, end in ranges),
        where=f"{name}, line {document.keys[('slices',)].line + first_line - 1}",
        wrong=tuple(wrong),
    )


def _part(document: Document, number: int, place: Any, wrong: list[str]) -> tuple[str, int, int] | None:
    """Model, first block and end of a slice; None, and what is wrong, where it is not one run of one model's blocks."""
    where: Where = ("slices", number)
    sources = document.get(*where, "sources")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        wrong.append(f"{place(where)}: a slice that is not one run of blocks of one model")
        return None
    source: Mapping[str, Any] = sources[0]
    ends, name = _ends(source.get("layer_range")), source.get("model")
    if ends is None or not isinstance(name, str):
        wrong.append(f"{place(where)}: a slice without a model's name and a range like [0, 21]")
        return None
    others = sorted({*source, *document.get(*where)} - {"sources", "model", "layer_range"})
    if others:
        wrong.append(f"{place(where)}: `{one_line(', '.join(others), 60)}`, which may change weights")
    return name, *ends


def _ends(layer_range: Any) -> tuple[int, int] | None:
    """A half-open range; None for anything else."""
    if not isinstance(layer_range, list) or len(layer_range) != 2 or not all(type(end) is int for end in layer_range):
        return None
    start, end = layer_range
    return (start, end) if 0 <= start < end <= MOST_BLOCKS else None


def removal(recipe: Recipe, blocks: int | None, number: int = 1) -> dict[str, Any]:
    """The entry of `removals`, with blanks for what slices do not say."""
    entry: dict[str, Any] = {
        "id": "slices" if number == 1 else f"slices-{number}",
        "model": MODEL,
        "method": blank("what chose the blocks, as the source calls it"),
        "protocol": blank("interchange, replacement, deletion or averaging, where one of these tests chose them"),
    }
    if recipe.layers is None:
        entry["layers"] = blank("the removed blocks, counted from 0, as in [21, 22]")
    elif blocks is None:
        entry["layers"] = blank(f"{list(recipe.layers)}, and every block from {recipe.end} on that the model has")
    elif recipe.layers:
        entry["budget"], entry["layers"] = len(recipe.layers), list(recipe.layers)
    return entry | {
        "contract": "evaluation",
        "perplexity": blank("perplexity after the removal, as it is printed"),
        "increase": blank("its increase in percent, as it is printed"),
        "selected_on": blank("the text that the blocks were chosen on, or unstated"),
        "where": recipe.where,
    }


def remarks(recipe: Recipe, blocks: int | None) -> Iterator[str]:
    """How the blocks follow from the ranges."""
    if recipe.layers is None:
        return
    if blocks is None:
        yield (
            f"{recipe.where}: the slices keep {recipe.kept} blocks and name none from {recipe.end} on; how many blocks "
            "the unpruned model has is not known (give --blocks or --base)"
        )
    else:
        yield f"{recipe.where}: ranges are half-open; of {blocks} blocks the slices leave out {recipe.left_out}"


def nothing_left_out(recipes: Sequence[Recipe], blocks: int | None) -> list[str]:
    """Which recipes keep every block of the model."""
    return [f"{each.where}: the slices leave out no block" for each in recipes if each.layers == () and blocks]


def blank_evaluation() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A contract called ``evaluation`` and the baseline under it, of which nothing is known yet."""
    contract = blank_contract("the text that perplexity was measured on")
    return {"evaluation": contract}, [{"model": MODEL, **blank_baseline("evaluation")}]


def _draft(request: Request) -> Draft:
    document = documents.read(request.path, str(request.path), _RECIPE, "name such a file")
    blocks = block_count(request)
    recipe = read(document, blocks, request.name)
    contracts, baselines = blank_evaluation()
    return Draft(
        origin=request.name,
        title=f"Published removal of {request.name}",
        source=blank("title of the paper, card or report that the file belongs to"),
        models={MODEL: model(recipe.model, blocks)},
        contracts=contracts,
        baselines=baselines,
        removals=[removal(recipe, blocks)],
        remarks=list(remarks(recipe, blocks)),
        not_understood=[*recipe.wrong, *nothing_left_out([recipe], blocks)],
    )


MERGEKIT = Importer("mergekit", "a passthrough configuration of mergekit", frozenset({"base", "blocks"}), _draft)
