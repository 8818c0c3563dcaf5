"""Model cards as files: where front matter ends, and where the pruneaudit block stands.

A card is read as CommonMark, so that markers inside code are text. Nothing but the block is ever changed here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from checker.checkpoints.trust import existing
from checker.core.errors import CannotRun, PruneauditError, UsageError
from checker.core.facts import CardFacts
from checker.core.files import beginning, lacking

LARGEST = 1_000_000  # bytes of a card
NAME = "README.md"
_MOST_LINES = 20_000  # below the front matter, which may hold many results; more would take minutes to read
_DEEPEST = 20  # levels of front matter

_BREAK = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
# As huggingface_hub finds it; an empty one counts too.
_FRONT = re.compile(r"\A(\ufeff?\s*---(?:\r\n|\n|\r))((?:[\S\s]*?(?:\r\n|\n|\r))??)(---[ \t]*(?:\r\n|\n|\Z))")
_MARKER = re.compile(r"<!-- pruneaudit:(begin|end)((?: [a-z]+=[0-9a-z]+)*) -->")
_FIELD = re.compile(r"([a-z]+)=([0-9a-z]+)")


class Refused(Exception):
    """What was found in place of something that can be edited in place."""


@dataclass(frozen=True)
class Block:
    """The pruneaudit block of a card. Offsets count characters of the card's text; both markers belong to it."""

    start: int
    end: int  # after the closing marker, before its line break
    line: int  # of the opening marker, from 1
    text: str  # markers included, lines separated by \n
    fields: Mapping[str, str]

    @property
    def edited(self) -> bool:
        """Whether what stands between the markers is not what its own digest says."""
        return self.fields.get("text") != digest_of(self.text.split("\n")[1:-1])


def digest_of(lines: list[str]) -> str:
    """sha256 (hex) of what stands between the markers, lines separated by ``\\n``."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def marked(lines: list[str], fields: Mapping[str, str]) -> str:
    """A block from its lines: markers around them, the opening one with ``fields`` and the digest of the lines."""
    pairs = {**fields, "text": digest_of(lines)}.items()
    opening = " ".join(["<!-- pruneaudit:begin", *(f"{key}={value}" for key, value in pairs), "-->"])
    return "\n".join([opening, *lines, "<!-- pruneaudit:end -->"])


def read(path: Path) -> str:
    """A card's text, its line breaks and byte order mark as they are.

    UsageError where there is no such file, where it is a link, too large, or not UTF-8.
    """
    if path.is_symlink():
        raise UsageError.at(path, "a link", "the file of a model card itself", "name the file it leads to")
    if not path.is_file():
        raise UsageError.at(path, lacking(path), "a model card", "check the path, or make an empty one")
    content = beginning(path, LARGEST)
    if len(content) > LARGEST:
        raise UsageError.at(path, f"more than {LARGEST:,} bytes", "a model card", "check the path")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError.at(
            path, f"bytes that are not UTF-8 at byte {error.start}", "a text in UTF-8", "save it as UTF-8"
        ) from None


def markdown_blocks(text: str, *, tables: bool = False) -> Sequence[Any]:
    """The blocks of a Markdown text as tokens of markdown-it, ``tables`` as such or as paragraphs.

    CannotRun where that package is not installed.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise CannotRun.at(
            None, "no package markdown-it-py", "it, to read model cards", "install it: pip install 'pruneaudit[card]'"
        ) from None
    # Blocks are enough; what a stranger writes inside of paragraphs need not be taken apart.
    parser = MarkdownIt("commonmark").disable("inline")
    return (parser.enable("table") if tables else parser).parse(text)


def front_matter(text: str) -> tuple[int, int] | None:
    """Where the lines between the two ``---`` start and end; None where the card has no front matter."""
    match = _FRONT.match(text)
    return match.span(2) if match else None


def line_break(text: str) -> str:
    """The card's own line break: that of its first line."""
    first = _BREAK.search(text)
    return first[0] if first else "\n"


def base_models(text: str) -> tuple[str, ...]:
    """The base models that a card's front matter names; empty where it names none or cannot be read."""
    span = front_matter(text)
    try:
        root = compose(text[slice(*span)]) if span else None
    except (Refused, yaml.YAMLError):
        return ()
    node = None if root is None else values_of(root).get("base_model")
    nodes = node.value if isinstance(node, SequenceNode) else [node]
    return tuple(str(item.value) for item in nodes if isinstance(item, ScalarNode) and item.value)


