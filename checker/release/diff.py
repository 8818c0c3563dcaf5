"""What changed between two runs or packs, and whether it may be compared at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from checker.core.escape import clean
from checker.core.words import counted
from checker.judge.figures.form import CheckpointRow
from checker.judge.form import ClaimRow, FindingRow, ModelRow, Report, checkpoints_of
from checker.release import diff_figures
from checker.release.diff_figures import Change, moved
from checker.release.pack import MANIFEST, open_pack, sealed_report
from checker.reports.read import read_report

FORMAT = "pruneaudit/diff/1"
_RANKS = {"supported": 2, "open": 1, "contradicted": 0}


@dataclass(frozen=True)
class Difference:
    """All that changed, in order; and why distances or costs cannot be compared, empty where they can."""

    changes: tuple[Change, ...]
    distances: tuple[str, ...]
    costs: tuple[str, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.worse)

    def as_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "format": FORMAT,
            "worse": len(self.worse),
            "not_comparable": {"distances": list(self.distances), "costs": list(self.costs)},
            "changes": [asdict(change) for change in self.changes],
        }


def report_of(folder: Path) -> Report:
    """The report of a run's folder or of a pack, its text harmless to show.

    UsageError where it is neither, EvidenceDamaged where a pack is not as its manifest says.
    """
    sealed = (folder / MANIFEST).exists()
    report: Report = clean(sealed_report(open_pack(folder)) if sealed else read_report(folder))
    return report


def difference(before: Report, after: Report) -> Difference:
    """What changed from one report to the other. Figures that are not comparable are not compared."""
    distances = tuple(_incomparable(before, after, ("scoring", "selection")))
    costs = tuple(_incomparable(before, after, ("evaluation",)))
    comparable = _comparable_checkpoints(before, after)
    old, new = (diff_figures.distances(report, comparable) for report in (before, after))
    paid, pays = (diff_figures.costs(report, comparable) for report in (before, after))
    changes = (
        *_model(before["model"], after["model"]),
        *_checkpoints(before, after),
        *_audit(before, after),
        *_contracts(before, after),
        *(() if distances else moved("distances", old, new)),
        *_regimes(before, after),
        *_removal_sets(before, after),
        *(() if costs else moved("costs", paid, pays)),
        *_tasks(before, after),
        *_claims(before, after),
        *_findings(before, after),
    )
    return Difference(changes, distances, costs)


def _changed(section: str, what: str, before: Any, after: Any, write: Callable[[Any], str] = str) -> Iterator[Change]:
    if before != after:
        texts = ["nothing" if value is None else write(value) for value in (before, after)]
        yield Change(section, what, before, after, f"{what}: {texts[0]} → {texts[1]}")


def _short(digest: str) -> str:
    return f"{digest[:12]}…"


def _tasks(before: Report, after: Report) -> Iterator[Change]:
    """What was asked, and the scores of tasks that were asked the same by the same harness."""
    old, new = ({task["name"]: task for task in report["tasks"]} for report in (before, after))
    alike = set()
    for name in (name for name in old if name in new):
        asked = [(task["requests"], task["harness"], task["evidence"]) for task in (old[name], new[name])]
        if asked[0] == asked[1]:
            alike.add(name)
        yield from _changed("tasks", f"what {name} asks", old[name]["requests"], new[name]["requests"], _short)
        yield from _changed("tasks", f"the harness of {name}", old[name]["harness"], new[name]["harness"])
        yield from _changed("tasks", f"the evidence of {name}", old[name]["evidence"], new[name]["evidence"])
    yield from _changed("tasks", "tasks", list(old), list(new), ", ".join)
    yield from moved("scores", diff_figures.scores(before, alike), diff_figures.scores(after, alike))


_ModelKey = Literal["source", "revision", "architecture", "blocks", "parameters", "dtype", "quantization"]
_MODEL: tuple[_ModelKey, ...] = get_args(_ModelKey)


def _model(before: ModelRow, after: ModelRow) -> Iterator[Change]:
    yield from _changed("model", "weights", before["digest"], after["digest"], _short)
    for name in _MODEL:
        yield from _changed("model", name, before[name], after[name])
    yield from _changed("model", "tokenizer", before["tokenizer_digest"], after["tokenizer_digest"], _short)


def _checkpoints(before: Report, after: Report) -> Iterator[Change]:
    checkpoints, later = _released(before), _released(after)
    for name in dict.fromkeys([*checkpoints, *later]):
        old, new = _described(checkpoints.get(name)), _described(later.get(name))
        if old is None or new is None:
            yield from _changed("checkpoints", name, old and old["weights"], new and new["weights"])
            continue
        for part, value in old.items():
            yield from _changed("checkpoints", f"{name}, {part}", value, new[part])


def _released(report: Report) -> dict[str, CheckpointRow]:
    return {row["name"]: row for row in checkpoints_of(report)}


def _described(row: CheckpointRow | None) -> dict[str, Any] | None:
    """What a checkpoint is, whatever was measured of it."""
    if row is None:
        return None
    known = row["provenance"]
    return {
        "weights": "not hashed" if row["digest"] is None else _short(row["digest"]),
        "source": row["source"],
        "dtype": row["dtype"],
        "tokenizer": _short(row["tokenizer_digest"]),
        "blocks": row["own"]["blocks"],
        "parameters": row["own"]["parameters"],
        "declared healed": row["healed"],
        "what was done": known["done"] if known and known["done"] is not None else "open",
    }


def _comparable_checkpoints(before: Report, after: Report) -> set[str]:
    """Those that both have, read by the same tokenizer and run in the same dtype: other weights are what may differ."""
    checkpoints, later = _released(before), _released(after)
    return {
        name
        for name, old in checkpoints.items()
        if (new := later.get(name)) is not None
        and (old["tokenizer_digest"], old["dtype"]) == (new["tokenizer_digest"], new["dtype"])
    }


def _audit(before: Report, after: Report) -> Iterator[Change]:
    yield from _changed("audit", "title", before["title"], after["title"])
    yield from _changed("audit", "file", before["audit"]["digest"], after["audit"]["digest"], _short)
    old, new = before["tool"], after["tool"]
    yield from _changed("audit", "pruneaudit's version", old["version"], new["version"])
    yield from _changed("audit", "pruneaudit's measuring code", old["measuring_code"], new["measuring_code"])
    yield from _changed("audit", "direction", before["direction"], after["direction"])
    for name in dict.fromkeys([*before["thresholds"], *after["thresholds"]]):
        values = (before["thresholds"].get(name), after["thresholds"].get(name))
        yield from _changed("audit", name.replace("_", " "), *values)
    yield from _changed("audit", "outcome", before["outcome"], after["outcome"])
    yield from _policy(before["policy"], after["policy"])
    waivers, later = _waivers(before), _waivers(after)
    for name in dict.fromkeys([*waivers, *later]):
        yield from _changed("audit", f"waiver of {name}", waivers.get(name), later.get(name))


def _policy(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in before:
        old, new = before[name], after[name]
        if name == "rules":
            for rule in sorted({*old, *new}):
                yield from _changed("audit", f"policy, {rule}", old.get(rule), new.get(rule))
        elif name != "sources":  # where a value is set, not what it is
            yield from _changed("audit", f"policy, {name.replace('_', ' ')}", old, new, _listed)


def _listed(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _waivers(report: Report) -> dict[str, str]:
    """Per rule and claim, how a waiver stands and its last day."""
    return {
        row["rule"] + (f", claim {row['claim']}" if row["claim"] else ""): f"{row['state']}, until {row['expires']}"
        for row in report["waivers"]
    }


def _contracts(before: Report, after: Report) -> Iterator[Change]:
    contracts: list[Mapping[str, Any]] = [before["contracts"], after["contracts"]]
    for name in ("scoring", "selection", "evaluation"):
        old, new = (rows.get(name) for rows in contracts)
        if old and new:
            yield from _contract(name, old, new)
        else:
            yield from _changed("contract", f"{name} text", old and old["text"], new and new["text"])


def _contract(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    parts = [part for part in before if part not in ("digest", "tokens_digest", "kinds") and part in after]
    parts = [part for part in parts if part != "text_digest" or before["text"] == after["text"]]
    differing = [part for part in parts if before[part] != after[part]]
    for part in differing:
        write = _short if part.endswith("digest") else str
        yield from _changed("contract", f"{name} {part.replace('_', ' ')}", before[part], after[part], write)
    if not differing:
        yield from _changed("contract", f"{name} contract", before["digest"], after["digest"], _short)


def _incomparable(before: Report, after: Report, names: Sequence[str]) -> Iterator[str]:
    """Why figures that rest on these contracts cannot be compared."""
    if before["model"]["digest"] != after["model"]["digest"]:
        yield "the models differ"
    if before["tool"]["measuring_code"] != after["tool"]["measuring_code"]:
        yield "they were measured by different versions of the measuring code"
    contracts: list[Mapping[str, Any]] = [before["contracts"], after["contracts"]]
    for name in names:
        old, new = (rows.get(name) or {} for rows in contracts)
        if old.get("digest") == new.get("digest"):
            continue
        parts = [part for part in old if old[part] != new.get(part) and not part.endswith("digest") and part != "kinds"]
        if old.get("text_digest") != new.get("text_digest"):
            parts.append("text")
        if before["model"]["tokenizer_digest"] != after["model"]["tokenizer_digest"]:
            parts.append("tokenizer")
        words = ", ".join(dict.fromkeys(part.replace("_", " ") for part in parts)) or "how its text is put together"
        yield f"the {name} contracts differ ({words})"


def _regimes(before: Report, after: Report) -> Iterator[Change]:
    regimes = before["regime"], after["regime"]
    yield from _changed("regimes", "metric", regimes[0]["metric"]["name"], regimes[1]["metric"]["name"])
    budgets, later = ({row["budget"]: row["regime"] for row in regime["removal"]} for regime in regimes)
    for budget in sorted({*budgets, *later}):
        yield from _changed("regimes", f"removal of {budget}", budgets.get(budget), later.get(budget))
    pairs, others = ({(row["i"], row["j"]): row["regime"] for row in report["pairs"]} for report in (before, after))
    for i, j in sorted({*pairs, *others}):
        yield from _changed("regimes", f"blocks {i} and {j}", pairs.get((i, j)), others.get((i, j)))


def _removal_sets(before: Report, after: Report) -> Iterator[Change]:
    sets, later = _chosen(before), _chosen(after)
    for key in dict.fromkeys([*sets, *later]):
        method, budget, *kind = key
        name = f"{method} at {budget}" + ("" if kind == ["matched", "matched"] else f" ({', '.join(kind)})")
        yield from _changed("removal sets", name, sets.get(key), later.get(key), _sets)


def _chosen(report: Report) -> dict[tuple[Any, ...], list[str]]:
    """Per method, budget and constraints, the sets it chose, over its ties; draws of a random control left out."""
    sets: dict[tuple[Any, ...], dict[str, Any]] = {}
    for arm in report["arms"]:
        if not arm["draw"]:
            key = (arm["method"], arm["budget"], arm["form"], arm["selection"])
            sets.setdefault(key, {})[diff_figures.layers(arm)] = (arm["layers"], arm["merged"] or "")
    return {key: sorted(own, key=own.__getitem__) for key, own in sets.items()}


def _sets(sets: Sequence[str]) -> str:
    more = [f"{len(sets) - 3} more"] if len(sets) > 3 else []
    return " or ".join([*(f"({layers})" for layers in sets[:3]), *more])


def _claims(before: Report, after: Report) -> Iterator[Change]:
    claims, later = ({claim["id"]: claim for claim in report["claims"]} for report in (before, after))
    for name in dict.fromkeys([*claims, *later]):
        if name not in later:
            verdict = claims[name]["verdict"]
            # A claim that was supported and is no longer made is a step back; to withdraw any other is the remedy.
            text, worse = f"{name}: {verdict} → no longer claimed", verdict == "supported"
            yield Change("verdicts", name, verdict, None, text, worse=worse)
        elif name not in claims:
            verdict = later[name]["verdict"]
            yield Change("verdicts", name, None, verdict, f"{name}: new, {verdict}")
        else:
            yield from _claim(name, claims[name], later[name])


_ClaimKey = Literal["says", "kind", "scope", "protocol", "threshold"]
_STATED: tuple[_ClaimKey, ...] = get_args(_ClaimKey)


def _claim(name: str, before: ClaimRow, after: ClaimRow) -> Iterator[Change]:
    for part in _STATED:
        yield from _changed("claims", f"{name}, {part}", before[part], after[part])
    old, new = before["verdict"], after["verdict"]
    if old != new:
        yield Change("verdicts", name, old, new, f"{name}: {old} → {new}", worse=_RANKS[new] < _RANKS[old])
    for protocol in dict.fromkeys([*before["protocols"], *after["protocols"]]):
        backing, later = before["protocols"].get(protocol), after["protocols"].get(protocol)
        answers = backing and backing["backs"], later and later["backs"]
        yield from _changed("claims", f"{name}, {protocol} backs it", *answers)


def _findings(before: Report, after: Report) -> Iterator[Change]:
    concluded, later = (_concluded(report["findings"]) for report in (before, after))
    for key in sorted({*concluded, *later}):
        rule, claim = key
        name = f"{rule}, claim {claim}" if claim else rule
        yield from _changed("findings", name, concluded.get(key), later.get(key), ", ".join)


def _concluded(findings: Iterable[FindingRow]) -> dict[tuple[str, str], list[str]]:
    """Per rule and claim, what was concluded; as often as it was."""
    outcomes: dict[tuple[str, str], Counter[str]] = {}
    for finding in findings:
        outcome = finding["outcome"].replace("_", " ") + (" (waived)" if finding["waived"] is not None else "")
        outcomes.setdefault((finding["rule"], finding["claim"] or ""), Counter())[outcome] += 1
    return {
        key: [outcome if times == 1 else f"{times} × {outcome}" for outcome, times in sorted(counts.items())]
        for key, counts in outcomes.items()
    }


_TITLES = {
    "model": "Model", "checkpoints": "Checkpoints", "audit": "Audit", "contract": "Contracts",
    "distances": "Distances", "regimes": "Regimes", "removal sets": "Removal sets", "costs": "Costs",
    "tasks": "Tasks", "scores": "Scores", "claims": "Claims", "verdicts": "Verdicts", "findings": "Findings",
}  # fmt: skip


def lines(difference: Difference) -> list[str]:
    """The difference as lines of plain text, other models first; one line where nothing changed."""
    if not difference.changes:
        return ["Nothing changed."]
    other_model = any((change.section, change.what) == ("model", "weights") for change in difference.changes)
    texts = ["The models differ: this compares two things, and no figure."] if other_model else []
    for section, title in _TITLES.items():
        changes = [change for change in difference.changes if change.section == section]
        reasons = {"distances": difference.distances, "costs": difference.costs}.get(section, ())
        if changes or reasons:
            texts += ["", title] if texts else [title]
        if reasons:
            texts.append(f"  not comparable: {'; '.join(reasons)}")
        texts += [f"  {change.text}{' (worse)' if change.worse else ''}" for change in changes]
    worse = len(difference.worse)
    return [*texts, "", f"{counted(worse, 'verdict') if worse else 'No verdict'} got worse."]
