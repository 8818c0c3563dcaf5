"""What ``pruneaudit rules`` lists and ``pruneaudit explain`` says of each."""

from __future__ import annotations

import json

import pytest
from command_line import Command, Done

from checker.judge.rules import RULES


def test_rules_lists_every_rule(command: Command) -> None:
    done = command("rules")
    assert [line.split()[0] for line in done.out.splitlines()] == list(RULES)
    machine = json.loads(command("rules", "--json").out)
    assert [row["slug"] for row in machine] == list(RULES)
    assert all(set(row) == {"slug", "level", "summary", "why", "remedy", "waive"} for row in machine)


@pytest.mark.parametrize("slug", list(RULES))
def test_explain_says_all_about_a_rule(command: Command, slug: str) -> None:
    done = command("explain", slug)
    rule = RULES[slug]
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{slug} ({rule.level})\n")
    told = " ".join(done.out.split())
    assert all(" ".join(text.split()) in told for text in (rule.summary, rule.why, rule.remedy, rule.waive))


@pytest.mark.parametrize(
    ("asked", "advice"),
    [("claim/contradict", "did you mean claim/contradicted?"), ("xyz", "`pruneaudit rules` lists them")],
)
def test_explain_of_an_unknown_rule(command: Command, asked: str, advice: str) -> None:
    assert command("explain", asked) == Done(2, "", f"found rule {asked!r}; expected one that exists; {advice}\n")
