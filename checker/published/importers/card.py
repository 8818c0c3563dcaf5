"""A model card, or the folder of a model -> what it says of removed blocks and of perplexity, with the lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checker.checkpoints import model_card
from checker.checkpoints.trust import existing
from checker.core.errors import InvalidAudit, UsageError
from checker.core.escape import one_line
from checker.published.importers import card_tables, mergekit
from checker.published.importers.card_tables import Figure
from checker.published.importers.draft import MODEL, Draft, blank, name_for
from checker.published.importers.importer import (
    Importer,
    Request,
    blank_baseline,
    blank_contract,
    block_count,
    blocks_of,
    model,
)
from checker.published.importers.mergekit import Recipe
from checker.spec import document as documents

_RECIPE = "mergekit_config.yml"  # what mergekit leaves beside the weights
_LARGEST_RECIPE = 20_000  # characters
_MOST_RECIPES = 10
_MOST_NAMES = 20


@dataclass
class _Content:
    """What a card and the files beside it hold, as far as they were read."""

    base: tuple[str, ...] = ()
    recipes: list[Recipe] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def _from_card(request: Request) -> Draft:
    content = _Content()
    _read_card(request, request.path, request.name, content)
    beside_model = request.path.name == model_card.NAME
    return _draft(request, content, request.path.resolve().parent.name if beside_model else request.path.stem)


def _from_folder(request: Request) -> Draft:
    folder, content = request.path.resolve(), _Content()
    if not folder.is_dir():
        raise UsageError.at(request.path, "no folder", "that of a model", "check the path")
    card, recipe = existing(folder, model_card.NAME), existing(folder, _RECIPE)
    if card is None and recipe is None:
        raise UsageError.at(
            request.path,
            f"neither {model_card.NAME} nor {_RECIPE} there",
            "the folder of a model with one of them",
            "name a file instead",
        )
    if recipe is not None:
        document = documents.read(recipe, str(request.path / _RECIPE), "a mergekit configuration", "take it away")
        content.recipes.append(mergekit.read(document, block_count(request), _RECIPE))
    if card is not None:
        _read_card(request, card.resolve(), model_card.NAME, content)
    if existing(folder, "config.json") is not None:
        _compare_counts(folder, content)
    return _draft(request, content, folder.name)


def _compare_counts(folder: Path, content: _Content) -> None:
    count = blocks_of(folder)
    content.remarks.append(f"config.json: this checkpoint has {count} blocks")
    content.wrong += [
        f"{recipe.where}: slices that keep {recipe.kept} blocks, where config.json says {count}"
        for recipe in content.recipes
        if recipe.kept != count
    ]


def _read_card(request: Request, path: Path, name: str, content: _Content) -> None:
    text = model_card.read(path)
    block = model_card.find_block(text, str(request.path))
    span = model_card.front_matter(text)
    content.base = model_card.base_models(text)
    _tags(text, span, name, content)
    start = text.index("---", span[1]) + 3 if span else 0
    first = len(re.findall(r"\r\n|\n|\r", text[:start])) + 1
    body = text[start:].lstrip("\ufeff")
    tables, fences, html = card_tables.parse(body, first)
    own = range(block.line, block.line + block.text.count("\n") + 1) if block else range(0)
    if block is not None:
        content.wrong.append(f"{name}:{block.line}: the pruneaudit block; verify its pack instead")
    content.wrong += [f"{name}:{line}: a table in HTML" for line in html if line not in own]
    if sum(len(row) for table in tables for row in table.rows) > card_tables.MOST_CELLS:
        raise UsageError.at(
            path, f"more than {card_tables.MOST_CELLS:,} cells in tables", "a model card", "check the path"
        )
    for table in tables:
        if table.lines and table.lines[0] not in own:
            figures, left = card_tables.figures(table)
            content.figures += figures
            content.wrong += [f"{name}:{line}: {problem}" for line, problem in left]
    for fence in fences:
        _recipe(request, fence, name, content)


def _recipe(request: Request, fence: card_tables.Fence, name: str, content: _Content) -> None:
    """Reads a code block that holds slices; other code blocks are left alone."""
    if not re.search(r"^[ \t]*slices[ \t]*:", fence.text, re.MULTILINE):
        return
    try:
        if len(fence.text) > _LARGEST_RECIPE or len(content.recipes) >= _MOST_RECIPES:
            raise UsageError("too large, or too many")
        document = documents.parse(fence.text, name)
        recipe = mergekit.read(document, block_count(request), name, fence.line)
    except (InvalidAudit, UsageError):
        content.wrong.append(f"{name}:{fence.line}: slices that cannot be read")
        return
    known = {(each.model, each.layers) for each in content.recipes}
    if recipe.layers is None or (recipe.model, recipe.layers) not in known:
        content.recipes.append(recipe)
    else:
        content.wrong += recipe.wrong


def _tags(text: str, span: tuple[int, int] | None, name: str, content: _Content) -> None:
    """Tags and results of the front matter, which are remarked on and not taken over."""
    if span is None:
        return
    try:
        document = documents.parse(text[slice(*span)], name)
    except InvalidAudit:
        content.wrong.append(f"{name}:1: front matter that is not YAML")
        return
    tags = document.get("tags")
    if isinstance(tags, list) and tags:
        content.remarks.append(f"{name}: tags {one_line(', '.join(map(str, tags[:_MOST_NAMES])))}")
    if document.get("model-index") is not None:
        line = document.place(("model-index",)).line + len(re.findall(r"\r\n|\n|\r", text[: span[0]]))
        content.wrong.append(f"{name}:{line}: results in `model-index`")


def _draft(request: Request, content: _Content, title: str) -> Draft:
    blocks = block_count(request)
    contracts, baselines = mergekit.blank_evaluation()
    removals = [mergekit.removal(recipe, blocks, number) for number, recipe in enumerate(content.recipes, 1)]
    where = request.name if request.path.is_file() else model_card.NAME
    if content.figures:
        contracts, baselines, printed = _of_figures(content, where)
        removals = _joined(removals, printed, contracts, content)
    if not removals:
        none = Recipe(None, None, 0, 0, where, ())
        more = {"id": "removal", "contract": next(iter(contracts)), "where": blank("the place in the card")}
        removals = [mergekit.removal(none, blocks) | more]
    wrong = [*(problem for recipe in content.recipes for problem in recipe.wrong), *content.wrong]
    wrong += mergekit.nothing_left_out(content.recipes, blocks)
    remarks = [*content.remarks, *(line for recipe in content.recipes for line in mergekit.remarks(recipe, blocks))]
    return Draft(
        origin=request.name or title,
        title=f"Published numbers of {title}",
        source=one_line(f"Model card of {title}") if title else blank("title of the card"),
        models={MODEL: _model(content, blocks, wrong)},
        contracts=contracts,
        baselines=baselines,
        removals=removals,
        remarks=remarks,
        not_understood=wrong,
    )


def _model(content: _Content, blocks: int | None, wrong: list[str]) -> dict[str, Any]:
    """The unpruned model: the card's base model, or that of the slices; a blank where they name several."""
    names = {*content.base, *(recipe.model for recipe in content.recipes if recipe.model)}
    if len(names) == 1:
        return model(names.pop(), blocks)
    entry = model(None, blocks)
    if names:
        several = one_line(", ".join(sorted(names)))
        wrong.append(f"several base models: {several}")
        entry["name"] = blank(f"name of the unpruned model, one of {several}")
    return entry


