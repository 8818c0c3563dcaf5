"""Rules about the audit's own policy."""

from __future__ import annotations

from collections.abc import Iterator

from checker.rules.shape import Case, Result, failed, not_applicable, passed, rule


@rule(
    "policy",
    level="error",
    why="A level that is set for a rule that does not exist changes nothing: the rule that was meant keeps its own.",
    remedy="Correct the slug; `pruneaudit rules` lists them all.",
    waive="Never; correct the policy.",
)
def unknown_rule(case: Case) -> Iterator[Result]:
    """The policy sets a level for a rule that does not exist or that has only one."""
    levels = case.audit.policy.rules
    for slug, level in levels.items():
        told = f"policy.rules: found {slug!r} set to {level}"
        if slug not in case.known_rules:
            yield failed(f"{told}; expected a rule that exists")
        elif slug == "evidence/incomplete":
            yield failed(f"{told}; expected its own level, error, as an incomplete run never passes")
        else:
            yield passed(f"{slug} exists and is set to {level}")
    if not levels:
        yield not_applicable("the policy changes no rule's level")
