"""What changed between two runs or packs, and whether it may be compared at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from checker.core.escape import clean
from checker.judge.form import ClaimRow, FindingRow, Report
from checker.release import diff_figures
from checker.release.diff_figures import Change
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
    found: list[Change] = [*_model(before, after), *_audit(before, after), *_contracts(before, after)]
    if not distances:
        found += diff_figures.distances(before, after)
    found += _regimes(before, after)
    found += _removal_sets(before, after)
    if not costs:
        found += diff_figures.costs(before, after)
    found += _claims(before, after)
    found += _findings(before, after)
    return Difference(tuple(found), distances, costs)


def _changed(section: str, what: str, before: Any, after: Any, write: Callable[[Any], str] = str) -> Iterator[Change]:
    if before != after:
        texts = ["nothing" if value is None else write(value) for value in (before, after)]
        yield Change(section, what, before, after, f"{what}: {texts[0]} → {texts[1]}")


def _short(digest: str) -> str:
    return f"{digest[:12]}…"


_ModelKey = Literal["source", "revision", "architecture", "blocks", "parameters", "dtype", "quantization"]
_MODEL: tuple[_ModelKey, ...] = get_args(_ModelKey)


def _model(before: Report, after: Report) -> Iterator[Change]:
    one, other = before["model"], after["model"]
    yield from _changed("model", "weights", one["digest"], other["digest"], _short)
    for name in _MODEL:
        yield from _changed("model", name, one[name], other[name])
    yield from _changed("model", "tokenizer", one["tokenizer_digest"], other["tokenizer_digest"], _short)


def _audit(before: Report, after: Report) -> Iterator[Change]:
    yield from _changed("audit", "title", before["title"], after["title"])
    yield from _changed("audit", "file", before["audit"]["digest"], after["audit"]["digest"], _short)
    tool, later = before["tool"], after["tool"]
    yield from _changed("audit", "pruneaudit's version", tool["version"], later["version"])
    yield from _changed("audit", "pruneaudit's measuring code", tool["measuring_code"], later["measuring_code"])
    yield from _changed("audit", "direction", before["direction"], after["direction"])
    for name in dict.fromkeys([*before["thresholds"], *after["thresholds"]]):
        one, other = (thresholds.get(name) for thresholds in (before["thresholds"], after["thresholds"]))
        yield from _changed("audit", name.replace("_", " "), one, other)
    yield from _changed("audit", "outcome", before["outcome"], after["outcome"])
    yield from _policy(before["policy"], after["policy"])
    one, other = _waivers(before), _waivers(after)
    for name in dict.fromkeys([*one, *other]):
        yield from _changed("audit", f"waiver of {name}", one.get(name), other.get(name))


def _policy(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if name == "rules":
            for rule in sorted({*(one or {}), *(other or {})}):
                yield from _changed("audit", f"policy, {rule}", (one or {}).get(rule), (other or {}).get(rule))
        elif name != "sources":  # where a value is set, not what it is
            yield from _changed("audit", f"policy, {name.replace('_', ' ')}", one, other, _listed)


def _listed(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _waivers(report: Report) -> dict[str, str]:
    """Per rule and claim, how a waiver stands and its last day."""
    return {
        row["rule"] + (f", claim {row['claim']}" if row["claim"] else ""): f"{row['state']}, until {row['expires']}"
        for row in report["waivers"]
    }


def _contracts(before: Report, after: Report) -> Iterator[Change]:
    contracts: list[Mapping[str, Any]] = [before["contracts"], after["contracts"]]
    for name in ("scoring", "selection", "evaluation"):
        one, other = (found.get(name) for found in contracts)
        if (one is None) != (other is None):
            yield from _changed("contract", f"{name} text", one and one["text"], other and other["text"])
        elif one is not None and other is not None:
            yield from _contract(name, one, other)


def _contract(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Change]:
    parts = [part for part in one if part not in ("digest", "tokens_digest", "kinds") and part in other]
    parts = [part for part in parts if part != "text_digest" or one["text"] == other["text"]]
    differing = [part for part in parts if one[part] != other[part]]
    for part in differing:
        write = _short if part.endswith("digest") else str
        yield from _changed("contract", f"{name} {part.replace('_', ' ')}", one[part], other[part], write)
    if not differing:
        yield from _changed("contract", f"{name} contract", one["digest"], other["digest"], _short)


def _incomparable(before: Report, after: Report, names: Sequence[str]) -> Iterator[str]:
    """Why figures that rest on these contracts cannot be compared."""
    if before["model"]["digest"] != after["model"]["digest"]:
        yield "the models differ"
    if before["tool"]["measuring_code"] != after["tool"]["measuring_code"]:
        yield "they were measured by different versions of the measuring code"
    contracts: list[Mapping[str, Any]] = [before["contracts"], after["contracts"]]
    for name in names:
        one, other = (found.get(name) or {} for found in contracts)
        if one.get("digest") == other.get("digest"):
            continue
        parts = [
            part for part in one if one[part] != other.get(part) and not part.endswith("digest") and part != "kinds"
        ]
        if one.get("text_digest") != other.get("text_digest"):
            parts.append("text")
        if before["model"]["tokenizer_digest"] != after["model"]["tokenizer_digest"]:
            parts.append("tokenizer")
        named = ", ".join(dict.fromkeys(part.replace("_", " ") for part in parts)) or "how its text is put together"
        yield f"the {name} contracts differ ({named})"


def _regimes(before: Report, after: Report) -> Iterator[Change]:
    one, other = before["regime"], after["regime"]
    yield from _changed("regimes", "metric", one["metric"]["name"], other["metric"]["name"])
    budgets, others = ({row["budget"]: row["regime"] for row in regime["removal"]} for regime in (one, other))
    for budget in sorted({*budgets, *others}):
        yield from _changed("regimes", f"removal of {budget}", budgets.get(budget), others.get(budget))
    pairs, later = ({(row["i"], row["j"]): row["regime"] for row in report["pairs"]} for report in (before, after))
    for pair in sorted({*pairs, *later}):
        yield from _changed("regimes", f"blocks {pair[0]} and {pair[1]}", pairs.get(pair), later.get(pair))


def _removal_sets(before: Report, after: Report) -> Iterator[Change]:
    one, other = _chosen(before), _chosen(after)
    for key in dict.fromkeys([*one, *other]):
        method, budget, form, selection = key
        usual = (form, selection) == ("matched", "matched")
        name = f"{method} at {budget}" + ("" if usual else f" ({form}, {selection})")
        yield from _changed("removal sets", name, one.get(key), other.get(key), _sets)


def _chosen(report: Report) -> dict[tuple[Any, ...], list[str]]:
    """Per method, budget and constraints, the sets it chose, over its ties; draws of a random control left out."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for arm in sorted(report["arms"], key=lambda arm: (arm["layers"], arm["merged"] or "")):
        if not arm["draw"]:
            key = (arm["method"], arm["budget"], arm["form"], arm["selection"])
            found.setdefault(key, []).append(diff_figures.layers(arm))
    order = {(arm["method"], arm["budget"], arm["form"], arm["selection"]): None for arm in report["arms"]}
    return {key: list(dict.fromkeys(found[key])) for key in order if key in found}


