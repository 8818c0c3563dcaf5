"""report.sarif: SARIF 2.1.0 with Errata 01 (OASIS), for what shows findings beside the audit file's lines.

All that a report says is in it: passed, open and not applicable findings by their ``kind``, waived ones with a
suppression. Section numbers are the standard's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any
from urllib.parse import quote

from checker.core import escape
from checker.judge.form import AnyReport, FindingRow
from checker.judge.rules import RULES, Rule
from checker.reports.format import Format
from checker.reports.places import place
from checker.reports.tables import claims

Json = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_COMPLETENESS = "evidence/incomplete"
_KINDS = {"pass": "pass", "fail": "fail", "open": "open", "not_applicable": "notApplicable"}
_ROOT = "%SRCROOT%"
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)


def render(report: AnyReport) -> str:
    """The log, with one run."""
    safe: AnyReport = escape.clean(report)
    slugs = list(dict.fromkeys([*RULES, *(finding["rule"] for finding in safe["findings"])]))
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(safe, slugs)]}
    return escape.json_text(json.dumps(log, ensure_ascii=False, allow_nan=False, indent=2)) + "\n"


def _run(report: AnyReport, slugs: Sequence[str]) -> Json:
    return {
        "tool": {"driver": _driver(report, slugs)},
        "automationDetails": {
            "id": f"pruneaudit/{quote(report['audit']['name'], safe='')}/",
            "description": _message(report["title"]),
        },
        "invocations": [_invocation(report)],
        "originalUriBaseIds": {
            _ROOT: {"description": _message("The folder that pruneaudit ran in, as a rule the root of a repository.")}
        },
        "artifacts": [{"location": _artifact(report), "roles": ["analysisTarget"]}],
        "results": _results(report, slugs),
        "columnKind": "unicodeCodePoints",
        "defaultEncoding": "utf-8",
        "language": "en",
        "properties": {
            "outcome": report["outcome"],
            "summary": report["summary"],
            "waived": claims.waived(report),
            **_subject(report),
            **_claims(report),
        },
    }


def _subject(report: AnyReport) -> Json:
    """What was audited: a model, or numbers that somebody published."""
    if "model" in report:
        return {"model": report["model"]["source"], "modelDigest": report["model"]["digest"]}
    return {"source": report["source"]["title"], "evidence": report["evidence"]}


def _claims(report: AnyReport) -> Json:
    """Each claim's verdict and what it is of; published items have their statements in their findings."""
    if "model" not in report:
        return {}
    return {"claims": [{key: claim[key] for key in ("id", "decided", "verdict")} for claim in report["claims"]]}


def _driver(report: AnyReport, slugs: Sequence[str]) -> Json:
    page = rules_page()
    return {
        "name": "pruneaudit",
        "version": report["tool"]["version"],
        **({"informationUri": page} if page else {}),
        "rules": [_rule(slug, RULES.get(slug), page) for slug in slugs],
        **({"properties": {"measuringCode": report["tool"]["measuring_code"]}} if "model" in report else {}),
    }


def _rule(slug: str, rule: Rule[Any] | None, page: str | None) -> Json:
    if rule is None:  # a report that another version judged
        unknown = _message("A rule that this version of pruneaudit does not have.")
        return {"id": slug, "shortDescription": unknown, "fullDescription": unknown, "help": unknown}
    parts = (("Why.", rule.why), ("What to do.", rule.remedy), ("When to waive.", rule.waive))
    return {
        "id": slug,
        "shortDescription": _message(rule.summary),
        "fullDescription": _message(rule.why),
        "help": {
            "text": _text("\n".join(f"{title} {text}" for title, text in parts)),
            "markdown": _text("\n\n".join(f"**{title}** {text}" for title, text in parts)),
        },
        **({"helpUri": f"{page}#{slug}"} if page else {}),
        "defaultConfiguration": {"level": rule.level},
        "properties": {"tags": [slug.partition("/")[0]]},
    }


def rules_page() -> str | None:
    """The address of docs/rules.md, where the package's metadata names one under "Rules"; its anchors are the slugs."""
    try:
        entries = metadata("pruneaudit").get_all("Project-URL") or []
    except PackageNotFoundError:  # a checkout that is not installed
        return None
    return dict(entry.split(", ", 1) for entry in entries if ", " in entry).get("Rules")


