"""Merges base model, tags and evaluation results into a card's front matter; every other line stays as it is.

huggingface_hub makes what goes in and reads what came out. Its own way of writing a card would write all of it anew, so
only the lines of these three keys are put in place here, and what cannot be done that way is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from checker.checkpoints.model_card import NAME, Refused, compose, front_matter, line_break, values_of, yaml_problem
from checker.core.errors import CannotRun, UsageError

KEYS = ("base_model", "tags", "model-index")
TASK = "Layer removal, audited by pruneaudit"  # by this name our results are found again
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # it tells no places, and none are needed of it
_BY_HAND = "write it in the plain form, or use --block-only"


@dataclass(frozen=True)
class Result:
    """One figure for the card's `model-index`."""

    metric: str
    name: str
    value: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Metadata:
    """What an audit has to say in a card's front matter."""

    model: str  # name of the model whose results these are
    text: str  # what the results were measured on
    text_kind: str  # a dataset's name on the hub, or what kind of file it is
    results: tuple[Result, ...]
    base_model: str | None = None  # on the hub
    tags: tuple[str, ...] = ("pruneaudit",)


@dataclass(frozen=True)
class _Edit:
    """``inner[start:end]`` becomes ``text``."""

    start: int
    end: int
    text: str


def merged(text: str, metadata: Metadata, file: str = NAME) -> str:
    """The card with ``metadata`` in its front matter, which is made where there is none.

    A base model that the card names stays. Tags are added. The results replace earlier ones of ours, and stand beside
    those of others. UsageError where a key cannot be edited in place, CannotRun without huggingface_hub.
    """
    span, ending = front_matter(text), line_break(text)
    inner = text[slice(*span)] if span else ""
    try:
        root = compose(inner)
        changed = _edited(inner, root, metadata, ending)
        _check(inner, changed, metadata)
    except (Refused, yaml.YAMLError) as error:
        found = str(error) if isinstance(error, Refused) else f"front matter that is not YAML ({yaml_problem(error)})"
        raise UsageError(f"{file}: found {found}; expected front matter that can be added to line by line; "
                         f"{_BY_HAND}") from None  # fmt: skip
    if changed == inner:
        return text
    if span:
        return text[: span[0]] + changed + text[span[1] :]
    start = int(text.startswith("\ufeff"))
    return f"{text[:start]}---{ending}{changed}---{ending}{text[start:]}"


# --- editing ---------------------------------------------------------------------------------------------------------


def _edited(inner: str, root: MappingNode | None, metadata: Metadata, ending: str) -> str:
    values = {} if root is None else values_of(root)
    edits: list[_Edit] = []
    added: list[str] = []
    wanted = _library_lines(metadata)
    for key in KEYS:
        if key not in wanted:
            if key == "model-index" and key in values and TASK in inner:
                raise Refused("results of an earlier pack in `model-index`, of which this pack has none,")
        elif key not in values:
            added += wanted[key]
        elif key == "tags":
            edits += _tags(inner, values[key], metadata.tags, ending)
        elif key == "model-index":
            edits += _results(inner, values[key], wanted[key], ending)
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        inner = inner[: edit.start] + edit.text + inner[edit.end :]
    return inner + "".join(line + ending for line in added)


def _tags(inner: str, node: Node, tags: Sequence[str], ending: str) -> Iterator[_Edit]:
    if isinstance(node, ScalarNode) and node.value == "" and not node.style:
        yield _Edit(node.start_mark.index, node.start_mark.index, f" [{', '.join(tags)}]")
        return
    if not isinstance(node, SequenceNode) or not all(isinstance(item, ScalarNode) for item in node.value):
        raise Refused("`tags` that are not a list of words")
    missing = [tag for tag in tags if tag not in [item.value for item in node.value]]
    if not missing:
        return
    if node.flow_style:
        place = node.value[-1].end_mark.index if node.value else node.start_mark.index + 1
        yield _Edit(place, place, (", " if node.value else "") + ", ".join(missing))
        return
    place = _line_end(inner, node)
    yield _Edit(place, place, "".join(f"{ending}{' ' * node.start_mark.column}- {tag}" for tag in missing))


