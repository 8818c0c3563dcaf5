"""What a schema cannot say of an audit file: values that must fit each other, and the model."""

from __future__ import annotations

from collections.abc import Mapping

from checker.core.canonical import from_json
from checker.core.facts import ModelFacts
from checker.core.records import MethodSettings, Selection, Statistics
from checker.spec import checkpoints, claims, series, tasks
from checker.spec.document import Document, Where


def check(document: Document) -> None:
    """Adds the mistakes that show without the model. What is wrong already is not looked at again."""
    _version_first(document)
    _stride(document)
    _independent(document)
    _thresholds(document)
    _methods_once(document)
    _selection_names(document)
    _regions(document)
    _claim_ids(document)
    checkpoints.check(document)
    series.check(document)
    tasks.check(document)
    for where in document.items("claims"):
        claims.check(document, where)


def check_blocks(document: Document, facts: ModelFacts) -> None:
    """Adds the mistakes that show against the model: its number of blocks and its context."""
    blocks, gap = facts.blocks, "pairs up to {} blocks apart"
    _within(document, ("pairs", "max_gap"), blocks - 1, gap, f" in a model of {blocks} blocks", "lower it")
    for where in selections(document):
        _block_numbers(document, (*where, "exclude"), blocks)
        _block_numbers(document, (*where, "region"), blocks)
    for where in document.items("claims"):  # whose keys mean the same in every kind
        _block_numbers(document, (*where, "layers"), blocks)
        _block_numbers(document, (*where, "pair"), blocks)
        _block_left(document, (*where, "layers"), blocks)
        _budget(document, (*where, "budget"), blocks, {})
    _budgets(document, blocks)
    if facts.context is not None:
        for section, key in (("evaluation", "window"), ("scoring", "tokens"), ("selection", "tokens")):
            where = ("data", section, key)
            _within(document, where, facts.context, "{} tokens", ", the model's context", f"lower `{key}`")


def selections(document: Document) -> tuple[Where, ...]:
    """The paths of the audit's selections: the items of a list, or the one section (whether or not it is written)."""
    several = isinstance(document.get("selection"), list)
    return tuple(document.items("selection")) if several else (("selection",),)


def selection(document: Document, where: Where) -> Selection:
    """The constraints that stand at a path where nothing is wrong; the defaults where nothing stands."""
    return from_json(Selection, document.get(*where) or {})


def _version_first(document: Document) -> None:
    keys = list(document.data) if isinstance(document.data, dict) else []
    if "pruneaudit" in keys[1:]:
        where, remedy = ("pruneaudit",), "move it to the top of the file"
        document.complain(where, f"`pruneaudit` after `{keys[0]}`", "it as the first key", remedy, key=where)


def _stride(document: Document) -> None:
    where, boundary = ("data", "evaluation", "stride"), ("data", "evaluation", "boundary")
    window, stride = document.sound("data", "evaluation", "window"), document.sound(*where)
    if window is None or stride is None or stride < window:
        return
    whole = document.get(*boundary) == "whole_window"
    if stride == window and (whole or document.doubted(boundary)):
        return
    expected = f"less than the window of {window}, so that every token has some left context"
    if whole:
        expected = f"at most the window of {window}, so that no token is passed over"
    document.complain(where, f"a stride of {stride} tokens", expected, "lower `stride` or raise `window`")


def _independent(document: Document) -> None:
    where, section = ("data", "scoring", "independent"), ("data", "scoring")
    if document.get(*where) is not True or document.doubted(section):
        return
    scoring = document.get(*section)
    if scoring.get("assembly", "windows" if scoring["kind"] in ("file", "package") else "rows") == "windows":
        expected = "rows, for windows of one text are neighbours"
        document.complain(where, "`true` for windows", expected, "take it away, or use `assembly: rows`")


def _thresholds(document: Document) -> None:
    if document.doubted(("statistics",)):
        return
    similar = document.get("statistics", "similar") or Statistics.similar
    conditional = document.get("statistics", "conditional") or Statistics.conditional
    if similar >= conditional:
        key = "similar" if document.get("statistics", "similar") is not None else "conditional"
        levels = f"`similar` at {similar} and `conditional` at {conditional} nats"
        remedy = "lower `similar` or raise `conditional`"
        document.complain(("statistics", key), levels, "`similar` below `conditional`", remedy)


def _methods_once(document: Document) -> None:
    seen: set[str] = set()
    for where in document.items("methods"):
        method = document.sound(*where)
        name = method.get("kind") if isinstance(method, dict) else method
        if name in seen:
            expected = "each method once, because its arms go by its name"
            remedy = "give one entry all its `budgets`, and other settings an audit file of their own"
            document.complain(where, f"the method `{name}` a second time", expected, remedy)
        elif name is not None:
            seen.add(name)


