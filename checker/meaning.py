"""What a schema cannot say of an audit file: values that must fit each other, and the model."""

from __future__ import annotations

from collections.abc import Iterator

from .documents import Document, Where
from .records import Geometry, ModelFacts, Selection, Statistics


def check(document: Document) -> None:
    """Adds the mistakes that show without the model. What is wrong already is not looked at again."""
    _version_first(document)
    _stride(document)
    _thresholds(document)
    _methods_once(document)
    _claim_ids(document)
    for where in _items(document, "claims"):
        _claim(document, where)


def check_blocks(document: Document, facts: ModelFacts) -> None:
    """Adds the mistakes that show against the model: its number of blocks and its context."""
    _gap(document, facts.blocks)
    _block_numbers(document, ("selection", "exclude"), facts.blocks)
    for where in _items(document, "claims"):
        _block_numbers(document, (*where, "layers"), facts.blocks)
        _block_numbers(document, (*where, "pair"), facts.blocks)
        _blocks_left(document, where, facts.blocks)
    _budgets(document, facts.blocks)
    if facts.context is not None:
        _context(document, ("data", "evaluation", "window"), facts.context)
        _context(document, ("data", "scoring", "tokens"), facts.context)


def _items(document: Document, *where: str | int) -> Iterator[Where]:
    """The paths of a list's items; none where it is missing or no list."""
    found = document.get(*where)
    yield from ((*where, index) for index in range(len(found) if isinstance(found, list) else 0))


# --- without the model -----------------------------------------------------------------------------------------------


def _version_first(document: Document) -> None:
    keys = list(document.data) if isinstance(document.data, dict) else []
    if "pruneaudit" in keys[1:]:
        document.complain(("pruneaudit",), f"`pruneaudit` after `{keys[0]}`", "it as the first key",
                          "move it to the top of the file", key=("pruneaudit",))  # fmt: skip


def _stride(document: Document) -> None:
    where = ("data", "evaluation", "stride")
    window, stride = document.sound("data", "evaluation", "window"), document.sound(*where)
    if window is not None and stride is not None and stride >= window:
        document.complain(where, f"a stride of {stride} tokens", f"less than the window of {window}, so that every "
                          "token has some left context", "lower `stride` or raise `window`")  # fmt: skip


def _thresholds(document: Document) -> None:
    if document.doubted(("statistics",)):
        return
    similar = document.get("statistics", "similar") or Statistics.similar
    conditional = document.get("statistics", "conditional") or Statistics.conditional
    if similar >= conditional:
        key = "similar" if document.get("statistics", "similar") is not None else "conditional"
        document.complain(("statistics", key), f"`similar` at {similar} and `conditional` at {conditional} nats",
                          "`similar` below `conditional`", "lower `similar` or raise `conditional`")  # fmt: skip


def _methods_once(document: Document) -> None:
    seen: set[str] = set()
    for where in _items(document, "methods"):
        method = document.sound(*where)
        name = method.get("kind") if isinstance(method, dict) else method
        if name in seen:
            document.complain(where, f"the method `{name}` a second time", "each method once",
                              "give one entry all its `budgets`")  # fmt: skip
        elif name is not None:
            seen.add(name)


def _claim_ids(document: Document) -> None:
    seen: dict[str, int] = {}
    for where in _items(document, "claims"):
        name = document.sound(*where, "id")
        if name in seen:
            first = f" (the first is on line {seen[name]})" if seen[name] else ""
            document.complain((*where, "id"), f"the claim id `{name}` a second time", f"each id once{first}",
                              "give one of the two another id")  # fmt: skip
        elif name is not None:
            seen[name] = document.place((*where, "id")).line


