"""What a pack is judged by: its audit, resolved anew from the file's text, and its evidence in a store in memory.

Nothing of the machine enters: no path of the pack leads to a file, and a sealed store keeps the judge from looking at
texts or models that happen to lie here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar, get_type_hints

from checker.core.canonical import NotOfKind, from_json, restored_row, value_of
from checker.core.errors import InvalidAudit
from checker.core.facts import CheckpointFacts, EvaluationFacts, ModelFacts, ScoringFacts, TaskFacts
from checker.core.questions import Question, Values
from checker.core.records import Audit, ModelSource, Policy, Series, TextSource
from checker.core.store import Answer, Scope, Store
from checker.core.timings import TimingFacts
from checker.judge.form import EnvironmentRow, SpentRow
from checker.release import rows
from checker.release.pack import WRITTEN, Pack, damaged
from checker.spec import load, policies

Source = TypeVar("Source", ModelSource, TextSource)
StoredRecord = tuple[str, str, dict[str, Any]]  # as ``RECORD`` names its parts
RECORD = {"name": str, "key": str, "content": dict}

_FACTS: Mapping[str, type[Any]] = {
    "model": ModelFacts,
    "scoring": ScoringFacts,
    "selection": ScoringFacts,
    "evaluation": EvaluationFacts,
    "checkpoint": CheckpointFacts,
    "task": TaskFacts,
    "timing": TimingFacts,
}
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*[0-9A-Za-z.+-]{0,40}", re.ASCII)
_FILE = re.compile(r"[\w][\w .+-]{0,199}", re.ASCII)
_ALONE = Path("/alone").absolute()  # where an audit file of a pack is taken to lie: with no other file beside it


class RecordingStore(Store):
    """Remembers what was read, so that only that is sealed."""

    def __init__(self, path: Path, *, create: bool = True, in_memory: bool = False) -> None:
        super().__init__(path, create=create, in_memory=in_memory)
        self.asked: dict[tuple[Scope, Question], int] = {}  # the number of batches
        self.records: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def get(self, scope: Scope, question: Question, batches: int) -> Values | None:
        self.asked[scope, question] = batches
        return super().get(scope, question, batches)

    def read_record(self, name: str, key: str) -> dict[str, Any] | None:
        record = super().read_record(name, key)
        if record is not None:
            self.records.setdefault((name, key), [record])
        return record

    def read_records(self, name: str, key: str) -> list[dict[str, Any]]:
        records = super().read_records(name, key)
        if records:
            self.records[name, key] = records
        return records

    def answers(self) -> list[Answer]:
        """Every stored answer that was read, batch by batch."""
        parts = (
            self.part(scope, question, batch)
            for (scope, question), batches in self.asked.items()
            for batch in range(batches)
        )
        return [part for part in parts if part is not None]


@dataclass(frozen=True)
class JudgedBy:
    """How a pack was judged: when, by which version, under whose policy."""

    day: date
    tool: Mapping[str, str]  # name, version, measuring_code
    policy: Literal["audit", "given"]  # the audit file's own, or one that is stated only in audit.json


def portable(audit: Audit) -> Audit:
    """The audit with every path reduced to its last part: packs travel, folders do not."""
    return replace(
        audit,
        path=PurePath(audit.path).name,
        model=_without_folder(audit.model),
        checkpoints=tuple(
            replace(each, source=_without_folder(each.source), location=each.location.without_folder)
            for each in audit.checkpoints
        ),
        series=tuple(_portable(each) for each in audit.series),
        scoring=replace(audit.scoring, source=_without_folder(audit.scoring.source)),
        evaluation=replace(audit.evaluation, source=_without_folder(audit.evaluation.source)),
        selecting=audit.selecting and replace(audit.selecting, source=_without_folder(audit.selecting.source)),
        claims=tuple(claim.without_folders() for claim in audit.claims),
        waivers=tuple(waiver.without_folder for waiver in audit.waivers),
        tasks=tuple(
            replace(
                each,
                path=each.path and PurePath(each.path).name,
                location=each.location.without_folder,
                results=each.result_names,
            )
            for each in audit.tasks
        ),
    )


def _portable(series: Series) -> Series:
    steps = (
        replace(each, source=_without_folder(each.source), location=each.location.without_folder)
        for each in series.steps
    )
    return replace(series, steps=tuple(steps), location=series.location.without_folder)


def resolved(audit: Audit) -> dict[str, Any]:
    """A portable audit as audit.json holds it: everything but the text, which is audit.yaml."""
    return {key: value for key, value in asdict(audit).items() if key != "text"}


def resolve(text: str, file: str, overrides: Sequence[str], *, own_policy: bool = True) -> Audit:
    """The portable audit of a file's text, as if the file stood alone in a folder; InvalidAudit holds its mistakes.

    With ``own_policy=False`` what the text says of policy is left out: the files that it is built on are elsewhere.
    """
    given = [*overrides, *(() if own_policy else ("policy=",))]
    audit = load.check_text(text, file, _ALONE, given, attached=False).audit
    return replace(portable(audit), overrides=audit.overrides[: len(overrides)])


def stands_alone(text: str, file: str, overrides: Sequence[str]) -> bool:
    """Whether the policy of an audit file is built on ready policies alone, and so on no further file."""
    base = load.read_text(text, file, _ALONE, overrides).document.get("policy", "extends")
    return base is None or base in policies.ready()


def audit_of(pack: Pack, judged_by: JudgedBy) -> Audit:
    """The audit of a pack, resolved anew; EvidenceDamaged where its text, name or policy cannot be read."""
    stated = pack.json("audit.json")
    place = pack.place("audit.json")
    try:
        file, overrides, policy = stated["path"], stated["overrides"], stated["policy"]
    except (KeyError, TypeError) as error:
        raise damaged(place, f"no {error}", "path, overrides and policy") from error
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise damaged(place, f"the file name {file!r:.80}", "a plain file name")
    if not _fits(overrides, tuple[tuple[str, str], ...]):
        raise damaged(place, f"the overrides {overrides!r:.80}", "pairs of key and value")
    given = [f"{key}={value}" for key, value in overrides]
    own = judged_by.policy == "audit"
    try:
        text = pack.bytes("audit.yaml").decode()
        if own and not stands_alone(text, file, given):
            raise damaged(pack.place("audit.yaml"), "a policy that is built on a file", "one that stands alone")
        audit = resolve(text, file, given, own_policy=own)
    except InvalidAudit as error:
        raise damaged(pack.place("audit.yaml"), f"no valid audit ({error.mistakes[0]})", WRITTEN) from error
    except ValueError as error:
        raise damaged(pack.place("audit.yaml"), f"no text ({error})", WRITTEN) from error
    return audit if own else replace(audit, policy=_policy(policy, place))


def _policy(stated: Any, place: str) -> Policy:
    try:
        return from_json(Policy, stated)
    except NotOfKind as error:
        raise damaged(place, f"the policy {stated!r:.80}", "a policy") from error


def _without_folder(source: Source) -> Source:
    """A model's or a text's source with its path reduced to its last part."""
    return source if source.path is None else replace(source, path=PurePath(source.path).name)


def judging_of(pack: Pack) -> JudgedBy:
    """When and by what a pack was judged; EvidenceDamaged where judging.json does not say."""
    stated = pack.json("judging.json")
    try:
        day, tool, policy = stated["day"], stated["tool"], stated["policy"]
        complete = _fits(tool, Mapping[str, str]) and set(tool) == {"name", "version", "measuring_code"}
        complete = complete and tool["name"] == "pruneaudit" and _VERSION.fullmatch(tool["version"]) is not None
        if complete and policy in ("audit", "given") and len(stated) == 3:
            return JudgedBy(date.fromisoformat(day), tool, policy)
    except (KeyError, TypeError, ValueError):
        pass
    raise damaged(pack.place("judging.json"), f"{stated!r:.80}", "the day of judging, the tool and whose policy")


def store_of(pack: Pack, judged_by: JudgedBy, audit: Audit) -> RecordingStore:
    """A pack's evidence in memory; EvidenceDamaged where rows or records are not what they should be."""
    answers = rows.read(pack.bytes("rows.jsonl"), pack.place("rows.jsonl"))
    records = list(_records(pack, len(answers)))
    environment = pack.json("environment.json")
    if environment is not None:
        if not isinstance(environment, dict):
            raise damaged(pack.place("environment.json"), f"{environment!r:.80}", "a mapping")
        for row in (EnvironmentRow, SpentRow):
            restored_row(row, environment, pack.place("environment.json"))
        records.append(("environment", audit.name, environment))
    return filled(pack.folder, records, answers, judged_by.tool["measuring_code"])


