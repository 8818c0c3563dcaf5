"""Ways to damage a pack, as hypothesis draws them, and what must come of it.

``DAMAGE`` leaves the manifest as it was: exit code 5, and a message that names the file. ``FORGERY`` mends the
manifest afterwards, as whoever forges a pack would: exit code 1 or 5, or 0 where nothing that is read was changed.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from checker.core.canonical import canonical
from checker.core.errors import EvidenceDamaged
from checker.release.pack import FILES, FORMAT, MANIFEST, open_pack
from checker.release.verify import verify

Contents = dict[str, bytes]
JSON = tuple(name for name in FILES if name.endswith(".json"))
HOSTILE = (
    "../x",
    "/etc/passwd",
    "a/../../b",
    "rows.jsonl\0",
    "\u202egpj.exe",
    "con",
    "",
    ".",
    "..",
    "a" * 300,
    "\ud800",
)
LITERALS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"-0", b"[" * 100_000, b'{"a":' * 500, b'"\\ud800"',
    b"\xff", b"", b"01", b"1.0e5",
)  # fmt: skip
ROWS = ("value", "value", "text", "drop", "twice", "order", "key", "type", "number", "batch", "compressed", "bomb",
        "deep", "null", "empty", "spaced", "bom", "unended")  # fmt: skip
WHOLE: Mapping[str, Callable[[bytes], bytes]] = {
    "compressed": gzip.compress,
    "empty": lambda content: b"",
    "bom": lambda content: b"\xef\xbb\xbf" + content,
    "unended": lambda content: content[:-1],
}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 1, -1, 10**9, 10**400, 1e308, 5e-324, 2**53, 2**31]), st.text(max_size=12),
    st.sampled_from(["../x", "/etc/passwd", "a\0b", "\x1b[2J", "<script>", "(0,1,2)", "NaN", "2030-13-45", "9" * 400]),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What verifying came to: the exit code and the message."""

    code: int
    message: str


def outcome(folder: Path) -> Outcome:
    """Exit code and message of verifying; anything but a refusal in our own words is raised."""
    try:
        found = verify(open_pack(folder))
    except EvidenceDamaged as error:
        return Outcome(error.exit_code, str(error))
    return Outcome(int(bool(found.differences)), str(found.differences[0]) if found.differences else "")


