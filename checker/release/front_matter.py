"""Merges base model, tags and evaluation results into a card's front matter; comments, order and quotes stay.

huggingface_hub makes what goes in and reads what came out. Its own way of writing a card would drop what stands beside
the values, so ruamel.yaml writes it. Every value is a text to it here: so none is written in another way (``yes``,
``1_000``, ``~``), and no tag of a stranger makes an object.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import MappingNode, SequenceNode

from checker.checkpoints.model_card import NAME, Refused, compose, front_matter, line_break, values_of, yaml_problem
from checker.core.errors import CannotRun, UsageError, bounded

KEYS = ("base_model", "tags", "model-index")
TASK = "Layer removal, audited by pruneaudit"  # by this name our results are found again
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # it knows no places, and none are needed
_BY_HAND = "write it in the plain form, or use --block-only"
_MOST_INDENT = 4  # columns of a list below its key
Values = Mapping[str, Any]


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


def merged(text: str, metadata: Metadata, file: str = NAME) -> str:
    """The card with ``metadata`` in its front matter, which is made where there is none.

    A base model that the card names stays. Tags are added. The results replace earlier ones of ours, and stand beside
    those of others. UsageError where nothing can be added to a key, CannotRun without the libraries.
    """
    span, ending = front_matter(text), line_break(text)
    if ending == "\r" and not span:  # neither GitHub's reader nor huggingface_hub's would find what was put there
        found, expected = (
            "lines that end in a bare carriage return",
            r"`\n` or `\r\n`, which readers of front matter know",
        )
        raise UsageError.at(file, found, expected, "save the card with such line ends, or use --block-only")
    inner = re.sub(r"\r\n?", "\n", text[slice(*span)]) if span else ""
    try:
        changed = _edited(inner, metadata)
        _check(inner, changed, metadata)
    except (Refused, yaml.YAMLError) as error:
        problem = str(error) if isinstance(error, Refused) else f"front matter that is not YAML ({yaml_problem(error)})"
        raise UsageError.at(file, problem, "front matter that can be added to line by line", _BY_HAND) from None
    if changed == inner:
        return text
    changed = changed.replace("\n", ending)
    if span:
        return text[: span[0]] + changed + text[span[1] :]
    start = int(text.startswith("\ufeff"))
    return f"{text[:start]}---{ending}{changed}---{ending}{text[start:]}"


def _edited(inner: str, metadata: Metadata) -> str:
    """The front matter with what is missing in it; as it is where nothing is."""
    node, before = compose(inner), _typed(inner)
    lines, editor = _lines(metadata), _editor(node)
    with _taken_by("ruamel.yaml"):
        ours, root = editor.load(lines), editor.load(inner if node else "{}")
        if "model-index" in root and "model-index" not in ours and TASK in inner:
            raise Refused("results of an earlier pack in `model-index`, of which this pack has none,")
        changed = [key for key in ours if _put(key, root, ours, before, yaml.load(lines, _FAST))]
        root.fa.set_block_style()
        written = io.StringIO()
        editor.dump(root, written)
    if not changed:
        return inner
    # Front matter that is nothing but comments has no root that could hold them.
    return written.getvalue() if node else inner + written.getvalue()


def _typed(inner: str) -> Values:
    """The front matter with its types."""
    try:
        return yaml.load(inner, _FAST) or {}
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # a month 13, `!!int ""`
        raise Refused(f"front matter with a value that is not of its type ({bounded(str(error), 80)})") from None


def _put(key: str, root: Any, ours: Any, before: Values, values: Values) -> bool:
    """Puts a key of ``ours`` into ``root``; whether that changes it. The last two are both with their types."""
    if key in root and key != "tags":
        return key == "model-index" and _put_result(root[key], ours[key], before[key], values[key])
    if key in root and before[key] not in (None, []):
        return _add_tags(root[key], ours[key])
    if key in root:
        ours[key].fa.set_flow_style()  # in the line of the key, before a comment there
    root[key] = ours[key]
    return True


def _add_tags(tags: Any, ours: Any) -> bool:
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Refused("`tags` that are not a list of words")
    missing = [tag for tag in ours if tag not in tags]
    if missing:
        below = _cut_below(tags)
        tags.extend(missing)
        _hang_below(tags, below)
    return bool(missing)


def _put_result(index: Any, ours: Any, before: Any, values: Any) -> bool:
    """Our result in the place of an earlier one, or after all others."""
    if not isinstance(index, list) or len(index) != 1:
        raise Refused("a `model-index` that is not a list of one model")
    results = index[0].get("results") if isinstance(index[0], dict) else None
    if not isinstance(results, list) or not results:
        raise Refused("a `model-index` without a list of results")
    earlier = [place for place, result in enumerate(results) if _task(result) == TASK]
    if len(earlier) > 1:
        raise Refused(f"{len(earlier)} results of the task {TASK!r} in `model-index`")
    if earlier and before[0]["results"][earlier[0]] == values[0]["results"][0]:
        return False
    place = earlier[0] if earlier else len(results)
    below = _cut_below(results[place] if earlier else results)
    results[place : place + 1] = ours[0]["results"]
    _hang_below(results[place], below)
    return True


def _task(result: Any) -> Any:
    """The name of a result's task."""
    task = result.get("task") if isinstance(result, dict) else None
    return task.get("name") if isinstance(task, dict) else None