def filled(
    path: Path, records: Iterable[StoredRecord], answers: Sequence[Answer], measuring_code: str
) -> RecordingStore:
    """A store in memory that holds just this; ``path`` is what messages call it."""
    store = RecordingStore(path, in_memory=True)
    try:
        for name, key, content in records:
            store.write_record(name, key, content)
        store.add(answers, measuring_code)
    except BaseException:
        store.close()
        raise
    store.records.clear()  # of what filling it read
    return store


def _records(pack: Pack, answers: int) -> Iterator[StoredRecord]:
    """Every record, held against what a run writes."""
    place = pack.place("records.json")
    stated = pack.json("records.json")
    if not isinstance(stated, list):
        raise damaged(place, f"{stated!r:.80}", "a list of records")
    for record in stated:
        if not isinstance(record, dict) or {part: type(value) for part, value in record.items()} != RECORD:
            raise damaged(place, f"{record!r:.80}", "name, key and content of a record")
        name, key, content = (record[part] for part in RECORD)
        if problem := _problem(name, content, answers):
            raise damaged(place, f"{problem} in the record of {name!r:.40}", WRITTEN)
        yield name, key, content


def _problem(name: str, content: dict[str, Any], answers: int) -> str | None:
    """What is wrong with facts, or None: wrong types, or numbers that no answers could go with."""
    if name == "text" and (set(content) != {"identity"} or not isinstance(content["identity"], str)):
        return f"{content!r:.80}"
    kind = _FACTS.get(name)
    if kind is None:
        return None
    hints = get_type_hints(kind)
    for key in hints:
        if key not in content and not hasattr(kind, key):
            return f"no {key!r}"
    for key, value in content.items():
        if key not in hints or not _fits(value, hints[key]):
            return f"{key!r:.40} {value!r:.80}"
    if problem := _misfit(name, content):
        return problem
    batches = content.get("batches", 0)
    return f"{batches} batches, more than there are answers," if batches > answers else None


def _misfit(name: str, content: dict[str, Any]) -> str | None:
    """What of facts of the right types does not fit each other."""
    if name == "timing":
        return from_json(TimingFacts, content).misfit
    if name != "model":
        return None
    blocks, kinds = content["blocks"], content.get("slot_kinds")
    if blocks < 1 or not len(content["block_parameters"]) == len(content["block_shapes"]) == blocks:
        return f"{blocks} blocks, of which not each one is described,"
    if kinds and len(kinds) != blocks:
        return f"{len(kinds)} kinds of {blocks} slots"
    return from_json(ModelFacts, content).misfit


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value can be what a type says."""
    try:
        value_of(hint, value)
    except NotOfKind:
        return False
    return True
