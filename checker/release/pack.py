"""Evidence packs: a sealed folder of an audit and what it rests on, and how one is opened.

A pack is a flat folder with exactly the files below. ``manifest.json`` holds the sha256 and the size of every other
file, and nothing else; its own sha256 is the pack's digest. All JSON is canonical: one text per value, no NaN, no key
twice. Every file is read once, into memory, and it is these bytes that are checked and used, so nothing can change in
between. A pack comes from a stranger: sizes are bounded before anything is read, and depth before anything is parsed.

=================  ===================================================================================================
audit.yaml         the audit file, verbatim
audit.json         the same resolved: every default filled in; paths reduced to names
judging.json       the day of judging (waivers expire) and the tool's version
contracts.json     scoring, selection and evaluation contract, each with its digest and that of its token ids
records.json       what was recorded of model and texts
rows.jsonl         every measured value the verdicts rest on, one line per question (see ``rows``)
artifacts.json     sha256 of each of the model's files, and their root digest (see ``digests.root_digest``)
environment.json   where and how long it was measured
report.json        the report, findings included
=================  ===================================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from checker import reports
from checker.core.canonical import canonical
from checker.core.errors import EvidenceDamaged, UsageError
from checker.judge.form import Report

FORMAT = "pruneaudit/pack/1"
MANIFEST = "manifest.json"
FILES = (
    "artifacts.json",
    "audit.json",
    "audit.yaml",
    "contracts.json",
    "environment.json",
    "judging.json",
    "records.json",
    "report.json",
    "rows.jsonl",
)
LARGEST_MANIFEST = 100_000  # bytes
LARGEST_ROWS = 64_000_000  # bytes; the default audit's have about 1.3 million
LARGEST_TEXT = 16_000_000  # bytes of every other file
LARGEST_PACK = 128_000_000  # bytes of all files together
DEEPEST = 40  # levels of JSON

WRITTEN = "what `pack` wrote"  # what messages expect

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # one without an end reaches to the end: one pass, not many
_BRACKET = re.compile(rb"[\[\]{}]")
_RESTORE = "fetch the pack again from where it was published, or seal it again: pruneaudit pack"


@dataclass(frozen=True)
class Pack:
    """An opened pack, every byte of which is what its manifest says."""

    folder: Path
    digest: str  # sha256 of manifest.json's bytes
    manifest: Mapping[str, Any]
    contents: Mapping[str, bytes] = field(repr=False)

    def bytes(self, name: str) -> bytes:
        """The bytes of one of ``FILES``."""
        return self.contents[name]

    def json(self, name: str) -> Any:
        """A JSON file's value; EvidenceDamaged where the file is not canonical JSON."""
        return parse(self.contents[name], self.place(name))

    def mapping(self, name: str, expected: str) -> Mapping[str, Any]:
        """As ``json``; EvidenceDamaged also where the value is no mapping."""
        value = self.json(name)
        if not isinstance(value, Mapping):
            raise damaged(self.place(name), "something that is not a mapping", expected)
        return value

    def place(self, name: str) -> str:
        """What messages call a file of the pack."""
        return str(self.folder / name)

    @property
    def report(self) -> Report:
        """report.json; EvidenceDamaged where it is not a mapping in canonical JSON."""
        return cast(Report, self.mapping("report.json", "a report"))


def damaged(place: str, found: str, expected: str) -> EvidenceDamaged:
    """The one way in which a pack is refused."""
    return EvidenceDamaged.at(place, found, expected, _RESTORE)


