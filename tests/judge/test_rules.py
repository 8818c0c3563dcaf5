"""Every rule against its fixtures, tests/rules/<family>/<rule>/<outcome>[-<variant>].yaml.

A fixture is a base case with changes by dotted path, and the results it expects, all of them and word for word. What
changes in ``audit``, ``model`` and ``sample`` changes the evidence itself; what changes in ``facts``, ``figures`` and
the rest of the case is put in its place afterwards. An item of a list is named by its id, its name or its number.

A fixture about published numbers has ``published``: the block of an audit file, whose keys take the place of those of
tests/published_sample.py; and it expects what it names of a result's further fields.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import evidence_sample as samples
import published_sample
import pytest
import yaml
from evidence_sample import Sample
from folders import TESTS

from checker.core.facts import ImportedFacts
from checker.core.questions import Question, documents_of
from checker.core.records import Claim, MethodSettings, Waiver
from checker.core.rule import Level
from checker.judge.rules import MEASURED, PUBLISHED, RULES, Case, Result, Rule
from checker.published import rules as published_rules

FIXTURES = (TESTS / "judge" / "rules", TESTS / "published" / "rules")
TODAY = "2030-06-15"
OUTCOMES = {"passed": "pass", "failed": "fail", "undecided": "open", "not_applicable": "not-applicable"}

CASES: dict[str, Callable[[], Sample]] = {
    "measured": Sample,
    "deep": samples.deep,
    "unmeasured": lambda: Sample(texts_read=False),
    "scored": lambda: Sample(withheld=_withheld("evaluation")),
    "bfloat16": lambda: Sample(samples.an_audit(model=samples.directory("bfloat16"))),
    "selection-text": lambda: Sample(
        samples.an_audit(selecting=replace(samples.an_audit().scoring, source=samples.text_source("selection.txt")))
    ),
    "no-claims": lambda: Sample().changed(claims=()),
    "card": lambda: Sample(model=samples.model_facts(card=samples.card_facts())),
    "checkpoint": samples.with_checkpoint,
    "tasks": lambda: samples.with_tasks(samples.on_task(retains_at_least=85.0, above_chance=True)),
    "series": samples.with_series,
    "series-repeated": lambda: _repeated(),
    "series-final": lambda: samples.with_series(at_0=samples.with_series().steps[1000]),
    "series-unread": lambda: replace(samples.with_series(), steps={}),
    "checkpoint-unread": lambda: _unread(samples.with_checkpoint()),
}


def _repeated() -> Sample:
    """Of four steps, the second has the weights of the first, and the third one block of the first."""
    first = samples.at_step(0, 1 / 6, 0.5)
    odd = samples.at_step(200, 0.6, 0.8)
    return samples.with_series(at_100=first, at_200=replace(odd, weights=(*first.weights[:1], *odd.weights[1:])))


def _unread(sample: Sample) -> Sample:
    """The claims' blocks are those of their checkpoints, which were never read."""
    claims = (
        replace(each, layers=None, from_checkpoint=True) if getattr(each, "checkpoint", None) else each
        for each in sample.audit.claims
    )
    return replace(sample, checkpoints=()).changed(claims=tuple(claims))


# --- a fixture -> the results of its rule ----------------------------------------------------------------------------


def results(slug: str, fixture: Mapping[str, Any]) -> list[Result]:
    """What a rule concludes of a fixture's case."""
    if "published" in fixture:
        return published_sample.results(RULES[slug], fixture["published"])
    if "change" not in fixture:
        return RULES[slug].results(_case(fixture["case"]))
    sample = CASES[fixture["case"]]()
    changes = [(path.split("."), value) for path, value in fixture["change"].items()]
    before = [change for change in changes if change[0][0] in ("audit", "model", "sample")]
    for path, value in before:
        sample = _changed(sample, path[1:] if path[0] == "sample" else path, value)
    case = _judged(sample)
    for change in changes:
        if change not in before:
            case = _changed(case, *change)
    return RULES[slug].results(case)


@cache
def _case(name: str) -> Case:
    return _judged(CASES[name]())


def _judged(sample: Sample) -> Case:
    figures, gaps = sample.figures()
    return Case(sample.evidence.audit, TODAY, RULES, sample.facts, figures, gaps)