def mended(contents: Mapping[str, bytes]) -> Contents:
    """The files with a manifest that fits them."""
    files = {
        name: {"bytes": len(content), "sha256": _sha256(content)} for name, content in contents.items() if name in FILES
    }
    return {**contents, MANIFEST: canonical({"files": files, "format": FORMAT}).encode()}


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def put(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes a pack's files into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


# --- damage: the manifest stays ------------------------------------------------------------------------------------


def flipped(draw: Any, contents: Contents) -> tuple[Contents, str]:
    name = draw(st.sampled_from(sorted(contents)))
    content = bytearray(contents[name])
    content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
    return {**contents, name: bytes(content)}, name


def truncated(draw: Any, contents: Contents) -> tuple[Contents, str]:
    name = draw(st.sampled_from(sorted(contents)))
    return {**contents, name: contents[name][: draw(st.integers(0, len(contents[name]) - 1))]}, name


def lengthened(draw: Any, contents: Contents) -> tuple[Contents, str]:
    name = draw(st.sampled_from(sorted(contents)))
    return {**contents, name: contents[name] + draw(st.binary(min_size=1, max_size=9))}, name


def swapped(draw: Any, contents: Contents) -> tuple[Contents, str]:
    one, other = draw(st.lists(st.sampled_from(sorted(contents)), min_size=2, max_size=2, unique=True))
    return {**contents, one: contents[other], other: contents[one]}, min(one, other, key=[MANIFEST, *FILES].index)


def removed(draw: Any, contents: Contents) -> tuple[Contents, str]:
    name = draw(st.sampled_from(sorted(contents)))
    return {other: content for other, content in contents.items() if other != name}, name


def added(draw: Any, contents: Contents) -> tuple[Contents, str]:
    name = draw(
        st.sampled_from([".hidden", "README.md", "rows.jsonl ", "rows.JSONL", "a\nb", "\x1b[2J", "é", "x" * 200])
    )
    return {**contents, name: b"x"}, repr(name)


DAMAGE: tuple[Callable[[Any, Contents], tuple[Contents, str]], ...] = (
    flipped, truncated, lengthened, swapped, removed, added,
)  # fmt: skip


def strange(draw: Any, folder: Path) -> str:
    """Puts something that is no plain file in the place of one; returns the file's name."""
    name = draw(st.sampled_from([MANIFEST, *FILES]))
    path = folder / name
    kept = path.rename(folder.parent / "kept")
    kind = draw(st.sampled_from(["link", "dangling", "device", "circle", "folder", "pipe", "huge"]))
    targets = {"link": str(kept), "dangling": "nowhere", "device": "/dev/zero", "circle": name}
    if kind in targets:
        path.symlink_to(targets[kind])
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(10**12)  # of no bytes on the disk
    return name


# --- forgery: the manifest is mended -------------------------------------------------------------------------------


def edited(draw: Any, contents: Contents) -> Contents:
    """Another value somewhere in a JSON file, or a key more or less."""
    name = draw(st.sampled_from(JSON))
    value = json.loads(contents[name])
    where = draw(st.sampled_from(list(places(value))))
    other = draw(VALUES)
    how = draw(st.sampled_from(["replace", "replace", "nudge", "remove", "add"]))
    value = changed(value, where, other, how)
    try:
        return {**contents, name: canonical(value).encode()}
    except (ValueError, UnicodeError):
        return {**contents, name: json.dumps(value).encode()}


def literal(draw: Any, contents: Contents) -> Contents:
    """A literal that JSON does not have, or that no reader should take, in the place of a number or of the whole."""
    name = draw(st.sampled_from(JSON))
    value, mark = json.loads(contents[name]), "\ue000mark"
    where = draw(st.sampled_from(list(places(value))))
    marked = canonical(changed(value, where, mark, "replace")).encode()
    return {
        **contents,
        name: marked.replace(json.dumps(mark, ensure_ascii=False).encode(), draw(st.sampled_from(LITERALS))),
    }


def doubled(draw: Any, contents: Contents) -> Contents:
    """A key twice, spaces, another order: the same to most readers."""
    name = draw(st.sampled_from(JSON))
    content = contents[name]
    how = draw(st.sampled_from(["twice", "spaced", "reversed", "bom", "utf-16"]))
    if how == "twice" and content.startswith(b"{"):
        return {**contents, name: content[:-1] + b"," + content[1:]}
    if how == "bom":
        return {**contents, name: b"\xef\xbb\xbf" + content}
    if how == "utf-16":
        return {**contents, name: content.decode().encode("utf-16")}
    value = json.loads(content)
    if how == "reversed" and isinstance(value, dict):
        value = dict(reversed(value.items()))
    return {**contents, name: json.dumps(value, indent=1).encode()}


def audit_edited(draw: Any, contents: Contents) -> Contents:
    """Another text of the audit file: a byte, a line, or a policy that leads out of the pack."""
    text = contents["audit.yaml"]
    how = draw(st.sampled_from(["byte", "line", "policy", "deep", "anchors"]))
    if how == "byte":
        place = draw(st.integers(0, len(text) - 1))
        return {**contents, "audit.yaml": text[:place] + draw(st.binary(max_size=3)) + text[place + 1 :]}
    lines = text.splitlines(keepends=True)
    more = {
        "line": draw(st.sampled_from(lines)),
        "policy": b"policy: {extends: "
        + draw(st.sampled_from([b"../../x.yaml", b"/etc/passwd", b"release", b"/dev/zero"]))
        + b"}\n",
        "deep": b"x: " + b"[" * 2000 + b"]" * 2000 + b"\n",
        "anchors": b"a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n",
    }[how]
    place = draw(st.integers(0, len(lines)))
    return {**contents, "audit.yaml": b"".join([*lines[:place], more, *lines[place:]])}


def rows_edited(draw: Any, contents: Contents) -> Contents:
    """Other lines: values, texts, order, keys, types, or ones that take far more memory than they have bytes."""
    lines = contents["rows.jsonl"].splitlines(keepends=True)
    number, how = draw(st.integers(0, len(lines) - 1)), draw(st.sampled_from(ROWS))
    if how in ("drop", "twice", "order"):
        line = lines.pop(number)
        lines = {"drop": lines, "twice": [*lines[:number], line, line, *lines[number:]], "order": [*lines, line]}[how]
    elif how == "spaced":
        lines[number] = json.dumps(json.loads(lines[number])).encode() + b"\n"
    elif how in WHOLE:
        return {**contents, "rows.jsonl": WHOLE[how](contents["rows.jsonl"])}
    else:
        lines[number] = line_edited(draw, how, json.loads(lines[number]))
    return {**contents, "rows.jsonl": b"".join(lines)}


def line_edited(draw: Any, how: str, row: dict[str, Any]) -> bytes:
    """A line with another value somewhere in it, in canonical JSON where there is such a thing."""
    batch = draw(st.integers(0, len(row["values"]) - 1))
    unit = draw(st.integers(0, len(row["values"][batch]) - 1))
    value, other = row["values"][batch][unit], draw(VALUES)
    if how == "value":
        factors = st.floats(0.5, 2).map(lambda factor: value * factor + 1e-3)
        row["values"][batch][unit] = draw(st.one_of(st.floats(), factors))
    elif how == "text":
        texts = [
            "",
            "nll",
            "kl",
            "kl ",
            " kl",
            "cka 0-1",
            "(0,1)",
            "../x",
            "a" * 200_000,
            "\0",
            "scoring",
            "()",
            "\ud800",
        ]
        row[draw(st.sampled_from(sorted(set(row) - {"values"})))] = draw(st.sampled_from(texts))
    elif how == "key":
        row = {**row, "more": other} if draw(st.booleans()) else {key: row[key] for key in row if key != "blocks"}
    elif how == "type":
        row[draw(st.sampled_from(sorted(row)))] = other
    elif how == "batch":
        row["values"] = draw(st.sampled_from([[], [[]], [*row["values"], []], [[], *row["values"]], row["values"] * 2]))
    elif how == "bomb":
        row["values"] = [[0.0]] * draw(st.sampled_from([20_000, 1_000_001]))
    elif how == "null":
        row["values"][batch] = None
    if marked := how in ("number", "deep"):
        row["values"][batch][unit] = "\ue000"
    try:
        line = canonical(row).encode() + b"\n"
    except (ValueError, UnicodeError):
        line = json.dumps(row).encode() + b"\n"
    literal = draw(st.sampled_from(LITERALS if how == "number" else [b"[" * 5000, b"[" * 100 + b"]" * 100]))
    return line.replace(b'"\xee\x80\x80"', literal) if marked else line


def rows_broken(draw: Any, contents: Contents) -> Contents:
    """Bytes of the lines changed or cut: what only their reader can find."""
    content = bytearray(contents["rows.jsonl"])
    head = draw(st.booleans())  # of a line, the part with structure
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, 400)) if head else draw(st.integers(0, len(content) - 1))
        content[place % len(content)] = draw(st.integers(0, 255))
    if draw(st.integers(0, 5)) == 0:
        content = content[: draw(st.integers(0, len(content)))]
    return {**contents, "rows.jsonl": bytes(content)}