class _Plain(yaml.SafeLoader):
    """Reads no anchors and no aliases, and only so deep."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if anchor := getattr(event, "anchor", None):
            raise Refused(f"an anchor or an alias ({anchor[:40]!r}) in the front matter")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Refused(f"front matter that is nested more than {_DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(inner: str) -> MappingNode | None:
    """The front matter's root, a block mapping; None where it is empty."""
    root = yaml.compose(inner, Loader=_Plain)
    if root is None:
        return None
    if not isinstance(root, MappingNode):
        raise Refused("front matter that holds no keys")
    if root.flow_style or root.start_mark.column:
        raise Refused("front matter that does not have its keys at the start of lines")
    names = [key.value for key, _ in root.value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or "<<" in names:
        raise Refused(f"the key `{str(twice or '<<')[:40]}` in the front matter, which hides another")
    return root


def values_of(root: MappingNode) -> dict[str, Node]:
    return {key.value: value for key, value in root.value if isinstance(key, ScalarNode)}


def yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 2}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'unreadable'}{place}"


def find_block(text: str, file: str = NAME) -> Block | None:
    """The pruneaudit block of a card, or None. UsageError where there are several, or half of one."""
    front = _FRONT.match(text)
    start = front.end() if front else int(text.startswith("\ufeff"))
    first_line = len(_BREAK.findall(text[:start])) + 1
    lines = [match for match in _LINE.finditer(text, start) if match[0]]
    if len(lines) > _MOST_LINES:
        raise UsageError.at(file, f"more than {_MOST_LINES:,} lines", "a model card", "check the path")
    marks = list(_marks(text[start:]))
    if not marks:
        return None
    places = ", ".join(str(first_line + number) for number, _ in marks)
    if [match[1] for _, match in marks] != ["begin", "end"]:
        several = sum(match[1] == "begin" for _, match in marks) > 1
        wrong = "several pruneaudit blocks" if several else "half of a pruneaudit block"
        raise UsageError.at(
            file,
            f"{wrong} (markers in line {places})",
            "at most one, from `pruneaudit:begin` to `pruneaudit:end`",
            "delete what is left of the others",
        )
    (first, opening), (last, _) = marks
    begins, ends = lines[first].start(), lines[last].start() + len(lines[last][0].rstrip("\r\n"))
    inside = _BREAK.sub("\n", text[begins:ends])
    return Block(begins, ends, first_line + first, inside, dict(_FIELD.findall(opening[2])))


def with_block(text: str, block: str, file: str = NAME) -> str:
    """The card with ``block`` in the place of its own, or after everything else; all other bytes stay.

    UsageError where the card holds several blocks or half of one, or where what it ends in would swallow the new one.
    """
    present, ending = find_block(text, file), line_break(text)
    written = block.replace("\n", ending)
    if present is not None:
        return text[: present.start] + written + text[present.end :]
    whole = text + _gap(text, ending) + written + ending
    if not _holds(whole, block):
        raise UsageError.at(
            file,
            "a code fence or an HTML comment that is still open at the end",
            "it closed, or the block would be a part of it",
            "close it",
        )
    return whole


def _holds(text: str, block: str) -> bool:
    try:
        present = find_block(text)
    except UsageError:
        return False
    return present is not None and present.text == block


def _gap(text: str, ending: str) -> str:
    """What makes an empty line before the block."""
    breaks = len(_BREAK.findall(text[len(text.rstrip("\r\n")) :]))
    return ending * max(0, 2 - breaks) if text.strip("\ufeff") else ""


def _marks(body: str) -> Iterator[tuple[int, re.Match[str]]]:
    """The markers that are HTML of their own at the top level, each with its line in the body, from 0."""
    for token in markdown_blocks(body):
        if token.type != "html_block" or token.level > 0 or token.map is None:
            continue
        if match := _MARKER.fullmatch(token.content.strip()):
            yield token.map[0], match


def facts(folder: Path) -> CardFacts | None:
    """What the block is of in the card in a model's folder, which is resolved; None where there is no card.

    A card that cannot be read says why, in ``problem``.
    """
    try:
        path = existing(folder, NAME)
        if path is None:
            return None
        text = read(path.resolve())  # in the hub's cache it is a link
        block = find_block(text)
    except PruneauditError as error:
        # Reports travel, and the folders of the machine that made them do not.
        problem = str(error).replace(str((folder / NAME).resolve()), NAME).replace(str(folder), "the folder")
        return CardFacts(problem=problem.removeprefix(f"{NAME}: "))
    if block is None:
        return CardFacts()
    audit, model = block.fields.get("audit"), block.fields.get("model")
    return CardFacts(block=True, audit_digest=audit, model_digest=model, edited=block.edited)