def open_pack(folder: Path) -> Pack:
    """Opens a pack and holds every byte of it against its manifest.

    EvidenceDamaged names the file: one that differs, is missing, too large, a link or no plain file, or that does not
    belong to a pack. UsageError where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError.at(folder, "no folder", "a pack", "make one with: pruneaudit pack OUT")
    _check_names(folder)
    content = _read(folder, MANIFEST, LARGEST_MANIFEST)
    manifest = _manifest(content, str(folder / MANIFEST))
    contents: dict[str, bytes] = {}
    left = LARGEST_PACK
    for name in FILES:
        contents[name] = _read(folder, name, min(_largest(name), left))
        left -= len(contents[name])
        _check(contents[name], manifest["files"][name], str(folder / name))
    return Pack(folder, hashlib.sha256(content).hexdigest(), manifest, contents)


def _check_names(folder: Path) -> None:
    """Exactly the files of a pack are there; nothing else is looked at."""
    with os.scandir(folder) as entries:
        names = set()
        for entry in entries:  # a folder with a million names is refused at the first
            if entry.name not in (*FILES, MANIFEST):
                raise damaged(str(folder), f"{entry.name!r}", f"only {MANIFEST} and the files it names")
            names.add(entry.name)
    for name in (MANIFEST, *FILES):
        if name not in names:
            raise damaged(str(folder / name), "no such file", "every file of a pack")


def _read(folder: Path, name: str, largest: int) -> bytes:
    """The bytes of a plain file; a link is not followed, a device or a pipe is never waited for."""
    place = str(folder / name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if stat.S_ISLNK(os.lstat(folder / name).st_mode):
        raise damaged(place, "a symbolic link", "a plain file")
    try:
        number = os.open(folder / name, flags)
    except OSError as error:
        raise damaged(place, f"no way to read it ({error.strerror})", "a plain file") from error
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
        os.close(number)
        if not stat.S_ISREG(about.st_mode):
            raise damaged(place, "something that is not a plain file", "a plain file")
        raise damaged(place, f"{about.st_size} bytes", f"at most {largest} bytes")
    with os.fdopen(number, "rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise damaged(place, f"more than {largest} bytes", f"at most {largest} bytes")
    return content


def _largest(name: str) -> int:
    return LARGEST_ROWS if name.endswith(".jsonl") else LARGEST_TEXT


def _manifest(content: bytes, place: str) -> dict[str, Any]:
    manifest = parse(content, place)
    stated = manifest.get("format") if isinstance(manifest, dict) else manifest
    if not isinstance(manifest, dict) or stated != FORMAT:
        raise damaged(place, f"the format {_short(stated)}", f"the format {FORMAT!r}, which this version reads")
    if set(manifest) != {"files", "format"} or not isinstance(manifest["files"], dict):
        raise damaged(place, f"the keys {_short(sorted(manifest))}", "`files`, a mapping, and `format`")
    if differing := sorted(set(manifest["files"]) ^ set(FILES)):
        raise damaged(place, f"{_short(differing[0])} missing, or not of a pack", f"exactly {', '.join(FILES)}")
    return manifest


def _check(content: bytes, entry: Any, place: str) -> None:
    """Holds a file's bytes against its entry in the manifest."""
    own = canonical(_entry(content))
    if own != canonical(entry):
        raise damaged(place, own, f"{canonical(entry)[:200]}, as {MANIFEST} says")


def _entry(content: bytes) -> dict[str, Any]:
    """What the manifest says of a file."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def manifest_of(contents: Mapping[str, bytes]) -> bytes:
    """The manifest of these files, as bytes; ValueError where they are not a pack's, or one is too large to be read."""
    if set(contents) != set(FILES):
        raise ValueError(f"found files {sorted(contents)}; expected those of a pack")
    for name, content in contents.items():
        if len(content) > _largest(name):
            raise ValueError(f"{name}: found {len(content)} bytes; expected at most {_largest(name)}")
    files = {name: _entry(content) for name, content in contents.items()}
    return canonical({"files": files, "format": FORMAT}).encode()


def parse(content: bytes, place: str) -> Any:
    """The value of canonical JSON; EvidenceDamaged for anything else.

    Canonical means: exactly the bytes that ``core.canonical`` gives, so no key twice, no NaN, no infinity, nothing
    between the values; and no more than ``DEEPEST`` levels.
    """
    if _depth(content) > DEEPEST:
        raise damaged(place, "JSON that is too deep", f"at most {DEEPEST} levels")
    try:
        value = json.loads(content.decode("utf-8"))
        again = canonical(value).encode()
    except (ValueError, RecursionError) as error:
        raise damaged(place, f"no canonical JSON ({error})", WRITTEN) from error
    if again != content:
        where = next((n for n, (a, b) in enumerate(zip(again, content, strict=False)) if a != b), len(again))
        raise damaged(place, f"JSON that is not canonical from byte {where} on", "sorted keys, each once, no spaces")
    return value


def _depth(content: bytes) -> int:
    """How deep the brackets outside of strings are nested; whatever is wrong with them, the parser finds."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", content)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _short(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else repr(value)[:80]


def sealed_report(pack: Pack) -> Report:
    """The report in a pack; EvidenceDamaged where it does not follow its schema, whatever its digest."""
    report = pack.report
    try:
        reports.check(report)
        if "arms" not in report:
            raise ValueError("a report of published numbers")
    except (ValueError, RecursionError) as error:
        raise damaged(pack.place("report.json"), f"no valid report ({error})", "a report of this version") from None
    return report
