"""YAML with the place of every key and value, and with its surprises made visible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from checker.core.errors import InvalidAudit, Mistake
from checker.core.files import absolute, beginning
from checker.core.records import Location

Where = tuple[str | int, ...]

LARGEST_FILE = 1_000_000  # bytes
DEEPEST = 20  # levels of mappings and lists
OVERRIDE = "--set "

_AUDIT, _INIT = "an audit", "write one with `pruneaudit init`"
_LONGEST = 400  # letters of a number; longer ones are kept as text
_WIDEST = 1000  # bits of a whole number; wider ones are kept as text

_TAG = "tag:yaml.org,2002:"
_REFUSED = "!refused"
_NUMBERS = {f"{_TAG}int": "construct_yaml_int", f"{_TAG}float": "construct_yaml_float"}


class Date(str):
    """A value that YAML reads as a date, kept as it was written; text only where the schema expects a date."""


_SIMPLE: Mapping[str, Callable[[str], Any]] = {
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: text.lower() in ("yes", "true", "on"),
    f"{_TAG}timestamp": Date,
    **dict.fromkeys((f"{_TAG}str", f"{_TAG}merge", f"{_TAG}value"), str),
}


@dataclass
class Document:
    """A YAML file as data, with the place of everything in it and the mistakes found so far.

    ``keys`` and ``values`` give, per path into the data, where the key and the value stand (a list's item has no key:
    both are its start). ``written`` holds plain scalars as they were typed. ``wrong`` are the paths with a mistake.
    """

    file: str
    folder: Path
    text: str = ""
    data: Any = None
    keys: dict[Where, Location] = field(default_factory=dict)
    values: dict[Where, Location] = field(default_factory=dict)
    written: dict[Where, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    wrong: set[Where] = field(default_factory=set)

    def get(self, *where: str | int) -> Any:
        """The value at a path; None where there is none."""
        value = self.data
        for part in where:
            inside = isinstance(value, dict) and part in value
            if not inside and not (isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)):
                return None
            value = value[part]
        return value

    def items(self, *where: str | int) -> Iterator[Where]:
        """The paths of a list's items; none where it is missing or no list."""
        value = self.get(*where)
        yield from ((*where, index) for index in range(len(value) if isinstance(value, list) else 0))

    def sound(self, *where: str | int) -> Any:
        """The value at a path; None where there is none, or where it, a part of it or what holds it is wrong."""
        return None if self.doubted(where) else self.get(*where)

    def doubted(self, where: Where) -> bool:
        """Whether a path, a part of it or what holds it has a mistake."""
        return self.spoiled(where) or any(bad[: len(where)] == where for bad in self.wrong)

    def spoiled(self, where: Where) -> bool:
        """Whether a path or what holds it has a mistake, so that others at the same path would only repeat it."""
        return any(where[:length] in self.wrong for length in range(len(where) + 1))

    def complain(self, where: Where, found: str, expected: str, remedy: str, *, key: Where | None = None) -> None:
        """Notes a mistake about ``where``; it is placed at the value, or at the key of ``key`` where that is given."""
        place = self.place(where) if key is None else self.keys.get(key, Location(self.file))
        self.note(place, found, expected, remedy)
        self.wrong.add(where)

    def note(self, place: Location, found: str, expected: str, remedy: str) -> None:
        """Notes a mistake at a place; no path into the data counts as wrong for it."""
        self.mistakes.append(Mistake(place.file, place.line, place.column, found, expected, remedy))

    def place(self, where: Where) -> Location:
        """Where the value of a path stands; what holds it, where the path is missing."""
        while where not in self.values and where:
            where = where[:-1]
        return self.values.get(where, Location(self.file))

    def resolve(self, where: Where, path: str) -> Path:
        """An absolute path: relative ones start at the audit file, or at the working directory where they come from
        the command line."""
        folder = Path.cwd() if self.place(where).file.startswith(OVERRIDE) else self.folder
        try:
            return absolute(folder / Path(path).expanduser())
        except (OSError, RuntimeError, ValueError):  # no such user, a circle of links, a zero byte: found out later
            return folder.absolute() / path

    def override(self, assignment: str) -> tuple[str, str]:
        """Applies ``a.b=value``, value in YAML (an empty one takes the key away), and returns its two halves."""
        label = Location(OVERRIDE + assignment)
        name, sign, value = (part.strip() for part in assignment.partition("="))
        parts = name.split(".")
        if not sign or not all(parts):
            example = "write it like `--set data.scoring.prompts=8`"
            self.note(label, f"`{assignment}`", "a dotted key, `=` and a value", example)
            return name, value
        try:
            new = parse(value, label.file, self.folder)
        except InvalidAudit as error:
            self.mistakes += error.mistakes
            return name, value
        self.mistakes += [replace(mistake, line=0, column=0) for mistake in new.mistakes]
        where = self._open(parts, label)
        if where is not None:
            self._put(where, new, label)
        return name, value

    def _open(self, parts: list[str], label: Location) -> Where | None:
        """The path that dotted ``parts`` name, with mappings made on the way; None (and a mistake) where none leads."""
        holder: Any = self.data
        where: Where = ()
        for depth, part in enumerate(parts):
            step = _step(holder, part)
            if step is None:
                missing = f"no `{part}` in `{'.'.join(parts[:depth]) or 'the file'}`"
                remedy = "name a key that `docs/spec.md` lists, or an item of a list by its number from 0"
                self.note(label, missing, _inside(holder), remedy)
                return None
            where = (*where, step)
            if depth < len(parts) - 1:
                if isinstance(holder, dict) and holder.get(step) is None:
                    holder[step] = {}
                    self.keys[where] = self.values[where] = label
                holder = holder[step]
        return where

    def _put(self, where: Where, new: Document, label: Location) -> None:
        for places in (self.keys, self.values, self.written):
            for old in [path for path in places if path[: len(where)] == where]:
                del places[old]
        self.wrong = {bad for bad in self.wrong if bad[: len(where)] != where}
        holder = self.get(*where[:-1])
        if new.data is None and isinstance(holder, dict):
            holder.pop(where[-1], None)
            return
        holder[where[-1]] = new.data
        for path in new.values:
            self.keys[where + path] = self.values[where + path] = label
        self.written |= {where + path: text for path, text in new.written.items()}
        self.wrong |= {where + path for path in new.wrong}


