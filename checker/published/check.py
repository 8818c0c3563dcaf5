"""What a schema cannot say of a `published:` block: its mistakes, every one with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import Any

from checker.checkpoints import config_sizes
from checker.checkpoints.config_sizes import ConfigSizes
from checker.core.errors import CannotRun
from checker.core.words import counted
from checker.published import score_files
from checker.published.printed import Printed
from checker.published.publication import STATEMENTS
from checker.published.score_files import ScoreFile
from checker.spec import schema
from checker.spec.document import Document, Where

BLANK = "FILL-IN"  # what a draft holds where its maker did not know a value

_KEYS = ("pruneaudit", "title", "published", "waivers", "policy")
_LISTS = ("baselines", "scores", "removals", "rules", "statements")
_SCORES = ("left", "right", "scores", "against")  # keys of statements that hold ids of scores
_REMOVALS = ("removal", "removals", "of")
_OF_PRUNED = ("blocks", "parameters")  # kinds of statements about one model beside another


@dataclass(frozen=True)
class FilesRead:
    """The files that an audit of published numbers names, as they were read."""

    tables: Mapping[int, ScoreFile]  # by the number of their table
    configs: Mapping[str, ConfigSizes]  # by the key of their model

    @property
    def digests(self) -> tuple[tuple[str, str], ...]:
        """The names of the files and their sha256, each once."""
        files: list[ScoreFile | ConfigSizes] = [*self.tables.values(), *self.configs.values()]
        names = (each.name if isinstance(each, ScoreFile) else each.file for each in files)
        return tuple(dict.fromkeys(zip(names, (each.sha256 for each in files), strict=True)))


def check_blanks(document: Document) -> None:
    """Adds a mistake for every value that a draft left to be filled in. Comes before the schema, which would add that
    the blank is no number."""
    remedy = "fill it in, or take the key away where it may be left out"
    for where, value in _texts(document.data, ()):
        if value.startswith(BLANK):
            document.complain(where, schema.show(document, where), "a value in the place of this blank", remedy)


def check(document: Document) -> FilesRead:
    """Adds the mistakes of a published audit that its schema cannot see; the files that it read. What is wrong already
    is not looked at again."""
    one_kind = "one of the two: what is measured and what is published are never mixed"
    for key in document.data:
        if key not in _KEYS and not document.doubted((key,)):
            remedy = f"move `{key}` into an audit file of its own"
            document.complain((key,), f"`{key}` beside `published`", one_kind, remedy, key=(key,))
    _ids(document)
    _references(document)
    for where in items(document, "contracts"):
        _unstated(document, where)
    for where in chain(items(document, "baselines"), items(document, "removals")):
        _interval(document, (*where, "interval"))
    for where in items(document, "statements"):
        _statement(document, where)
    return FilesRead(_tables(document), _configs(document))


def _configs(document: Document) -> dict[str, ConfigSizes]:
    """What the configurations tell, by the keys of their models."""
    known = {}
    for where in items(document, "models"):
        path = document.sound(*where, "config")
        if path is None:
            continue
        try:
            sizes = config_sizes.read(document.resolve((*where, "config"), path))
        except (CannotRun, OSError):
            # What the file holds is not repeated: an audit file can name any file of this machine.
            remedy = "correct the path"
            document.complain((*where, "config"), f"`{path}`, which cannot be read", "a model's config.json", remedy)
            continue
        known[str(where[-1])] = sizes
        stated = document.sound(*where, "blocks")
        if stated is not None and sizes.blocks not in (None, stated):
            found, expected = f"{stated} blocks", f"{sizes.blocks}, as `{path}` says"
            document.complain((*where, "blocks"), found, expected, "take `blocks` away, or correct `config`")
    return known


def _texts(value: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*where, key))


def items(document: Document, name: str) -> Iterator[Where]:
    """The paths of a section's items; none where it is missing or no list or mapping."""
    section = document.get("published", name)
    keys = section if isinstance(section, dict) else range(len(section)) if isinstance(section, list) else ()
    yield from (("published", name, key) for key in keys)


def _by_id(document: Document, *names: str) -> dict[str, Where]:
    """Where the ids of some sections stand; the first of equal ones counts."""
    places: dict[str, Where] = {}
    for name in names:
        for where in items(document, name):
            if isinstance(own := document.sound(*where, "id"), str):
                places.setdefault(own, where)
    return places


