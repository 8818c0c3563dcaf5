"""Does a pack reproduce: the same judge over its rows and records gives its report, figure by figure.

Numbers are compared to 1e-9 relative (1e-12 absolute near zero), because sums and logarithms differ in their last
digits from one processor to another; everything else exactly. ``tool`` is not compared, since a pack of another
version may well reproduce; a note says where it differs.

What this shows is that the report follows from the rows. It does not show that the rows were measured honestly, or on
the model that is named: whoever makes up rows can seal them. ``remeasure`` looks at that, by sample.
"""

from __future__ import annotations

import codecs
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from checker import __version__, reports
from checker.checkpoints import digests as artifacts
from checker.core.canonical import canonical
from checker.core.errors import EvidenceDamaged, PruneauditError, UsageError, bounded
from checker.core.files import beginning
from checker.core.records import Audit
from checker.core.store import MEASURING_CODE
from checker.judge.form import Report, checkpoints_of
from checker.judge.measured import judge
from checker.release.pack import LARGEST_TEXT, Pack, damaged, sealed_report
from checker.release.replay import JudgedBy, RecordingStore, audit_of, judging_of, resolved, store_of

RELATIVE, ABSOLUTE = 1e-9, 1e-12
T = TypeVar("T")
_ABSENT = object()
_LONGEST_PLACE = 400  # characters; keys are a stranger's
_STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_FOLLOWS = "the report does not follow from its rows: do not rely on it, and ask whoever sealed it"


@dataclass(frozen=True)
class Difference:
    """One figure of a pack that is not what its rows and records give."""

    file: str
    place: str
    found: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: found {_shown(self.found)}; expected {_shown(self.expected)}; {_FOLLOWS}"


@dataclass(frozen=True)
class Verified:
    """What verifying a pack came to; ``report`` is the one that its rows give."""

    pack: Pack
    judged_by: JudgedBy
    report: Report
    differences: tuple[Difference, ...]
    figures: int  # compared
    notes: tuple[str, ...]


def verify(pack: Pack) -> Verified:
    """Judges a pack's evidence again, as of its day, and compares every figure. No torch, no weights, no network.

    EvidenceDamaged where a file's bytes are those of the manifest and yet not what a pack holds.
    """
    judged_by = _read(pack, judging_of, pack)
    audit = _read(pack, audit_of, pack, judged_by)
    stated = pack.report
    _read(pack, _check_schema, pack, stated)
    with _read(pack, store_of, pack, judged_by, audit) as store:
        report = _read(pack, _judged, audit, store, judged_by)
        unread = list(_unread(pack, store))
    differences = [
        *_day(report, judged_by),
        *_compared("audit.json", json.loads(canonical(resolved(audit))), pack.json("audit.json")),
        *unread,
        *_compared("report.json", _without_tool(report), _without_tool(stated)),
        *_compared("contracts.json", report["contracts"], pack.json("contracts.json")),
        *_compared("report.json", judged_by.tool, stated["tool"], "tool"),  # also for whoever reads the report alone
        *_prompts(pack, report),
        *_artifacts(pack, report),
    ]
    return Verified(pack, judged_by, report, tuple(differences), _count(stated), tuple(_notes(judged_by)))


def reproducing(pack: Pack, worth: str) -> Verified:
    """As ``verify``; UsageError where the report does not follow from the rows. ``worth`` is what nothing else is."""
    verified = verify(pack)
    if verified.differences:
        raise UsageError.at(
            pack.folder,
            "a pack that does not reproduce",
            f"one that does, nothing else is worth {worth}",
            f"see: pruneaudit verify {pack.folder}",
        )
    return verified


def _judged(audit: Audit, store: RecordingStore, judged_by: JudgedBy) -> Report:
    """The report as it would have been sealed; ValueError where a figure is not finite."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of values no model gives
        # In the judge's own order: a distance comes before the claim that rests on it.
        report: Report = json.loads(json.dumps(judge(audit, store, judged_by.day), allow_nan=False))
    return report


def _read(pack: Pack, action: Callable[..., T], *arguments: Any) -> T:
    """Whatever a stranger's values make the reader or the judge stumble over is damage, not a crash."""
    try:
        return action(*arguments)
    except EvidenceDamaged:
        raise
    except (PruneauditError, *_STUMBLES) as error:
        place, reason = pack.place("records.json"), str(error)
        if not isinstance(error, PruneauditError):
            place, reason = f"{place}, rows.jsonl", f"{type(error).__name__}: {reason[:200]}"
        raise damaged(place, f"evidence that cannot be judged ({reason})", "whole evidence") from error


