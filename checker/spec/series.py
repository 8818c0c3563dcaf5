"""Series in `checkpoints:`: one entry that names many steps of a training run, in order of their numbers (design, 3.8).

Where steps are not listed with all that names them, what is there is looked up: folders that match a pattern, or the
branches and folders of a hub repository that are in its local cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from checker.core.records import Checkpoint, ModelSource, Series
from checker.core.words import enumerated, listed
from checker.spec.checkpoints import series_declared, source
from checker.spec.document import Document, Where
from checker.spec.step_names import STEP, TOKENS, branches, folders, snapshot_folders

MOST_STEPS = 500
_PATTERNS = {"directory": ("path",), "hub": ("revisions", "subfolder")}  # keys that may hold a pattern, by kind
_OWN = {"directory": ("path",), "hub": ("revision", "subfolder", "repo")}  # keys that may name a single step
_NOT_IN_A_SERIES = {"sha256": "pin each step in its own mapping", "blocks": "take it away", "healed": "take it away"}
_AS_SOURCE = {"revisions": "revision", "subfolder": "file"}  # what a source calls what the audit file does


@dataclass(frozen=True)
class _Step:
    """One step as it was found: the keys of a source that name it, and where it stands."""

    number: int
    keys: dict[str, Any]
    where: Where
    tokens: float | None = None


def series(document: Document, model: ModelSource) -> tuple[Series, ...]:
    """The series of a document in which nothing is wrong; ``model`` says how they run where they do not."""
    return tuple(_series(document, name, where, model) for name, where in series_declared(document).items())


def _series(document: Document, name: str, where: Where, model: ModelSource) -> Series:
    section, steps = document.get(*where), list(_steps(document, where))
    unsaid = {key: getattr(model, key) for key in ("dtype", "device") if key not in section}
    base = replace(source(document, where), **unsaid, blocks=model.blocks, series=name)
    per_step = section.get("tokens_per_step")
    made = []
    for step in sorted(steps, key=lambda step: step.number):
        tokens = float(step.number * per_step) if step.tokens is None and per_step is not None else step.tokens
        named = replace(base, step=step.number, **step.keys)
        made.append(Checkpoint(f"{name}/{step.number}", named, document.place(step.where), tokens=tokens))
    in_order = [step.number for step in steps] == [each.step for each in made]
    looked_up = section["steps"] == "all" or TOKENS in _pattern(document, where)[1]
    return Series(name, tuple(made), document.place(where), in_order, looked_up)


def check(document: Document) -> None:
    """Adds the mistakes of series that show in the file alone."""
    for where in series_declared(document).values():
        if not document.doubted(where):
            _check_keys(document, where)
        if not document.doubted(where):
            _check_numbers(document, where)


def check_found(document: Document) -> None:
    """Adds the mistakes that show where the steps lie: they must be there, and not be too many."""
    for where in series_declared(document).values():
        if not document.doubted(where):
            _check_found(document, where)


def _check_keys(document: Document, where: Where) -> None:
    """The keys that do not go together."""
    section = document.get(*where)
    for key, remedy in _NOT_IN_A_SERIES.items():
        if key in section:
            document.complain((*where, key), f"`{key}` in a series", "it at one checkpoint", remedy, key=(*where, key))
    if "revisions" in section and "revision" in section:
        document.complain((*where, "revision"), "both `revision` and `revisions`", "one of them", "take one away")
    if "every" in section and section["steps"] != "all":
        found, remedy = "`every` beside a list of steps", "take it away, or say `steps: all`"
        document.complain((*where, "every"), found, "it with `steps: all`", remedy)
    key, pattern = _pattern(document, where)
    if pattern and pattern.count(STEP) != 1:
        found = f"`{pattern}`, with {'no' if STEP not in pattern else 'more than one'} `{STEP}`"
        document.complain((*where, key), found, "it once, for the number of the step", "put it in once")
    elif not pattern and not _all_named(document, where):
        expected, remedy = f"a pattern with `{STEP}` in `{key}`", "put it in, or name the place of every step"
        document.complain((*where, "steps"), "steps whose places nothing names", expected, remedy)


def _pattern(document: Document, where: Where) -> tuple[str, str]:
    """The key that holds, or would hold, a pattern, and the pattern; empty where each step has its own place."""
    section = document.get(*where)
    keys = _PATTERNS[section["kind"]]
    for key in keys:
        if key in section and (key != "path" or STEP in section[key] or TOKENS in section[key]):
            return key, section[key]
    return keys[0], ""


def _all_named(document: Document, where: Where) -> bool:
    """Whether every step is listed with its own place."""
    steps, own = document.get(*where, "steps"), set(_OWN[document.get(*where, "kind")])
    return isinstance(steps, list) and all(isinstance(step, dict) and own & set(step) for step in steps)


def _check_numbers(document: Document, where: Where) -> None:
    """No number may be listed twice."""
    seen = set()
    for place in document.items(*where, "steps"):
        number = _number(document.get(*place))
        if number in seen:
            document.complain(place, f"step {number} a second time", "each step once", "take one of the two away")
        seen.add(number)


def _check_found(document: Document, where: Where) -> None:
    section, steps, found = document.get(*where), (*where, "steps"), list(_steps(document, where))
    numbers, pattern = [step.number for step in found], _pattern(document, where)[1]
    remedy = (
        "correct the path" if section["kind"] == "directory" else "download them, or list the steps by their numbers"
    )
    if len(found) > MOST_STEPS:
        thin = "thin them with `every`, or list those that are meant"
        document.complain(steps, f"{len(found)} steps", f"at most {MOST_STEPS}", thin)
    elif twice := sorted({number for number in numbers if numbers.count(number) > 1}):
        places = enumerated(f"`{next(iter(step.keys.values()))}`" for step in found if step.number == twice[0])
        own = "list the steps with their own places"
        document.complain(steps, f"step {twice[0]} at {places}", "one place of a number", own)
    elif section["steps"] == "all" and not found:
        document.complain(steps, f"nothing that matches `{pattern}`", "steps of that name", remedy)
    elif unknown := [number for number in _listed(document, where) if number not in numbers]:
        document.complain(steps, f"nothing that matches `{pattern}` for step {listed(unknown)}", "all of them", remedy)
    elif section["kind"] == "directory":
        missing = [step.number for step in found if not Path(step.keys["path"]).is_dir()]
        if missing:
            document.complain(steps, f"no folder of step {listed(missing)}", "a folder for each step", remedy)


def _number(step: Any) -> int:
    return int(step["step"] if isinstance(step, dict) else step)


def _listed(document: Document, where: Where) -> list[int]:
    return [_number(document.get(*place)) for place in document.items(*where, "steps")]


def _steps(document: Document, where: Where) -> Iterator[_Step]:
    """The steps of a series, in the order in which they are listed or found."""
    section, pattern = document.get(*where), _pattern(document, where)[1]
    if section["steps"] == "all":
        found, every = sorted(_available(document, where), key=lambda step: step.number), section.get("every", 1)
        yield from (step for place, step in enumerate(found) if place % every == 0 or step is found[-1])
    elif TOKENS in pattern:  # which a number alone does not tell
        wanted = set(_listed(document, where))
        yield from (step for step in _available(document, where) if step.number in wanted)
    else:
        yield from (_of_list(document, where, place) for place in document.items(*where, "steps"))


def _of_list(document: Document, where: Where, place: Where) -> _Step:
    section, (key, pattern), step = document.get(*where), _pattern(document, where), document.get(*place)
    number, own = _number(step), dict(step) if isinstance(step, dict) else {}
    keys = {_AS_SOURCE.get(key, key): pattern.replace(STEP, str(number))} if pattern else {}
    keys |= {
        _AS_SOURCE.get(name, name): own[name] for name in ("revision", "subfolder", "repo", "sha256") if name in own
    }
    if section["kind"] == "directory":
        folder = document.resolve((*where, "path"), keys.get("path", section["path"]))
        keys["path"] = str(folder / own["path"] if "path" in own else folder)
    return _Step(number, keys, place, own.get("tokens"))


def _available(document: Document, where: Where) -> Iterator[_Step]:
    """What is there and matches the pattern."""
    section, (key, pattern) = document.get(*where), _pattern(document, where)
    if section["kind"] == "directory":
        found = folders(document.resolve((*where, key), pattern))
    elif key == "revisions":
        found = branches(section["repo"], pattern)
    else:
        found = snapshot_folders(section["repo"], section.get("revision", "main"), pattern)
    for name, number, tokens in found:
        yield _Step(number, {_AS_SOURCE.get(key, key): name}, (*where, "steps"), tokens)