def _ids(document: Document) -> None:
    first = _by_id(document, *_LISTS)
    for name in _LISTS:
        for where in items(document, name):
            own = document.sound(*where, "id")
            if own is not None and first[own] != where:
                line = document.place((*first[own], "id")).line
                once = f"each id once (the first is on line {line})" if line else "each id once"
                remedy = "give one of the two another id"
                document.complain((*where, "id"), f"the id `{own}` a second time", once, remedy)


def _references(document: Document) -> None:
    """Every name that an item uses must be that of another."""
    sections = {name: document.get("published", name) for name in ("models", "contracts")}
    known = {name: list(section) if isinstance(section, dict) else [] for name, section in sections.items()}
    known |= {name: list(_by_id(document, name)) for name in ("scores", "removals", "rules")}
    for name in _LISTS:
        for where in items(document, name):
            _refer(document, (*where, "model"), known["models"], "models")
            _refer(document, (*where, "contract"), known["contracts"], "contracts")
            for number in range(len(document.sound(*where, "models") or ())):
                _refer(document, (*where, "models", number), known["models"], "models")
    for where in items(document, "removals"):
        _refer(document, (*where, "rule"), known["rules"], "rules")
    for where in items(document, "statements"):
        _refer_statement(document, where, known)


def _refer_statement(document: Document, where: Where, known: Mapping[str, list[str]]) -> None:
    statement = document.get(*where)
    kind = document.sound(*where, "kind")
    for key, value in statement.items() if kind in STATEMENTS else ():
        if key in _SCORES:
            sections = ("scores", "removals") if kind == "ratio" else ("scores",)
        elif key == "of" and kind in _OF_PRUNED:
            sections = ("models",)
        elif key in _REMOVALS and (key != "of" or kind == "overlap"):
            sections = ("removals",)
        else:
            continue
        choices = [name for section in sections for name in known[section]]
        for place in range(len(value)) if isinstance(value, list) else (None,):
            at = (*where, key) if place is None else (*where, key, place)
            _refer(document, at, choices, "` or `published.".join(sections))


def _refer(document: Document, where: Where, known: list[str], section: str) -> None:
    name = document.sound(*where)
    if not isinstance(name, str) or name in known:
        return
    near = schema.closest(name, known)
    remedy = f"did you mean `{near}`?" if near else f"add it there, or name one of {schema.enumerate_words(known)}"
    unknown = f"`{name}`, which `published.{section}` does not name"
    document.complain(where, unknown, "a name that stands there", remedy)


def _unstated(document: Document, where: Where) -> None:
    for number, name in enumerate(document.sound(*where, "unstated") or ()):
        if name in document.get(*where):
            both, remedy = f"`{name}` as unstated, and its value", f"take `{name}` away in one place"
            document.complain((*where, "unstated", number), both, "one of the two", remedy)


def _interval(document: Document, where: Where) -> None:
    if document.sound(*where) is None:
        return
    low, high = (printed_at(document, (*where, end)) for end in (0, 1))
    if high.surely_below(low):
        document.complain(where, f"an interval from {low} to {high}", "its lower end first", "swap its ends")


def _statement(document: Document, where: Where) -> None:
    kind = document.sound(*where, "kind")
    if kind == "universal":
        _one(document, where, ("right",), ("bound",))
    elif kind == "count":
        _some(document, where, "below", "at_least")
    elif kind == "correlation":
        _some(document, where, "value", "sign", "p")
        if not {"left", "right"} <= set(document.get(*where)):
            _one(document, where, ("left", "right"), ("value",))
    elif kind == "p_value":
        _one(document, where, ("value",), ("at_most",))
        sign = document.get(*where, "test") == "sign"
        _one(document, where, ("successes", "trials") if sign else ("correlation", "observations"), ("left", "right"))
    elif kind == "extremum":
        _one(document, where, ("scores",), ("removals",))
        _some(document, where, "pair" if "scores" in document.get(*where) else "removal", "value")
    elif kind == "trend":
        _against(document, where)
    elif kind in _OF_PRUNED:
        _pruned(document, where)


