"""Lists the rules, and the policy in force."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from checker.commands.command import command, policy_override
from checker.commands.terminal import tell
from checker.core.records import Policy
from checker.judge.rules import RULES
from checker.published.load import any_audit
from checker.spec import policies

_FIELDS = ("slug", "level", "summary", "why", "remedy", "waive")
_DEFAULT = "default"
_APART = ("rules", "extends", "sources", "waivers", "commanded")  # keys of a policy that have no line of their own


@command("rules", "pruneaudit rules --json\npruneaudit rules --policy release\npruneaudit rules smollm2-135m")
@click.argument("file", required=False)
@click.option(
    "--policy",
    metavar="POLICY",
    help="Show this policy, in place of an audit file's own: release, review, research, or a policy file.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def rules(file: str | None, policy: str | None, as_json: bool) -> None:
    """Lists the rules, with their levels.

    With --policy, or with FILE (an audit file): the policy in force, the levels it gives, and where each value is set.
    The exit code is then 1 where it names a rule that does not exist.
    """
    chosen = _policy(file, policy)
    if as_json:
        tell(json.dumps(_listed() if chosen is None else _in_force(chosen), indent=2))
    else:
        for line in _levels(Policy()) if chosen is None else (*_values(chosen), "", *_levels(chosen)):
            tell(line)
    if chosen is None:
        return
    unknown = list(policies.unknown_rules(chosen, RULES))
    for name, expected in unknown:
        tell(f"{chosen.sources[f'rules.{name}']}: found a level for {name!r}; expected {expected}", error=True)
    sys.exit(1 if unknown else 0)


def _policy(file: str | None, name: str | None) -> Policy | None:
    """The policy of an audit file, or of a name in its place; None where neither is given."""
    if file is not None:
        audit, _ = any_audit(file, () if name is None else (policy_override(name),), attached=False)
        return audit.policy
    return None if name is None else policies.load(name)


def _listed() -> list[dict[str, Any]]:
    return [{name: getattr(rule, name) for name in _FIELDS} for rule in RULES.values()]


def _in_force(policy: Policy) -> Mapping[str, Any]:
    """The policy, and every rule with its own level, the one in force and where that is set."""
    listed = [
        row | {"in_force": policy.level(row["slug"], row["level"]), "set_at": policy.source(row["slug"])}
        for row in _listed()
    ]
    return {"policy": policies.row(policy), "rules": listed}


def _values(policy: Policy) -> Iterator[str]:
    """What the policy says beside the levels of rules."""
    yield f"Built on: {', '.join(map(str, policy.extends)) or 'nothing'}"
    shown = {name: value for name, value in policies.row(policy).items() if name not in _APART}
    written = {name: _written(value) for name, value in shown.items()}
    names, values = max(map(len, written)), max(map(len, written.values()))
    for name, value in written.items():
        yield f"{name:<{names}}  {value:<{values}}  {policy.sources.get(name, _DEFAULT)}"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "any" if value is None else str(value)


def _levels(policy: Policy) -> Iterator[str]:
    """One line per rule. A level that the policy gives is followed by where it is set, and by the rule's own."""
    width = max(map(len, RULES))
    levels = {slug: _level(policy, slug, rule.level) for slug, rule in RULES.items()}
    column = max(8, *map(len, levels.values()))
    for slug, level in levels.items():
        yield f"{slug:<{width}}  {level:<{column}} {RULES[slug].summary}"


def _level(policy: Policy, slug: str, own: str) -> str:
    place = policy.source(slug)
    return own if place is None else f"{policy.level(slug, own)} ({place}; else {own})"
