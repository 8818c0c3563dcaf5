"""Writes the generated documents. ``python docs/generate.py`` rewrites them, ``--check`` says which are out of date."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))  # the checkout's package, whether or not it is installed

from checker.judge.rules import RULES, Rule  # noqa: E402
from checker.reports import FORMATS, check  # noqa: E402
from checker.spec import schema as grammar  # noqa: E402

_HEAD = """# The audit file

<!-- Generated from schemas/audit.schema.json by docs/generate.py; do not edit. -->

One YAML file describes an audit. `pruneaudit init` writes a commented one, `pruneaudit validate` reports every mistake
in it with line and column. Unknown and duplicate keys are mistakes; anchors and aliases are refused.

* Relative paths start at the audit file's folder, or at the working directory where they come from `--set`.
* `--set a.b=value` replaces one value, a whole section (`--set 'data.evaluation={kind: file, ...}'`) or a value in a
  list's item (`--set claims.0.budget=3`). The value is read as YAML; an empty one takes the key away.
* `policy:` may also stand in a file of its own, its keys at the top of it, for other audits to extend and for
  `--policy`. The schema of such a file is `schemas/policy.schema.json`.
* YAML reads `no`, `yes`, `on` and `off` as booleans, `1e-3` as text and `2026-12-31` as a date. Put text in quotes,
  write `0.001` or `1.0e-3`. Dates may stand without quotes where a date is expected.

Schema: draft 2020-12, in `schemas/audit.schema.json`. For completion in an editor, start the file with a line like
`# yaml-language-server: $schema=path/to/audit.schema.json`.
"""

_RULES_HEAD = """# The rules

<!-- Generated from checker/judge/rules/ and checker/published/rules/ by docs/generate.py; do not edit. -->

A report holds every rule of its kind, as passed, failed, open (undecided or not measured) or not applicable, with the
reason: the family `published` where numbers were published, the others where they were measured. Of both kinds are
`spec/values-overridden`, `policy/unknown-rule`, `policy/too-many-waivers`, `policy/too-long-waiver` and the family
`waiver`. `pruneaudit rules`
lists all rules, `pruneaudit explain RULE` shows one.

* A level says how grave a failed or open finding is: note, warning or error. `--fail-on` names the least level that
  changes the exit code; without it, `policy.fail_on` of the audit file does.
* An audit file may give a rule another level: `policy: {rules: {protocol/undisclosed: note}}`, or a family of rules:
  `{protocol: note}`. The level `"off"`, in quotes, turns it off; the report then says so.
* A policy may be built on another, `policy: {extends: release}`: on `release`, `review`, `research` or a file. What it
  demands beside levels is checked by the rules of the family `policy`. `--policy NAME` takes the place of the audit
  file's own; `pruneaudit rules --policy NAME` shows what is in force, and where each value is set.
* A waiver accepts a finding until a date: `{rule: ..., claim: ..., reason: ..., expires: ...}`. The finding stays in
  the report, with the reason, and the waiver is counted in every summary. `pruneaudit waivers FILE` checks them.
* Neither changes `evidence/incomplete`: an incomplete run never passes. Findings about waivers cannot be waived.
"""


def spec_page() -> str:
    """``spec.md``: every key of the audit file, from its schema."""
    schema = grammar.audit_schema()
    return "\n".join([_HEAD, *_sections(schema, "", schema)]).rstrip() + "\n"


def rules_page() -> str:
    """``rules.md``: every rule, by family, each under an anchor that is its slug."""
    families: dict[str, list[Rule[Any]]] = defaultdict(list)
    for rule in RULES.values():
        families[rule.slug.partition("/")[0]].append(rule)
    parts = [_RULES_HEAD, *_rule_index(families)]
    for family, rules in families.items():
        parts += [f"## {family}\n", f"{_about_family(rules)}\n"]
        parts += [line for rule in rules for line in _rule_section(rule)]
    return "\n".join(parts).rstrip() + "\n"


def _examples() -> dict[str, Callable[[], str]]:
    """The pages of each example: what its report.json looks like today."""
    return {
        str(path.with_name(FORMATS[name].file).relative_to(DOCS)): partial(_example_page, path, name)
        for path in sorted(DOCS.glob("examples/*/report.json"))
        for name in ("html", "md")
    }


def _example_page(path: Path, name: str) -> str:
    report = json.loads(path.read_text(encoding="utf-8"))
    check(report)
    return FORMATS[name].render(report)


DOCUMENTS: dict[str, Callable[[], str]] = {"spec.md": spec_page, "rules.md": rules_page, **_examples()}


def main(arguments: list[str]) -> int:
    """Rewrites the documents; with ``--check`` only names those that differ, and returns 1 if any does."""
    stale = [name for name, page in DOCUMENTS.items() if _written(name) != page()]
    for name in stale:
        if "--check" in arguments:
            print(f"docs/{name}: found an old version; expected what its source gives; run `python docs/generate.py`")
        else:
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(DOCUMENTS[name](), encoding="utf-8")
            print(f"docs/{name} written")
    return 1 if stale and "--check" in arguments else 0


def _written(name: str) -> str | None:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


# --- spec.md ---------------------------------------------------------------------------------------------------------


def _sections(schema: dict[str, Any], path: str, root: dict[str, Any]) -> Iterator[str]:
    """The section of one mapping, then those of the mappings in it."""
    schema = grammar.resolve(schema, root)
    branches = [grammar.resolve(branch, root) for branch in schema.get("oneOf", [])]
    yield f"{'##' if path.count('.') == 0 else '###'} {f'`{path}`' if path else 'The whole file'}\n"
    yield schema["description"] + "\n"
    if branches:
        yield from _kinds(branches, path, root)
    else:
        required = schema.get("required", []) + schema.get("else", {}).get("required", [])
        yield from _table(schema["properties"], required, root)
        yield from _example(schema)
    for branch in branches or [schema]:
        for name, value in branch["properties"].items():
            yield from _inner(grammar.resolve(value, root), f"{path}.{name}".lstrip("."), root)


def _inner(value: dict[str, Any], path: str, root: dict[str, Any]) -> Iterator[str]:
    """The sections that a key's value needs: of a mapping, or of the mappings in a list."""
    if value.get("properties") or "oneOf" in value:
        yield from _sections(value, path, root)
    elif named := value.get("patternProperties"):  # a mapping of names to mappings, or to single values
        item = grammar.resolve(next(iter(named.values())), root)
        if item["type"] == "object":
            yield from _sections(item, f"{path}.NAME", root)
    elif "anyOf" in value:  # one mapping or a list of them: the list would only repeat the mapping's keys
        options = [grammar.resolve(option, root) for option in value["anyOf"]]
        yield from (part for option in options if option["type"] == "object" for part in _inner(option, path, root))
    elif value["type"] == "array":
        item = grammar.resolve(value["items"], root)
        for option in item.get("anyOf", [item]):
            if option.get("type") == "object":
                yield from _sections(option, f"{path}[]", root)