# ruamel.yaml keeps comments and empty lines with the value before them: what stands between two keys, with the last
# value of the first. There it belongs to what follows, and stays when that value is replaced or gets another after it.


def _cut_below(node: Any) -> Any:
    """Takes away what stands below the last line of a collection, and returns it; None where nothing does."""
    holder, key, place = _last(node)
    comment = holder.ca.items.get(key, [None] * 4)[place]
    if comment is None:
        return None
    line, _, rest = comment.value.partition("\n")
    below = copy(comment)
    comment.value, below.value = f"{line}\n", f"\n{rest}"
    return below


def _hang_below(node: Any, below: Any) -> None:
    if below is not None:
        holder, key, place = _last(node)
        holder.ca.items.setdefault(key, [None] * 4)[place] = below


def _last(node: Any) -> tuple[Any, Any, int]:
    """What holds the last value of a collection, under which key or number, and where comments on it stand there."""
    key = len(node) - 1 if isinstance(node, list) else next(reversed(node))
    value: Any = node[key]
    if not isinstance(value, list | dict) or not value or value.fa.flow_style():  # type: ignore[union-attr]
        return node, key, 0 if isinstance(node, list) else 2
    return _last(value)


def _libraries() -> tuple[Any, Any]:
    try:
        import huggingface_hub
        import ruamel.yaml
    except ImportError as error:
        raise CannotRun.at(
            None,
            f"no package {error.name}",
            "it, to write a card's front matter",
            "install it: pip install 'pruneaudit[card]', or use --block-only",
        ) from None
    return huggingface_hub, ruamel.yaml


@contextmanager
def _taken_by(library: str) -> Iterator[None]:
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # whatever a stranger's front matter makes it raise
        raise Refused(f"front matter that {library} does not take ({type(error).__name__})") from None


def _editor(node: MappingNode | None) -> Any:
    """Reads and writes YAML, comments included; lists stand as far in as the first one of ``node``."""
    library = _libraries()[1]
    editor = library.YAML(typ="rt", pure=True)
    # No plain value is a number, a date, a truth value or nothing.
    editor.Resolver = type("Texts", (library.resolver.VersionedResolver,), {"versioned_resolver": {}})
    editor.preserve_quotes = True
    editor.width = 2**31
    values = values_of(node).values() if node else ()
    lists = [value for value in values if isinstance(value, SequenceNode) and not value.flow_style]
    offset = min(lists[0].start_mark.column, _MOST_INDENT) if lists else 0
    editor.indent(mapping=2, sequence=offset + 2, offset=offset)
    return editor


def _lines(metadata: Metadata) -> str:
    """What goes in, as huggingface_hub writes it."""
    library = _libraries()[0]
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
    index = {"model_name": metadata.model, "eval_results": results} if results else {}
    card = library.ModelCardData(base_model=metadata.base_model, tags=list(metadata.tags) or None, **index)
    return str(card.to_yaml())


def _check(before: str, after: str, metadata: Metadata) -> None:
    """Refused unless everything else means what it meant, and the library reads what was put in."""
    old, new = yaml.load(before, _FAST) or {}, yaml.load(after, _FAST) or {}
    for key in [*old, *new]:
        if key not in KEYS and (key not in old or key not in new or repr(old[key]) != repr(new[key])):
            raise Refused(f"the key `{str(key)[:40]}`, which would read otherwise afterwards,")
    with _taken_by("huggingface_hub"):
        card = _libraries()[0].ModelCard(f"---\n{after}---\n")
        names = {result.metric_name for result in card.data.eval_results or ()}
        listed = card.data.tags or []
    if not set(metadata.tags) <= set(listed) or not {result.name for result in metadata.results} <= names:
        raise Refused("front matter in which huggingface_hub does not find what was added")