def _claim(document: Document, where: Where) -> None:
    kind = document.sound(*where, "kind")
    if kind == "removal":
        _exactly_one(document, where, "layers", "method")
        if isinstance(document.get(*where, "perplexity_increase"), dict):
            _exactly_one(document, (*where, "perplexity_increase"), "at_most", "equals")
    elif kind == "regime":
        _exactly_one(document, where, "metric", "removal")
    elif kind == "comparison":
        better, worse = document.sound(*where, "better"), document.sound(*where, "worse")
        if better is not None and better == worse:
            document.complain((*where, "worse"), f"`{worse}` as the better and the worse method",
                              "two methods", "name the method it is compared with")  # fmt: skip


def _exactly_one(document: Document, where: Where, one: str, other: str) -> None:
    # A misspelt key has its own mistake; that one of the two is missing would only repeat it.
    if any(len(bad) > len(where) and bad[: len(where)] == where for bad in document.wrong):
        return
    there = [name for name in (one, other) if name in document.get(*where)]
    if len(there) == 2:
        document.complain(where, f"both `{one}` and `{other}`", "one of them", "take one of them away",
                          key=(*where, other))  # fmt: skip
    elif not there and document.get(*where):
        document.complain(where, f"neither `{one}` nor `{other}`", "one of them", f"add `{one}` or `{other}`",
                          key=where)  # fmt: skip


# --- against the model -----------------------------------------------------------------------------------------------


def _gap(document: Document, blocks: int) -> None:
    where = ("pairs", "max_gap")
    gap = document.sound(*where)
    if gap is not None and gap >= blocks:
        document.complain(where, f"pairs up to {gap} blocks apart",
                          f"at most {blocks - 1} in a model of {blocks} blocks", "lower it")  # fmt: skip


def _block_numbers(document: Document, where: Where, blocks: int) -> None:
    for item in _items(document, *where):
        block = document.sound(*item)
        if block is not None and block >= blocks:
            document.complain(item, f"block {block}", f"a block of the model, from 0 to {blocks - 1}",
                              "correct the number; the first block is 0")  # fmt: skip


def _blocks_left(document: Document, where: Where, blocks: int) -> None:
    layers, budget = document.sound(*where, "layers"), document.sound(*where, "budget")
    if layers is not None and len(layers) >= blocks:
        document.complain((*where, "layers"), f"all {blocks} blocks", "at least one block left", "name fewer blocks")
    if budget is not None and budget >= blocks:
        document.complain((*where, "budget"), f"a budget of {budget} in a model of {blocks} blocks",
                          f"at most {blocks - 1}, so that a block is left", "lower the budget")  # fmt: skip


def _budgets(document: Document, blocks: int) -> None:
    """Every budget the audit measures must leave a block, and be within reach of spacing and exclusions."""
    if document.doubted(("selection",)):
        return
    spacing = document.get("selection", "spacing")
    geometry = Geometry(blocks, Selection.spacing if spacing is None else spacing,
                        tuple(document.get("selection", "exclude") or ()))  # fmt: skip
    own = [where for method in _items(document, "methods") for where in _items(document, *method, "budgets")]
    for where in [*_items(document, "budgets"), *own]:
        budget = document.sound(*where)
        if budget is None or geometry.count(budget):
            continue
        if budget >= blocks:
            document.complain(where, f"a budget of {budget} in a model of {blocks} blocks",
                              f"at most {blocks - 1}, so that a block is left", "lower the budget")  # fmt: skip
        else:
            document.complain(where, f"a budget of {budget}", _reach(geometry),
                              "lower the budget, or loosen `selection`")  # fmt: skip


def _reach(geometry: Geometry) -> str:
    excluded = len(set(geometry.exclude))
    of = f"{geometry.blocks} blocks at spacing {geometry.spacing} with {excluded} excluded"
    return f"at most {geometry.largest}, the largest that can be reached in {of}"


def _context(document: Document, where: Where, context: int) -> None:
    length = document.sound(*where)
    if length is not None and length > context:
        document.complain(where, f"{length} tokens", f"at most {context}, the model's context", f"lower `{where[-1]}`")