def _check_schema(pack: Pack, report: Report) -> None:
    try:
        reports.check(report)
    except ValueError as error:
        raise damaged(pack.place("report.json"), f"no valid report ({str(error)[:300]})", "a report") from error


def _compared(file: str, expected: Any, found: Any, place: str = "") -> Iterator[Difference]:
    """Where two JSON values differ, in the order of the first."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys([*expected, *found]):
            inner = f"{place}.{key}" if place else str(key)
            yield from _compared(file, expected.get(key, _ABSENT), found.get(key, _ABSENT), inner)
    elif isinstance(expected, list) and isinstance(found, list):
        for number, (ours, stated) in enumerate(zip_longest(expected, found, fillvalue=_ABSENT)):
            yield from _compared(file, ours, stated, f"{place}[{_label(number, ours, stated)}]")
    elif not _equal(expected, found):
        yield Difference(file, bounded(place, _LONGEST_PLACE) or "the whole", found, expected)


def _label(number: int, *rows: Any) -> str:
    """What a reader finds a row by: its number, and the name of a claim or a rule."""
    row: Mapping[str, Any] = next((row for row in rows if isinstance(row, Mapping)), {})
    name = row.get("id", row.get("rule"))
    return f"{number}, {name}" if isinstance(name, str) else str(number)


def _equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, float) or isinstance(found, float):
        try:
            numbers = type(expected) in (int, float) and type(found) in (int, float)
            return numbers and math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        except OverflowError:  # a whole number beyond any float
            return False
    return type(expected) is type(found) and bool(expected == found)


def _shown(value: Any) -> str:
    text = "nothing" if value is _ABSENT else canonical(value)
    return text if len(text) <= 300 else f"{text[:140]} … {text[-140:]}"


def _without_tool(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key != "tool"}


def _unread(pack: Pack, store: RecordingStore) -> Iterator[Difference]:
    """What nothing rests on: it would be published as evidence, and nobody would have looked at it."""
    read, stored = sum(len(answer.values) for answer in store.answers()), store.units()
    if read != stored:
        yield Difference("rows.jsonl", "rows that no figure rests on", stored - read, 0)
    listed = Counter((record["name"], record["key"]) for record in pack.json("records.json"))
    for (name, key), number in sorted(listed.items()):
        unread = number - len(store.records.get((name, key), ()))
        if unread:
            yield Difference("records.json", f"records {name} {key[:12]} that no figure rests on", unread, 0)


def _prompts(pack: Pack, report: Report) -> Iterator[Difference]:
    """The recorded length of prompts is that of the contract, a begin token before each included."""
    contracts: Mapping[str, Any] = report["contracts"]
    for record in pack.json("records.json"):
        if record["name"] in ("scoring", "selection"):
            contract = contracts[record["name"]] or contracts["scoring"]
            tokens = contract["tokens"] + (contract["special_tokens"] == "every_window")
            yield from _compared("records.json", tokens, record["content"]["tokens"], f"{record['name']}: tokens")


def _artifacts(pack: Pack, report: Report) -> Iterator[Difference]:
    """The digests of each model's files give its root digest, and the digest under which its weights were measured."""
    model, checkpoints = stated_artifacts(pack)
    yield from _files(pack, model, report["model"]["digest"])
    measured = {row["name"]: row["digest"] for row in checkpoints_of(report)}
    yield from _compared("artifacts.json", sorted(measured), sorted(checkpoints), "checkpoints")
    for name, files in checkpoints.items():
        if name in measured:
            yield from _files(pack, files, measured[name], f"checkpoints.{name}: ")