def _step(holder: Any, part: str) -> str | int | None:
    if isinstance(holder, dict):
        return part
    if isinstance(holder, list) and part.isascii() and part.isdigit() and int(part) < len(holder):
        return int(part)
    return None


def _inside(holder: Any) -> str:
    if isinstance(holder, list):
        return f"a number below {len(holder)}" if holder else "nothing: the list is empty"
    return "nothing below a single value"


def read(path: Path, name: str, content: str = _AUDIT, remedy: str = _INIT) -> Document:
    """Reads a YAML file into data with places; ``name`` is what messages call the file, ``content`` what it should be.

    Mistakes that leave the rest readable are collected in the document; others raise InvalidAudit.
    """
    try:
        raw = beginning(path, LARGEST_FILE)
    except OSError as error:
        unreadable = f"a file that cannot be read ({error.strerror})"
        raise _refusal(name, unreadable, f"{content} file", f"correct the path, or {remedy}") from None
    _check_size(len(raw), name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        mistake = Mistake(name, line, 1, "bytes that are not UTF-8", "a text file in UTF-8", "save the file in UTF-8")
        raise InvalidAudit([mistake]) from None
    return read_text(text, name, path.parent, content, remedy)


def read_text(text: str, name: str, folder: Path, content: str = _AUDIT, remedy: str = _INIT) -> Document:
    """As ``read``, of a file's text that is at hand; ``folder`` is where relative paths in it start."""
    _check_size(len(text.encode()), name)
    document = parse(text.removeprefix("\ufeff"), name, folder)
    if document.data is None and not document.mistakes:
        raise _refusal(name, "an empty file", content, remedy)
    return document


def is_text(value: str) -> bool:
    """Whether YAML reads a bare word as text, not as a number, a boolean, a date or nothing."""
    node = _Reader(value).get_single_node()
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str"


def _check_size(size: int, name: str) -> None:
    if size > LARGEST_FILE:
        remedy = "keep texts in files of their own and name them by `path:`"
        raise _refusal(name, f"a file of more than {LARGEST_FILE} bytes", "at most so many", remedy)


def _refusal(name: str, found: str, expected: str, remedy: str) -> InvalidAudit:
    return InvalidAudit([Mistake(name, 0, 0, found, expected, remedy)])


def parse(text: str, file: str, folder: Path = Path()) -> Document:
    """Parses YAML; a syntax error raises InvalidAudit, because what follows it cannot be read."""
    document = Document(file, folder, text)
    try:
        reader = _Reader(text)
        node = reader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise InvalidAudit([_unreadable(file, line, column, "a control character")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = error.problem or "unknown"
        problem = f"{error.context}, {problem}" if problem.startswith("but ") else problem
        raise InvalidAudit([_unreadable(file, line, column, problem)]) from None
    for mark, reference in reader.refused:
        remedy = "write the value where it is used"
        document.note(_location(document, mark), reference, "values written out in full", remedy)
    if node is not None:
        document.keys[()] = _location(document, node.start_mark)
        document.data = _build(document, node, ())
    return document


def _unreadable(file: str, line: int, column: int, problem: str) -> Mistake:
    if file.startswith(OVERRIDE):
        line = column = 0
    tab = r"'\t'" in problem
    remedy = "indent with spaces" if tab else "check the indentation, quotes and brackets before this place"
    return Mistake(file, line, column, f"what YAML cannot read ({problem})", "YAML", remedy)


class _Reader(yaml.SafeLoader):
    """Composes nodes; notes anchors and aliases instead of following them, and stops at a depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refused: list[tuple[Any, str]] = []  # where an anchor or an alias stands, and which
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self.refused.append((event.start_mark, f"the alias `*{event.anchor}`"))
            start: Any = event.start_mark
            return yaml.ScalarNode(_REFUSED, "", start, start)
        if event.anchor is not None:
            self.refused.append((event.start_mark, f"the anchor `&{event.anchor}`"))
            event.anchor = None
        if self.depth >= DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"nested more than {DEEPEST} levels deep", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _location(document: Document, mark: yaml.Mark) -> Location:
    return Location(document.file, mark.line + 1, mark.column + 1)


def _build(document: Document, node: yaml.Node, where: Where) -> Any:
    document.values[where] = _location(document, node.start_mark)
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return {key: _build(document, value, (*where, key)) for key, value in _entries(document, node, where)}
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        for index, item in enumerate(node.value):
            document.keys[(*where, index)] = _location(document, item.start_mark)
        return [_build(document, item, (*where, index)) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(document, node, where)
    return _unknown_tag(document, node, where)


def _entries(document: Document, node: yaml.MappingNode, where: Where) -> Iterator[tuple[str, yaml.Node]]:
    """The pairs of a mapping, keys as they were typed; of two equal keys the first counts."""
    seen: dict[str, int] = {}
    for key, value in node.value:
        place = _location(document, key.start_mark)
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if name is None or key.tag == _REFUSED:
            document.note(place, "a key that is not text", "a word as key", "write the key as a single word")
        elif name in seen:
            first = f"it once (the first is on line {seen[name]})"
            document.note(place, f"the key `{name}` a second time", first, "remove one of the two")
        else:
            seen[name] = place.line
            document.keys[(*where, name)] = place
            yield name, value


def _scalar(document: Document, node: yaml.ScalarNode, where: Where) -> Any:
    text: str = node.value
    if node.style is None:
        document.written[where] = text
    if node.tag in _SIMPLE:
        return _SIMPLE[node.tag](text)
    if node.tag in _NUMBERS:
        return _number(document, node, where)
    if node.tag == _REFUSED:
        document.wrong.add(where)
        return None
    return _unknown_tag(document, node, where)


def _number(document: Document, node: yaml.ScalarNode, where: Where) -> int | float | str:
    if len(node.value) > _LONGEST:  # of numbers to base 60 the time grows with the square
        return str(node.value)
    try:
        number: int | float = getattr(yaml.constructor.SafeConstructor(), _NUMBERS[node.tag])(node)
    except (ValueError, OverflowError):  # an explicit !!int that is none, or more digits than Python converts
        return str(node.value)
    if isinstance(number, int):
        return number if number.bit_length() < _WIDEST else str(node.value)
    if not math.isfinite(number):
        document.complain(where, f"`{node.value}`", "a finite number", "write the number itself")
    return number


def _unknown_tag(document: Document, node: yaml.Node, where: Where) -> None:
    document.complain(where, f"the tag `{node.tag.replace(_TAG, '!!')}`", "a plain value", "remove the tag")