def _pruned(document: Document, where: Where) -> None:
    if document.get(*where, "kind") == "parameters":
        numbers = [name for name in ("fewer", "fewer_percent", "total") if name in document.get(*where)]
        _some(document, where, "fewer", "fewer_percent", "total")
        if len(numbers) > 1:
            found = f"both `{numbers[0]}` and `{numbers[1]}`"
            document.complain((*where, numbers[1]), found, "one number", "make two statements of it")
    model, pruned = document.sound(*where, "model"), document.sound(*where, "of")
    if model is not None and model == pruned:
        document.complain((*where, "of"), f"`{pruned}`, which is the unpruned model", "another model", "correct one")


def _spoiled_inside(document: Document, where: Where) -> bool:
    """Whether something inside has a mistake of its own, such as a misspelt key, which a missing key would repeat."""
    return any(len(bad) > len(where) and bad[: len(where)] == where for bad in document.wrong)


def _one(document: Document, where: Where, *groups: tuple[str, ...]) -> None:
    """Exactly one of two groups of keys must stand there, and that one whole."""
    if _spoiled_inside(document, where):
        return
    keys = document.get(*where)
    whole = [group for group in groups if all(key in keys for key in group)]
    part = [group for group in groups if any(key in keys for key in group)]
    if len(part) == 1 and whole:
        return
    first, second = (schema.enumerate_words(group, "and") for group in groups)
    found = f"both {first} and {second}" if part else f"neither {first} nor {second}"
    if len(part) == 1:
        found = f"{schema.enumerate_words(part[0], 'and')} in part"
    document.complain(where, found, f"{first}, or {second}", "give one of them", key=where)


def _some(document: Document, where: Where, *names: str) -> None:
    if not _spoiled_inside(document, where) and not any(name in document.get(*where) for name in names):
        words = schema.enumerate_words(names)
        document.complain(where, "a statement that gives nothing to check", words, f"add {words}", key=where)


def _against(document: Document, where: Where) -> None:
    scores, against = document.sound(*where, "scores"), document.get(*where, "against")
    figure = document.sound(*where, "figure")
    if figure in ("difference", "ratio") and against is None:
        found, expected = f"a {figure} of one table", "a table for each to be held against"
        document.complain((*where, "figure"), found, expected, "add `against`")
    elif scores and isinstance(against, list) and len(scores) != len(against):
        found, expected = counted(len(against), "table"), f"{len(scores)}, one for each of `scores`"
        document.complain((*where, "against"), found, expected, "add or remove some")


def _tables(document: Document) -> dict[int, ScoreFile]:
    files = {}
    for number, where in enumerate(items(document, "scores")):
        if document.sound(*where) is not None:
            _one(document, where, ("values",), ("file",))
        seen: set[tuple[int, int]] = set()
        for row in range(len(document.sound(*where, "values") or ())):
            _row(document, (*where, "values", row), seen)
        file = document.sound(*where, "file")
        if file is None:
            continue
        try:
            name = str(PurePath(document.file).parent / file)
            files[number], mistakes = score_files.read(document.resolve((*where, "file"), file), name)
        except score_files.Unreadable as error:
            document.complain((*where, "file"), *map(str, error.args))
        else:
            document.mistakes += mistakes
    return files


def _row(document: Document, where: Where, seen: set[tuple[int, int]]) -> None:
    i, j, _, *ends = document.get(*where)
    pair = f"the pair {i}, {j}"
    if len(ends) == 1:
        document.complain(where, "one end of an interval", "both ends, or none", "add the other end")
    elif i >= j:
        remedy = "swap them; for the other direction, give a table of its own"
        document.complain(where, pair, "its lower block first", remedy)
    elif (i, j) in seen:
        document.complain(where, f"{pair} a second time", "each pair once", "remove one of the two")
    elif ends and printed_at(document, (*where, 4)).surely_below(printed_at(document, (*where, 3))):
        document.complain(where, f"an interval from {ends[0]} to {ends[1]}", "its lower end first", "swap its ends")
    seen.add((i, j))


def printed_at(document: Document, where: Where) -> Printed:
    """A number in the digits it was written with."""
    value = document.get(*where)
    written = document.written.get(where, "").replace("_", "")
    return Printed.of(written if score_files.is_decimal(written) else value)