def misnamed(draw: Any, contents: Contents) -> Contents:
    """A manifest that names other files, in whatever way."""
    manifest = json.loads(contents[MANIFEST])
    name = draw(st.sampled_from([*HOSTILE, *FILES]))
    old = draw(st.sampled_from(FILES))
    if draw(st.booleans()):
        manifest["files"][name] = manifest["files"].pop(old)
    else:
        manifest["files"][name] = draw(st.one_of(VALUES, st.just(manifest["files"][old])))
    return {**contents, MANIFEST: json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()}


FORGERY: tuple[Callable[[Any, Contents], Contents], ...] = (
    edited, edited, literal, doubled, audit_edited, rows_edited, rows_broken, misnamed,
)  # fmt: skip


# --- places in JSON ------------------------------------------------------------------------------------------------


def places(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value in a JSON value, the whole included."""
    yield where
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*where, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from places(item, (*where, number))


def changed(value: Any, where: tuple[Any, ...], other: Any, how: str) -> Any:
    """A JSON value with the one at a path replaced, nudged, removed, or with an entry beside it."""
    if not where:
        if how == "nudge" and type(value) in (int, float):
            return value + 1 if type(value) is int else value * 1.001 + 1e-6
        if how == "add" and isinstance(value, dict):
            return {**value, "more": other}
        return [*value, other] if how == "add" and isinstance(value, list) else other
    key, rest = where[0], where[1:]
    if how == "remove" and not rest:
        return ({name: item for name, item in value.items() if name != key} if isinstance(value, dict)
                else [item for number, item in enumerate(value) if number != key])  # fmt: skip
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = changed(value[key], rest, other, how)
    return copy
