"""A draft of an audit file with `published:`: what a file says, with a marked blank for whatever it does not say.

A draft decides nothing. Its blanks are refused by ``check`` until somebody fills them in. Text from outside
stands in it on one line, without control characters, and quoted wherever YAML could read it as anything but text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import yaml

from checker.core.errors import UsageError
from checker.core.escape import one_line
from checker.published.check import BLANK
from checker.spec import document

MODEL = "model"  # key of the model that a draft's numbers are of
_LONGEST = 200  # characters of a text from outside
_MOST_LISTED = 500  # lines of a comment
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*")
_MAY_HOLD: Mapping[str, str] = {
    "source": "authors, url, revision, accessed",
    "models": "blocks",
    "contracts": "text, words, window, stride, tokenizer, boundary, special_tokens, dtype, unstated, where",
    "baselines": "id, interval, windows, table, archive",
    "scores": "direction, positions, prompts, text, dtype, checkpoint, max_gap, interval_of, archive",
    "removals": "protocol, search, budget, layers, contract, perplexity, increase, interval, interval_unit, windows, "
    "selected_on, calls, prompts, positions, direction, seeds, bold, archive, table",
}


@dataclass(frozen=True)
class Draft:
    """What one importer made of a file; the sections are those of `published:` in the audit file."""

    origin: str  # name of the file
    title: str
    source: str  # title of the source
    models: Mapping[str, Any]
    contracts: Mapping[str, Any] = field(default_factory=dict)
    baselines: Sequence[Any] = ()
    scores: Sequence[Any] = ()
    removals: Sequence[Any] = ()
    remarks: Sequence[str] = ()  # how something in the draft was derived
    not_understood: Sequence[str] = ()  # each with its place in the file


def blank(what: str) -> str:
    """A value that somebody has to fill in; ``what`` says what belongs there."""
    return f"{BLANK}: {what}"


def name_for(text: str, taken: Iterable[str] = ()) -> str:
    """An id that the audit file takes, from any text, other than those ``taken``."""
    stem = re.sub(r"[^a-z0-9]+", "-", text[:_LONGEST].lower()).strip("-")[:50].rstrip("-") or "item"
    used = set(taken)
    names = chain([stem], (f"{stem}-{number}" for number in count(2)))
    return next(name for name in names if name not in used)


def render(draft: Draft) -> str:
    """The draft as an audit file. UsageError where it would be larger than an audit file may be."""
    origin = one_line(draft.origin)
    lines = [
        f"# A draft that `pruneaudit import` made from {origin}. It decides nothing.",
        f"# Fill in what is marked {BLANK}, or take the key away where it may be left out, and hold the rest against "
        "the source.",
    ]
    lines += _listed("How it was read", draft.remarks)
    lines += _listed("Not understood, and so not in the draft", draft.not_understood)
    lines += ["pruneaudit: 1", _yaml({"title": one_line(draft.title)}), "published:"]
    sections = {"source": {"title": draft.source}, **{name: getattr(draft, name) for name in list(_MAY_HOLD)[1:]}}
    for name, content in sections.items():
        if content:
            who = "May" if name == "source" else "Each may"
            lines += [f"  # {line}" for line in textwrap.wrap(f"{who} also hold: {_MAY_HOLD[name]}.", 112)]
            lines.append(textwrap.indent(_yaml({name: content}), "  "))
    lines.append(
        "  # What the source says in words goes into `statements`, how it says that blocks were chosen into `rules`."
    )
    text = "\n".join(lines) + "\n"
    if (size := len(text.encode())) > document.LARGEST_FILE:
        raise UsageError.at(
            origin,
            f"so much that the draft has {size:,} bytes",
            f"at most {document.LARGEST_FILE:,}, which an audit file may have",
            "import a part of it, or name a CSV file with the columns i,j,value under `file:`",
        )
    return text


def blanks(text: str) -> int:
    """How many values of a rendered draft are to be filled in."""
    return text.count(f'"{BLANK}')


def _listed(heading: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = [f"#   and {len(items) - _MOST_LISTED:,} more"] if len(items) > _MOST_LISTED else []
    return ["#", f"# {heading}:", *(f"#   {one_line(item, 2 * _LONGEST)}" for item in items[:_MOST_LISTED]), *more]


class _Dumper(yaml.SafeDumper):
    """Mappings as blocks, lists of plain values on one line, texts quoted unless they are plain words."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    bare = _BARE.fullmatch(text) and document.is_text(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if bare else '"')


def _list(dumper: _Dumper, items: Sequence[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(item, dict | list | tuple) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


def _mapping(dumper: _Dumper, items: Mapping[str, Any]) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", items.items(), flow_style=False)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)
_Dumper.add_representer(dict, _mapping)


def _yaml(content: Mapping[str, Any]) -> str:
    # No line is folded: texts hold no line breaks, so each value stands on the line of its key.
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30).rstrip("\n")