def _sets(sets: Sequence[str]) -> str:
    told = " or ".join(f"({layers})" for layers in sets[:3])
    return told + (f" or {len(sets) - 3} more" if len(sets) > 3 else "")


def _claims(before: Report, after: Report) -> Iterator[Change]:
    one, other = ({claim["id"]: claim for claim in report["claims"]} for report in (before, after))
    for name in dict.fromkeys([*one, *other]):
        if name not in other:
            yield _gone(name, one[name]["verdict"])
        elif name not in one:
            verdict = other[name]["verdict"]
            yield Change("verdicts", name, None, verdict, f"{name}: new, {verdict}")
        else:
            yield from _claim(name, one[name], other[name])


def _gone(name: str, verdict: str) -> Change:
    """A claim that was supported and is no longer made is a step back; to withdraw any other is the remedy."""
    return Change(
        "verdicts", name, verdict, None, f"{name}: {verdict} → no longer claimed", worse=verdict == "supported"
    )


_ClaimKey = Literal["says", "kind", "scope", "protocol", "threshold"]
_STATED: tuple[_ClaimKey, ...] = get_args(_ClaimKey)


def _claim(name: str, one: ClaimRow, other: ClaimRow) -> Iterator[Change]:
    for part in _STATED:
        yield from _changed("claims", f"{name}, {part}", one[part], other[part])
    verdicts = one["verdict"], other["verdict"]
    if verdicts[0] != verdicts[1]:
        worse = _RANKS[verdicts[1]] < _RANKS[verdicts[0]]
        yield Change("verdicts", name, *verdicts, f"{name}: {verdicts[0]} → {verdicts[1]}", worse=worse)
    for protocol in dict.fromkeys([*one["protocols"], *other["protocols"]]):
        backings = [claim["protocols"].get(protocol) for claim in (one, other)]
        answer, later = (None if backing is None else backing["backs"] for backing in backings)
        yield from _changed("claims", f"{name}, {protocol} backs it", answer, later)


def _findings(before: Report, after: Report) -> Iterator[Change]:
    one, other = (_concluded(report["findings"]) for report in (before, after))
    for key in sorted({*one, *other}):
        rule, claim = key
        name = f"{rule}, claim {claim}" if claim else rule
        yield from _changed("findings", name, one.get(key), other.get(key), ", ".join)


def _concluded(findings: Iterable[FindingRow]) -> dict[tuple[str, str], list[str]]:
    """Per rule and claim, what was concluded; as often as it was."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for finding in findings:
        outcome = finding["outcome"].replace("_", " ") + (" (waived)" if finding["waived"] is not None else "")
        found.setdefault((finding["rule"], finding["claim"] or ""), Counter())[outcome] += 1
    return {
        key: [outcome if times == 1 else f"{times} × {outcome}" for outcome, times in sorted(counts.items())]
        for key, counts in found.items()
    }


_TITLES = {
    "model": "Model", "audit": "Audit", "contract": "Contracts", "distances": "Distances", "regimes": "Regimes",
    "removal sets": "Removal sets", "costs": "Costs", "claims": "Claims", "verdicts": "Verdicts",
    "findings": "Findings",
}  # fmt: skip


def lines(found: Difference) -> list[str]:
    """The difference as lines of plain text, other models first; one line where nothing changed."""
    if not found.changes:
        return ["Nothing changed."]
    told = ["The models differ: this compares two things, and no figure."] if _other_model(found) else []
    for section, title in _TITLES.items():
        part = [change for change in found.changes if change.section == section]
        reasons = {"distances": found.distances, "costs": found.costs}.get(section, ())
        if part or reasons:
            told += ["", title] if told else [title]
        if reasons:
            told.append(f"  not comparable: {'; '.join(reasons)}")
        told += [f"  {change.text}{' (worse)' if change.worse else ''}" for change in part]
    number = len(found.worse)
    verdicts = "No verdict" if not number else "1 verdict" if number == 1 else f"{number} verdicts"
    return [*told, "", f"{verdicts} got worse."]


def _other_model(found: Difference) -> bool:
    return any((change.section, change.what) == ("model", "weights") for change in found.changes)