def _of_figures(content: _Content, name: str) -> tuple[dict[str, Any], list[Any], list[dict[str, Any]]]:
    """Contracts, one for each column of perplexities; baselines, a blank where the card has none; removals."""
    contracts: dict[str, Any] = {}
    keys: dict[str, str] = {}  # of the contracts, by column
    baselines: list[Any] = []
    removals: list[dict[str, Any]] = []
    for figure in content.figures:
        if figure.measure not in keys:
            keys[figure.measure] = name_for(figure.measure, contracts)
            text = f"the text that this was measured on (called {one_line(figure.measure, 100)})"
            contracts[keys[figure.measure]] = blank_contract(text)
        where = f"{name}, line {figure.line}, {one_line(figure.label, 60)}"
        printed = {"contract": keys[figure.measure], "perplexity": figure.text, "where": where}
        if figure.spread is not None:
            printed["interval"] = blank(f"± {figure.spread} is printed; the two ends, if that is an interval")
        if figure.unpruned:
            baselines.append({"model": MODEL, **printed})
        else:
            removals.append(_removal(figure, printed, [entry["id"] for entry in removals]))
    known = {baseline["contract"] for baseline in baselines}
    missing = [{"model": MODEL, **blank_baseline(key)} for key in contracts if key not in known]
    return contracts, [*baselines, *missing], removals


def _removal(figure: Figure, printed: dict[str, Any], taken: Sequence[str]) -> dict[str, Any]:
    layers = "the removed blocks, counted from 0, as in [21, 22]"
    if figure.layers:
        layers = f"{one_line(figure.layers)} is printed; the same, counted from 0"
    entry = {
        "id": name_for(f"line-{figure.line}", taken),
        "model": MODEL,
        "method": blank(f"what chose the blocks, as the source calls it (the row is {one_line(figure.label, 60)})"),
        "layers": blank(layers),
        **printed,
    }
    if figure.increase is not None:
        entry["increase"] = figure.increase
    entry["selected_on"] = blank("the text that the blocks were chosen on, or unstated")
    return entry | {"bold": True} if figure.bold else entry


def _joined(
    recipes: list[dict[str, Any]], printed: list[dict[str, Any]], contracts: dict[str, Any], content: _Content
) -> list[Any]:
    """One removal where slices and a single printed row speak of the same; else both kinds, one after the other."""
    if len(recipes) == 1 and len(printed) == 1:
        row = {key: value for key, value in printed[0].items() if key not in ("id", "layers", "method")}
        content.wrong += [
            f"{row['where']}: {figure.layers} is printed; the draft has what the slices leave out"
            for figure in content.figures
            if figure.layers
        ]
        return [recipes[0] | row | {"where": f"{printed[0]['where']}; slices in {recipes[0]['where']}"}]
    first = next(iter(contracts))
    return [*({**recipe, "contract": first} for recipe in recipes), *printed]


CARD = Importer("card", "a model card", frozenset({"base", "blocks"}), _from_card)
MODEL_FOLDER = Importer("model", "the folder of a model with its card", frozenset({"base", "blocks"}), _from_folder)