def _kinds(branches: list[dict[str, Any]], path: str, root: dict[str, Any]) -> Iterator[str]:
    """The keys that all kinds share, then those of each kind."""
    first = branches[0]["properties"]
    shared = {
        name: value
        for name, value in first.items()
        if name != "kind" and all(branch["properties"].get(name) == value for branch in branches)
    }
    if shared:
        yield "Keys of every kind:\n"
        yield from _table(shared, branches[0].get("required", []), root)
    for branch in branches:
        kind = branch["properties"]["kind"]
        names = " or ".join(f"`{name}`" for name in kind.get("enum", [kind.get("const")]))
        yield f"**`{path}` of kind {names}.** {branch['description']}\n"
        own = {name: value for name, value in branch["properties"].items() if name not in (*shared, "kind")}
        if own:
            yield from _table(own, branch.get("required", []), root)
        yield from _example(branch)


def _example(schema: dict[str, Any]) -> Iterator[str]:
    for example in schema.get("examples", [])[:1]:
        if example:
            yield f"For instance `{_flow(example)}`.\n"


def _table(properties: dict[str, Any], required: list[str], root: dict[str, Any]) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for name, value in properties.items():
        resolved = grammar.resolve(value, root)
        cells = (f"`{name}`", _value(resolved, root), _default(name, resolved, required), resolved["description"])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _default(name: str, value: dict[str, Any], required: list[str]) -> str:
    if name in required:
        return "required"
    return f"`{_flow(value['default'])}`" if "default" in value else ""


def _value(value: dict[str, Any], root: dict[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{name}`" for name in value["enum"])
    if value.get("format") in ("date", "decimal"):
        return str(value["format"])
    if "anyOf" in value:
        return " or ".join(_value(grammar.resolve(option, root), root) for option in value["anyOf"])
    if value["type"] == "array":
        item = grammar.resolve(value["items"], root)
        options = [item] if "format" in item else item.get("anyOf", [item])
        return "list of " + " or ".join(dict.fromkeys(_plural(grammar.resolve(option, root)) for option in options))
    if "patternProperties" in value:
        item = grammar.resolve(next(iter(value["patternProperties"].values())), root)
        kind = "names to mappings" if item["type"] == "object" else f"slugs to {_value(item, root)}"
        return f"mapping of {kind}"
    name = {"string": "text", "object": "mapping", "boolean": "`true`, `false`", "integer": "whole number"}
    return name.get(value["type"], value["type"]) + _bounds(value)


def _plural(value: dict[str, Any]) -> str:
    if "format" in value:
        return f"{value['format']}s"
    if "enum" in value and len(value["enum"]) < 4:
        return " or ".join(f"`{name}`" for name in value["enum"])
    numbers = {"integer": f"whole numbers{_bounds(value)}", "number": f"numbers{_bounds(value)}"}
    return ({"string": "names", "object": "mappings", "array": "lists"} | numbers)[value["type"]]


def _bounds(value: dict[str, Any]) -> str:
    low = [f"from {value['minimum']:,}"] if "minimum" in value else []
    low += [f"above {value['exclusiveMinimum']:,}"] if "exclusiveMinimum" in value else []
    high = [f"to {value['maximum']:,.15g}"] if "maximum" in value else []
    high += [f"below {value['exclusiveMaximum']:,}"] if "exclusiveMaximum" in value else []
    return " " + " ".join(low + high) if low or high else ""


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


# --- rules.md --------------------------------------------------------------------------------------------------------


def _rule_index(families: dict[str, list[Rule[Any]]]) -> Iterator[str]:
    yield "| rule | level | what it finds |\n|---|---|---|"
    for rules in families.values():
        for rule in rules:
            summary = rule.summary.replace("|", "\\|")
            yield f"| [`{rule.slug}`](#{rule.slug}) | {rule.level} | {summary} |"
    yield ""


def _about_family(rules: list[Rule[Any]]) -> str:
    """What the family's modules say they are about."""
    modules = dict.fromkeys(rule.check.__module__ for rule in rules)
    return " ".join(str(sys.modules[name].__doc__).strip() for name in modules)


def _rule_section(rule: Rule[Any]) -> Iterator[str]:
    yield f'### <a id="{rule.slug}"></a>`{rule.slug}`\n'
    yield f"{rule.summary} Level: **{rule.level}**.\n"
    yield f"* **Why.** {rule.why}"
    yield f"* **What to do.** {rule.remedy}"
    yield f"* **When to waive.** {rule.waive}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