def _results(report: AnyReport, slugs: Sequence[str]) -> list[Json]:
    seen: Counter[str] = Counter()
    results = []
    for finding in report["findings"]:
        fingerprint = _fingerprint(report, finding)
        seen[fingerprint] += 1
        number = slugs.index(finding["rule"])
        results.append(_result(report, finding, number, f"{fingerprint}:{seen[fingerprint]}"))
    return results


def _result(report: AnyReport, finding: FindingRow, number: int, fingerprint: str) -> Json:
    failed = finding["outcome"] == "fail"
    return {
        "ruleId": finding["rule"],
        "ruleIndex": number,
        "kind": _KINDS[finding["outcome"]],
        "level": finding["level"] if failed else "none",  # 3.27.10: of what did not fail there is no other level
        "message": _message(finding["message"]),
        "locations": [_location(report, finding)],
        # GitHub knows a finding again by the first; without one it would hash the line that the finding points at.
        "partialFingerprints": {"primaryLocationLineHash": fingerprint, "ruleClaimAudit/v1": fingerprint},
        "suppressions": _suppressions(report, finding),
        "properties": {"level": finding["level"], **({"claim": finding["claim"]} if finding["claim"] else {})},
    }


def _suppressions(report: AnyReport, finding: FindingRow) -> list[Json]:
    """The waiver, where there is one. The list stands on every result, empty or not (3.27.23)."""
    reason = finding["waived"]
    if reason is None:
        return []
    # In the source (3.35.2): the waiver stands in the audit file, which is what the finding is about.
    suppression: Json = {"kind": "inSource", "status": "accepted", "justification": reason}
    for waiver in report["waivers"]:
        same = (waiver["rule"], waiver["reason"]) == (finding["rule"], reason)
        if same and waiver["claim"] in (None, finding["claim"]):
            location = _point(report, waiver["location"])
            return [suppression | {"location": location, "properties": {"expires": waiver["expires"]}}]
    return [suppression]


def _fingerprint(report: AnyReport, finding: FindingRow) -> str:
    """What stays the same while lines move and figures change: rule, claim and audit."""
    parts = (finding["rule"], finding["claim"] or "", report["audit"]["name"])
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _location(report: AnyReport, finding: FindingRow) -> Json:
    claim = finding["claim"]
    names = {} if claim is None else {"logicalLocations": [{"name": claim, "kind": "claim"}]}
    return {**_point(report, finding["location"]), **names}


def _point(report: AnyReport, location: str | None) -> Json:
    at = place(report, location)
    region = {"startLine": at.line} | ({} if at.column is None else {"startColumn": at.column})
    return {"physicalLocation": {"artifactLocation": _artifact(report), "region": region}}


def _artifact(report: AnyReport) -> Json:
    return {"uri": quote(report["audit"]["file"]), "uriBaseId": _ROOT, "index": 0}


def _invocation(report: AnyReport) -> Json:
    """Whether the audit came to its end, which is another question than whether its findings are good."""
    missing = [f for f in report["findings"] if f["rule"] == _COMPLETENESS and f["outcome"] in ("fail", "open")]
    notices = [{"level": "error", "message": _message(finding["message"])} for finding in missing]
    return {
        "executionSuccessful": not missing,
        **_times(report),
        **({"toolExecutionNotifications": notices} if notices else {}),
    }


def _times(report: AnyReport) -> Json:
    if "environment" not in report or (environment := report["environment"]) is None:
        return {}
    times = {"startTimeUtc": environment["started"] or "", "endTimeUtc": environment["finished"] or ""}
    return {name: time.replace("+00:00", "Z") for name, time in times.items() if _UTC.fullmatch(time)}


def _message(text: str) -> Json:
    return {"text": _text(text)}


def _text(text: str) -> str:
    """Text in which a viewer finds neither an embedded link (3.11.6) nor a placeholder (3.11.5)."""
    return text.replace("](", "] (").replace("{", "{{").replace("}", "}}")


FORMAT = Format("sarif", "report.sarif", render, points=True)