def _selection_names(document: Document) -> None:
    seen: dict[str, int] = {}
    for index, where in enumerate(selections(document)):
        key = (*where, "name")
        if not isinstance(document.get(*where), dict) or document.doubted(key):
            continue
        name, own = document.get(*key), "a name of its own for every selection"
        if name is None and index:
            example = "add it, for instance `name: free`"
            document.complain(key, f"no `name` in `selection[{index}]`", f"{own} after the first", example, key=where)
            continue
        name = name or Selection.name
        if name == "native":
            taken = f"`{name}`, which names a method's own form"
            document.complain(key, taken, "a name that is free", "choose another name")
        elif name in seen:
            first = f"the first is on line {seen[name]}" if seen[name] else "the first has it"
            remedy = "give one of the two another name"
            document.complain(key, f"the name `{name}` a second time", f"{own} ({first})", remedy)
        else:
            seen[name] = document.place(key).line


def _regions(document: Document) -> None:
    for where in selections(document):
        first, last = document.sound(*where, "region") or (0, 0)
        if first > last:
            region = f"a region from block {first} to block {last}"
            document.complain((*where, "region"), region, "the lower block first", f"write [{last}, {first}]")


def _claim_ids(document: Document) -> None:
    seen: dict[str, int] = {}
    for where in document.items("claims"):
        name = document.sound(*where, "id")
        if name in seen:
            first = f" (the first is on line {seen[name]})" if seen[name] else ""
            document.complain((*where, "id"), f"the claim id `{name}` a second time", f"each id once{first}",
                              "give one of the two another id")  # fmt: skip
        elif name is not None:
            seen[name] = document.place((*where, "id")).line


def _within(document: Document, where: Where, most: int, found: str, because: str, remedy: str) -> int | None:
    """The number at a path; None where there is none, or, with a mistake, where it is larger than ``most``."""
    number: int | None = document.sound(*where)
    if number is None or number <= most:
        return number
    document.complain(where, found.format(number), f"at most {most}{because}", remedy)
    return None


def _block_numbers(document: Document, where: Where, blocks: int) -> None:
    for item in document.items(*where):
        block = document.sound(*item)
        if block is not None and block >= blocks:
            expected = f"a block of the model, from 0 to {blocks - 1}"
            document.complain(item, f"block {block}", expected, "correct the number; the first block is 0")


def _block_left(document: Document, where: Where, blocks: int) -> None:
    layers = document.sound(*where)
    if isinstance(layers, list) and len(layers) >= blocks:
        document.complain(where, f"all {blocks} blocks", "at least one block left", "name fewer blocks")


def _budgets(document: Document, blocks: int) -> None:
    """Every budget must leave a block, and be within reach of every selection that the methods obey."""
    sound = [where for where in selections(document) if not document.doubted(where)]
    limits = {where: selection(document, where) for where in sound}
    for where in document.items("budgets"):
        _budget(document, where, blocks, limits)
    for method in document.items("methods"):
        matched = "matched" in (document.sound(*method, "forms") or MethodSettings.forms)
        for where in document.items(*method, "budgets"):
            _budget(document, where, blocks, limits if matched else {})


def _budget(document: Document, where: Where, blocks: int, limits: Mapping[Where, Selection]) -> None:
    """A budget must leave a block, and be within reach of the selections in ``limits``, by their paths."""
    whole = f"a budget of {{}} in a model of {blocks} blocks"
    budget = _within(document, where, blocks - 1, whole, ", so that a block is left", "lower the budget")
    if budget is None:
        return
    for holder, limit in limits.items():
        if not limit.geometry(blocks).count(budget):
            under, loosen = "", "selection"
            if len(holder) > 1:
                under, loosen = f" under the selection `{limit.name}`", f"selection[{holder[1]}]"
            remedy = f"lower the budget, or loosen `{loosen}`"
            document.complain(where, f"a budget of {budget}{under}", _reach(limit, blocks), remedy)


def _reach(limit: Selection, blocks: int) -> str:
    first, last = limit.region or (0, blocks - 1)
    excluded = sum(first <= block <= last for block in set(limit.exclude))
    among = f"{blocks} blocks" if limit.region is None else f"the blocks {first} to {last}"
    largest = f"at most {limit.geometry(blocks).largest}, the largest that can be reached in {among}"
    return f"{largest} at spacing {limit.spacing} with {excluded} excluded"