def stated_artifacts(pack: Pack) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Files and root digest of the model, and of every checkpoint by its name; EvidenceDamaged where they are others.

    The digests themselves are as they are stated.
    """
    stated, place = pack.json("artifacts.json"), pack.place("artifacts.json")
    checkpoints = stated.pop("checkpoints", {}) if isinstance(stated, dict) else {}
    if not isinstance(checkpoints, dict):
        raise damaged(place, f"{checkpoints!r:.80}", "the files of each checkpoint, by its name")
    for found in (stated, *checkpoints.values()):
        if not isinstance(found, dict) or set(found) != {"files", "root"} or not isinstance(found["files"], dict):
            raise damaged(place, f"{found!r:.80}", "files and root")
    return stated, checkpoints


def _files(pack: Pack, stated: Mapping[str, Any], measured: str | None, whose: str = "") -> Iterator[Difference]:
    """Where the digests of one model's files are not those of its root, or not of the weights that were measured."""
    files = stated["files"]
    try:
        root = artifacts.root_digest(files) if files else None
    except (TypeError, ValueError) as error:
        raise damaged(pack.place("artifacts.json"), f"no digest ({error})", "sha256 digests") from error
    yield from _compared("artifacts.json", root, stated["root"], f"{whose}root")
    if files:
        weights = artifacts.weights_digest_of(files)
        yield from _compared("artifacts.json", measured, weights, f"{whose}the digest of the weights")


def _day(report: Report, judged_by: JudgedBy) -> Iterator[Difference]:
    """A run cannot be judged as of a day before it was measured: waivers of then would hold."""
    environment = report["environment"]
    finished = environment and (environment["finished"] or environment["started"])
    # A day of slack: whoever sealed it went by the calendar of a place that is not known here.
    if finished and judged_by.day < (measured := datetime.fromisoformat(finished).date()) - timedelta(days=1):
        yield Difference(
            "judging.json", "day", judged_by.day.isoformat(), f"{measured}, when it was measured, or later"
        )


def _notes(judged_by: JudgedBy) -> Iterator[str]:
    version, code = judged_by.tool["version"], judged_by.tool["measuring_code"]
    if version != __version__:
        yield (
            f"the pack was made by pruneaudit {version}, this is {__version__}: where they differ in what they judge, "
            f"figures differ; to compare like with like: pip install pruneaudit=={version}"
        )
    if code != MEASURING_CODE:
        yield f"the rows were measured by version {code} of the measuring code, this is {MEASURING_CODE}"
    if judged_by.policy == "given":
        yield "the policy is taken as audit.json states it, because it is built on files that are not in the pack"


def _count(value: Any) -> int:
    """Numbers, texts and truth values in a JSON value."""
    if isinstance(value, Mapping):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


def expect(pack: Pack, digest: str | None = None, model: str | None = None, audit: Path | None = None) -> None:
    """Holds a pack against what its reader knows from elsewhere; EvidenceDamaged where it is another.

    ``digest`` is the pack's, ``model`` the root digest of the model or of a checkpoint, or the digest of its weights,
    ``audit`` a file.
    """
    if digest is not None and digest.lower() != pack.digest:
        raise _unexpected(str(pack.folder), f"a pack with the digest {pack.digest}", digest, "--expect-pack")
    if model is not None:
        digests = model_digests(pack)
        if not any(model.lower() in own for own in digests.values()):
            found = "; ".join(
                f"{name} with the root digest {own[0]} and weights {own[1]}" for name, own in digests.items()
            )
            raise _unexpected(pack.place("artifacts.json"), found, model, "--expect-model")
    if audit is not None:
        _expect_audit(pack, audit)


def model_digests(pack: Pack) -> dict[str, tuple[str | None, str | None]]:
    """The root digest and the digest of the weights of the model and of every checkpoint, by what messages call it."""
    (model, checkpoints), report = stated_artifacts(pack), sealed_report(pack)
    roots = {name: files["root"] for name, files in checkpoints.items()}
    digests = {"a model": (model["root"], report["model"]["digest"])}
    return digests | {
        f"the checkpoint {row['name']}": (roots.get(row["name"]), row["digest"]) for row in checkpoints_of(report)
    }


def _expect_audit(pack: Pack, audit: Path) -> None:
    text = beginning(audit, LARGEST_TEXT).removeprefix(codecs.BOM_UTF8)
    if text != pack.bytes("audit.yaml"):
        raise _unexpected(pack.place("audit.yaml"), "another text", f"that of {audit}", "--expect-audit")
    overrides = [f"{key}={value}" for key, value in pack.json("audit.json")["overrides"]]
    if overrides:
        changed = f"values changed with --set {' '.join(overrides)}"
        raise _unexpected(pack.place("audit.json"), changed, f"{audit} as it stands", "--expect-audit")


def _unexpected(place: str, found: str, expected: str, option: str) -> EvidenceDamaged:
    return EvidenceDamaged.at(
        place, found, f"{expected}, as {option} says", "ask whoever gave you the pack, or correct the option"
    )