def _results(inner: str, index: Node, lines: Sequence[str], ending: str) -> Iterator[_Edit]:
    """Our result in the place of an earlier one, or after all others."""
    if not isinstance(index, SequenceNode) or index.flow_style or len(index.value) != 1:
        raise Refused("a `model-index` that is not a list, on lines of its own, of one model")
    model = index.value[0]
    results = values_of(model).get("results") if isinstance(model, MappingNode) else None
    if not isinstance(results, SequenceNode) or results.flow_style or not results.value:
        raise Refused("a `model-index` without a list of results on lines of its own")
    ours = [place for place, item in enumerate(results.value) if _task(item) == TASK]
    if len(ours) > 1:
        raise Refused(f"{len(ours)} results of the task {TASK!r} in `model-index`")
    indent = " " * results.start_mark.column
    item = [line[2:] for line in lines[3:]]  # without `model-index:`, its name and `results:`
    if not ours:
        place = _line_end(inner, results)
        yield _Edit(place, place, "".join(f"{ending}{indent}{line}" for line in item))
        return
    old = results.value[ours[0]]
    if _data(old) == yaml.safe_load("\n".join(item))[0]:
        return
    before = results.value[ours[0] - 1].end_mark.index if ours[0] else results.start_mark.index
    dash = inner.rfind("-", min(before, old.start_mark.index), old.start_mark.index)
    if dash < 0:
        dash = results.start_mark.index
    yield _Edit(dash, _line_end(inner, old), f"{ending}{indent}".join(item))


def _task(item: Node) -> str | None:
    """The name of a result's task."""
    task = values_of(item).get("task") if isinstance(item, MappingNode) else None
    name = values_of(task).get("name") if isinstance(task, MappingNode) else None
    return str(name.value) if isinstance(name, ScalarNode) else None


def _data(node: Node) -> Any:
    return yaml.SafeLoader("").construct_object(node, deep=True)


def _line_end(inner: str, node: Node) -> int:
    """Where the last line of a node ends, a comment after it included, its line break not."""
    last = len(inner[: max(_ends(node))].rstrip())
    found = re.compile(r"[\r\n]|\Z").search(inner, last)
    return found.start() if found else len(inner)


def _ends(node: Node) -> Iterator[int]:
    """Where the scalars and the bracketed parts of a node end; what a block collection itself says lies further on."""
    if not isinstance(node, CollectionNode) or node.flow_style:
        yield node.end_mark.index
        return
    pairs = node.value if isinstance(node, MappingNode) else [(item,) for item in node.value]
    for parts in pairs:
        for part in parts:
            yield from _ends(part)


# --- through the library ---------------------------------------------------------------------------------------------


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise CannotRun(
            "found no package huggingface_hub; expected it, to write a card's front matter; install it: "
            "pip install 'pruneaudit[card]', or use --block-only"
        ) from None
    return huggingface_hub


def _library_lines(metadata: Metadata) -> dict[str, list[str]]:
    """Per key, its lines as the library writes them."""
    library = _library()
    results = [
        library.EvalResult(
            task_type="text-generation",
            task_name=TASK,
            dataset_type=metadata.text_kind,
            dataset_name=metadata.text,
            metric_type=result.metric,
            metric_name=result.name,
            metric_value=result.value,
            metric_args=dict(result.settings) or None,
        )
        for result in metadata.results
    ]
    parts = {
        "base_model": {"base_model": metadata.base_model} if metadata.base_model else None,
        "tags": {"tags": list(metadata.tags)} if metadata.tags else None,
        "model-index": {"model_name": metadata.model, "eval_results": results} if results else None,
    }
    return {key: library.ModelCardData(**part).to_yaml().split("\n") for key, part in parts.items() if part}


def _check(before: str, after: str, metadata: Metadata) -> None:
    """Refused unless everything else means what it meant, and the library reads what was put in."""
    old = yaml.load(before, _FAST) or {}
    try:
        new = yaml.load(after, _FAST)
    except yaml.YAMLError:
        raise Refused("front matter that no key can be added to at its end") from None
    for key in [*old, *new]:
        if key not in KEYS and (key not in old or key not in new or repr(old[key]) != repr(new[key])):
            raise Refused(f"the key `{str(key)[:40]}`, which would read otherwise afterwards,")
    try:
        card = _library().ModelCard(f"---\n{after}---\n")
        names = {result.metric_name for result in card.data.eval_results or ()}
        listed = card.data.tags or []
    except Exception as error:  # whatever a stranger's metadata make the library raise
        raise Refused(f"front matter that huggingface_hub does not take ({type(error).__name__})") from None
    if not set(metadata.tags) <= set(listed) or not {result.name for result in metadata.results} <= names:
        raise Refused("front matter in which huggingface_hub does not find what was added")
