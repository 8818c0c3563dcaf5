"""Published audits for tests: a small block of numbers, and what rules conclude of one like it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from checker.core.rule import AnyCase
from checker.judge.rules import RULES, Result, Rule
from checker.published.load import any_audit
from checker.published.publication import Publication

# What every block has that does not say otherwise: fixtures name the model `m` and the contract `c`.
BASE: dict[str, Any] = {
    "source": {"title": "A made-up paper"},
    "models": {"m": {"name": "made/up-8", "blocks": 8}},
    "contracts": {"c": {"text": "a made-up text", "words": 500, "window": 64, "stride": 32}},
}
FULL: dict[str, Any] = {
    "baselines": [{"model": "m", "contract": "c", "perplexity": "10.00", "where": "Table 1, row 1"}],
    "scores": [
        {"id": "interchange", "model": "m", "protocol": "interchange", "where": "Table 2",
         "values": [[0, 1, "0.90"], [1, 2, "0.08"], [2, 3, "0.04"], [3, 4, "0.12"]]},
        {"id": "replacement", "model": "m", "protocol": "replacement", "direction": "max", "where": "Table 2",
         "values": [[0, 1, "0.80"], [1, 2, "0.30"], [2, 3, "0.20"], [3, 4, "0.50"]]},
    ],
    "removals": [
        {"id": "row-2", "model": "m", "method": "interchange", "protocol": "interchange", "budget": 1, "layers": [2],
         "contract": "c", "perplexity": "10.50", "increase": "+5.0", "where": "Table 1, row 2", "table": "Table 1"},
        {"id": "row-3", "model": "m", "method": "replacement", "protocol": "replacement", "budget": 2, "layers": [2, 4],
         "contract": "c", "perplexity": "11.00", "increase": "+11.0", "interval": ["10.20", "11.90"],
         "interval_unit": "perplexity", "where": "Table 1, row 3", "table": "Table 1"},
        {"id": "row-4", "model": "m", "method": "random", "budget": 1, "layers": [5], "increase": "+9.1",
         "where": "Table 1, row 4", "table": "Table 1"},
    ],
    "rules": [{"id": "stated", "score": "least_over_partners", "spacing": 1, "where": "Section 3"}],
    "statements": [
        {"id": "never", "kind": "universal", "says": "Interchange never exceeds replacement.", "where": "Section 1",
         "left": "interchange", "relation": "at_most", "right": "replacement"},
    ],
}  # fmt: skip
BLOCKS: dict[str, dict[str, Any]] = {"empty": {}, "full": FULL}


def publication(block: Mapping[str, Any], **keys: Any) -> Publication:
    """The publication of a block whose keys take the place of those of BASE; ``keys`` are further ones of the file.

    The block's ``configs`` are no key of it: they are configurations that lie beside the file, by their names.
    """
    block = dict(block)
    configs = block.pop("configs", {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "paper.yaml"
        for name, config in configs.items():
            (Path(folder) / name).write_text(json.dumps(config), encoding="utf-8")
        content = {"pruneaudit": 1, **keys, "published": {**BASE, **block}}
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=200), encoding="utf-8")
        found = any_audit(path)[0]
    assert isinstance(found, Publication)
    return found


def results(rule: Rule[Any], block: Mapping[str, Any]) -> list[Result]:
    return rule.results(AnyCase(publication(block), "2030-06-15", RULES))


# --- a report, made up -----------------------------------------------------------------------------------------------

_POLICY: dict[str, Any] = {
    "fail_on": "error", "rules": {}, "required_methods": [], "required_budgets": [], "minimum_windows": None,
    "maximum_interval_width_percent": None, "minimum_confidence": None, "maximum_margin": None, "maximum_within": None,
    "minimum_resamples": None, "minimum_pairs": None, "minimum_draws": None, "maximum_waivers": None,
    "maximum_waiver_days": None, "waivers": [], "commanded": False, "extends": [], "sources": {},
}  # fmt: skip


def _check(outcome: str, rule: str, statement: str, message: str, **told: Any) -> dict[str, Any]:
    return {
        "rule": f"published/{rule}", "outcome": outcome, "level": "error", "id": None, "statement": statement,
        "where": "Table 1, row 2", "recomputed": "", "message": message, "question": "", "does_not_show": "",
        "location": "paper.yaml:9:7", "waived": None, **told,
    }  # fmt: skip


def report() -> dict[str, Any]:
    """A report with every outcome, a waiver and a finding about the audit itself."""
    checks = [
        _check("pass", "increase-does-not-follow", "perplexity 10.50, increase +5.0 %",
               "+5.0 % follows from 10.50 and the baseline 10.00", id="row-2", recomputed="+4.89 to +5.11 %"),
        _check("fail", "increase-does-not-follow", "perplexity 11.00, increase +11.0 %",
               "found an increase of +11.0 %; expected +9.89 to +10.11 %", id="row-3", where="Table 1, row 3",
               recomputed="+9.89 to +10.11 %", question="Table 1, row 3: which baseline is +11.0 % taken from?",
               does_not_show="It does not show which of the numbers is wrong."),
        _check("fail", "universal-not-so", "Interchange never exceeds replacement.",
               "found 1 of 4 pairs where it does: 0, 1", id="never", level="warning", where="Section 1",
               recomputed="0.90 against 0.80 nats", question="Section 1: is the pair 0, 1 left out?",
               does_not_show="It does not show that the other pairs do.", waived="Corrected in v2."),
        _check("open", "increase-does-not-follow", "increase +9.1 %",
               "+9.1 % stands without the perplexity after the removal, which would decide whether it follows",
               id="row-4", where="Table 1, row 4", question="Table 1, row 4: what is the perplexity?"),
    ]  # fmt: skip
    about = [
        {"rule": "waiver/expired", "outcome": "fail", "level": "error", "claim": None,
         "message": "paper.yaml:30:5: waiver of published/no-control expired on 2029-01-01; expected a later day",
         "location": None, "waived": None},
        {"rule": "spec/values-overridden", "outcome": "pass", "level": "note", "claim": None,
         "message": "the audit is as its file says it", "location": None, "waived": None},
        *({"rule": rule, "outcome": "not_applicable", "level": "error", "claim": None,
           "message": "no removal with layers is said to be chosen by a rule that the audit file holds",
           "location": None, "waived": None}
          for rule in ("published/selection-does-not-follow", "published/selection-by-other-choices")),
    ]  # fmt: skip
    names = ("rule", "outcome", "level", "message", "location", "waived")
    return {
        "format": "pruneaudit/published/1",
        "title": "Do these numbers follow from each other?",
        "outcome": "fail",
        "summary": "Fail: of 4 checks 1 holds, 2 do not hold, 1 is open.",
        "audit": {"name": "paper", "file": "paper.yaml", "digest": "ab" * 32},
        "overrides": [{"key": "title", "value": "Do these numbers follow from each other?"}],
        "tool": {"name": "pruneaudit", "version": "0.1.0"},
        "evidence": "published",
        "source": {"title": "A made-up paper", "authors": ["A. Author", "B. Author"], "url": "https://example.org/paper",
                   "revision": "v1", "accessed": "2026-11-01"},
        "files": [{"file": "scores.csv", "sha256": "cd" * 32}],
        "models": [
            {"id": "m", "name": "made/up-8", "blocks": 8, "parameters": 8_030_261_248},
            {"id": "n", "name": "made/up-9", "blocks": None, "parameters": None},
        ],
        "contracts": [{"id": "c", "text": "a made-up text", "words": 5000, "window": 64, "stride": 32,
                       "tokenizer": None, "boundary": None, "special_tokens": None, "dtype": "bfloat16",
                       "unstated": ["boundary", "special_tokens"], "where": "Section 4.1"}],
        "caveats": [{"says": "Row 3 comes from another machine.", "where": "Table 1, note"}],
        "numbers": {"baselines": 1, "scores": 2, "removals": 3, "rules": 1, "statements": 1},
        "policy": _POLICY,
        "waivers": [{"rule": "published/universal-not-so", "claim": "never", "reason": "Corrected in v2.",
                     "expires": "2030-12-31", "state": "active", "days_left": 199, "findings": 1,
                     "location": "paper.yaml:29:5"}],
        "checks": checks,
        "findings": [{**{name: check[name] for name in names}, "claim": check["id"]} for check in checks] + about,
        "not_tested": ["Nothing was measured: every figure here is the source's own."],
    }  # fmt: skip


def bare_report() -> dict[str, Any]:
    """A report of a source that gives nothing to check."""
    return report() | {
        "outcome": "pass", "checks": [], "findings": [], "waivers": [], "overrides": [], "files": [], "contracts": [],
        "source": {"title": "A made-up paper", "authors": [], "url": None, "revision": None, "accessed": None},
        "summary": "Pass: there was nothing to check.",
    }  # fmt: skip
