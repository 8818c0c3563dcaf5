"""Seals the folder of a run into an evidence pack: what was judged, by which audit, and all that the verdicts rest on.

The evidence is judged once more on the day of sealing, by what goes into the pack alone; that report is sealed. The
same evidence, audit, day and version of this package give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from checker import __version__
from checker.checkpoints import digests
from checker.core.canonical import canonical, digest, from_json
from checker.core.errors import EvidenceMissing, InvalidAudit, UsageError
from checker.core.files import beginning, named, scratch
from checker.core.records import Audit, Policy
from checker.core.store import MEASURING_CODE, Answer, Store
from checker.core.words import counted
from checker.judge.form import Report, checkpoints_of
from checker.judge.measured import judge
from checker.release import replay, rows
from checker.release.pack import FILES, LARGEST_ROWS, MANIFEST, Pack, manifest_of, open_pack
from checker.release.replay import RecordingStore, StoredRecord
from checker.reports import read
from checker.spec import load, policies


@dataclass(frozen=True)
class Judged:
    """What is sealed: an audit, and whether its policy is all its own."""

    audit: Audit  # portable
    own_policy: bool


def seal(out: Path, to: Path, judged: Judged, day: date | None = None) -> Pack:
    """Seals the run in ``out`` into the new folder ``to``; a pack of the same bytes that lies there already stays.

    Raises EvidenceMissing where nothing was measured for this audit, EvidenceDamaged where the evidence is, UsageError
    where something else lies at ``to``. An audit that is open or fails is sealed like any other.
    """
    for series in judged.audit.series:
        if series.looked_up:
            raise UsageError.at(
                str(series.location),
                f"a series whose {counted(len(series.steps), 'step')} were looked up",
                "steps that the audit file lists, because a pack is judged without the folders",
                f"list them: {', '.join(str(step.step) for step in series.steps)[:200]}",
            )
    contents = _contents(out / "evidence.db", judged, day or date.today())
    everything = {**contents, MANIFEST: manifest_of(contents)}
    if to.exists():
        _check_same(to, everything)
    else:
        _write(to, everything)
    return open_pack(to)


def judged_by(path: str, overrides: Sequence[str] = ()) -> Judged:
    """An audit file, to seal a run by; InvalidAudit holds its mistakes."""
    audit = load.check(path, overrides, attached=False).audit
    given = [f"{key}={value}" for key, value in audit.overrides]
    own = replay.stands_alone(audit.text, Path(audit.path).name, given)
    portable = replay.portable(audit)
    return Judged(portable if own else _with_policy(portable, policies.row(audit.policy)), own)


def _with_policy(audit: Audit, policy: policies.PolicyRow) -> Audit:
    """The audit under a policy in its public form, as it comes out of the pack: keys in canonical order."""
    return replace(audit, policy=from_json(Policy, json.loads(canonical(policy))))


def judged_last(out: Path) -> Judged:
    """What the report in ``out`` was judged by: the audit file that the run recorded, and the report's policy.

    UsageError where the report was judged by another text than the run's, which only its file can tell.
    """
    report, path = read.read_report(out), out / "evidence.db"
    about = report["audit"]
    with Store(path, create=False) as store:
        record = store.read_record("audit", about["name"])
    if record is None or digest([record["text"], record["overrides"]]) != about["digest"]:
        raise UsageError.at(
            out,
            "a report by another audit file than the run's",
            "the text of that file",
            "name it: --audit FILE, and --set as when it was judged",
        )
    overrides = [f"{key}={value}" for key, value in record["overrides"]]
    own = replay.stands_alone(record["text"], about["file"], overrides)
    try:
        audit = replay.resolve(record["text"], about["file"], overrides, own_policy=own)
    except InvalidAudit as error:
        raise UsageError(
            f"{path}: found an audit file that this version does not take:\n{error}\nexpected a valid one; name the "
            "file as it is now: --audit FILE"
        ) from error
    return Judged(audit if own else _with_policy(audit, report["policy"]), own)


def _contents(evidence: Path, judged: Judged, day: date) -> dict[str, bytes]:
    audit = judged.audit
    answers, records = _read(evidence, audit, day)
    environment = records.pop(("environment", audit.name), [None])[-1]
    _check_day(environment or {}, day)
    listed = [(name, key, content) for (name, key), contents in sorted(records.items()) for content in contents]
    report = _judge(audit, answers, listed, environment, day)
    tool = {"name": "pruneaudit", "version": __version__, "measuring_code": MEASURING_CODE}
    values: dict[str, Any] = {
        "artifacts.json": _artifacts(evidence, report),
        "audit.json": replay.resolved(audit),
        "contracts.json": report["contracts"],
        "environment.json": environment,
        "judging.json": {"day": day.isoformat(), "tool": tool, "policy": "audit" if judged.own_policy else "given"},
        "records.json": [dict(zip(replay.RECORD, record, strict=True)) for record in listed],
        "report.json": report,
    }
    encoded = {name: canonical(value).encode() for name, value in values.items()}
    return {**encoded, "audit.yaml": audit.text.encode(), "rows.jsonl": _rows(evidence, answers)}


def _check_day(environment: Mapping[str, Any], day: date) -> None:
    """UsageError where a run is to be judged as of a day on which it was not measured yet: waivers of then would hold.

    The clock is that of the machine that seals.
    """
    finished = environment.get("finished") or environment.get("started")
    if finished and day < (measured := datetime.fromisoformat(finished).astimezone().date()):
        expected = f"{measured}, when the evidence was measured, or a later day"
        raise UsageError.at("--day", f"{day}", expected, "leave it out, or name a day since then")


def _rows(evidence: Path, answers: Sequence[Answer]) -> bytes:
    """The answers as lines; UsageError where they are more than whoever opens a pack would read."""
    written = rows.write(answers)
    for number, most, unit in ((len(written), LARGEST_ROWS, "bytes"), (written.count(b"["), rows.MOST_LISTS, "lists")):
        if number > most:
            raise UsageError.at(
                evidence,
                f"values of {number} {unit}",
                f"at most {most}, which a pack holds",
                "audit fewer methods at once",
            )
    return written


def _read(evidence: Path, audit: Audit, day: date) -> tuple[list[Answer], dict[tuple[str, str], list[dict[str, Any]]]]:
    """The answers and records that judging the audit reads; nothing else is sealed."""
    with RecordingStore(evidence, create=False) as store:
        store.sealed = True
        report = judge(audit, store, day)
        answers = store.answers()
    unread = [name for name in ("scoring", "evaluation") if report["contracts"][name]["digest"] is None]
    if unread:
        raise EvidenceMissing.at(
            evidence,
            f"no measurement under the audit's {unread[0]} contract",
            "at least a part",
            "measure first: pruneaudit run",
        )
    return answers, store.records


def _judge(
    audit: Audit,
    answers: Sequence[Answer],
    records: Sequence[StoredRecord],
    environment: dict[str, Any] | None,
    day: date,
) -> Report:
    """The report as whoever opens the pack will find it."""
    run = [] if environment is None else [("environment", audit.name, environment)]
    with replay.filled(Path("rows.jsonl"), [*records, *run], answers, MEASURING_CODE) as store:
        report: Report = json.loads(canonical(judge(audit, store, day)))
    return report


def _artifacts(evidence: Path, report: Report) -> dict[str, Any]:
    """sha256 of the files of the model and of every checkpoint that was read, and their root digests."""
    with Store(evidence, create=False) as store:
        model = _files(store, report["model"]["digest"])
        further = {row["name"]: _files(store, row["digest"]) for row in checkpoints_of(report)}
    return model | ({"checkpoints": further} if further else {})


def _files(store: Store, weights: str | None) -> dict[str, Any]:
    """sha256 of a model's files as the run read them; without them, where an older version measured."""
    record = store.read_record(digests.RECORD, weights or "")
    files = record["files"] if record else {}
    return {"files": files, "root": digests.root_digest(files) if files else None}


def _check_same(to: Path, contents: Mapping[str, bytes]) -> None:
    """UsageError unless ``to`` holds exactly these files."""
    names = {path.name for path in to.iterdir()} if to.is_dir() else set()
    if names != set(contents) or any(beginning(to / name, len(own)) != own for name, own in contents.items()):
        what = "another pack" if MANIFEST in names else "something"
        raise UsageError.at(
            to, f"{what} there", "nothing, pack overwrites nothing", "choose another --to, or take it away"
        )


def _write(to: Path, contents: Mapping[str, bytes]) -> None:
    """Writes beside the target and renames, so that nobody finds half a pack."""
    with named(to), scratch(to.parent) as folder:
        draft = folder / to.name
        draft.mkdir()
        for name in (*FILES, MANIFEST):
            (draft / name).write_bytes(contents[name])
        draft.rename(to)
