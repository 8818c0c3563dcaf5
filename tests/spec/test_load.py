"""Audit files: the corpus in ``accept/`` and ``reject/`` is the list of tests; the rest is what a file cannot show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from folders import SPECS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.core import resources
from checker.core.errors import InvalidAudit
from checker.core.records import (
    Audit,
    EvaluationContract,
    MethodSettings,
    ScoringContract,
    Selection,
    Statistics,
    TextSource,
)
from checker.published.load import any_audit
from checker.published.publication import Publication
from checker.selection.methods import METHODS
from checker.spec import document as documents
from checker.spec import load
from checker.spec import schema as grammar
from checker.spec.claims.comparison import Comparison
from checker.spec.claims.removal import Removal
from checker.spec.schema import audit_schema

NO_CACHE = SPECS / "no-cache"
ACCEPTED = sorted(path.name for path in (SPECS / "accept").glob("*.yaml"))
REJECTED = sorted(path.name for path in (SPECS / "reject").glob("*.yaml"))


def _overrides(path: Path) -> list[str]:
    """The ``--set`` texts that a file of the corpus is loaded with stand in its first comments."""
    return re.findall(r"^# --set (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def _check(name: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> load.Checked:
    monkeypatch.chdir(SPECS / folder)  # so that messages name the file as a user would, and not where it lies
    return load.check(name, _overrides(Path(name)), hub_cache=NO_CACHE)


def _minimal(**changes: str) -> str:
    sections = {
        "pruneaudit": "1",
        "model": f"{{kind: directory, path: {SPECS}/models/tiny}}",
        "data": f"""
          scoring: {{kind: rows, path: {SPECS}/data/prompts.jsonl, prompts: 8, tokens: 32}}
          evaluation: {{kind: file, path: {SPECS}/data/evaluation.txt, window: 64, stride: 32}}""",
        "budgets": "[1]",
        **changes,
    }
    return "".join(f"{key}: {value}\n" for key, value in sections.items())


def _mistakes(path: Path | str, *overrides: str) -> str:
    with pytest.raises(InvalidAudit) as caught:
        load.check(path, overrides, hub_cache=NO_CACHE)
    return str(caught.value)


# --- the corpus ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REJECTED)
def test_a_wrong_file_is_rejected_with_exactly_its_messages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SPECS / "reject")
    with pytest.raises(InvalidAudit) as caught:
        any_audit(name, _overrides(Path(name)), hub_cache=NO_CACHE)
    expected = Path(name).with_suffix(".txt").read_text(encoding="utf-8")
    assert str(caught.value) + "\n" == expected
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_right_file_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SPECS / "accept")
    audit, notes = any_audit(name, _overrides(Path(name)), hub_cache=NO_CACHE)
    assert audit.name == Path(name).stem
    assert audit.text == Path(name).read_text(encoding="utf-8-sig")
    away = name.startswith(("model_not", "text_package"))
    assert bool(notes) == away, "what is not at hand, and nothing else, is noted"
    assert isinstance(audit, Publication) == name.startswith("published")
    if isinstance(audit, Audit):
        assert (_check(name, "accept", monkeypatch).facts is None) == name.startswith("model_not")


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_schema_alone_agrees_with_the_loader(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SPECS / "accept")
    document = documents.read(Path(name), name)
    for override in _overrides(Path(name)):
        document.override(override)
    plain = json.loads(json.dumps(document.data))
    jsonschema.validate(plain, audit_schema(), cls=jsonschema.Draft202012Validator)


def test_the_corpus_is_complete() -> None:
    assert {path.stem for path in (SPECS / "reject").glob("*.txt")} == {Path(name).stem for name in REJECTED}
    assert len(REJECTED) >= 25


# --- what a file means -----------------------------------------------------------------------------------------------


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("minimal.yaml", "accept", monkeypatch).audit
    assert audit.title == "minimal"
    assert audit.protocols == {"replacement": {}, "interchange": {}}
    assert audit.direction == "into"
    assert [(method.name, method.budgets) for method in audit.methods] == [
        ("interchange", (1,)), ("replacement", (1,)), ("deletion", (1,)),
    ]  # fmt: skip
    assert audit.scoring.assembly == "rows"
    assert (audit.scoring.batch_tokens, audit.evaluation.batch_tokens) == (1024, 1024)
    assert audit.statistics == Statistics()
    assert audit.selection == Selection()
    assert (audit.further_selections, audit.selecting) == ((), None)
    assert audit.max_gap == 1
    assert audit.policy.fail_on == "error"
    assert (audit.claims, audit.waivers, audit.overrides) == ((), (), ())


def test_every_key_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("every_key.yaml", "accept", monkeypatch).audit
    assert (audit.model.dtype, audit.model.device, audit.model.blocks) == ("bfloat16", "cpu", "model.layers")
    assert audit.model.path == str(SPECS / "models" / "tiny")
    source = audit.scoring.source
    assert (source.path, source.join, source.drop_empty) == (str(SPECS / "data" / "prompts.jsonl"), " ", True)
    assert audit.scoring == ScoringContract(source, 2, 16, "last", "windows", "none", 64)
    evaluation = audit.evaluation
    assert evaluation == EvaluationContract(evaluation.source, 8, 4, 10, "skip_first", "every_window", 64)
    assert audit.protocols == {"replacement": {"direction": "max"}, "interchange": {}, "deletion": {}}
    assert audit.methods[-1] == replace(audit.methods[0], name="random", budgets=(1,), draws=19)
    assert audit.selection == Selection(0, "lower", (0,))
    assert audit.statistics == Statistics(0.9, 0.01, 0.4, 0.02, 0.2, 7, "percentile_bootstrap", 100)
    assert [waiver.expires for waiver in audit.waivers] == ["2026-12-31", "2027-01-31"]
    assert all(type(waiver.expires) is str for waiver in audit.waivers)
    assert dict(audit.policy.rules) == {"protocol/undisclosed": "note", "claim/undecided": "off"}


def test_every_method_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("every_method.yaml", "accept", monkeypatch).audit
    assert audit.methods == tuple(MethodSettings(name, (1, 2)) for name in METHODS)
    assert audit.protocols == {"averaging": {}}
    searched, merged = audit.claims
    assert isinstance(searched, Comparison)
    assert (searched.better, searched.worse) == ("beam", "worst_first")
    assert isinstance(merged, Removal)
    assert merged.method == "laco"


def test_every_setting_of_a_method_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _check("every_setting.yaml", "accept", monkeypatch).audit.methods == (
        MethodSettings("taylor", (2,)),
        MethodSettings("angular_distance", (3,), forms=("native",)),
        MethodSettings("sleb", (1,), forms=("matched",), calls=50),
        MethodSettings("laco", (1,), forms=("native", "matched"), calls=60, merge=2),
        MethodSettings("beam", (1,), width=2, calls=70, seeded_by="taylor"),
        MethodSettings("exhaustive", (1,), calls=80),
        MethodSettings("random", (1,), draws=5),
        MethodSettings("worst_first", (1,), of="cka"),
    )


def test_a_text_to_choose_on(monkeypatch: pytest.MonkeyPatch) -> None:
    selecting = _check("selection_text.yaml", "accept", monkeypatch).audit.selecting
    assert selecting is not None
    source = selecting.source
    assert (source.kind, source.path) == ("rows", str(SPECS / "data" / "prompts.jsonl"))
    assert (source.join, source.drop_empty) == (" ", True)
    assert selecting == ScoringContract(source, 4, 16, "all", "rows", "none", 64)
    hub = _check("texts_on_the_hub.yaml", "accept", monkeypatch).audit.selecting
    assert hub == ScoringContract(TextSource("hub", repo="example/texts", split="validation"), 4, 16, assembly="rows")


def test_the_models_own_samples_as_text_to_choose_on(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("selection_text_by_override.yaml", "accept", monkeypatch).audit
    assert audit.selecting == ScoringContract(TextSource("self_generated", seed=3), 4, 16, assembly="rows")
    assert audit.overrides == (("data.selection", "{kind: self_generated, prompts: 4, tokens: 16, seed: 3}"),)


def test_a_path_to_choose_on_starts_at_the_audit_file(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Here.")
    (tmp_path / "a.yaml").write_text(_minimal())
    section = f"{{kind: file, path: {tmp_path / 'mine.txt'}, prompts: 1, tokens: 2}}"
    found = load.check(tmp_path / "a.yaml", [f"data.selection={section}"]).audit.selecting
    assert found is not None
    assert (found.source.path, found.assembly) == (str(tmp_path / "mine.txt"), "windows")
    text = (tmp_path / "a.yaml").read_text().replace("data: \n", "data: \n          selection: " + section + "\n")
    (tmp_path / "b.yaml").write_text(text.replace(str(tmp_path / "mine.txt"), "mine.txt"))
    assert load.check(tmp_path / "b.yaml").audit.selecting == found


def test_several_selections(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("several_selections.yaml", "accept", monkeypatch).audit
    assert audit.selection == Selection(1, "lower")
    assert audit.further_selections == (
        Selection(0, exclude=(0,), name="free"), Selection(name="from-1_to-3", region=(1, 3)),
    )  # fmt: skip
    assert [selection.name for selection in audit.selections] == ["matched", "free", "from-1_to-3"]


def test_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("every_key.yaml", "accept", monkeypatch).audit
    claims = {claim.id: claim for claim in audit.claims}
    one = claims["one-layer"]
    assert (one.layers, one.at_most, one.protocol, one.scope) == ((2,), 60.0, "interchange", "contract")
    assert audit.text.splitlines()[one.location.line - 1][one.location.column - 1 :] == "id: one-layer"
    chosen = claims["chosen"]
    assert (chosen.method, chosen.budget, chosen.equals, chosen.scope) == ("interchange", 2, 10.2, "contract")
    assert chosen.within == pytest.approx(0.005), "half a unit of the last digit of 10.20"
    assert (claims["chosen-loosely"].within, claims["chosen-loosely"].scope) == (2.0, "population")
    assert (claims["twins"].pair, claims["twins"].below, claims["twins"].scope) == ((1, 2), 0.1, "population")
    assert (claims["safer"].better, claims["safer"].worse, claims["safer"].at_least) == (
        "interchange", "replacement", 2.0,
    )  # fmt: skip
    assert (claims["metric"].metric, claims["removal"].removal, claims["removal"].budget) == ("divergent", "tied", 2)
    moves, grows, same = claims["moves"], claims["grows"], claims["same"]
    assert (moves.series, moves.start, moves.end) == ("steps", 0, 10)
    assert (moves.method, moves.budget, moves.regret_at_most) == ("interchange", 2, 10.0)
    assert (grows.quantity, grows.direction, grows.at_least, grows.monotone) == ("gap", "grows", 0.01, True)
    assert (same.of, same.protocol, same.budget) == ("sets", "replacement", 2)

    assert claims["twins"].says == (
        "The distance of blocks 1 and 2 is below 0.1 nats under averaging, on a population of texts like this one; "
        "rests on averaging."
    )
    assert all(claim.says for claim in audit.claims)


def test_a_series_arrives_in_the_order_of_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    (series,) = _check("every_key.yaml", "accept", monkeypatch).audit.series
    assert [step.name for step in series.steps] == ["steps/0", "steps/10", "steps/20"]
    assert [step.tokens for step in series.steps] == [0.0, 1000.0, 4e6]
    assert not series.in_order
    sources = {(step.source.path, step.source.dtype, step.source.device) for step in series.steps}
    assert sources == {(str(SPECS / "models" / "tiny"), "float32", "cpu")}
    assert len({step.source.identity for step in series.steps}) == 3


def test_a_published_interval_speaks_of_a_population_and_pairs_may_be_all(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("every_key.yaml", "accept", monkeypatch).audit
    claims = {claim.id: claim for claim in audit.claims}
    published = claims["published"]
    assert (published.equals, published.interval, published.interval_unit) == (10.2, (27.0, 29.5), "perplexity")
    assert (published.scope, published.about, claims["one-layer"].about) == ("population", "tasks", "perplexity")
    assert published.says == (
        "Removing block 2 leaves tasks as they are and costs 10.2 % perplexity, and all of its interval gives a "
        "perplexity from 27 to 29.5, on a population of texts like this one; names no protocol."
    )
    assert (claims["neighbours"].pair, claims["neighbours"].pairs) == (None, "adjacent")
    assert claims["neighbours"].says == (
        "The distance of any two neighbouring blocks is below 0.1 nats under replacement, on a population of texts "
        "like this one; rests on replacement."
    )


@pytest.mark.parametrize(("written", "within"), [("10", 0.5), ("10.2", 0.05), ("10.20", 0.005), ("1.5e+2", 5.0)])
def test_precision_of_a_claim_is_that_of_its_last_digit(tmp_path: Path, written: str, within: float) -> None:
    claim = f"[{{id: a, kind: removal, layers: [1], perplexity_increase: {{equals: {written}}}}}]"
    (tmp_path / "a.yaml").write_text(_minimal(claims=claim))
    assert load.check(tmp_path / "a.yaml").audit.claims[0].within == pytest.approx(within)


def test_overrides_replace_values_sections_and_items(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = _check("overrides.yaml", "accept", monkeypatch).audit
    assert (audit.title, audit.budgets, audit.selection.spacing) == ("Overridden", (3,), 0)
    assert (audit.evaluation.words, audit.evaluation.window, audit.evaluation.stride) == (5, 4, 2)
    assert audit.methods[0].name == "random"
    assert audit.scoring.source.sha256 is None, "an empty value takes the key away"
    assert ("title", "Overridden") in audit.overrides
    assert len(audit.overrides) == 6


def test_paths_of_overrides_start_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "a.yaml").write_text(_minimal())
    (tmp_path / "text.txt").write_text("Here.")
    monkeypatch.chdir(tmp_path)
    audit = load.check("audits/a.yaml", ["data.evaluation={kind: file, path: text.txt, window: 4, stride: 2}"]).audit
    assert audit.evaluation.source.path == str(tmp_path / "text.txt")
    assert "text.txt`, which does not exist" in _mistakes("audits/a.yaml", "data.evaluation.path=audits/text.txt")


def test_what_lies_elsewhere_need_not_be_at_hand(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(_minimal(model="{kind: gguf, path: absent.gguf}"))
    assert "absent.gguf`, which does not exist" in _mistakes(tmp_path / "a.yaml")
    checked = load.check(tmp_path / "a.yaml", attached=False)
    assert checked.audit.model.path == str(tmp_path / "absent.gguf")
    assert (checked.facts, checked.notes) == (None, ())


# --- names, files, drafts --------------------------------------------------------------------------------------------


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "packaged"
    folder.mkdir()
    (folder / "smollm2-135m.yaml").write_text(_minimal())
    monkeypatch.setattr(resources, "audits", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_bare_name_means_a_packaged_audit(packaged: Path) -> None:
    audit = load.check("smollm2-135m").audit
    assert (audit.name, audit.path) == ("smollm2-135m", str(packaged / "smollm2-135m.yaml"))


def test_a_file_of_that_name_goes_first(packaged: Path) -> None:
    Path("smollm2-135m").write_text(_minimal(title="Mine"))
    assert load.check("smollm2-135m").audit.title == "Mine"


def test_an_unknown_name_lists_the_packaged_ones(packaged: Path) -> None:
    assert _mistakes("smolm2-135m") == (
        "smolm2-135m: found `smolm2-135m`, which is neither a file nor a packaged audit; "
        "expected a file or `smollm2-135m`; did you mean `smollm2-135m`?"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"pruneaudit: 1\ntitle: \xff\n", ":2:1: found bytes that are not UTF-8"),
        (b"pruneaudit: 1\ntitle: a\x00b\n", ":2:9: found what YAML cannot read (a control character)"),
        (b"a: b\n" * 300_000, ": found a file of more than 1000000 bytes; expected at most so many"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert f"a.yaml{found}" in _mistakes(tmp_path / "a.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "found a file that cannot be read (No such file or directory)" in _mistakes(tmp_path / "a.yaml")


def test_an_expansion_bomb_is_refused(tmp_path: Path) -> None:
    bomb = ["a0: &a0 [x, x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    (tmp_path / "a.yaml").write_text("\n".join(bomb))
    assert "found the alias `*a38`" in _mistakes(tmp_path / "a.yaml")


# --- the schema ------------------------------------------------------------------------------------------------------


def _subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key not in ("examples", "default", "enum", "const"):
                yield from _subschemas(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _subschemas(value)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(audit_schema())


def test_every_property_is_described_and_every_mapping_closed() -> None:
    schema = audit_schema()
    for part in _subschemas(schema):
        for name, value in (part.get("properties") or {}).items() if "additionalProperties" in part else ():
            assert len(grammar.resolve(value, schema).get("description", "")) > 5, name
        if "oneOf" in part:
            assert all("kind" in branch["required"] for branch in part["oneOf"])
        elif part.get("type") == "object":
            assert grammar.resolve(part, schema)["additionalProperties"] is False


def test_every_example_and_default_fits_its_own_schema() -> None:
    schema, seen = audit_schema(), 0
    for part in _subschemas(schema):
        values = [*part.get("examples", []), *([part["default"]] if "default" in part else [])]
        for value in values:
            jsonschema.validate(value, {**part, "$defs": schema["$defs"]}, cls=jsonschema.Draft202012Validator)
            seen += 1
    assert seen > 50


def _methods() -> list[dict[str, Any]]:
    """The kinds of methods with settings."""
    branches: list[dict[str, Any]] = audit_schema()["properties"]["methods"]["items"]["anyOf"][1]["oneOf"]
    return branches


def test_defaults_of_the_schema_are_those_of_the_records() -> None:
    schema = audit_schema()["properties"]
    branches = [(schema["statistics"], Statistics), (audit_schema()["$defs"]["selection"], Selection)]
    branches += [(branch, MethodSettings) for branch in _methods()]
    for branch, record in branches:
        for name in set(branch["properties"]) - {"kind", "budgets"}:
            value, default = grammar.resolve(branch["properties"][name], audit_schema()), getattr(record, name)
            assert value.get("default") == (list(default) if isinstance(default, tuple) else default)
    for section, record in (("scoring", ScoringContract), ("evaluation", EvaluationContract)):
        branch = schema["data"]["properties"][section]["oneOf"][0]
        for name in set(branch["properties"]) & {"positions", "special_tokens", "batch_tokens", "boundary", "assembly"}:
            assert grammar.resolve(branch["properties"][name], audit_schema())["default"] == getattr(record, name)


def test_methods_of_schema_and_register_are_the_same() -> None:
    assert audit_schema()["$defs"]["method"]["enum"] == list(METHODS)
    scoring = [name for name, method in METHODS.items() if method.scores and method.distances]
    assert audit_schema()["$defs"]["scoring_method"]["enum"] == scoring
    kinds = {
        name: branch["properties"]
        for branch in _methods()
        for name in branch["properties"]["kind"].get("enum", [branch["properties"]["kind"].get("const")])
    }
    assert set(kinds) == set(METHODS)
    for name, method in METHODS.items():
        assert ("forms" in kinds[name]) == (method.native is not None), name
        assert ("of" in kinds[name]) == method.turns_round, name
        assert ("draws" in kinds[name]) == method.control, name
        assert ("calls" in kinds[name]) == (method.sets is not None and not method.control), name
    assert tuple(audit_schema()["properties"]["methods"]["default"]) == load.DEFAULT_METHODS


# --- robustness ------------------------------------------------------------------------------------------------------

_WHOLE = (SPECS / "accept" / "every_key.yaml").read_text(encoding="utf-8")


def _outcome(path: Path, *overrides: str) -> Audit | InvalidAudit:
    """The audit or the complaint; any other exception fails the test."""
    try:
        return load.check(path, overrides, attached=False).audit
    except InvalidAudit as error:
        return error


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, len(_WHOLE)),
    cut=st.integers(0, 12),
    new=st.text(alphabet="[]{}:-#&*!|>'\"\n ,0eéx", max_size=4),
)
def test_a_damaged_file_is_read_or_rejected_but_never_crashes(tmp_path: Path, place: int, cut: int, new: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(_WHOLE[:place] + new + _WHOLE[place + cut :], encoding="utf-8")
    outcome = _outcome(path)
    mistakes = outcome.mistakes if isinstance(outcome, InvalidAudit) else ()
    assert isinstance(outcome, Audit) or mistakes
    assert all(mistake.found and mistake.expected and mistake.remedy for mistake in mistakes)
    assert all(mistake.file == str(path) for mistake in mistakes)


@settings(max_examples=80, deadline=None)
@given(assignment=st.text(alphabet="data.scoring=prompts[]{}:0 1", max_size=20))
def test_an_override_is_applied_or_rejected_but_never_crashes(assignment: str) -> None:
    outcome = _outcome(SPECS / "accept" / "minimal.yaml", assignment)
    assert outcome.mistakes if isinstance(outcome, InvalidAudit) else len(outcome.overrides) == 1


def test_loading_needs_neither_torch_nor_its_friends() -> None:
    code = textwrap.dedent(f"""
        import sys
        from checker.spec import load
        load.check({str(SPECS / "accept" / "minimal.yaml")!r}).audit
        print([name for name in ("torch", "transformers", "datasets", "scipy") if name in sys.modules])
    """)
    root = SPECS.parent.parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["...yaml", "..yaml"])
def test_a_name_of_dots_would_lead_out_of_the_folder_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(_minimal(), encoding="utf-8")
    expected = (
        f"{name}: found a file called `{name}`; expected a name beside dots, which the folder of evidence is called "
        "by; give it another name"
    )
    assert _mistakes(name) == expected
    assert _mistakes(Path(name)) == expected