def _changed(target: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of ``target`` (dataclass, mapping or sequence) with another value at ``path``."""
    if not path:
        return _like(target, value)
    name, rest = path[0], path[1:]
    if is_dataclass(target) and not isinstance(target, type):
        assert name in {field.name for field in fields(target)}, f"found no field {name}"
        return replace(target, **{name: _changed(getattr(target, name), rest, value)})
    if isinstance(target, Mapping):
        return {**target, name: _changed(target.get(name), rest, value)}
    number = _number(target, name)
    return type(target)([*target[:number], _changed(target[number], rest, value), *target[number + 1 :]])


def _number(items: Sequence[Any], name: str) -> int:
    if name.isdigit():
        return int(name)
    names = [item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None) or item.name for item in items]
    return names.index(name)


def _like(old: Any, value: Any) -> Any:
    """A value from YAML in the form that the code has it in."""
    if isinstance(value, Mapping):
        numbers = {key: tuple(map(int, str(key).split(","))) for key in value if str(key)[0].isdigit()}
        return {numbers.get(key, key): item for key, item in value.items()}
    if isinstance(value, list) and isinstance(old, tuple | frozenset):
        return type(old)(_item(item) for item in value)
    return _withheld(value) if isinstance(value, str) and old == () else value


def _item(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return item
    if "rule" in item:
        return samples.waiver(**item)
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    if "samples_sha256" in item:
        return ImportedFacts(**fields)
    return samples.claim(fields.pop("id"), **fields) if "kind" in item else MethodSettings(**fields)


def _withheld(name: str) -> Callable[[Question], bool]:
    """Which answers are missing: of a text, a protocol, one direction of it, or the removal of some blocks."""

    def withheld(question: Question) -> bool:
        moved = sum(not place.own for place in question.layout.places)
        removed = [slot for slot in range(8) if slot not in question.layout.slots]
        return {
            "evaluation": question.text in ("evaluation", "begin_token"),
            "scoring": question.text == "scoring",
            "floor": question.text == "float32",
            "replacement": moved == 1,
            "interchange": moved == 2,
            "protocols": moved > 0,
            "blocks 3, 5": removed == [3, 5],
            "tasks": question.text.startswith(documents_of("")),
            "4<-3": moved == 1 and "3@4" in str(question.layout),
        }[name]

    return withheld


def _fixtures() -> list[Path]:
    return sorted(path for folder in FIXTURES for path in folder.rglob("*.yaml"))


def _slug(fixture: Path) -> str:
    above, rule = fixture.parts[-3:-1]
    return f"{'published' if above == 'rules' else above}/{rule}"


# --- the fixtures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", _fixtures(), ids=lambda path: f"{_slug(path)}/{path.stem}")
def test_rule_on_its_fixture(path: Path) -> None:
    fixture = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = [{"claim": None, **result} for result in fixture["expect"]]
    found = results(_slug(path), fixture)
    assert [{name: getattr(one, name) for name in ("outcome", "claim", "message")} for one in found] == [
        {name: one[name] for name in ("outcome", "claim", "message")} for one in expected
    ]
    assert [{name: getattr(one, name) for name in wanted} for one, wanted in zip(found, expected, strict=True)] == (
        expected
    )


@pytest.mark.parametrize("path", _fixtures(), ids=lambda path: f"{_slug(path)}/{path.stem}")
def test_a_fixture_shows_the_outcome_that_it_is_named_for(path: Path) -> None:
    """A failing or open one shows it at least once; the others show nothing worse."""
    named = next(outcome for outcome in sorted(OUTCOMES.values()) if path.stem.split("-") [: len(outcome.split("-"))]
                 == outcome.split("-")).replace("-", "_")  # fmt: skip
    fixture = yaml.safe_load(path.read_text(encoding="utf-8"))
    outcomes = {result["outcome"] for result in fixture["expect"]}
    assert named in outcomes
    assert outcomes <= {"fail": {"fail", "pass"}, "open": {"open", "pass"}}.get(named, {named})


# --- the catalogue ---------------------------------------------------------------------------------------------------


def _reachable(rule: Rule[Any]) -> set[str]:
    """The outcomes that a rule can conclude: what its function and the helpers it calls name, and that of nothing."""
    module = inspect.getmodule(rule.check)
    assert module is not None
    functions = {f.name: f for f in ast.parse(inspect.getsource(module)).body if isinstance(f, ast.FunctionDef)}
    seen: set[str] = set()
    pending = [rule.check.__name__]
    while pending:
        name = pending.pop()
        if name not in functions or name in seen:
            continue
        seen.add(name)
        nodes = list(ast.walk(functions[name]))
        pending += [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        named = {node.id for node in nodes if isinstance(node, ast.Name)}
        named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        seen |= named & OUTCOMES.keys()
    return {outcome for name, outcome in OUTCOMES.items() if name in seen} | (
        {"not-applicable"} if rule.nothing else set()
    )


@pytest.mark.parametrize("slug", sorted(RULES))
def test_every_outcome_of_a_rule_has_a_fixture(slug: str) -> None:
    """Every rule can pass, and can fail or be open; what its code can conclude, a fixture shows."""
    reachable = _reachable(RULES[slug])
    assert "pass" in reachable
    assert reachable & {"fail", "open"}
    stems = {path.stem for path in _fixtures() if _slug(path) == slug}
    assert reachable <= stems, f"{slug} has no fixture {', '.join(sorted(reachable - stems))}.yaml"


def test_every_fixture_belongs_to_a_rule() -> None:
    assert {_slug(path) for path in _fixtures()} == set(RULES)
    assert set(_fixtures()) == {path for folder in FIXTURES for path in folder.rglob("*") if path.is_file()}


def test_every_rule_is_of_measurements_or_of_published_numbers_and_a_few_are_of_both() -> None:
    assert MEASURED.keys() | PUBLISHED.keys() == RULES.keys()
    assert MEASURED.keys() & PUBLISHED.keys() == {
        *("spec/values-overridden", "policy/unknown-rule", "policy/too-many-waivers", "policy/too-long-waiver"),
        *("waiver/expired", "waiver/unknown", "waiver/of-a-verdict", "waiver/unmatched"),
    }
    assert PUBLISHED.keys() - MEASURED.keys() == published_rules.RULES.keys()


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_rule_is_named_like_its_function_and_its_module(rule: Rule[Any]) -> None:
    family, name = rule.slug.split("/")
    module = inspect.getmodule(rule.check)
    assert module is not None
    home = "checker.published.rules." if family == "published" else f"checker.judge.rules.{family}"
    assert module.__name__.startswith(home) if family == "published" else module.__name__ == home
    assert getattr(module, name.replace("-", "_")) is rule
    assert rule.check.__name__ == name.replace("-", "_")
    assert RULES[rule.slug] is rule


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_rule_explains_itself(rule: Rule[Any]) -> None:
    assert rule.level in get_args(Level)
    for text in (rule.summary, rule.why, rule.remedy, rule.waive):
        assert text
        assert text == " ".join(text.split())
        assert text[0].isupper() or text[0] in '`"'
        assert text.endswith(".")
        assert not text.endswith("..")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("slug", sorted(MEASURED))
def test_every_rule_concludes_something_of_every_case(slug: str, case: str) -> None:
    found = results(slug, {"case": case})
    assert found
    claims = {claim.id for claim in CASES[case]().audit.claims}
    assert {result.claim for result in found} <= claims | {None}
    assert all(result.message == result.message.strip() and result.message for result in found)


@pytest.mark.parametrize("name", published_sample.BLOCKS)
@pytest.mark.parametrize("slug", sorted(PUBLISHED))
def test_every_rule_about_published_numbers_concludes_something_of_every_block(slug: str, name: str) -> None:
    block = published_sample.BLOCKS[name]
    found = published_sample.results(RULES[slug], block)
    assert found
    assert {result.claim for result in found} <= {None, *published_sample.publication(block).places}
    for result in found:
        assert result.message == result.message.strip() != ""
        told = (result.where, result.statement, result.recomputed, result.question, result.does_not_show)
        assert all(text == text.strip() for text in told)


@pytest.mark.parametrize("slug", sorted(published_rules.RULES))
def test_a_finding_about_published_numbers_is_worded_as_a_question(slug: str) -> None:
    """What failed or is open asks the source; what failed gives the figure, and says what it does not show."""
    shown = 0
    for path in (path for path in _fixtures() if _slug(path) == slug):
        for result in results(slug, yaml.safe_load(path.read_text(encoding="utf-8"))):
            if result.outcome != "not_applicable":
                assert result.statement
                assert result.where
            if result.outcome in ("fail", "open"):
                assert "?" in result.question
                shown += 1
            if result.outcome == "fail":
                assert result.recomputed
                assert result.does_not_show
    assert shown


def test_a_waiver_and_a_claim_of_the_samples_are_those_of_an_audit() -> None:
    """The helpers that fixtures are made with give the very nouns that rules read."""
    assert isinstance(samples.waiver("protocol/undisclosed"), Waiver)
    assert isinstance(samples.claim("a", "regime", metric="low"), Claim)
